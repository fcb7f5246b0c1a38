"""The page that every alert links to: what it means, when it is raised, how it is asked."""

from __future__ import annotations

import re

from components.homelab.monitoring.rule import Alert
from components.homelab.monitoring.rules import groups
from components.homelab.monitoring.scrape import duration
from inventory.model import Site

_LABEL = re.compile(r"\{\{ *\$labels\.(\w+) *\}\}")
_VALUE = re.compile(r"\{\{ *\$value[^}]*\}\}")
_INTRODUCTION = """\
# Alerts

What the lab's Prometheus watches for, as `hearth render homelab` writes it from the site
(`build/render/homelab/alerts.md`). Each is tested with series that raise it and series that come
close and do not.
"""


def handbook(site: Site) -> str:
    """Every alert of a site, by group, in Markdown.

    Rules that differ by machine or route only are told once.
    """
    parts = [_INTRODUCTION]
    for group in groups(site):
        first = {alert.name: alert for alert in reversed(group.alerts)}
        if first:
            parts.append(f"## {group.name}\n")
            parts += [_section(first[name]) for name in dict.fromkeys(a.name for a in group.alerts)]
    return "\n".join(parts)


def _section(alert: Alert) -> str:
    return (
        f"### {alert.name}\n\n"
        f"*{alert.severity}*, after {duration(alert.hold)}: {_plain(alert.summary)}\n\n"
        f"{_plain(alert.description)}\n\n"
        f"```\n{alert.expr.strip()}\n```\n"
    )


def _plain(text: str) -> str:
    """Without Prometheus' templates: `(host) is down`."""
    plain = _VALUE.sub("(value)", _LABEL.sub(r"(\1)", text))
    return plain.replace("((", "(").replace("))", ")")
