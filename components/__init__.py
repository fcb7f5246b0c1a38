"""Pulumi component classes: what a stack is made of.

A component takes everything from its args, does no I/O and reads no configuration. A tier
of the homelab is a list of services; a service is an image, its volumes and a container.
"""
