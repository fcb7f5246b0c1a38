"""Those who watch: Prometheus, Alertmanager, Loki."""

from __future__ import annotations

from collections.abc import Iterator

from components.homelab.monitoring.alerts.examples import example, minutes
from components.homelab.monitoring.rule import Alert, Fires, Group, Labels, Quiet, series
from inventory.model import Site

_LINES = "loki_distributor_lines_received_total"


def groups(site: Site) -> Iterator[Group]:
    """The groups of this subject."""
    prometheus = example(site, "prometheus")
    alertmanager = example(site, "alertmanager")
    loki = example(site, "loki")
    yield Group(
        "watch",
        alerts=(
            _settings_refused(prometheus, "Prometheus"),
            _counts(
                prometheus,
                "PrometheusRulesFail",
                "prometheus_rule_evaluation_failures_total",
                "Prometheus cannot evaluate its rules",
            ),
            _counts(
                prometheus,
                "PrometheusCannotNotify",
                "prometheus_notifications_errors_total",
                "Prometheus does not reach Alertmanager",
            ),
            _counts(
                prometheus,
                "PrometheusDiskDamaged",
                "prometheus_tsdb_wal_corruptions_total",
                "Prometheus found damage in what it stored",
            ),
            _counts(
                prometheus,
                "PrometheusCompactionFails",
                "prometheus_tsdb_compactions_failed_total",
                "Prometheus cannot compact what it stores",
            ),
            _settings_refused(alertmanager, "Alertmanager"),
            _counts(
                alertmanager,
                "AlertmanagerCannotNotify",
                "alertmanager_notifications_failed_total",
                "Alertmanager cannot deliver to its receiver",
            ),
            _counts(loki, "LogsRefused", "loki_discarded_samples_total", "Loki refuses log lines"),
            _logs_stopped(loki),
        ),
    )


def _settings_refused(labels: Labels, title: str) -> Alert:
    metric = f"{title.lower()}_config_last_reload_successful"
    return Alert(
        f"{title}SettingsRefused",
        subject="settings",
        severity="warning",
        expr=f"{metric} == 0",
        hold=minutes(5),
        summary=f"{title} refused its new settings",
        description="It goes on with the old ones; its log on {{ $labels.host }} says why.",
        fires=Fires((series(metric, labels, "1x10 0x10"),), labels),
        quiet=(Quiet((series(metric, labels, "1x17 0x3"),)),),
    )


def _counts(labels: Labels, name: str, metric: str, summary: str) -> Alert:
    """Something that must never be counted upwards."""
    by = "by (host, service, tier, board)"
    return Alert(
        name,
        subject=name.lower(),
        severity="warning",
        expr=f"sum {by} (rate({metric}[15m])) > 0",
        hold=minutes(1),
        summary=summary,
        description=f"{metric} of {{{{ $labels.service }}}} went up within 15 minutes.",
        fires=Fires((series(metric, labels, "0x10 3x10"),), labels),
        quiet=(Quiet((series(metric, labels, "0x2 3x20"),)),),
    )


def _logs_stopped(loki: Labels) -> Alert:
    by = "by (host, service, tier, board)"
    return Alert(
        "LogsStopped",
        subject="logs",
        severity="warning",
        expr=f"sum {by} (rate({_LINES}[15m])) == 0",
        hold=minutes(15),
        summary="No logs arrive",
        description="{{ $labels.service }} got no line from any machine for half an hour.",
        fires=Fires((series(_LINES, loki, "0+5x10 50x40"),), loki, at=minutes(45)),
        quiet=(Quiet((series(_LINES, loki, "0+5x15 75x5"),)),),
    )
