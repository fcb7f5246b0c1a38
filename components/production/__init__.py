"""The production stack on AWS: one component a subject, each usable alone."""
