"""Ollama: a server of language models."""

from __future__ import annotations

from components.homelab.service import Extras, Service, ServiceArgs


class Ollama(Service):
    """Ollama with the models that the site places on the machine."""

    def extras(self, args: ServiceArgs) -> Extras:
        """On a Jetson it must be told which JetPack's libraries to use."""
        placement = args.placement
        on_gpu = placement.gpu_memory_bytes > 0 and args.site.sandbox is None
        jetpack = {35: "5", 36: "6"}.get(placement.host.os_release.l4t or 0)
        return Extras(
            environment={"OLLAMA_HOST": "0.0.0.0:11434", "OLLAMA_KEEP_ALIVE": "30m"}
            | ({"JETSON_JETPACK": jetpack} if on_gpu and jetpack else {})
        )
