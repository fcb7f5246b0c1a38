"""The programs around Hearth: found, downloaded or built, and kept in a per-user cache.

What belongs here gets a program onto this computer (the Pulumi CLI, its docker plugin,
Ollama) or stands in for one that cannot be had (the Python language host). Nothing here
knows a site, a component or what the programs are for.
"""
