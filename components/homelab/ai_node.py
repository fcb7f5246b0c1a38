"""A machine that answers with a language model."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.homelab.network import lab_network
from components.homelab.service import Service, ServiceArgs
from inventory.model import Placement, Site


@dataclass(frozen=True, slots=True)
class AiNodeArgs:
    """What an AI node needs: the site, and which of its machines this is."""

    site: Site
    host_name: str


class AiNode(pulumi.ComponentResource):
    """Ollama with the models that the site places on the machine."""

    def __init__(
        self, name: str, args: AiNodeArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:homelab:AiNode", name, None, opts)
        network = lab_network(name, self)
        for placement in args.site.on_host(args.host_name):
            if placement.kind_name == "ollama":
                Service(
                    placement.reference,
                    ServiceArgs(placement, network, environment=_environment(placement)),
                    pulumi.ResourceOptions(parent=self),
                )
        self.register_outputs({})


def _environment(placement: Placement) -> dict[str, str]:
    """Ollama's settings; on a Jetson it must be told which JetPack's libraries to use."""
    l4t = placement.host.os_release.l4t
    on_gpu = placement.gpu_memory_bytes > 0 and placement.site.sandbox is None
    jetpack = {35: "5", 36: "6"}.get(l4t or 0)
    return {
        "OLLAMA_HOST": "0.0.0.0:11434",
        "OLLAMA_KEEP_ALIVE": "30m",
    } | ({"JETSON_JETPACK": jetpack} if on_gpu and jetpack else {})
