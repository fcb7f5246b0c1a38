"""PostgreSQL, Redis and object storage: are they there, is there room in them."""

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

_SAVED = "redis_rdb_last_bgsave_status"
_OFFLINE = "minio_cluster_drive_offline_total"


def groups(site: Site) -> Iterator[Group]:
    """The groups of this subject."""
    yield Group("postgresql", alerts=tuple(_postgres(example(site, "postgres-exporter"))))
    yield Group("redis", alerts=tuple(_redis(example(site, "redis-exporter"))))
    yield Group("object-storage", alerts=tuple(_minio(example(site, "minio"))))


def _down(labels: Labels, name: str, title: str, metric: str) -> Alert:
    return Alert(
        name,
        subject="presence",
        severity="critical",
        expr=f"{metric} == 0",
        hold=minutes(1),
        summary=f"{title} on {{{{ $labels.host }}}} does not answer",
        description="{{ $labels.service }} runs, but cannot log in to it.",
        fires=Fires((series(metric, labels, "1x15 0x5"),), labels),
        quiet=(Quiet((series(metric, labels, "1x20"),)),),
    )


def _postgres(exporter: Labels) -> Iterator[Alert]:
    yield _down(exporter, "PostgresDown", "PostgreSQL", "pg_up")
    yield _connections(exporter, "PostgresConnectionsHigh", "warning", percent=80)
    yield _connections(exporter, "PostgresConnectionsExhausted", "critical", percent=95)


def _connections(exporter: Labels, name: str, severity: Severity, *, percent: int) -> Alert:
    def taken(count: int) -> tuple[Series, Series, Series]:
        return (
            series("pg_stat_activity_count", exporter, f"{count - 2}x20", state="active"),
            series("pg_stat_activity_count", exporter, "2x20", state="idle"),
            series("pg_settings_max_connections", exporter, "100x20"),
        )

    by = "by (host, service, tier, board)"
    return Alert(
        name,
        subject="connections",
        severity=severity,
        expr=f"sum {by} (pg_stat_activity_count) / max {by} (pg_settings_max_connections)"
        f" > {percent / 100}",
        hold=minutes(5),
        summary="PostgreSQL on {{ $labels.host }} runs out of connections",
        description="{{ $value | humanizePercentage }} of them are taken.",
        fires=Fires(taken(percent + 1), exporter, f"{percent + 1}%"),
        quiet=(Quiet(taken(percent - 1)),),
    )


def _redis(exporter: Labels) -> Iterator[Alert]:
    yield _down(exporter, "RedisDown", "Redis", "redis_up")
    yield _share(
        exporter,
        "RedisConnectionsHigh",
        "connections",
        ("redis_connected_clients", "redis_config_maxclients"),
        "of its connections are taken.",
    )
    yield _share(
        exporter,
        "RedisMemoryHigh",
        "redis-memory",
        ("redis_memory_used_bytes", "redis_memory_max_bytes"),
        "of its memory is taken; beyond it, it forgets or refuses.",
    )
    yield Alert(
        "RedisSaveFailed",
        subject="saving",
        severity="warning",
        expr=f"{_SAVED} == 0",
        hold=minutes(5),
        summary="Redis on {{ $labels.host }} cannot save to disk",
        description="Its last try failed: what it holds is lost when it stops.",
        fires=Fires((series(_SAVED, exporter, "1x10 0x10"),), exporter),
        quiet=(Quiet((series(_SAVED, exporter, "1x17 0x3"),)),),
    )


def _share(exporter: Labels, name: str, subject: str, metrics: tuple[str, str], what: str) -> Alert:
    """A share of 90 percent; a limit of 0 is none."""
    used, limit = metrics

    def case(taken: int, of: int) -> tuple[Series, Series]:
        return series(used, exporter, f"{taken}x20"), series(limit, exporter, f"{of}x20")

    return Alert(
        name,
        subject=subject,
        severity="warning",
        expr=f"{used} / ({limit} > 0) > 0.9",
        hold=minutes(5),
        summary="Redis on {{ $labels.host }} is nearly full",
        description=f"{{{{ $value | humanizePercentage }}}} {what}",
        fires=Fires(case(95, 100), exporter, "95%"),
        quiet=(Quiet(case(89, 100)), Quiet(case(95, 0))),
    )


def _minio(minio: Labels) -> Iterator[Alert]:
    yield _space(minio, "ObjectStorageLow", "warning", percent=15)
    yield _space(minio, "ObjectStorageFull", "critical", percent=5)
    yield Alert(
        "ObjectStorageDriveOffline",
        subject="drives",
        severity="critical",
        expr=f"{_OFFLINE} > 0",
        hold=minutes(2),
        summary="{{ $labels.service }} has lost a drive",
        description="{{ $value | humanize }} of its drives cannot be read or written.",
        fires=Fires((series(_OFFLINE, minio, "0x10 1x10"),), minio, "1"),
        quiet=(Quiet((series(_OFFLINE, minio, "0x20"),)),),
    )


def _space(minio: Labels, name: str, severity: Severity, *, percent: int) -> Alert:
    free, total = (f"minio_cluster_capacity_usable_{kind}_bytes" for kind in ("free", "total"))

    def space(left: int) -> tuple[Series, Series]:
        return series(free, minio, f"{left}x20"), series(total, minio, "100x20")

    return Alert(
        name,
        subject="object-storage",
        severity=severity,
        expr=f"{free} / {total} < {percent / 100}",
        hold=minutes(10),
        summary="{{ $labels.service }} is nearly full",
        description="{{ $value | humanizePercentage }} of its space is free, "
        f"less than {percent} percent.",
        fires=Fires(space(percent - 1), minio, f"{percent - 1}%"),
        quiet=(Quiet(space(percent + 1)),),
    )
