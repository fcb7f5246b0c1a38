"""The lab's own API, beside each Ollama."""

from __future__ import annotations

import json
from typing import Any

import pulumi

from components.homelab.minio import IMAGES, REGION
from components.homelab.service import Extras, Service, ServiceArgs
from inventory.model import Site
from inventory.services import DATABASE


class Assistant(Service):
    """Chat, code and images over HTTP: remembers, caches, counts, and does without what is away."""

    def extras(self, args: ServiceArgs) -> Extras:
        """Its settings: where everything is, and the passwords."""
        accounts = {
            "postgres": "assistant",
            "redis": "default",
            "minio": "assistant",
            "sonarqube": "assistant",
        }
        passwords = {
            kind: args.password(kind, account)
            for kind, account in accounts.items()
            if args.endpoint(kind)
        }
        content: pulumi.Output[str] = pulumi.Output.all(**passwords).apply(
            lambda found: json.dumps(_settings(args, found))
        )
        return Extras(files={"assistant.json": pulumi.Output.secret(content)})


def _settings(args: ServiceArgs, passwords: dict[str, str]) -> dict[str, Any]:
    """The settings file as services/assistant reads it."""
    models = args.placement.answers_with
    return {
        "name": args.placement.reference,
        "spool": "/spool",
        "ollama": {"url": f"http://{args.endpoint('ollama')}"},
        "models": {
            "chat": _held(args.site, "chat", models),
            "code": _held(args.site, "code", models),
            "stand_in": args.placement.reference in _fallbacks(args.site),
        },
        "database": _found(
            args,
            "postgres",
            passwords,
            lambda password: {"name": DATABASE, "user": "assistant", "password": password},
        ),
        "redis": _found(args, "redis", passwords, lambda password: {"password": password}),
        "objects": (
            {
                "endpoint": f"http://{args.endpoint('minio')}",
                "access_key": "assistant",
                "secret_key": passwords["minio"],
                "bucket": IMAGES,
                "region": REGION,
            }
            if "minio" in passwords
            else None
        ),
        "images": {"url": f"http://{url}"} if (url := args.endpoint("comfyui")) else None,
        "analysis": (
            {
                "url": f"http://{args.endpoint('sonarqube')}",
                "user": "assistant",
                "password": passwords["sonarqube"],
            }
            if "sonarqube" in passwords
            else None
        ),
    }


def _held(site: Site, route: str, models: tuple[str, ...]) -> str:
    """The route's model where this machine holds it, else the one that it uses most."""
    stated = site.routes[route].model if route in site.routes else None
    return stated if stated in models else models[0]


def _fallbacks(site: Site) -> set[str]:
    return {route.fallback for route in site.routes.values() if route.fallback}


def _found(
    args: ServiceArgs, kind: str, passwords: dict[str, str], more: Any
) -> dict[str, Any] | None:
    """Host and port of a service that the site has, and how to log in."""
    endpoint = args.endpoint(kind)
    if endpoint is None:
        return None
    host, _, port = endpoint.partition(":")
    return {"host": host, "port": int(port), **more(passwords[kind])}
