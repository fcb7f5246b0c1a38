"""The services that watch, each with what the site makes of its settings."""

from __future__ import annotations

from components.homelab.monitoring.files import settings_files
from components.homelab.service import Extras, Service, ServiceArgs
from inventory.model import Site
from inventory.services import KINDS


class _Watcher(Service):
    """Its settings come from the site alone."""

    def extras(self, args: ServiceArgs) -> Extras:
        """What it watches, and how."""
        return Extras(files=settings_files(args.placement))


class Prometheus(_Watcher):
    """Asks every service for its figures, and tells Alertmanager what is wrong."""


class Alertmanager(_Watcher):
    """Sends alerts on, each once, to who has to know."""


class Loki(_Watcher):
    """Keeps every container's log lines for some days."""


class Collector(_Watcher):
    """Sends its machine's log lines to Loki and tells Prometheus about its containers."""


class Grafana(Service):
    """Shows what Prometheus and Loki know, to who has its account."""

    def extras(self, args: ServiceArgs) -> Extras:
        """Where it asks, what it shows, and its account's password."""
        return Extras(
            files={
                "admin": args.secrets.password(args.placement, "admin"),
                **settings_files(args.placement),
            },
            environment={"GF_SERVER_ROOT_URL": f"{_shown_at(args.site)}/"},
        )


def _shown_at(site: Site) -> str:
    """Where a browser finds it: at the gateway, which its live connections have to name."""
    return f"https://{site.hosts[site.gateway].address}:{KINDS['nginx'].ports['grafana']}"
