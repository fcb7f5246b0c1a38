"""Dashboards as types, and their rendering to what Grafana reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Literal, TypeAlias

from grafana_foundation_sdk.builders import common as common_builder
from grafana_foundation_sdk.builders import dashboard as dashboard_builder
from grafana_foundation_sdk.builders import logs, loki, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard

Source = Literal["prometheus", "loki"]

DATA_SOURCES: dict[Source, str] = {"prometheus": "hearth-prometheus", "loki": "hearth-loki"}
"""Uids by type; one of each."""

COLUMNS = 24
"""A dashboard's width, in Grafana's units."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a panel asks.

    Attributes:
        legend: of each series, with `{{label}}`.
    """

    expr: str
    legend: str = ""


Queries: TypeAlias = tuple[Query, *tuple[Query, ...]]


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a figure turns yellow and red; upwards if red is above yellow."""

    yellow: float
    red: float


@dataclass(frozen=True, slots=True)
class Graph:
    """A panel of lines over time.

    Attributes:
        unit: Grafana's name of it, such as `s`, `bytes`, `percentunit`.
    """

    title: str
    unit: str
    queries: Queries
    description: str = ""
    width: int = 8
    height: int = 8
    maximum: float | None = None
    source: Source = field(default="prometheus", init=False)


@dataclass(frozen=True, slots=True)
class Figure:
    """A panel of one or few large numbers: how it is now."""

    title: str
    unit: str
    queries: Queries
    limits: Limits | None = None
    description: str = ""
    width: int = 4
    height: int = 4
    source: Source = field(default="prometheus", init=False)


@dataclass(frozen=True, slots=True)
class Lines:
    """A panel of log lines."""

    title: str
    queries: Queries
    description: str = ""
    width: int = COLUMNS
    height: int = 10
    source: Source = field(default="loki", init=False)


Panel: TypeAlias = Graph | Figure | Lines


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class View:
    """A dashboard.

    Attributes:
        uid: part of its address in Grafana, and its file's name: it never changes.
        by: a label of `up`; the reader chooses among its values, `$<label>` in the queries.
    """

    uid: str
    title: str
    rows: tuple[Row, ...]
    by: str = ""

    @property
    def panels(self) -> Iterator[Panel]:
        """All its panels, in order."""
        return (panel for row in self.rows for panel in row.panels)


def text(view: View) -> str:
    """A dashboard's JSON."""
    builder = (
        dashboard_builder.Dashboard(view.title)
        .uid(view.uid)
        .tags(["hearth"])
        .timezone("browser")
        .time("now-3h", "now")
        .refresh("30s")
        .readonly()
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
    )
    if view.by:
        builder = builder.with_variable(_choice(view.by))
    numbers = count(1)
    for row in view.rows:
        builder = builder.with_row(dashboard_builder.Row(row.title).id(next(numbers)))
        for panel in row.panels:
            builder = builder.with_panel(_panel(panel).id(next(numbers)))
    return json.dumps(builder.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _reference(source: Source) -> dashboard.DataSourceRef:
    return dashboard.DataSourceRef(type_val=source, uid=DATA_SOURCES[source])


def _choice(label: str) -> dashboard_builder.QueryVariable:
    return (
        dashboard_builder.QueryVariable(label)
        .label(label.title())
        .query(f"label_values(up, {label})")
        .datasource(_reference("prometheus"))
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
    )


def _panel(panel: Panel) -> timeseries.Panel | stat.Panel | logs.Panel:
    match panel:
        case Graph():
            return _graph(panel)
        case Figure():
            return _figure(panel)
        case Lines():
            return _lines(panel)


def _names() -> Iterator[str]:
    """A, B, C: what Grafana calls a panel's queries."""
    return (chr(ord("A") + number) for number in count())


def _asked(panel: Graph | Figure) -> Iterator[prometheus.Dataquery]:
    for name, query in zip(_names(), panel.queries, strict=False):
        asked = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(name)
        yield asked.range() if isinstance(panel, Graph) else asked.instant()


def _graph(panel: Graph) -> timeseries.Panel:
    built = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.description)
        .datasource(_reference(panel.source))
        .targets(list(_asked(panel)))
        .unit(panel.unit)
        .min(0)
        .span(panel.width)
        .height(panel.height)
        .line_width(1)
        .fill_opacity(10)
        .show_points(common.VisibilityMode.NEVER)
        .legend(
            common_builder.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common_builder.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    )
    return built if panel.maximum is None else built.max(panel.maximum)


def _figure(panel: Figure) -> stat.Panel:
    built = (
        stat.Panel()
        .title(panel.title)
        .description(panel.description)
        .datasource(_reference(panel.source))
        .targets(list(_asked(panel)))
        .unit(panel.unit)
        .span(panel.width)
        .height(panel.height)
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(common_builder.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    return built.thresholds(_thresholds(panel.limits))


def _thresholds(limits: Limits | None) -> dashboard_builder.ThresholdsConfig:
    steps = [dashboard.Threshold(value=None, color="green")]
    if limits is not None and limits.red >= limits.yellow:
        steps += [
            dashboard.Threshold(value=limits.yellow, color="yellow"),
            dashboard.Threshold(value=limits.red, color="red"),
        ]
    elif limits is not None:
        steps = [
            dashboard.Threshold(value=None, color="red"),
            dashboard.Threshold(value=limits.red, color="yellow"),
            dashboard.Threshold(value=limits.yellow, color="green"),
        ]
    return dashboard_builder.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def _lines(panel: Lines) -> logs.Panel:
    return (
        logs.Panel()
        .title(panel.title)
        .description(panel.description)
        .datasource(_reference(panel.source))
        .targets(
            [
                loki.Dataquery().expr(query.expr).ref_id(name)
                for name, query in zip(_names(), panel.queries, strict=False)
            ]
        )
        .span(panel.width)
        .height(panel.height)
        .show_time(True)
        .wrap_log_message(True)
        .sort_order(common.LogsSortOrder.DESCENDING)
    )
