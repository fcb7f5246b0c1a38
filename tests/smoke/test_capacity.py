"""What a route can hold is found against gateways of known queues, and the prediction tested."""

from __future__ import annotations

import asyncio
import json
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from inventory.errors import HearthError
from inventory.model import Range
from smoke.access import Access
from smoke.bench import open_bench
from smoke.capacity.judge import judge
from smoke.capacity.model import percentile
from smoke.capacity.report import SCHEMA, Report
from smoke.capacity.run import Question, run
from smoke.capacity.steps import Load, Pace, Sender
from smoke.capacity.terminal import show
from smoke.capacity.trial import Measured, Proof, Trial
from smoke.load import streams
from smoke.load.arrivals import poisson
from smoke.load.http import Exchange
from smoke.load.ollama import Answer, Stream
from tests.smoke.conftest import ATTEMPTS
from tests.smoke.gateway import Behaviour, serving

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inventory.model import Site
    from smoke.verdict import Check

TARGET_S = 0.5
KEYS = ("key-of-phone", "key-of-laptop")
PACE = Pace(
    most_s=24.0,
    step_s=2.0,
    longest_step_s=3.0,
    idle_s=1.5,
    idle_requests=24,
)
TWO_QUEUES = Behaviour(
    delay_s=0.02,
    gap_s=0.02,
    tokens=1,
    servers={"agx0.assistant": 2, "orin0.assistant": 1},
    slower={"orin0.assistant": 3.0},
)
"""Half a second at most: orin0 is at its end at 2,500 requests a minute, agx0 at 3,750."""


def asked(site: Site, low: float, *, limit: int = 1000, target_s: float = TARGET_S) -> Site:
    """The site, with this promise and limit a second."""
    route = site.routes["chat"]
    level = route.service_level.model_copy(
        update={
            "requests_per_minute": Range(low=low, high=1800),
            "first_byte_p95": timedelta(seconds=target_s),
        }
    )
    limited = route.rate_limit.model_copy(update={"requests": limit})
    changed = route.model_copy(update={"service_level": level, "rate_limit": limited})
    return site.model_copy(update={"routes": {"chat": changed}})


def measured(site: Site, behaviour: Behaviour, question: Question) -> Report:
    """What is found; a busy machine sends late or runs out of time, and is then asked again."""
    for _ in range(ATTEMPTS):
        with serving(deepcopy(behaviour)) as url:
            access = Access(url, Path("/dev/null"))
            report = run(site, access, KEYS, question, lambda _: None)
        details = " ".join(check.detail for check in report.checks)
        if "the generator was late" not in details and "too short for a test" not in details:
            break
    return report


def printed(report: Report) -> str:
    console = Console(file=StringIO(), width=200)
    show(report, console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def holds() -> float:
    """What the two queues hold in the long run, by trying, without the model."""
    low, high = 1000.0, 3000.0
    for _ in range(10):
        middle = (low + high) / 2
        free = {"agx0": [0.0, 0.0], "orin0": [0.0]}
        firsts = []
        for number, due in enumerate(poisson(middle, 60 * 40_000 / middle, seed=1)):
            name = "orin0" if number % 5 == 4 else "agx0"
            first_s, service_s = (0.06, 0.12) if name == "orin0" else (0.02, 0.04)
            server = free[name].index(min(free[name]))
            begins = max(due, free[name][server])
            free[name][server] = begins + service_s
            firsts.append(begins - due + first_s)
        low, high = (low, middle) if percentile(firsts) > TARGET_S else (middle, high)
    return low


def test_a_routes_capacity_is_found_and_its_prediction_holds(site: Site) -> None:
    report = measured(asked(site, 1500), TWO_QUEUES, Question(pace=PACE, traffic=5000))
    (found,) = report.routes
    assert found.per_minute == pytest.approx(holds(), rel=0.2)
    assert found.saturates_first == "orin0.assistant"
    assert report.exit_code == 0, printed(report)
    document = json.loads(report.to_json())
    route = document["routes"]["chat"]
    assert (document["schema"], document["exit_code"]) == (SCHEMA, 0)
    assert route["saturates_first"] == "orin0.assistant"
    assert route["upstreams"]["agx0.assistant"]["servers"] == 2
    assert route["upstreams"]["agx0.assistant"]["saturates_per_minute"] == pytest.approx(
        3750, rel=0.2
    )
    assert route["upstreams"]["orin0.assistant"]["service_s"] == pytest.approx(0.12, rel=0.2)
    # A server writes a token in 120 ms.
    assert route["upstreams"]["orin0.assistant"]["tokens_per_second"] == pytest.approx(8.3, rel=0.2)
    # One such node holds 3,000 a minute, four fifths of which are used.
    assert (route["nodes"]["count"], route["nodes"]["like"]) == (3, "agx0.assistant")
    assert [tested["at"] for tested in route["tests"]] == [0.7, 0.9, 1.2]
    assert abs(route["prediction_error"]) < 0.5
    text = printed(report)
    assert "gives way first: orin0.assistant" in text
    assert "for 5000 a minute: 3 x agx0.assistant" in text
    assert not any(key in text + report.to_json() for key in KEYS)


def test_a_limiter_that_gives_way_first_is_named_with_all_clients(site: Site) -> None:
    quick = Behaviour(delay_s=0.005, gap_s=0.005, tokens=1, limit=10, window_s=1.0, by_clock=True)
    pace = replace(PACE, most_s=20.0, test_requests=30)
    report = measured(asked(site, 600, limit=10, target_s=3.0), quick, Question(pace=pace))
    (found,) = report.routes
    assert found.saturates_first == "limiter"
    # Twice what one client may send; with one key alone this load would have been cut in half.
    assert max(s.per_minute for s in found.steps if not s.refused) > 590
    assert any(step.refused for step in found.steps)
    breaks = next(check for check in report.checks if "at 120 % of it" in check.name)
    assert (breaks.verdict, breaks.figure) == ("pass", "no")
    assert (
        "gives way first: the limiter: 2 clients x 10 a second = 1200 a minute; "
        "of random arrivals 99 % pass up to 8" in printed(report)
    )


def load_of(per_minute: float, firsts: Iterable[float], *, refused: int = 0) -> Load:
    """A load of these times to the first token."""
    answers = []
    for number, first_s in enumerate(firsts):
        due = number * 60 / per_minute
        exchange = Exchange(due)
        exchange.status = 429 if number < refused else 200
        exchange.headers = [(b"X-Served-By", b"agx0.assistant")]
        exchange.ended = due + first_s
        stream = Stream(1, 1, due + first_s, due + first_s, due + first_s, {"done": True})
        answers.append(Answer(due, exchange, stream))
    return Load(per_minute, 12.0, 0.0, 99.0, answers)


EVEN = [0.1 + 0.001 * n for n in range(100)]
SLOW = [5 * first_s for first_s in EVEN]


def check_of(site: Site, at: float, load: Load, predicted_p95_s: float = 0.194) -> Check:
    """The verdict on one test."""
    found = Measured("chat", asked(site, 1200).routes["chat"], 16, 2)
    found.tests.append(Proof(at, load, predicted_p95_s))
    (check,) = judge(found)
    return check


@pytest.mark.parametrize(
    ("predicted_p95_s", "verdict", "figure"),
    [(0.194, "pass", "+0 %"), (0.235, "pass", "+21 %"), (0.26, "fail", "+34 %")],
)
def test_a_percentile_may_be_off_by_a_quarter(
    site: Site, predicted_p95_s: float, verdict: str, figure: str
) -> None:
    check = check_of(site, 0.7, load_of(1200, EVEN), predicted_p95_s)
    assert (check.verdict, check.figure) == (verdict, figure)


def test_a_percentile_of_too_few_answers_is_not_held_against_a_prediction(site: Site) -> None:
    assert check_of(site, 0.7, load_of(1200, EVEN[:40]), 0.3).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("at", "firsts", "verdict"),
    [(0.9, EVEN, "pass"), (0.9, SLOW, "fail"), (1.2, EVEN, "fail"), (1.2, SLOW, "pass")],
)
def test_below_its_capacity_a_level_holds_and_above_it_does_not(
    site: Site, at: float, firsts: list[float], verdict: str
) -> None:
    assert check_of(site, at, load_of(1200, firsts)).verdict == verdict


def test_a_level_that_has_no_time_to_be_missed_is_not_held_against_a_prediction(
    site: Site,
) -> None:
    found = Measured("chat", asked(site, 1200).routes["chat"], 16, 2)
    found.tests.append(Proof(1.2, load_of(1200, EVEN), 0.194, shows=False))
    (check,) = judge(found)
    assert (check.verdict, check.figure) == ("inconclusive", "yes")


@pytest.mark.parametrize(("refused", "verdict"), [(2, "pass"), (8, "fail")])
def test_a_refusal_or_two_may_be_chance(site: Site, refused: int, verdict: str) -> None:
    check = check_of(site, 0.9, load_of(1200, EVEN, refused=refused))
    assert check.verdict == verdict


def test_waits_that_grow_are_no_capacity_however_short_they_are_yet(site: Site) -> None:
    # A fifth more arrives than is answered.
    growing = [0.01 + n * 60 / 1200 * 0.25 for n in range(100)]
    assert load_of(1200, growing[:30]).first_token_p95_s < TARGET_S
    check = check_of(site, 1.2, load_of(1200, growing[:30]))
    assert (check.verdict, check.detail) == ("pass", "agx0.assistant falls 20 % behind")


def test_a_route_that_does_not_answer_could_not_be_measured(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "WARM_UP_S", 0.2)
    dead = Behaviour(dead=frozenset({"agx0.assistant", "orin0.assistant"}))
    hurried = Pace(most_s=2.0, step_s=1.0, idle_s=0.2)
    report = measured(asked(site, 1200), dead, Question(pace=hurried))
    assert report.exit_code == 2
    assert "its capacity is not known (chat does not answer (status 503)" in printed(report)
    assert json.loads(report.to_json())["routes"]["chat"]["capacity_per_minute"] is None


def test_too_little_time_could_not_be_measured(site: Site) -> None:
    hurried = Pace(most_s=3.0, step_s=1.0, longest_step_s=1.0, idle_s=1.5)
    report = measured(asked(site, 1200), TWO_QUEUES, Question(pace=hurried))
    assert report.exit_code == 2
    assert "loads are too few to fit a model to, 3 are needed" in printed(report)


def test_a_limit_that_counts_longer_than_a_load_is_refused(site: Site) -> None:
    hourly = asked(site, 1200)
    route = hourly.routes["chat"]
    limit = route.rate_limit.model_copy(update={"per": "hour"})
    changed = hourly.model_copy(
        update={"routes": {"chat": route.model_copy(update={"rate_limit": limit})}}
    )
    report = measured(changed, Behaviour(), Question(pace=PACE))
    assert report.exit_code == 2
    assert "its limiter counts for 3600 s, longer than a load lasts (2 s)" in printed(report)


def test_an_unknown_route_is_named_with_those_that_are(site: Site) -> None:
    with pytest.raises(
        HearthError, match=r"image: no model answers that route of fast-lab; known are chat"
    ):
        run(site, Access("http://127.0.0.1:1", Path()), (), Question(("image",)), lambda _: None)


def test_being_interrupted_ends_with_what_is_known(site: Site) -> None:
    async def interrupted(url: str) -> tuple[bool, Trial]:
        first_step = asyncio.Event()

        def told(line: str) -> None:
            if "a minute" in line:
                first_step.set()

        access = Access(url, Path("/dev/null"))
        async with open_bench(asked(site, 1200), access, told) as bench:
            trial = Trial(Sender(bench, "chat", KEYS, 16), PACE, 16)
            task = asyncio.create_task(trial.run())
            await first_step.wait()
            task.cancel()
            return await task, trial

    with serving(deepcopy(TWO_QUEUES)) as url:
        ended, trial = asyncio.run(interrupted(url))
    assert not ended
    assert len(trial.found.steps) == 1
    assert trial.found.fault.startswith("stopped before the end: 1 loads are too few")
