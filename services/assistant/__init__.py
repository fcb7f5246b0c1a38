"""The lab's API: chat, code and images, beside each Ollama, for the gateway's routes.

It passes Ollama's streams on as they come, remembers what was said (PostgreSQL, Redis), counts
who used what, and keeps answering when anything but Ollama is away.
"""
