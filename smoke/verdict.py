"""What a suite finds: one `Check` a claim, and what the checks come to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["pass", "fail", "inconclusive", "unjudged"]

EXIT_CODES: dict[Verdict, int] = {"pass": 0, "fail": 1, "inconclusive": 2}


@dataclass(frozen=True, slots=True)
class Check:
    """One claim about the lab, held to a figure.

    Args:
        suite: The suite's name.
        name: The claim; with the target it reads as a sentence.
        target: What the site asks for, empty where it asks for nothing.
        figure: What was found.
        verdict: `unjudged` is a figure without a target, or a check that was left out.
        detail: What the figure rests on, or why there is none.
        samples: How many observations the figure rests on.
        interval: Within what the true figure lies with 95 % confidence, as a person reads it;
            None where it was not worked out.
    """

    suite: str
    name: str
    target: str
    figure: str
    verdict: Verdict
    detail: str = ""
    samples: int = 0
    interval: tuple[str, str] | None = None


def judged(holds: bool) -> Verdict:  # noqa: FBT001  (the claim itself, not an option)
    """The verdict on a claim that could be decided."""
    return "pass" if holds else "fail"


def overall(checks: Iterable[Check]) -> Verdict:
    """The gravest verdict; where nothing was judged, nothing is known."""
    verdicts = {check.verdict for check in checks}
    if "fail" in verdicts:
        return "fail"
    if "inconclusive" in verdicts or "pass" not in verdicts:
        return "inconclusive"
    return "pass"
