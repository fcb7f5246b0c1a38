"""pyinfra deploys: from a bare device with ssh to a machine that runs containers.

One small file a subject. Belongs here: what a machine needs before Pulumi can place
services on its Docker engine. pyinfra stops at the engine: containers are Pulumi's.
"""
