"""The page: it stands alone, says what the report says, and lets nothing in unescaped."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from smoke.load.record import LoadRecord, Mark, Second
from smoke.report.charts import percentile_chart, servers, timeline_chart
from smoke.report.page import page
from tests.smoke.loads import ENVIRONMENT, FEW, FREE, LOST, SOON, STEADY, SURE, load_of, report_of

FULL = report_of(SOON, SURE, LOST, FREE, FEW, loads=(STEADY,))
EVIL = "<script>alert(1)</script>\"'&"
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Seen(HTMLParser):
    """Elements with their attributes, texts, and whether every element was closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes it as open."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes it."""
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Closes the innermost, which it has to be."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Gathers texts."""
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each element of that name."""
        return [attributes for name, attributes in self.elements if name == tag]


def svg(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - written by ourselves


def styled(chart: ET.Element, style: str) -> list[ET.Element]:
    return [element for element in chart.iter() if style in element.get("class", "").split()]


def labels(chart: ET.Element) -> list[str]:
    return [element.text or "" for element in chart.iter("text")]


def test_every_element_is_closed_in_its_place() -> None:
    assert Seen(page(FULL, FULL)).open == []


def test_it_asks_nothing_of_any_other_file_or_host() -> None:
    text = page(FULL, FULL)
    seen = Seen(text)
    for tag, attributes in seen.elements:
        assert tag not in {"script", "link", "img", "iframe", "object", "base", "image", "use"}
        for name, value in attributes.items():
            assert name not in {"src", "srcset", "href", "style", "xlink:href"}
            assert not name.startswith("on")
            assert name in {"xmlns", "content"} or "//" not in (value or "")
    assert "@import" not in text
    assert set(re.findall(r"url\(([^)]*)\)", text)) <= {"#failed", "#server0", "#server1"}


def test_its_policy_lets_in_its_own_style_sheet_and_nothing_else() -> None:
    text = page(FULL)
    (policy,) = (
        meta["content"]
        for meta in Seen(text).all("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    )
    style = text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def test_the_verdict_comes_first_in_words() -> None:
    text = Seen(page(FULL)).text
    assert "lab does not keep its promises" in text
    assert "2 of 5 checks passed, 1 failed, 1 inconclusive, 1 without a judgement." in text
    assert text.index("What failed and why") < text.index("Service levels")


@pytest.mark.parametrize(
    ("checks", "sentence"),
    [((SOON,), "lab keeps its promises"), ((FEW,), "lab could not be judged"), ((), "could not")],
)
def test_the_verdict_is_the_report_s(checks: tuple[object, ...], sentence: str) -> None:
    text = Seen(page(report_of(*checks))).text  # type: ignore[arg-type]
    assert sentence in text
    assert "What failed and why" not in text


def test_every_figure_of_the_report_is_there() -> None:
    text = Seen(page(FULL)).text
    for check in FULL.checks:
        for part in (check.name, check.target, check.figure, check.detail, str(check.samples)):
            assert part in text
    assert "99 % to 100 %" in text
    assert "240 a minute, Poisson" in text
    assert "agx0 killed" in text
    assert "answered by agx0.assistant (150)" in text
    assert ENVIRONMENT.site_digest in text


def test_nothing_of_the_report_becomes_markup() -> None:
    load = replace(
        STEADY,
        name=EVIL,
        offered=EVIL,
        marks=(Mark(1, EVIL),),
        timeline=(Second(0, 1, 1, 0, 0.1, {EVIL: 1}),),
    )
    check = replace(LOST, suite=EVIL, name=EVIL, target=EVIL, figure=EVIL, detail=EVIL)
    report = replace(
        report_of(check, loads=(load,)), site=EVIL, environment=replace(ENVIRONMENT, kernel=EVIL)
    )
    seen = Seen(page(report, replace(report, checks=(replace(check, verdict="pass"),))))
    assert seen.open == []
    assert seen.all("script") == []
    assert EVIL in seen.text


def test_every_header_has_a_scope_and_every_chart_a_title_and_a_description() -> None:
    seen = Seen(page(FULL, FULL))
    assert all(header.get("scope") for header in seen.all("th"))
    assert seen.all("html") == [{"lang": "en"}]
    charts = [chart for chart in seen.all("svg") if chart.get("role") == "img"]
    assert len(charts) == 4  # two charts, each for the desk and for the phone
    assert len(seen.all("desc")) == 4
    levels = [int(tag[1]) for tag, _ in seen.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert set(levels[1:]) == {2}


def test_without_an_earlier_run_it_says_so() -> None:
    assert "There is no earlier run to compare with." in Seen(page(FULL)).text


def test_differences_from_the_last_run_are_there() -> None:
    slower = replace(FULL, loads=(load_of([0.002 * n for n in range(1, 201)]),))
    text = Seen(page(slower, FULL)).text
    assert "slower: p95 0.19 s to 0.38 s" in text
    assert "which came to “fail”" in text


def timeline(load: LoadRecord, width: float) -> ET.Element:
    return svg(timeline_chart(load, servers([load]), width))


def test_the_curves_are_the_histograms_and_the_last_run_s_are_apart() -> None:
    chart = svg(percentile_chart(STEADY, STEADY, 800))
    assert [len(styled(chart, style)) for style in ("now", "before")] == [2, 2]
    assert labels(chart)[-1] == "of the answers came within"
    assert {"0 %", "50 %", "90 %", "95 %", "99 %", "1 ms", "200 ms"} <= set(labels(chart))
    assert "99.9 %" not in labels(chart)  # 200 answers do not tell
    assert "response: half within 0.1 s, 95 % within 0.19 s" in (chart.findtext("desc") or "")


def test_the_bars_are_stacked_by_server_with_failures_on_top() -> None:
    chart = timeline(load_of([0.1] * 40, failed=2), 800)
    first = [
        (bar.get("fill"), float(bar.get("y", 0))) for bar in styled(chart, "bar")[0].iter("rect")
    ]
    assert [fill for fill, _ in first] == ["url(#server0)", "url(#server1)", "url(#failed)"]
    assert first[0][1] > first[1][1] > first[2][1]
    titles = [title.text for title in styled(chart, "bar")[0].iter("title")]
    assert titles == [
        "second 0: due 4, agx0.assistant 3, orin0.assistant 1, failed 2 a second; slowest 0.1 s"
    ]


def test_a_mark_is_a_labelled_line_where_it_happened() -> None:
    chart = timeline(load_of([0.1] * 40, marks=(Mark(5, "agx0 killed"),)), 800)
    (line,) = styled(chart, "mark")
    assert line.get("x1") == line.get("x2") == "422"  # the middle of 58 to 786
    assert "agx0 killed" in labels(chart)
    assert "at 5 s: agx0 killed" in (chart.findtext("desc") or "")


@pytest.mark.parametrize("width", [340, 1080])
def test_labels_of_marks_overlap_neither_each_other_nor_the_edge(width: float) -> None:
    marks = tuple(Mark(at, f"event {at} of a drill") for at in (1.0, 1.2, 4.0, 9.0, 9.5, 9.9))
    chart = timeline(load_of([0.1] * 40, marks=marks), width)
    spans = [
        (float(e.get("y", 0)), float(e.get("x", 0)), float(e.get("x", 0)) + 6.6 * len(e.text or ""))
        for e in styled(chart, "mark-label")
    ]
    assert len(spans) == 6
    assert all(end <= width for _, _, end in spans)
    for index, (row, start, end) in enumerate(spans):
        others = [span for span in spans[index + 1 :] if span[0] == row]
        assert all(end <= other[1] or other[2] <= start for other in others)


def test_a_long_load_is_drawn_in_bars_wide_enough_to_see() -> None:
    chart = timeline(load_of([0.1] * 2400), 340)
    bars = styled(chart, "bar")
    assert 30 < len(bars) < 100
    assert "second 0 to 9: due 4," in (bars[0].findtext("title") or "")


def test_a_server_looks_the_same_in_every_chart_of_a_page() -> None:
    one = load_of([0.1] * 40)
    fewer = tuple(
        replace(second, by_server={"orin0.assistant": second.complete}) for second in one.timeline
    )
    text = page(report_of(SOON, loads=(one, replace(one, name="other", timeline=fewer))))
    styles = re.findall(r'fill="url\(#(server\d)\)"', text.partition("Load: other")[2])
    assert set(styles) == {"server1"}  # agx0 is server0, although it answered nothing here


EMPTY = LoadRecord("chat", 1793491200.0, 0.0, "nothing", {}, ())


def test_a_load_without_answers_has_no_charts_and_breaks_nothing() -> None:
    assert percentile_chart(EMPTY, STEADY, 800) == timeline_chart(EMPTY, [], 800) == ""
    silent = replace(
        EMPTY, histograms=load_of([]).histograms, seconds=1, timeline=(Second(0, 0, 0, 0, 0.0, {}),)
    )
    assert Seen(page(report_of(loads=(EMPTY, silent)))).open == []


def contrast(one: str, other: str) -> float:
    """As WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_contrast_and_so_have_curves(scheme: str) -> None:
    text = page(FULL)
    blocks = re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#\w{6})", blocks[scheme == "dark"]))
    for ground in (colours["ground"], colours["panel"]):
        for ink in ("ink", "quiet", "pass", "fail", "inconclusive", "unjudged"):
            assert contrast(colours[ink], ground) >= 4.5, ink
    graphics = ("response", "service", "first", "before", *(f"server{i}" for i in range(6)))
    for ink in graphics:
        assert contrast(colours[ink], colours["ground"]) >= 3, ink
