"""The tunnel: how the citizens' app comes in where the cluster has no public address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import yaml
from pulumi_kubernetes.apiextensions import CustomResource

from components.fixai.objects import Objects
from components.fixai.pods import Image, Where, metadata
from components.fixai.traefik import Certificate, gateway_pod, static_text, tls_settings
from inventory.fixai import Pod as Size
from inventory.fixai_edges import HTTPS

NAME = "tunnel"
SIMULATED = "hearth.dev/simulated"
"""The label of what stands in for something else."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """What the stand-in is made of.

    Attributes:
        image: with `traefik` on its path.
        certificate: what the edge shows; the tunnel's end is held to its authority.
    """

    where: Where
    image: Image
    size: Size
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class TunnelArgs:
    """What a tunnel is made of.

    Attributes:
        by: `ngrok` needs its operator in the cluster.
        url: the public address, `https://name`.
        upstream: where it ends, `https://name:port`.
        upstream_name: to whom the tunnel's end has to prove to be.
        simulation: of the kind `simulated` only.
        after: what has to be there before.
    """

    namespace: pulumi.Input[str]
    by: Literal["ngrok", "simulated"]
    url: str
    upstream: str
    upstream_name: str
    simulation: Simulation | None = None
    after: Sequence[pulumi.Resource] = ()


class Tunnel(pulumi.ComponentResource):
    """ngrok's endpoint with an agent in the cluster; or a stand-in of the same shape.

    The stand-in is a proxy: it takes HTTPS where ngrok's edge would and hands it, with its
    WebSockets, to where the agent would. Nothing of it is outside of the cluster.

    Raises:
        ValueError: `simulated` without what it is made of.
    """

    url: pulumi.Output[str]

    def __init__(
        self, name: str, args: TunnelArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:fixai:Tunnel", name, None, opts)
        made: pulumi.Resource
        if args.by == "ngrok":
            made = CustomResource(
                f"{name}-endpoint",
                api_version="ngrok.k8s.ngrok.com/v1alpha1",
                kind="AgentEndpoint",
                metadata=metadata(NAME, args.namespace),
                spec={
                    "url": args.url,
                    "upstream": {"url": args.upstream},
                    "description": "the citizens' app",
                },
                opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.after)),
            )
        elif args.simulation is None:
            raise ValueError(f"{name}: simulated without `simulation`; say what it is made of")
        else:
            made = self._simulate(name, args, args.simulation)
        self.url = pulumi.Output.from_input(made.urn).apply(lambda _: args.url)
        self.register_outputs({"url": self.url})

    def _simulate(
        self, name: str, args: TunnelArgs, simulation: Simulation
    ) -> pulumi.CustomResource:
        objects = Objects(self, name, NAME, args.namespace, {SIMULATED: "true"})
        certificate = simulation.certificate
        tls = objects.secret(
            "traefik-tls", {"tls.crt": certificate.chain, "tls.key": certificate.key}
        )
        files: dict[str, pulumi.Input[str]] = {
            "traefik.yaml": static_text(),
            "routes.yaml": routes_text(args.upstream, args.upstream_name),
            "authority.crt": certificate.authority,
        }
        pod = gateway_pod(NAME, simulation.where, simulation.image, simulation.size, tls, files)
        made: pulumi.CustomResource = objects.deployment(
            pod, [objects.account(), objects.settings(files), *args.after]
        )
        objects.service({"https": HTTPS}, public={HTTPS: 443})
        objects.budget()
        return made


def routes_text(upstream: str, upstream_name: str) -> str:
    """The text of the stand-in's routes: all of it to the tunnel's end."""
    return yaml.safe_dump(
        {
            "http": {
                "routers": {
                    "all": {
                        "rule": "PathPrefix(`/`)",
                        "entryPoints": ["https"],
                        "service": "end",
                        "middlewares": ["name"],
                        "tls": {"options": "default"},
                    }
                },
                # ngrok asks as whoever it was asked as; the end answers to its own name.
                "middlewares": {
                    "name": {"headers": {"customRequestHeaders": {"Host": upstream_name}}}
                },
                "services": {
                    "end": {
                        "loadBalancer": {
                            "servers": [{"url": upstream}],
                            "passHostHeader": True,
                            "serversTransport": "end",
                        }
                    }
                },
                "serversTransports": {
                    "end": {
                        "serverName": upstream_name,
                        "rootCAs": ["/etc/traefik/authority.crt"],
                    }
                },
            },
            "tls": tls_settings(),
        },
        sort_keys=False,
    )
