"""JUnit XML as build servers read it."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

from smoke.report.junit import junit
from tests.smoke.loads import FEW, FREE, LOST, SOON, SURE, report_of


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - written by ourselves


def test_each_suite_has_its_checks_counts_and_time() -> None:
    root = parsed(junit(report_of(SOON, LOST, FREE, FEW)))
    totals = {"tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    assert root.attrib == {"name": "hearth smoke lab", "time": "12.346", **totals}
    chat, image = root
    assert chat.attrib == {
        "name": "chat",
        "tests": "3",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
        "time": "10.500",
        "timestamp": "2026-11-01T00:00:00",
    }
    assert [case.get("name") for case in chat] == [SOON.name, LOST.name, FREE.name]
    assert {case.get("classname") for case in chat} == {"lab.chat"}
    assert image.get("errors") == "1"


def test_verdicts_are_failures_errors_and_skipped_with_their_reason() -> None:
    cases = list(parsed(junit(report_of(SOON, LOST, FEW, FREE))).iter("testcase"))
    marks = [[(mark.tag, mark.get("message")) for mark in case][:-1] for case in cases]
    assert marks == [
        [],
        [("failure", "<held back> & lost")],
        [("error", "23 answers are too few")],
        [("skipped", "no target")],
    ]


def test_a_check_tells_what_was_wanted_and_found() -> None:
    (case,) = parsed(junit(report_of(SURE))).iter("testcase")
    assert case.findtext("system-out") == (
        "wanted 99 %; found 100 %; between 99 % to 100 % with 95 % confidence; 380 samples"
    )


def test_characters_that_xml_cannot_hold_do_not_break_it() -> None:
    broken = replace(LOST, detail="a\x00b\x1b[31m\ud800", name="]]>")
    (case,) = parsed(junit(report_of(broken))).iter("testcase")
    failure = case.find("failure")
    assert case.get("name") == "]]>"
    assert failure is not None
    assert failure.get("message") == "a\ufffdb\ufffd[31m\ufffd"


def test_nothing_judged_is_an_empty_document() -> None:
    assert parsed(junit(report_of())).get("tests") == "0"
