"""FixAI's services: one image, a role a process (`python -m services.fixai ROLE`)."""
