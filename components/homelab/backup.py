"""The service that makes backups, and what has it make one before an upgrade."""

from __future__ import annotations

import json
from typing import Any

from components.homelab.minio import BACKUPS, IMAGES, REGION
from components.homelab.postgres import BACKUP
from components.homelab.service import Extras, Service, ServiceArgs
from inventory.services import DATABASE

ACCOUNTS = {"postgres": BACKUP, "minio": "backup", "grafana": "admin"}
"""As whom it logs in, by kind; Grafana has the one account."""


class Backup(Service):
    """Backups each day, before upgrades, and when somebody asks; what it read it may not change."""

    def extras(self, args: ServiceArgs) -> Extras:
        """Where everything is, when and how many; the passwords, a file each."""
        used = {kind: account for kind, account in ACCOUNTS.items() if args.endpoint(kind)}
        passwords = {
            f"{kind}-password": args.password(kind, account) for kind, account in used.items()
        }
        return Extras(files={"keeper.json": json.dumps(settings(args), indent=2), **passwords})


def settings(args: ServiceArgs) -> dict[str, Any]:
    """The settings file as services/keeper reads it."""
    site = args.site
    host, _, port = (args.endpoint("postgres") or "").partition(":")
    parts: dict[str, dict[str, Any]] = {
        "postgres": {"host": host, "port": int(port or 0), "database": DATABASE},
        "minio": {
            "endpoint": f"http://{args.endpoint('minio')}",
            "region": REGION,
            "buckets": [IMAGES],
            "copies": BACKUPS,
        },
        "grafana": {"url": f"http://{args.endpoint('grafana')}"},
    }
    told: dict[str, Any] = {
        "site": site.name,
        "at": site.backup.at,
        "keep": site.backup.keep.model_dump(),
    }
    for kind, part in parts.items():
        used = args.placement.used(kind)
        told[kind] = None
        if used is not None and used.provisioned:
            told[kind] = {"service": used.reference, "user": ACCOUNTS[kind], **part}
    return told
