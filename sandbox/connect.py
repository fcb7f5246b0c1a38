"""How the host's own tools reach the lab."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.plan import LabPlan


def proxy_command(plan: LabPlan) -> str:
    """The ssh ProxyCommand that steps into the lab's namespace; two small programs, no Python."""
    return f"nsenter --net=/run/netns/{plan.namespace} nc %h %p"


def known_hosts(plan: LabPlan) -> Path:
    """The host keys of the lab's machines, so that ssh can be strict."""
    return plan.state / "known_hosts"
