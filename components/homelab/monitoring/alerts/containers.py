"""Containers: do they keep running, are they well, do they have room."""

from __future__ import annotations

from collections.abc import Iterator

from components.homelab.monitoring.alerts.examples import example, minutes
from components.homelab.monitoring.rule import (
    Alert,
    Fires,
    Group,
    Labels,
    Quiet,
    Series,
    Severity,
    series,
)
from inventory.model import Site

RESTARTS = "container_restarts_total"
HEALTHY = "hearth_container_healthy"
USED, LIMIT = "container_memory_usage_total_bytes", "container_memory_usage_limit_bytes"


def groups(site: Site) -> Iterator[Group]:
    """The groups of this subject."""
    container = {**example(site, "collector"), "container_name": "collector"}
    node = example(site, "node-exporter")
    yield Group(
        "containers",
        alerts=(
            _restarted(container, "ContainerRestarted", "warning", times=1),
            _restarted(container, "ContainerKeepsRestarting", "critical", times=4),
            _unhealthy(node),
            _near_limit(container),
        ),
    )


def _restarted(container: Labels, name: str, severity: Severity, *, times: int) -> Alert:
    def restarts(count: int, after: int) -> tuple[Series]:
        """A container that restarts so often in the same minute."""
        return (series(RESTARTS, container, f"0x{after - 1} {count}x{20 - after}"),)

    often = "at least once" if times == 1 else f"{times} times or more"
    return Alert(
        name,
        subject="restarts",
        severity=severity,
        # increase() extrapolates: the limit lies between two counts.
        expr=f"increase({RESTARTS}[15m]) > {times - 0.5}",
        hold=minutes(0),
        summary="{{ $labels.service }} restarted",
        description=f"Docker started it again {often} within 15 minutes; its log says why.",
        fires=Fires(restarts(times, after=15), container),
        quiet=(Quiet(restarts(times - 1, after=15)), Quiet(restarts(times, after=3))),
    )


def _unhealthy(node: Labels) -> Alert:
    return Alert(
        "ContainerUnhealthy",
        subject="health",
        severity="critical",
        expr=f"{HEALTHY} == 0",
        hold=minutes(3),
        summary="{{ $labels.service }} is not well",
        description="For 3 minutes its container has failed its health check, or has not run; "
        "`docker inspect` on {{ $labels.host }} shows what the check said.",
        fires=Fires((series(HEALTHY, node, "1x10 0x10"),), node),
        quiet=(Quiet((series(HEALTHY, node, "1x18 0x2"),)),),
    )


def _near_limit(container: Labels) -> Alert:
    def memory(used: int) -> tuple[Series, Series]:
        return series(USED, container, f"{used}x20"), series(LIMIT, container, "100x20")

    return Alert(
        "ContainerMemoryHigh",
        subject="container-memory",
        severity="warning",
        expr=f"{USED} / {LIMIT} > 0.9",
        hold=minutes(10),
        summary="{{ $labels.service }} is near its memory limit",
        description="It uses {{ $value | humanizePercentage }} of it, and is killed at all of it; "
        "give it more in the site, or less to do.",
        fires=Fires(memory(95), container, "95%"),
        quiet=(Quiet(memory(89)),),
    )
