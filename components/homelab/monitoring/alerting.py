"""Alertmanager's configuration: who hears of what, and what hides what."""

from __future__ import annotations

from typing import Any

import yaml

from inventory.model import Site

NOWHERE = "nowhere"
WEBHOOK = "webhook"

_SILENT = """\
# No webhook is set: alerts are shown in Alertmanager and Grafana, and sent nowhere.
"""


def alertmanager_config(site: Site, webhook_url: str | None = None) -> str:
    """The text of alertmanager.yml.

    Args:
        site: whose alerts they are.
        webhook_url: receives every alert as JSON; without one, none is sent.
    """
    receiver = NOWHERE if webhook_url is None else WEBHOOK
    document = {
        "global": {"resolve_timeout": "5m"},
        "route": _route(receiver),
        "inhibit_rules": _inhibitions(),
        "receivers": [_receiver(receiver, webhook_url)],
    }
    header = f"# The alerts of {site.name}.\n" + (_SILENT if webhook_url is None else "")
    return header + yaml.safe_dump(document, sort_keys=False)


def _route(receiver: str) -> dict[str, Any]:
    """Critical alerts at once and again every hour, warnings gathered and twice a day."""
    return {
        "receiver": receiver,
        "group_by": ["subject", "host", "route"],
        "group_wait": "1m",
        "group_interval": "5m",
        "repeat_interval": "12h",
        "routes": [
            {
                "receiver": receiver,
                "matchers": ['severity="critical"'],
                "group_wait": "10s",
                "group_interval": "1m",
                "repeat_interval": "1h",
            }
        ],
    }


def _inhibitions() -> list[dict[str, Any]]:
    return [
        {
            "source_matchers": ['alertname="NodeDown"'],
            "target_matchers": ['alertname!="NodeDown"'],
            "equal": ["host"],
        },
        {
            "source_matchers": ['severity="critical"'],
            "target_matchers": ['severity="warning"'],
            # A label that neither has is equal too: the subject keeps a full disk from
            # hiding a hot board.
            "equal": ["subject", "host", "service", "route", "mountpoint"],
        },
        {
            "source_matchers": ['alertname="NoUpstreamLeft"'],
            "target_matchers": ['alertname="UpstreamDown"'],
            "equal": ["tier"],
        },
    ]


def _receiver(name: str, webhook_url: str | None) -> dict[str, Any]:
    if webhook_url is None:
        return {"name": name}
    return {"name": name, "webhook_configs": [{"url": webhook_url, "send_resolved": True}]}
