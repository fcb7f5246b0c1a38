"""What has to happen regularly: backups, certificates, and machines as the site says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from components.homelab.monitoring.alerts.examples import example, minutes
from components.homelab.monitoring.rule import (
    LOOKED_AT,
    Alert,
    Fires,
    Group,
    Labels,
    Quiet,
    Series,
    Severity,
    series,
)
from components.homelab.monitoring.scrape import first, labels_of
from inventory.model import Site

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

BACKUP = "hearth_backup_last_success_timestamp_seconds"
CERTIFICATE = "hearth_certificate_expiry_timestamp_seconds"
DRIFT = "hearth_drift"


def groups(site: Site) -> Iterator[Group]:
    """The groups of this subject."""
    node = example(site, "node-exporter")
    yield Group("backups", alerts=tuple(_backups(site)))
    yield Group("certificates", alerts=tuple(_certificates(node)))
    yield Group("drift", alerts=(_drift(node),))


def _backups(site: Site) -> Iterator[Alert]:
    backup = first(site, "backup")
    if backup is None:
        return
    # Its page says itself which service a series is about.
    kept = next((used.reference for used in backup.uses if used.provisioned), "")
    about = {**labels_of(backup), "service": kept}
    yield _too_old(about, "BackupTooOld", "warning", age=26 * HOUR)
    yield _too_old(about, "BackupsStopped", "critical", age=3 * DAY)
    yield _never(about, labels_of(backup))


def _too_old(about: Labels, name: str, severity: Severity, *, age: timedelta) -> Alert:
    def last(ago: timedelta) -> tuple[Series]:
        return (series(BACKUP, about, f"{int((LOOKED_AT - ago).total_seconds())}x20"),)

    hours = int(age / HOUR)
    return Alert(
        name,
        subject="backup",
        severity=severity,
        expr=f"time() - {BACKUP} > {int(age.total_seconds())}",
        hold=minutes(0),
        summary="The backup of {{ $labels.service }} is too old",
        description="The last one that could be read back was made {{ $value | humanizeDuration }} "
        f"ago, more than {hours} hours.",
        fires=Fires(last(age + HOUR), about, _ago(age + HOUR)),
        quiet=(Quiet(last(age - HOUR)),),
    )


def _ago(age: timedelta) -> str:
    """A duration of whole hours as Prometheus' humanizeDuration writes it."""
    days, rest = divmod(age, DAY)
    return f"{days}d {int(rest / HOUR)}h 0m 0s"


def _never(about: Labels, backup: Labels) -> Alert:
    return Alert(
        "BackupNeverSucceeded",
        subject="backup",
        severity="warning",
        expr=f"absent({BACKUP})",
        hold=minutes(120),
        summary="No backup was ever made",
        description="No service of the lab has a backup that could be read back.",
        fires=Fires((series("up", backup, "1x140"),), {}, at=minutes(140)),
        quiet=(Quiet((series(BACKUP, about, "0x140"),), minutes(140)),),
        labels=backup,
    )


def _certificates(node: Labels) -> Iterator[Alert]:
    yield _expires(node, "CertificateExpiresSoon", "warning", days=21)
    yield _expires(node, "CertificateExpires", "critical", days=3)


def _expires(node: Labels, name: str, severity: Severity, *, days: int) -> Alert:
    about = {**node, "subject_name": "CN=hearth"}

    def ends(left: timedelta) -> tuple[Series]:
        return (series(CERTIFICATE, about, f"{int((LOOKED_AT + left).total_seconds())}x20"),)

    return Alert(
        name,
        subject="certificate",
        severity=severity,
        expr=f"{CERTIFICATE} - time() < {int((days * DAY).total_seconds())}",
        hold=minutes(0),
        summary="A certificate of {{ $labels.service }} expires",
        description="{{ $labels.subject_name }} is valid for {{ $value | humanizeDuration }} more, "
        f"less than {days} days.",
        fires=Fires(ends((days - 1) * DAY), about, _ago((days - 1) * DAY)),
        quiet=(Quiet(ends((days + 1) * DAY)),),
    )


def _drift(node: Labels) -> Alert:
    return Alert(
        "ConfigurationDrift",
        subject="drift",
        severity="warning",
        expr=f"{DRIFT} > 0",
        hold=minutes(15),
        summary="{{ $labels.host }} is not as the site says",
        description="{{ $value | humanize }} of its settings differ; `hearth preview` and "
        "`hearth bootstrap --dry` say which.",
        fires=Fires((series(DRIFT, node, "2x20"),), node, "2"),
        quiet=(Quiet((series(DRIFT, node, "0x10 1x10"),)),),
    )
