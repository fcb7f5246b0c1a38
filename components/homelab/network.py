"""The Docker network on which a host's services find each other by name."""

from __future__ import annotations

import pulumi
import pulumi_docker as docker


def lab_network(name: str, parent: pulumi.Resource) -> pulumi.Output[str]:
    """Makes the host's network `lab`; returns its name."""
    network = docker.Network(
        f"{name}-lab", name="lab", driver="bridge", opts=pulumi.ResourceOptions(parent=parent)
    )
    name_of_network: pulumi.Output[str] = network.name
    return name_of_network
