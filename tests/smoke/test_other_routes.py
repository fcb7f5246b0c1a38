"""Code and images are held to their routes' promises; what is stopped says so."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from inventory.loading import load
from smoke.access import Access
from smoke.run import _run
from smoke.suites import SUITES
from tests.smoke.gateway import Behaviour, serving

if TYPE_CHECKING:
    from inventory.model import Site
    from smoke.report import Report
    from tests.smoke.conftest import Judge


@pytest.fixture(scope="module")
def wider() -> Site:
    return load(str(Path(__file__).with_name("wider.yaml")))


def verdicts(report: Report, suite: str) -> dict[str, str]:
    return {check.name: check.verdict for check in report.checks if check.suite == suite}


def failed(report: Report) -> dict[str, str]:
    return {check.name: check.detail for check in report.checks if check.verdict == "fail"}


def test_code_and_images_that_come_as_promised_pass(judge: Judge, wider: Site) -> None:
    report = judge(Behaviour(served_by=("agx0.assistant",)), "code", "image", other=wider)
    assert failed(report) == {}
    assert set(verdicts(report, "code")) == {
        "code: answers before the load",
        "code: answered in full, at least",
        "code: first token, 95 % within",
        "code: answers a minute, at least",
        "code: streams that come as they are written, at least",
        "code: tokens a second, median",
    }
    assert verdicts(report, "image") == dict.fromkeys(
        (
            "image: images that came",
            "image: the slowest answer within",
            "image: images that were kept",
        ),
        "pass",
    )


def test_code_that_is_cut_short_fails(judge: Judge, wider: Site) -> None:
    behaviour = Behaviour(served_by=("agx0.assistant",), truncate_every=5)
    report = judge(behaviour, "code", other=wider)
    assert "cut short" in failed(report)["code: answered in full, at least"]


@pytest.mark.parametrize(
    ("behaviour", "claim", "detail"),
    [
        (Behaviour(draws=False), "image: images that came", "status 502"),
        (Behaviour(keeps=False), "image: images that were kept", "read back"),
        (Behaviour(delay_s=0.4), "image: the slowest answer within", "of 8"),
    ],
    ids=["refused", "lost", "slow"],
)
def test_images_that_do_not_come_or_stay_fail(
    judge: Judge, wider: Site, behaviour: Behaviour, claim: str, detail: str
) -> None:
    assert detail in failed(judge(behaviour, "image", other=wider))[claim]


def test_routes_are_loaded_at_the_same_time(judge: Judge, wider: Site) -> None:
    report = judge(Behaviour(delay_s=0.05), "chat", "code", "image", other=wider)
    took = report.suite_seconds
    assert report.seconds < 0.8 * sum(took[name] for name in ("chat", "code", "image"))
    assert [suite for suite in SUITES if verdicts(report, suite)] == ["chat", "code", "image"]


def test_being_stopped_ends_with_what_is_known_and_is_no_pass(wider: Site) -> None:
    async def stopped(url: str) -> Report:
        access = Access(url, Path("/dev/null"))
        task = asyncio.create_task(_run(wider, access, ["image", "rate-limit"], lambda _: None, ()))
        await asyncio.sleep(0.5)
        began = monotonic()
        task.cancel()
        report = await task
        assert monotonic() - began < 1
        return report

    with serving(Behaviour(delay_s=5)) as url:
        report = asyncio.run(stopped(url))
    assert {check.suite for check in report.checks} == {"image", "run"}
    assert {check.verdict for check in report.checks} == {"inconclusive"}
    assert report.exit_code != 0
