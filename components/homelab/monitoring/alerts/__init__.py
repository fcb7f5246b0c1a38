"""The lab's rules, one module a subject; each gives its groups for a site."""
