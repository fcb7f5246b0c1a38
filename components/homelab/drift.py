"""The drift check: what it is told of all other services, as the stack declares them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pulumi

from components.homelab.service import Extras, Service, ServiceArgs
from inventory.model import Site

KIND = "drift-check"


class DriftCheck(Service):
    """Compares what machines say of themselves with the images and settings declared for them.

    It has to be declared after them. It is told digests and never contents.
    """

    def extras(self, args: ServiceArgs) -> Extras:
        """What every service that can be seen should be, and where certificates are served."""
        seen = machines_that_tell(args.site)
        told = {
            reference: pulumi.Output.all(
                image=service.image.image_id,
                files=service.settings.digests if service.settings else None,
            )
            for reference, service in args.declared.items()
            if reference.partition(".")[0] in seen
        }
        content = pulumi.Output.all(
            authority=args.secrets.tls_authority, services=pulumi.Output.all(**told)
        ).apply(lambda known: json.dumps(_settings(args, **known), indent=1, sort_keys=True))
        return Extras(files={"drift-check.json": content})


def machines_that_tell(site: Site) -> list[str]:
    """Those whose node exporter hands on what they say of themselves."""
    return [p.host_name for p in site.by_kind.get("node-exporter", ()) if p.provisioned]


def folder_digest(digests: Mapping[str, str]) -> str:
    """SHA-256 over a service's files, as deploys/scripts/hearth-metrics.sh makes it on a machine.

    Args:
        digests: SHA-256 of each file, by path under the folder.
    """
    lines = sorted(f"{digest}  {path}\n" for path, digest in digests.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _settings(
    args: ServiceArgs, authority: str, services: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The settings file as services/driftcheck reads it."""
    site, placement = args.site, args.placement
    declared_on = {reference.partition(".")[0] for reference in services}
    return {
        "name": placement.reference,
        "port": placement.kind.ports[placement.first_port],
        "prometheus": f"http://{args.endpoint('prometheus')}",
        "every_seconds": site.drift_interval.total_seconds(),
        "machines": {
            name: {"tier": host.tier, "board": host.board}
            for name, host in site.hosts.items()
            if name in declared_on
        },
        "services": {
            reference: {
                "image": known["image"],
                "settings": None if known["files"] is None else folder_digest(known["files"]),
            }
            for reference, known in services.items()
        },
        "certificates": [
            {
                "service": nginx.reference,
                "address": str(nginx.host.address),
                "port": nginx.ports["https"],
            }
            for nginx in site.by_kind.get("nginx", ())
            if nginx.provisioned
        ],
        "authority": authority,
    }
