"""The gateway: nginx with TLS on 80 and 443, the engine behind it, Redis for rate limits."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.homelab.network import lab_network
from components.homelab.redis import redis_file
from components.homelab.routing import haproxy_config, kong_config, nginx_config
from components.homelab.service import File, Service, ServiceArgs
from inventory.model import Site
from inventory.services import GATEWAY_ENGINES


@dataclass(frozen=True, slots=True)
class GatewayArgs:
    """What a gateway needs.

    Attributes:
        site: its routes are what the gateway serves.
        host_name: the machine.
        tls_certificate: PEM, the whole chain.
        tls_private_key: PEM; a secret.
        redis_password: a secret.
    """

    site: Site
    host_name: str
    tls_certificate: pulumi.Input[str]
    tls_private_key: pulumi.Input[str]
    redis_password: pulumi.Input[str]


class Gateway(pulumi.ComponentResource):
    """The only machine that the world talks to."""

    url: pulumi.Output[str]

    def __init__(
        self, name: str, args: GatewayArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:homelab:Gateway", name, None, opts)
        network = lab_network(name, self)
        placements = {p.kind_name: p for p in args.site.on_host(args.host_name)}

        def service(kind: str, *files: File, after: tuple[Service, ...] = ()) -> Service:
            placement = placements[kind]
            return Service(
                placement.reference,
                ServiceArgs(placement, network, files=files),
                pulumi.ResourceOptions(parent=self, depends_on=list(after)),
            )

        if "redis" in placements:
            redis = placements["redis"]
            service("redis", redis_file(redis, args.redis_password, durable=False))
        engines = tuple(
            service(kind, _engine_file(args, kind))
            for kind in GATEWAY_ENGINES
            if kind in placements
        )
        if "nginx" in placements:
            service("nginx", *_nginx_files(args), after=engines)
        self.url = pulumi.Output.from_input(f"https://{args.site.hosts[args.host_name].address}")
        self.register_outputs({"url": self.url})


def _engine_file(args: GatewayArgs, kind: str) -> File:
    if kind == "haproxy":
        return File("/etc/haproxy/haproxy.cfg", haproxy_config(args.site))
    content = pulumi.Output.secret(args.redis_password).apply(
        lambda password: kong_config(args.site, password)
    )
    return File("/etc/kong/kong.yaml", content)


def _nginx_files(args: GatewayArgs) -> tuple[File, ...]:
    return (
        File("/etc/nginx/nginx.conf", nginx_config(args.site)),
        File("/etc/nginx/tls/tls.crt", args.tls_certificate),
        File("/etc/nginx/tls/tls.key", pulumi.Output.secret(args.tls_private_key), "0600"),
    )
