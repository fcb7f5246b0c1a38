"""What an environment costs, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.table import Table

from hearth.cost.advice import Advice
from hearth.cost.bill import COMPONENTS, Bill, Line
from hearth.cost.figures import Range
from hearth.cost.report import Report
from inventory.cloud.prices import Price

_CASES = ("low", "typical", "high")
_UNKNOWN = "unpriced"
_CENT = 0.01
_NO_PRICE = (
    "not in the total, as the table has no price of it; `hearth cost refresh` asks AWS for it "
    "(credentials with\npricing:GetProducts and ec2:DescribeSpotPriceHistory), or add a row of "
    "that key to inventory/cloud/prices.yaml:"
)
_NO_AMOUNT = "not in the total, as nobody knows beforehand how much of it there is:"


def show(report: Report, out: Console) -> None:
    """Print the bill by component, or two beside each other, and all that is open in it."""
    name = report.bill.environment.name
    if report.other is None:
        _say(out, f"{name}: USD a month, before tax, of what has a price")
        out.print(_bill(report.bill))
    else:
        other = report.other.environment.name
        _say(out, f"{name} and {other}: USD a month, before tax, of what has a price")
        out.print(_comparison(report))
    for line in _notes(report):
        _say(out, line)
    if report.other is None:
        _section(out, _NO_PRICE, _unpriced(report.bill))
        _section(out, _NO_AMOUNT, _uncounted(report.bill))
    _section(out, "prices that may be out of date (`hearth cost refresh`):", _stale(report.stale))
    if report.other is None:
        _section(out, "would be cheaper:", _advice(report.advice))


def _say(out: Console, line: str) -> None:
    out.print(line, markup=False, highlight=False, soft_wrap=True)


def _section(out: Console, heading: str, lines: Iterable[str]) -> None:
    told = list(lines)
    if told:
        _say(out, f"\n{heading}")
        for line in told:
            _say(out, f"    {line}")


def _bill(found: Bill) -> Table:
    table = _table("", "", *_CASES)
    for component in COMPONENTS:
        lines = [line for line in found.lines if line.item.component == component]
        open_ = sum(line.usd is None for line in lines)
        note = f"{open_} without a price" if open_ else ""
        table.add_row(component, note, *_usd(found.of_component(component)), style="bold")
        for line in lines:
            if line.usd is not None:
                table.add_row("", _what(line), *_usd(line.usd))
    table.add_row()
    table.add_row("fixed", "", *_usd(found.of_kind("fixed")))
    table.add_row("by usage", "", *_usd(found.of_kind("usage")))
    table.add_row("total", _without(found), *_usd(found.total), style="bold")
    return table


def _what(line: Line) -> str:
    """An item with how much of it; a usage is marked, as it is an assumption."""
    item = line.item
    if item.kind == "fixed":
        return item.what
    note = f", {line.open}" if line.open else ""
    return f"{item.what}{note} (usage)"


def _without(found: Bill) -> str:
    open_ = len(found.unpriced)
    return f"without {open_} items that have no price" if open_ else ""


def _comparison(report: Report) -> Table:
    assert report.other is not None  # noqa: S101 - the caller looked
    this, other = report.bill, report.other
    table = _table("", this.environment.name, other.environment.name, "difference", "low", "high")
    for row in report.comparison:
        open_ = f" (without {row.open[0]}, {row.open[1]} items)" if any(row.open) else ""
        table.add_row(
            f"{row.component}{open_}",
            _typical(row.this),
            _typical(row.other),
            *_more(row.difference),
        )
    table.add_row(
        "total",
        _typical(this.total),
        _typical(other.total),
        *_more(other.total - this.total),
        style="bold",
    )
    return table


def _typical(found: Range | None) -> str:
    return _UNKNOWN if found is None else _money(found.typical)


def _more(found: Range | None) -> Iterator[str]:
    if found is None:
        yield from (_UNKNOWN, _UNKNOWN, _UNKNOWN)
        return
    for usd in (found.typical, found.low, found.high):
        yield f"{usd:+,.2f}" if abs(usd) >= _CENT / 2 else "0.00"


def _notes(report: Report) -> Iterator[str]:
    found = report.bill
    budget = found.environment.observability.budget_usd
    pool = found.pool
    yield ""
    yield (
        f"GPU nodes: {pool.ordinary} in ordinary hours, {pool.peak} at peak, {pool.off_peak} "
        f"off-peak; by {pool.basis}"
    )
    if pool.lacking:
        yield f"too few GPU nodes: {pool.lacking}"
    if found.environment.cluster.off_peak is not None:
        saves = report.off_peak_saves
        amount = "an amount that has no price" if saves is None else f"{_span(saves)} a month"
        yield f"off-peak: {report.off_peak_hours:g} of a week's 168 hours; saves {amount}"
    share = 100 * found.total.typical / budget
    over = " - over it" if found.total.typical > budget else ""
    yield f"budget: {budget:,.0f}, of which this is {share:.0f} %{over}"
    for region in report.without_prices:
        yield f"no price of {region} is known: `hearth cost refresh --region {region}` asks AWS"


def _unpriced(found: Bill) -> Iterator[str]:
    """What a price would put into the total, with the keys of which any would do."""
    for line in found.unpriced:
        item = line.item
        if item.amount is not None:
            amount = _amount(item.amount.typical, item.unit)
            yield f"{item.component}: {item.what}, {amount} ({' or '.join(item.keys)})"


def _uncounted(found: Bill) -> Iterator[str]:
    for line in found.unpriced:
        if line.item.amount is None:
            yield f"{line.item.component}: {line.item.what}; {line.open}"


def _amount(figure: float, unit: str) -> str:
    plural = "s" if unit.endswith(("hour", "month")) and figure != 1 else ""
    shown = f"{figure:,.0f}" if figure >= 10 or figure == int(figure) else f"{figure:.2g}"  # noqa: PLR2004 - two digits
    return f"{shown} {unit}{plural}"


def _stale(prices: Iterable[Price]) -> Iterator[str]:
    for price in prices:
        when = f"of {price.as_of}" if price.as_of else "without a date"
        yield f"{price.key} in {price.region}: {when} ({price.source})"


def _advice(found: Iterable[Advice]) -> Iterator[str]:
    for each in found:
        saves = f"{_span(each.saves)} a month" if each.saves.typical >= _CENT else "no price"
        note = f"; not counted: {'; '.join(each.open)}" if each.open else ""
        yield f"{saves}: {each.proposal.setting} ({each.proposal.price}){note}"


def _span(found: Range) -> str:
    """An amount, and between what it lies where it is not certain."""
    least, most = min(found.low, found.high), max(found.low, found.high)
    if round(least, 2) == round(most, 2):
        return _money(found.typical)
    return f"{_money(found.typical)} ({_money(least)} to {_money(most)})"


def _usd(found: Range | None) -> Iterator[str]:
    if found is None:
        return iter([_UNKNOWN] * len(_CASES))
    return (_money(usd) for usd in (found.low, found.typical, found.high))


def _money(usd: float) -> str:
    return f"{usd:,.2f}"


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "" else "right")
    return table
