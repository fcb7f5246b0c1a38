"""Each suite passes a gateway that keeps its promises, and fails one that breaks a promise."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inventory.errors import HearthError
from inventory.model import Range, RateLimit
from smoke.access import Access
from smoke.load import streams
from smoke.run import run
from tests.smoke.gateway import WINDOW_S, Behaviour

if TYPE_CHECKING:
    from inventory.model import Site
    from smoke.report import Report
    from smoke.verdict import Check
    from tests.smoke.conftest import Judge

SOON = "chat: first token, 95 % within"
FULL = "chat: answered in full, at least"
RATE = "chat: answers a minute, at least"
FLOW = "chat: streams that come as they are written, at least"
BURST = "chat: let through of a burst of 15"


def found(report: Report, name: str) -> Check:
    return next(check for check in report.checks if check.name == name)


def with_rate(site: Site, per_minute: float) -> Site:
    route = site.routes["chat"]
    level = route.service_level.model_copy(
        update={"requests_per_minute": Range(low=1, high=per_minute)}
    )
    changed = route.model_copy(update={"service_level": level})
    return site.model_copy(update={"routes": {"chat": changed}})


def with_limit(site: Site, limit: RateLimit) -> Site:
    changed = site.routes["chat"].model_copy(update={"rate_limit": limit})
    return site.model_copy(update={"routes": {"chat": changed}})


def seconds(check: Check) -> float:
    value, unit = check.figure.split()
    return float(value) / (1000 if unit == "ms" else 1)


def test_a_lab_that_keeps_its_promises_passes(judge: Judge, site: Site) -> None:
    report = judge(Behaviour(), "chat", "split", other=with_rate(site, 3000))
    assert {c.name: c.verdict for c in report.checks if c.verdict != "pass"} == {
        "chat: tokens a second, median": "unjudged"
    }
    assert report.exit_code == 0
    assert found(report, "chat: share of agx0.assistant").samples == 60
    assert "agx0.assistant 3 ms" in found(report, "chat: answers before the load").detail


def test_split_reuses_the_load_of_chat(judge: Judge) -> None:
    behaviour = Behaviour()
    judge(behaviour, "chat", "split")
    asked = [request["options"] for request in behaviour.requests]
    assert asked.count({"num_predict": 16}) == 60


def test_the_first_token_is_measured_where_it_is(judge: Judge, site: Site) -> None:
    check = found(judge(Behaviour(delay_s=0.05), "chat", other=with_rate(site, 6000)), SOON)
    assert check.verdict == "pass"
    assert seconds(check) == pytest.approx(0.05, abs=0.02)


def test_slow_first_tokens_fail(judge: Judge, site: Site) -> None:
    report = judge(Behaviour(delay_s=0.12), "chat", other=with_rate(site, 6000))
    assert found(report, SOON).verdict == "fail"
    assert report.exit_code == 1


def test_a_stall_meets_every_request_that_was_due_in_it(judge: Judge, site: Site) -> None:
    report = judge(Behaviour(stall=(0.2, 0.6)), "chat", other=with_rate(site, 3000))
    check = found(report, SOON)
    assert check.verdict == "fail"
    assert seconds(check) == pytest.approx(0.37, abs=0.06)


def test_truncated_streams_are_failures(judge: Judge) -> None:
    check = found(judge(Behaviour(truncate_every=10), "chat"), FULL)
    assert check.verdict == "fail"
    assert check.figure == "90 %"
    assert check.detail == "6 x cut short (the stream ended without done)"


def test_refusals_are_failures_and_are_named(judge: Judge) -> None:
    report = judge(Behaviour(limit=8), "chat")
    assert found(report, FULL).verdict == "fail"
    assert "x status 429" in found(report, FULL).detail


def test_streams_held_back_to_their_end_fail(judge: Judge) -> None:
    check = found(judge(Behaviour(hold_back=True, gap_s=0.004), "chat"), FLOW)
    assert (check.verdict, check.figure) == ("fail", "0 %")


def test_a_quick_model_is_judged_by_longer_streams(judge: Judge) -> None:
    quick = Behaviour(gap_s=0.0005, tokens=60)
    assert found(judge(quick, "chat"), FLOW).verdict == "pass"
    held = Behaviour(gap_s=0.0005, tokens=60, hold_back=True)
    assert found(judge(held, "chat"), FLOW).verdict == "fail"


def test_a_model_too_quick_to_tell_is_inconclusive(judge: Judge) -> None:
    report = judge(Behaviour(gap_s=0, tokens=4), "chat")
    assert found(report, FLOW).verdict == "inconclusive"
    assert report.exit_code == 2


def test_a_busy_gateway_is_asked_again(judge: Judge) -> None:
    assert found(judge(Behaviour(busy_first=3), "chat"), FULL).verdict == "pass"


def test_a_gateway_that_stays_busy_fails(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "WARM_UP_S", 0.2)
    (check,) = judge(Behaviour(busy_first=10**6), "chat").checks
    assert check.verdict == "fail"
    assert check.detail.endswith("x status 503")


def test_no_gateway_at_all_fails_and_says_so(site: Site) -> None:
    access = Access("http://127.0.0.1:1", Path("/dev/null"))
    report = run(site, access, ["chat"], lambda _: None)
    assert "ConnectionRefusedError" in report.checks[0].detail
    assert report.exit_code == 1


def test_too_few_samples_are_inconclusive_and_say_how_long_it_takes(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MOST_REQUESTS", 10)
    check = found(judge(Behaviour(), "chat"), SOON)
    assert check.verdict == "inconclusive"
    assert "10 answers are too few" in check.detail
    assert "59 are needed, 0 s at 24000 a minute" in check.detail


def test_a_late_generator_is_inconclusive(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smoke.bench.body_for", _slow_body)
    report = judge(Behaviour(), "chat")
    assert found(report, SOON).verdict == "inconclusive"
    assert found(report, RATE).verdict == "inconclusive"
    assert "the generator was late" in found(report, SOON).detail


def _slow_body(_path: str, _model: str, tokens: int) -> dict[str, object]:
    time.sleep(0.01)  # blocks the client for two intervals: it cannot keep the pace
    return {"options": {"num_predict": tokens}}


@pytest.mark.parametrize(
    ("served_by", "verdict"),
    [
        ((*("agx0.assistant",) * 4, "orin0.assistant"), "pass"),
        ((*("192.168.1.154:8200",) * 4, "192.168.1.154:8200, 192.168.1.157:8200"), "pass"),
        (("agx0.assistant", "orin0.assistant"), "fail"),
        ((*("agx0.assistant",) * 4, "10.0.0.9:11434"), "fail"),
        (("",), "fail"),
    ],
    ids=["declared", "by-address", "even", "stranger", "unnamed"],
)
def test_the_split_is_judged_by_who_answered(
    judge: Judge, served_by: tuple[str, ...], verdict: str
) -> None:
    assert judge(Behaviour(served_by=served_by), "split").verdict == verdict


@pytest.fixture
def short_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RateLimit, "window_seconds", WINDOW_S)


@pytest.mark.usefixtures("short_window")
def test_a_limit_that_holds_passes(judge: Judge) -> None:
    report = judge(Behaviour(limit=5), "rate-limit")
    assert report.exit_code == 0
    assert found(report, BURST).figure == "5"


@pytest.mark.usefixtures("short_window")
@pytest.mark.parametrize(
    ("behaviour", "name"),
    [
        (Behaviour(), BURST),
        (Behaviour(limit=12), BURST),
        (Behaviour(limit=2), BURST),
        (
            Behaviour(limit=5, retry_after=False),
            "chat: refusals (429) that say when to retry",
        ),
    ],
    ids=["no-limit", "too-lax", "too-tight", "no-retry-after"],
)
def test_a_wrong_limit_fails(judge: Judge, behaviour: Behaviour, name: str) -> None:
    report = judge(behaviour, "rate-limit")
    assert found(report, name).verdict == "fail"


@pytest.mark.usefixtures("short_window")
def test_a_limiter_that_never_forgives_fails(judge: Judge) -> None:
    report = judge(Behaviour(limit=5, forgive=False), "rate-limit")
    assert found(report, "chat: a request passes again within").figure == "not at all"
    assert report.exit_code == 1


def test_a_burst_that_outlasts_the_window_is_inconclusive(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RateLimit, "window_seconds", 1e-6)
    check = found(judge(Behaviour(limit=5), "rate-limit"), BURST)
    assert check.verdict == "inconclusive"


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        (RateLimit(requests=100, per="minute"), "a burst takes 300 requests, more than 200"),
        (RateLimit(requests=10, per="hour"), "it takes a quiet hour before and after"),
    ],
)
def test_limits_that_take_too_long_are_left_out_with_a_reason(
    judge: Judge, site: Site, limit: RateLimit, reason: str
) -> None:
    behaviour = Behaviour()
    report = judge(behaviour, "rate-limit", other=with_limit(site, limit))
    assert [(c.verdict, c.detail) for c in report.checks] == [("unjudged", f"not tried: {reason}")]
    assert behaviour.requests == []


KEY = "the-key-of-smoke"
NONE, WRONG = "chat: answer without a key", "chat: answer with a wrong key"


def test_a_gateway_that_asks_for_a_key_passes_and_is_asked_with_one(judge: Judge) -> None:
    behaviour = Behaviour(key=KEY)
    report = judge(behaviour, "keys", "split")
    assert report.exit_code == 0
    assert [found(report, name).figure for name in (NONE, WRONG)] == ["401", "401"]
    assert len(behaviour.requests) >= 50


@pytest.mark.parametrize(
    ("key", "figures"), [(None, ["400", "400"]), ("no-key-of-this-lab", ["401", "400"])]
)
def test_a_gateway_that_lets_others_in_fails(
    judge: Judge, key: str | None, figures: list[str]
) -> None:
    report = judge(Behaviour(key=key), "keys")
    assert [check.figure for check in report.checks] == figures
    assert report.exit_code == 1


def test_routes_that_are_open_are_not_asked_for_their_key(judge: Judge, site: Site) -> None:
    behaviour = Behaviour()
    report = judge(behaviour, "keys", other=site.model_copy(update={"api_clients": ()}))
    assert report.checks == ()
    assert behaviour.requests == []


def test_a_key_is_not_told_to_who_prints_the_way_in() -> None:
    assert KEY not in repr(Access("http://127.0.0.1", Path("/dev/null"), api_key=KEY))


def test_an_unknown_suite_is_named_with_those_that_exist(judge: Judge) -> None:
    with pytest.raises(
        HearthError, match=r"^chats: no such suite; name one of exposure, certificates, keys,"
    ):
        judge(Behaviour(), "chats")
