"""Traefik: where citizens' requests arrive, with HTTPS, and are limited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import yaml

from components.fixai.objects import Objects
from components.fixai.pods import (
    SECRETS,
    Container,
    Document,
    Image,
    Pod,
    Probes,
    Secret,
    Where,
    asks,
    configuration,
)
from inventory.fixai import Limits
from inventory.fixai import Pod as Size
from inventory.fixai_edges import HTTP, HTTPS, METRICS, PUBLIC
from inventory.units import GIB

NAME = "traefik"
_TLS = "traefik-tls"
_FOLDER = "/etc/traefik"
_YEAR_SECONDS = 365 * 24 * 3600
LIVE = "/live"
"""The path of live updates: a WebSocket, whose messages no middleware may wait for."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Whom it says to be.

    Attributes:
        chain: PEM, the whole of it; public.
        key: PEM.
        authority: PEM of who signed it; public.
    """

    chain: pulumi.Input[str]
    key: pulumi.Input[str]
    authority: pulumi.Input[str]


@dataclass(frozen=True, slots=True)
class TraefikArgs:
    """What a gateway is made of.

    Attributes:
        where: the nodes whose ports 80 and 443 it answers at, with a pod each.
        image: with `traefik` on its path.
        hosts: names that it answers to.
        upstream: what answers, `http://name:port`.
        addresses: of those nodes: what connects to ports 80 and 443 of one gets a pod.
        limits: what is refused.
        after: what has to be there before.
    """

    where: Where
    image: Image
    size: Size
    hosts: Sequence[str]
    upstream: pulumi.Input[str]
    addresses: Sequence[str]
    certificate: Certificate
    limits: Limits
    after: Sequence[pulumi.Resource] = ()


class Traefik(pulumi.ComponentResource):
    """A pod a node. Its configuration is files: it asks Kubernetes nothing and has no rights there.

    Ports below 1024 and those of a node are a privilege; its pods have neither. They listen to 8080
    and 8443, and the service has the nodes' addresses, so that kube-proxy brings 80 and 443 there.
    """

    url: pulumi.Output[str]

    def __init__(
        self, name: str, args: TraefikArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:fixai:Traefik", name, None, opts)
        objects = Objects(self, name, NAME, args.where.namespace)
        tls = objects.secret(
            _TLS, {"tls.crt": args.certificate.chain, "tls.key": args.certificate.key}
        )
        routes = pulumi.Output.from_input(args.upstream).apply(
            lambda upstream: routes_text(args.hosts, upstream, args.limits)
        )
        files: dict[str, pulumi.Input[str]] = {"traefik.yaml": static_text(), "routes.yaml": routes}
        pod = gateway_pod(NAME, args.where, args.image, args.size, tls, files)
        made = objects.deployment(
            pod,
            [objects.account(), objects.settings(files), *args.after],
            replicas=len(args.where.nodes),
        )
        objects.service(
            {"http": HTTP, "https": HTTPS}, public=PUBLIC, **_reached_at(args.addresses)
        )
        objects.service({"metrics": METRICS}, each=True)
        objects.budget()
        self.url = made.id.apply(lambda _: f"https://{args.hosts[0]}")
        self.register_outputs({"url": self.url})


def _reached_at(addresses: Sequence[str]) -> Document:
    """The service has the nodes' addresses; who asks keeps theirs, by which limits are counted."""
    return {"externalIPs": list(addresses), "externalTrafficPolicy": "Local"}


def gateway_pod(  # noqa: PLR0913, PLR0917 - each is one thing to say
    name: str,
    where: Where,
    image: Image,
    size: Size,
    tls: Secret,
    files: dict[str, pulumi.Input[str]],
) -> Pod:
    """A pod of Traefik's with a certificate and its configuration's files."""
    server = Container(
        name,
        image,
        size,
        command=["traefik", f"--configFile={_FOLDER}/traefik.yaml"],
        ports={"http": HTTP, "https": HTTPS, "metrics": METRICS},
        environment={"GOMEMLIMIT": str(size.memory * 9 // 10)},
        mounts={_FOLDER: "settings"},
        probes=Probes(asks("/ping", METRICS), asks("/ping", METRICS), startup_seconds=30),
        # The node's proxy has to hear that it goes.
        drain_seconds=5,
    )
    return Pod(
        name,
        where,
        [server],
        volumes={"settings": configuration(name)},
        secrets=[tls],
        settings=list(files.values()),
        # Sockets of live updates are closed at its end; clients connect anew.
        stop_seconds=40,
        # Large requests wait here until they are complete.
        scratch_bytes=1 * GIB,
    )


def static_text() -> str:
    """The text of traefik.yaml: ports, providers, logs."""
    return yaml.safe_dump(
        {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "api": {"dashboard": False, "insecure": False},
            "log": {"level": "INFO", "format": "json"},
            "accessLog": {
                "format": "json",
                "filters": {"statusCodes": ["400-599"]},
                "fields": {"headers": {"defaultMode": "drop"}},
            },
            "ping": {"entryPoint": "metrics"},
            "metrics": {"prometheus": {"entryPoint": "metrics", "addRoutersLabels": True}},
            "entryPoints": {
                "http": {
                    "address": f":{HTTP}",
                    "http": {
                        "redirections": {
                            "entryPoint": {"to": ":443", "scheme": "https", "permanent": True}
                        }
                    },
                },
                "https": {
                    "address": f":{HTTPS}",
                    "transport": {
                        "lifeCycle": {"graceTimeOut": "25s"},
                        "respondingTimeouts": {"readTimeout": "60s", "idleTimeout": "180s"},
                    },
                },
                "metrics": {"address": f":{METRICS}"},
            },
            "providers": {"file": {"filename": f"{_FOLDER}/routes.yaml", "watch": False}},
        },
        sort_keys=False,
    )


def routes_text(hosts: Sequence[str], upstream: str, limits: Limits) -> str:
    """The text of routes.yaml: what is answered, by what, within which limits, with which TLS."""
    ours = " || ".join(f"Host(`{host}`)" for host in hosts)
    live = f"Path(`{LIVE}`)"
    document = {
        "http": {
            "routers": {
                "live": _router(f"({ours}) && {live}", "limit", "headers"),
                "requests": _router(f"({ours}) && !{live}", "limit", "headers", "body"),
            },
            "middlewares": {
                "limit": {
                    "rateLimit": {
                        "average": limits.requests_per_second,
                        "burst": limits.burst,
                        "period": "1s",
                        "sourceCriterion": {"ipStrategy": {"depth": 0}},
                    }
                },
                "body": {"buffering": {"maxRequestBodyBytes": limits.body_bytes}},
                "headers": {"headers": _HEADERS},
            },
            "services": {"backend": {"loadBalancer": {"servers": [{"url": upstream}]}}},
        },
        "tls": tls_settings(),
    }
    return yaml.safe_dump(document, sort_keys=False)


def tls_settings() -> Document:
    """TLS 1.2 and 1.3, with keys that are forgotten; the one certificate for whoever asks."""
    files = {
        "certFile": f"{SECRETS}/{_TLS}/tls.crt",
        "keyFile": f"{SECRETS}/{_TLS}/tls.key",
    }
    return {
        "stores": {"default": {"defaultCertificate": files}},
        "certificates": [files],
        "options": {
            "default": {
                "minVersion": "VersionTLS12",
                "cipherSuites": [
                    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
                    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
                    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
                    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
                    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
                ],
            }
        },
    }


_HEADERS: dict[str, Any] = {
    "stsSeconds": _YEAR_SECONDS,
    "stsIncludeSubdomains": True,
    "contentTypeNosniff": True,
    "frameDeny": True,
    "referrerPolicy": "no-referrer",
    "contentSecurityPolicy": "default-src 'none'; frame-ancestors 'none'",
    "customResponseHeaders": {"Server": "", "X-Powered-By": ""},
}


def _router(rule: str, *middlewares: str) -> Document:
    return {
        "rule": rule,
        "entryPoints": ["https"],
        "service": "backend",
        "middlewares": list(middlewares),
        "tls": {"options": "default"},
    }
