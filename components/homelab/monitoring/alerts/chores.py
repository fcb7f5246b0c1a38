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

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

BACKUP = "hearth_backup_last_success_timestamp_seconds"
CERTIFICATE = "hearth_certificate_expiry_timestamp_seconds"
DRIFT = "hearth_drift"
UNKNOWN = "hearth_drift_unknown"
CHECKED = "hearth_drift_last_check_timestamp_seconds"


def groups(site: Site) -> Iterator[Group]:
    """The groups of this subject."""
    node = example(site, "node-exporter")
    yield Group("backups", alerts=tuple(_backups(site)))
    yield Group("certificates", alerts=tuple(_certificates(example(site, "nginx"))))
    check = example(site, "drift-check")
    # The check speaks for other machines.
    about = {**node, "service": check.get("service", "")}
    stopped = _check_stopped(check, 3 * site.drift_interval + 10 * MINUTE)
    yield Group("drift", alerts=(_drift(about), _unknown(about), stopped))


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
    """A duration of days or minutes as Prometheus' humanizeDuration writes it."""
    days, rest = divmod(age, DAY)
    hours, rest = divmod(rest, HOUR)
    if days:
        return f"{days}d {hours}h {int(rest / MINUTE)}m 0s"
    minutes_left, rest = divmod(rest, MINUTE)
    seconds = int(rest.total_seconds())
    return f"{hours}h {minutes_left}m {seconds}s" if hours else f"{minutes_left}m {seconds}s"


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


def _certificates(nginx: Labels) -> Iterator[Alert]:
    yield _expires(nginx, "CertificateExpiresSoon", "warning", days=21)
    yield _expires(nginx, "CertificateExpires", "critical", days=3)


def _expires(nginx: Labels, name: str, severity: Severity, *, days: int) -> Alert:
    about = {**nginx, "subject_name": "CN=Hearth gateway"}

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


def _drift(about: Labels) -> Alert:
    return Alert(
        "ConfigurationDrift",
        subject="drift",
        severity="warning",
        expr=f"{DRIFT} > 0",
        hold=minutes(15),
        summary="{{ $labels.host }} is not as the site says",
        description="{{ $value | humanize }} of its services run another image or have other "
        "settings; the log of {{ $labels.service }} and `hearth preview` say which, `hearth up` "
        "puts them right.",
        fires=Fires((series(DRIFT, about, "2x20"),), about, "2"),
        quiet=(Quiet((series(DRIFT, about, "0x10 1x10"),)),),
    )


def _unknown(about: Labels) -> Alert:
    return Alert(
        "DriftUnknown",
        subject="drift-unknown",
        severity="warning",
        expr=f"{UNKNOWN} > 0",
        hold=minutes(15),
        summary="{{ $labels.host }} does not say how it is",
        description="Its node exporter is away, or hearth-metrics.timer does not run there: "
        "neither its settings nor its containers' health are known.",
        fires=Fires((series(UNKNOWN, about, "1x20"),), about),
        quiet=(Quiet((series(UNKNOWN, about, "0x10 1x10"),)),),
    )


def _check_stopped(check: Labels, age: timedelta) -> Alert:
    def last(ago: timedelta) -> tuple[Series]:
        return (series(CHECKED, check, f"{int((LOOKED_AT - ago).total_seconds())}x20"),)

    return Alert(
        "DriftCheckStopped",
        subject="drift-check",
        severity="warning",
        expr=f"time() - {CHECKED} > {int(age.total_seconds())}",
        hold=minutes(0),
        summary="Nobody looks whether the machines are as the site says",
        description="{{ $labels.service }} last got an answer of Prometheus "
        "{{ $value | humanizeDuration }} ago; its log says why.",
        fires=Fires(last(age + MINUTE), check, _ago(age + MINUTE)),
        quiet=(Quiet(last(age - MINUTE)),),
    )
