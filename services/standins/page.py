"""The stand-in's pages: a table a dashboard, and the form to log in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, StrictUndefined

from services.standins.asking import Value

_SCALED: dict[str, tuple[float, tuple[str, ...]]] = {
    "bytes": (1024, ("B", "KiB", "MiB", "GiB", "TiB")),
    "binBps": (1024, ("B/s", "KiB/s", "MiB/s", "GiB/s")),
    "Bps": (1000, ("B/s", "kB/s", "MB/s", "GB/s")),
}
_NAMES = {"short": "", "none": "", "celsius": "°C", "hertz": "Hz", "watt": "W", "reqps": "req/s"}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; background: #fff }
.note { border-left: 4px solid #d9731a; background: #fff4e8; padding: .6rem 1rem }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 2rem }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
         border-bottom: 1px solid #ddd }
th { width: 22rem; font-weight: 500 } h3 { margin-bottom: 0 }
.away { color: #b00 } .none { color: #888 } code { word-break: break-all }
"""
_TEMPLATE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{ title }} - simulated Grafana</title>
<style>{{ style }}</style>
<h1>{{ title }}</h1>
<p class="note">This is <strong>not Grafana</strong>: it is simulated here, by a stand-in that reads
the same provisioned files. The figures are real, asked just now of this lab's own
{{ sources|join(" and ") or "data sources (none)" }}. A lab on real boards runs Grafana itself.</p>
{% if form %}
{% if fault %}<p class="away">{{ fault }}</p>{% endif %}
<form method="post" action="/login">
<p><label>User <input name="user" value="admin" autocomplete="username"></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password"></label>
<button>Log in</button></p>
</form>
{% else %}
<p>{% for uid, name in links %}<a href="/d/{{ uid }}">{{ name }}</a> | {% endfor %}
<a href="/">all</a> | <a href="/logout">log out</a></p>
{% for table in tables %}
<h2 id="{{ table.uid }}"><a href="/d/{{ table.uid }}">{{ table.title }}</a></h2>
{% for choice in table.choices %}
<p>{{ choice.name }}: {% for value in choice.values %}{% if value == choice.chosen %}
<strong>{{ value }}</strong>{% else %}
<a href="/d/{{ table.uid }}?var-{{ choice.name }}={{ value|urlencode }}">{{ value }}</a>{% endif %}
{% endfor %}</p>
{% endfor %}
<table>
{% for row in table.rows %}
{% if row.heading %}<tr><th colspan="2"><h3>{{ row.title }}</h3></th></tr>{% else %}
<tr><th>{{ row.title }}</th><td>
{% if row.fault %}<span class="away">{{ row.fault }}</span>
{% elif not row.values %}<span class="none">no data</span>{% endif %}
{% for value in row.values %}{{ value.label }}
{% if value.number is none %}<code>{{ value.text }}</code>{% else %}
<strong>{{ shown(value.number, row.unit) }}</strong>{% endif %}<br>{% endfor %}
</td></tr>{% endif %}
{% endfor %}
</table>
{% endfor %}
{% endif %}
</html>
"""


@dataclass(frozen=True, slots=True)
class RowOfPage:
    """A panel and what it shows now; or a heading above some."""

    title: str
    heading: bool = False
    unit: str = ""
    values: Sequence[Value] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a reader may choose among."""

    name: str
    values: Sequence[str]
    chosen: str


@dataclass(frozen=True, slots=True)
class Table:
    """A dashboard with its values."""

    uid: str
    title: str
    choices: Sequence[Choice]
    rows: Sequence[RowOfPage]


@dataclass(frozen=True, slots=True)
class Page:
    """What every page has.

    Attributes:
        sources: the data sources' names.
        links: the dashboards, uid and title.
    """

    sources: Sequence[str]
    links: Sequence[tuple[str, str]]


def dashboards(page: Page, title: str, tables: Sequence[Table]) -> str:
    """The page of some dashboards."""
    return _render(page, title, tables=tables)


def login(page: Page, fault: str = "") -> str:
    """The page to log in on."""
    return _render(page, "Log in", form=True, fault=fault)


def _render(
    page: Page,
    title: str,
    *,
    tables: Sequence[Table] = (),
    form: bool = False,
    fault: str = "",
) -> str:
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    return environment.from_string(_TEMPLATE).render(
        style=_STYLE,
        sources=page.sources,
        links=page.links,
        title=title,
        tables=tables,
        form=form,
        fault=fault,
        shown=shown,
    )


def shown(number: float, unit: str) -> str:
    """A figure in Grafana's unit, for people."""
    if unit == "s":
        return _duration(number)
    if unit in _SCALED:
        return _scaled(number, *_SCALED[unit])
    if unit == "percentunit":
        return f"{number * 100:.1f} %"
    return f"{number:.6g} {_NAMES.get(unit, unit)}".strip()


def _scaled(number: float, step: float, names: Sequence[str]) -> str:
    for name in names[:-1]:
        if abs(number) < step:
            return f"{number:.3g} {name}"
        number /= step
    return f"{number:.3g} {names[-1]}"


def _duration(seconds: float) -> str:
    size = abs(seconds)
    if size < 1:
        return f"{seconds * 1000:.3g} ms"
    for limit, divisor, name in (
        (_MINUTE, 1, "s"),
        (_HOUR, _MINUTE, "min"),
        (_DAY, _HOUR, "h"),
    ):
        if size < limit:
            return f"{seconds / divisor:.3g} {name}"
    return f"{seconds / _DAY:.3g} d"
