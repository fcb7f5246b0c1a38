"""Machines: are they there, and do disk, memory, temperature, supply and clock suffice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from components.homelab.monitoring.alerts.examples import example, minutes, whole_host
from components.homelab.monitoring.rule import (
    Alert,
    Fires,
    Group,
    Labels,
    Quiet,
    Recording,
    Series,
    Severity,
    series,
)
from inventory.model import Site

KEPT = 'fstype!~"tmpfs|ramfs|overlay|squashfs|vfat"'
"""Filesystems that hold what services keep."""


@dataclass(frozen=True, slots=True)
class Temperatures:
    """What a board stands, in degrees Celsius.

    Attributes:
        warning: it is about to slow down.
        critical: it slows down, or is about to switch off.
    """

    warning: int
    critical: int


TEMPERATURES: dict[str, Temperatures] = {
    # Raspberry Pi's firmware slows the cores from 80 and halves them at 85.
    "raspberry-pi-5-8gb": Temperatures(75, 82),
    "raspberry-pi-4-2gb": Temperatures(75, 82),
    "raspberry-pi-3-1gb": Temperatures(75, 82),
    "mini-pc-16gb": Temperatures(85, 95),
    # It shows none, unless its host hands a sensor on: then a PC's.
    "vm": Temperatures(85, 95),
    # NVIDIA's thermal design guides: Orin throttles from 99, the Nano from 97.
    "jetson-orin-agx-64gb": Temperatures(85, 95),
    "jetson-orin-nano-8gb": Temperatures(85, 95),
    "jetson-nano-2gb": Temperatures(85, 93),
}


def groups(site: Site) -> Iterator[Group]:
    """The groups of this subject."""
    node = example(site, "node-exporter")
    yield Group("presence", alerts=(_node_down(node), _target_down(node)))
    yield Group("disks", alerts=tuple(_disks(node)))
    yield Group("memory", alerts=tuple(_memory(node)))
    yield Group("temperature", tuple(_limits(site)), tuple(_temperature(node)))
    yield Group("supply-and-clock", alerts=(_undervoltage(node), *_clock(node)))


def _node_down(node: Labels) -> Alert:
    engine = {**node, "service": f"{node.get('host')}.docker"}
    return Alert(
        "NodeDown",
        subject="presence",
        severity="critical",
        expr="max by (host, tier, board) (up) == 0",
        hold=minutes(2),
        summary="{{ $labels.host }} does not answer",
        description="No service of {{ $labels.host }} ({{ $labels.board }}) answers any more.",
        fires=Fires(
            (series("up", node, "1x10 0x10"), series("up", engine, "1x10 0x10")), whole_host(node)
        ),
        quiet=(Quiet((series("up", node, "0x20"), series("up", engine, "1x20"))),),
    )


def _target_down(node: Labels) -> Alert:
    return Alert(
        "TargetDown",
        subject="target",
        severity="warning",
        expr="up == 0",
        hold=minutes(3),
        summary="{{ $labels.service }} does not answer Prometheus",
        description="{{ $labels.service }} on {{ $labels.host }} gives no metrics: it is down, or "
        "something in between refuses.",
        fires=Fires((series("up", node, "1x10 0x10"),), node),
        quiet=(Quiet((series("up", node, "1x18 0x2"),)),),
    )


def _disks(node: Labels) -> Iterator[Alert]:
    root = {**node, "mountpoint": "/", "fstype": "ext4"}
    yield _space(root, "DiskLow", "warning", percent=15)
    yield _space(root, "DiskFull", "critical", percent=5)
    yield _filling(root)
    yield _inodes(root)
    yield Alert(
        "DiskReadOnly",
        subject="read-only",
        severity="critical",
        expr='node_filesystem_readonly{mountpoint="/"} == 1',
        hold=minutes(2),
        summary="{{ $labels.host }} cannot write any more",
        description="The kernel mounted / read-only, as it does when the card or disk fails.",
        fires=Fires((series("node_filesystem_readonly", root, "0x10 1x10"),), root),
        quiet=(Quiet((series("node_filesystem_readonly", root, "0x20"),)),),
    )


FREE_SPACE = f"node_filesystem_avail_bytes{{{KEPT}}} / node_filesystem_size_bytes{{{KEPT}}}"


def _disk(root: Labels, free: str) -> tuple[Series, Series]:
    """A disk of 100 bytes with so many free."""
    return (
        series("node_filesystem_avail_bytes", root, free),
        series("node_filesystem_size_bytes", root, "100x120"),
    )


def _space(root: Labels, name: str, severity: Severity, *, percent: int) -> Alert:
    return Alert(
        name,
        subject="disk",
        severity=severity,
        expr=f"{FREE_SPACE} < {percent / 100}",
        hold=minutes(10),
        summary="{{ $labels.mountpoint }} of {{ $labels.host }} is nearly full",
        description="{{ $value | humanizePercentage }} of it is free, "
        f"less than {percent} percent.",
        fires=Fires(_disk(root, f"{percent - 1}x20"), root, f"{percent - 1}%"),
        quiet=(Quiet(_disk(root, f"{percent + 1}x20")),),
    )


def _filling(root: Labels) -> Alert:
    """Both the trend and the level count: a new, empty disk may fill fast for a while."""
    return Alert(
        "DiskFilling",
        subject="disk-trend",
        severity="warning",
        expr=f"predict_linear(node_filesystem_avail_bytes{{{KEPT}}}[6h], 86400) < 0"
        f" and {FREE_SPACE} < 0.4",
        hold=minutes(30),
        summary="{{ $labels.mountpoint }} of {{ $labels.host }} will be full within a day",
        description="At the pace of the last 6 hours nothing of it is left tomorrow.",
        fires=Fires(_disk(root, "60-0.25x120"), root, at=minutes(120)),
        quiet=(
            Quiet(_disk(root, "100-0.4x120"), minutes(120)),
            Quiet(_disk(root, "35-0.01x120"), minutes(120)),
        ),
    )


def _inodes(root: Labels) -> Alert:
    def files(free: str) -> tuple[Series, Series]:
        return (
            series("node_filesystem_files_free", root, free),
            series("node_filesystem_files", root, "100x20"),
        )

    return Alert(
        "InodesLow",
        subject="inodes",
        severity="warning",
        expr=f"node_filesystem_files_free{{{KEPT}}} / node_filesystem_files{{{KEPT}}} < 0.1",
        hold=minutes(10),
        summary="{{ $labels.mountpoint }} of {{ $labels.host }} can hold few more files",
        description="{{ $value | humanizePercentage }} of its inodes are free.",
        fires=Fires(files("9x20"), root, "9%"),
        quiet=(Quiet(files("11x20")),),
    )


def _memory(node: Labels) -> Iterator[Alert]:
    yield _available(node, "MemoryLow", "warning", percent=10, hold_minutes=10)
    yield _available(node, "MemoryExhausted", "critical", percent=4, hold_minutes=3)
    kills = "node_vmstat_oom_kill"
    yield Alert(
        "OutOfMemoryKill",
        subject="out-of-memory",
        severity="warning",
        expr=f"increase({kills}[15m]) > 0",
        hold=minutes(0),
        summary="{{ $labels.host }} killed a process for want of memory",
        description="Within the last 15 minutes; the kernel's log says which.",
        fires=Fires((series(kills, node, "0x10 1x10"),), node),
        quiet=(Quiet((series(kills, node, "0x2 1x20"),)),),
    )


def _available(
    node: Labels, name: str, severity: Severity, *, percent: int, hold_minutes: int
) -> Alert:
    def memory(available: int) -> tuple[Series, Series]:
        return (
            series("node_memory_MemAvailable_bytes", node, f"{available}x20"),
            series("node_memory_MemTotal_bytes", node, "100x20"),
        )

    return Alert(
        name,
        subject="memory",
        severity=severity,
        expr=f"node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes < {percent / 100}",
        hold=minutes(hold_minutes),
        summary="{{ $labels.host }} is short of memory",
        description="{{ $value | humanizePercentage }} of it is available, "
        f"less than {percent} percent.",
        fires=Fires(memory(percent - 1), node, f"{percent - 1}%"),
        quiet=(Quiet(memory(percent + 1)),),
    )


def _limits(site: Site) -> Iterator[Recording]:
    """What each machine's board stands, and how hot the hottest part of each machine is."""
    for name, host in site.hosts.items():
        stands = TEMPERATURES[host.board]
        for level, celsius in (("warning", stands.warning), ("critical", stands.critical)):
            recorded = f"hearth:temperature_limit_celsius:{level}"
            yield Recording(recorded, f"vector({celsius})", {"host": name})
    yield Recording(
        "hearth:temperature_celsius:max",
        "max by (host, tier, board) (node_hwmon_temp_celsius or node_thermal_zone_temp)",
    )


def _temperature(node: Labels) -> Iterator[Alert]:
    stands = TEMPERATURES.get(node.get("board", ""), Temperatures(0, 0))
    yield _hot(node, "TemperatureHigh", "warning", celsius=stands.warning, hold_minutes=5)
    yield _hot(node, "TemperatureCritical", "critical", celsius=stands.critical, hold_minutes=1)


def _hot(node: Labels, name: str, severity: Severity, *, celsius: int, hold_minutes: int) -> Alert:
    def sensor(degrees: int) -> tuple[Series, Series]:
        return (
            series("node_hwmon_temp_celsius", node, f"{degrees}x20", sensor="temp1"),
            series("node_thermal_zone_temp", node, "40x20", zone="0"),
        )

    return Alert(
        name,
        subject="temperature",
        severity=severity,
        expr="hearth:temperature_celsius:max"
        f" > on (host) group_left () hearth:temperature_limit_celsius:{severity}",
        hold=minutes(hold_minutes),
        summary="{{ $labels.host }} is too hot",
        description="{{ $value | humanize }} degrees Celsius is more than a "
        "{{ $labels.board }} stands for long.",
        fires=Fires(sensor(celsius + 1), whole_host(node), str(celsius + 1)),
        quiet=(Quiet(sensor(celsius)),),
    )


def _undervoltage(node: Labels) -> Alert:
    name = "hearth_undervoltage"
    return Alert(
        "Undervoltage",
        subject="supply",
        severity="warning",
        expr=f"max_over_time({name}[5m]) > 0",
        hold=minutes(0),
        summary="{{ $labels.host }} gets too little power",
        description="Its supply or cable is too weak: it slows down, and its disk may fail.",
        fires=Fires((series(name, node, "0x10 1 0x9"),), node, at=minutes(13)),
        quiet=(Quiet((series(name, node, "0x10 1 0x9"),)),),
    )


def _clock(node: Labels) -> Iterator[Alert]:
    offset, synchronised = "node_timex_offset_seconds", "node_timex_sync_status"
    yield Alert(
        "ClockSkewed",
        subject="clock",
        severity="warning",
        expr=f"abs({offset}) > 0.1",
        hold=minutes(10),
        summary="The clock of {{ $labels.host }} is wrong",
        description="By {{ $value | humanizeDuration }}: logs, limits and logins go by it.",
        fires=Fires((series(offset, node, "-0.2x20"),), node, "200ms"),
        quiet=(Quiet((series(offset, node, "0.09x20"),)),),
    )
    yield Alert(
        "ClockUnsynchronised",
        subject="clock-source",
        severity="warning",
        expr=f"{synchronised} == 0",
        hold=minutes(30),
        summary="{{ $labels.host }} has lost its time servers",
        description="For 30 minutes no time server was near enough to trust.",
        fires=Fires((series(synchronised, node, "1x10 0x35"),), node, at=minutes(45)),
        quiet=(Quiet((series(synchronised, node, "1x1 0x19"),)),),
    )
