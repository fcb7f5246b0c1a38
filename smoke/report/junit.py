"""The report as JUnit XML, which build servers read.

A check is a test case: `fail` is a failure, `inconclusive` an error (the test could not be
carried out, and the exit code is not 0 either), `unjudged` is skipped. Time is known of suites
only; their cases have 0.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from smoke.wording import between

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smoke.report import Report
    from smoke.verdict import Check, Verdict

_ELEMENTS: dict[Verdict, str] = {"fail": "failure", "inconclusive": "error", "unjudged": "skipped"}
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, not even escaped."""


def junit(report: Report) -> str:
    """One `testsuite` a suite, one `testcase` a check."""
    root = ET.Element("testsuites", _attributes(f"hearth smoke {report.site}", report.checks))
    root.set("time", f"{report.seconds:.3f}")
    for name, checks in groupby(report.checks, key=lambda check: check.suite):
        root.append(_suite(report, name, list(checks)))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(report: Report, name: str, checks: Sequence[Check]) -> ET.Element:
    suite = ET.Element("testsuite", _attributes(name, checks))
    suite.set("time", f"{report.suite_seconds.get(name, 0):.3f}")
    suite.set("timestamp", report.started.replace(tzinfo=None).isoformat(timespec="seconds"))
    suite.extend(_case(report.site, check) for check in checks)
    return suite


def _attributes(name: str, checks: Sequence[Check]) -> dict[str, str]:
    counts = {
        plural: sum(check.verdict == verdict for check in checks)
        for plural, verdict in (("failures", "fail"), ("errors", "inconclusive"))
    }
    skipped = sum(check.verdict == "unjudged" for check in checks)
    totals = {"tests": len(checks), **counts, "skipped": skipped}
    return {"name": _legal(name), **{key: str(total) for key, total in totals.items()}}


def _case(site: str, check: Check) -> ET.Element:
    case = ET.Element(
        "testcase",
        {"name": _legal(check.name), "classname": _legal(f"{site}.{check.suite}"), "time": "0"},
    )
    if element := _ELEMENTS.get(check.verdict):
        ET.SubElement(case, element, {"message": _legal(_message(check)), "type": check.verdict})
    ET.SubElement(case, "system-out").text = _legal(_outcome(check))
    return case


def _message(check: Check) -> str:
    return check.detail or f"wanted {check.target or '-'}, found {check.figure or '-'}"


def _outcome(check: Check) -> str:
    """What was wanted and found, whatever came of it."""
    parts = [f"wanted {check.target or '-'}", f"found {check.figure or '-'}"]
    if check.interval:
        parts.append(f"between {between(check.interval)} with 95 % confidence")
    return "; ".join([*parts, f"{check.samples} samples"])


def _legal(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
