"""Samples become a record, records add up, and a generator that was late is told."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from smoke.load.latency import Latencies
from smoke.load.record import LoadRecord, Mark, Second, from_document, merged, to_document
from smoke.load.recorder import Recorder, late
from smoke.load.sample import Outcome, Sample, Tokens
from smoke.load.tally import ServiceLevel, Tally

DURATIONS = st.lists(st.floats(min_value=0, max_value=700), min_size=1, max_size=50)


def sample(  # noqa: PLR0913
    due: float,
    ended: float,
    outcome: Outcome = "complete",
    *,
    sent: float | None = None,
    first: float | None = None,
    server: str = "",
    gaps: Sequence[float] = (),
    tokens: Tokens | None = None,
    fault: str = "",
) -> Sample:
    left = due if sent is None else sent
    return Sample(due, left, first, ended, outcome, server, gaps, tokens, fault=fault)


def recorded(*samples: Sample, from_due: bool = True) -> LoadRecord:
    return recorder_of(*samples, from_due=from_due).record()


def recorder_of(
    *samples: Sample, from_due: bool = True, level: ServiceLevel | None = None
) -> Recorder:
    recorder = Recorder("chat", "test", zero=100, began=1e9, from_due=from_due, level=level)
    for each in samples:
        recorder.sending()
        recorder.take(each)
    return recorder


def percentile(record: LoadRecord, name: str, percent: float) -> float:
    return Latencies.decoded(record.histograms[name]).percentile(percent)


@settings(deadline=None, max_examples=30)  # a machine may be busy
@given(DURATIONS, st.floats(min_value=0.1, max_value=100))
def test_percentiles_are_those_of_hdrhistogram(durations: list[float], percent: float) -> None:
    histogram = HdrHistogram(1, 600_000_000, 3)
    for seconds in durations:
        histogram.record_value(min(max(1, int(seconds * 1e6 + 0.5)), 600_000_000))
    latencies = Latencies(durations)
    assert latencies.percentile(percent) == histogram.get_value_at_percentile(percent) / 1e6
    assert len(latencies) == histogram.get_total_count()


@settings(deadline=None, max_examples=30)  # a machine may be busy
@given(DURATIONS, DURATIONS)
def test_distributions_add_up_exactly_also_after_being_written(
    one: list[float], other: list[float]
) -> None:
    both = Latencies(one)
    both.merge(Latencies.decoded(Latencies(other).encoded))
    assert both.encoded == Latencies([*one, *other]).encoded


def test_responses_count_from_when_a_request_was_due_service_from_when_it_was_sent() -> None:
    record = recorded(sample(100, 102, sent=101.5))
    assert percentile(record, "response", 50) == pytest.approx(2, rel=0.001)
    assert percentile(record, "service", 50) == pytest.approx(0.5, rel=0.001)
    assert percentile(record, "lag", 50) == pytest.approx(1.5, rel=0.001)
    assert set(record.histograms) == {"response", "service", "lag"}


def test_a_closed_model_has_no_response_time_and_no_lag() -> None:
    record = recorded(sample(100, 102, sent=101.5), from_due=False)
    assert set(record.histograms) == {"service"}
    assert [second.due for second in record.timeline] == [0, 1, 0]
    assert record.timeline[2].slowest_s == 0.5


def test_nothing_is_filled_in_for_a_stall() -> None:
    record = recorded(*(sample(100 + n, 103) for n in range(3)))
    assert len(Latencies.decoded(record.histograms["response"])) == 3


def test_a_refusal_is_no_quick_answer_and_who_gave_up_waited_at_least_so_long() -> None:
    record = recorded(
        sample(100, 101),
        sample(100, 100.001, "refused"),
        sample(100, 100.001, "unreachable"),
        sample(100, 130, "timed out"),
    )
    response = Latencies.decoded(record.histograms["response"])
    assert len(response) == 2
    assert response.percentile(50) == pytest.approx(1, rel=0.001)
    assert response.longest == pytest.approx(30, rel=0.001)


def test_the_timeline_counts_what_was_due_and_what_ended_in_each_second() -> None:
    record = recorded(
        sample(100.2, 100.4, server="agx0"),
        sample(100.9, 102.1, server="agx1"),
        sample(102.0, 102.5, "truncated"),
        sample(102.2, 102.9, server="agx1"),
    )
    assert record.timeline == (
        Second(0, 2, 1, 0, 100.4 - 100.2, {"agx0": 1}),
        Second(1, 0, 0, 0, 0.0, {}),
        Second(2, 2, 2, 1, 102.1 - 100.9, {"agx1": 2}),
    )
    assert record.seconds == pytest.approx(2.9)


def test_what_the_end_of_the_load_cuts_off_is_no_failure() -> None:
    recorder = recorder_of(sample(100, 101), sample(100.5, 101, "stopped"))
    record = recorder.record()
    assert sum(second.failed for second in record.timeline) == 0
    assert recorder.tally.failed == 0
    assert recorder.tally.goodput == 1
    assert len(Latencies.decoded(record.histograms["response"])) == 1


def test_goodput_is_the_share_within_the_service_level() -> None:
    level = ServiceLevel(response_s=2, first_token_s=0.5)
    recorder = recorder_of(
        sample(100, 101, first=100.4),
        sample(100, 103, first=100.4),
        sample(100, 101, first=100.6),
        sample(100, 100.1, "refused", first=100.1),
        level=level,
    )
    assert recorder.tally.goodput == 0.25


def test_a_models_figures_are_its_servers_own_and_a_cold_load_stands_apart() -> None:
    warm = Tokens(prompt=10, generated=20, generating_s=0.5, load_s=0.02)
    cold = Tokens(prompt=10, generated=40, generating_s=2.0, load_s=4.0)
    recorder = recorder_of(
        sample(100, 101, first=100.3, gaps=(0.02, 0.03), tokens=warm),
        sample(100, 107, first=104.3, gaps=(0.05,), tokens=cold),
        sample(100, 101, "truncated", first=100.2, tokens=Tokens(), fault="cut short"),
    )
    tally, record = recorder.tally, recorder.record()
    assert (tally.prompt, tally.generated) == (20, 60)
    assert tally.tokens_per_second == pytest.approx(40, rel=0.002)
    assert tally.loads.longest == pytest.approx(4, rel=0.001)
    assert len(tally.loads) == 1
    assert tally.warm_first_token.longest == pytest.approx(0.3, rel=0.001)
    assert percentile(record, "first_token", 100) == pytest.approx(4.3, rel=0.001)
    assert percentile(record, "between_tokens", 50) == pytest.approx(0.03, rel=0.001)
    assert tally.outcomes["truncated"] == 1
    assert tally.faults == {"cut short": 1}


def test_faults_that_never_repeat_are_counted_together() -> None:
    faults = [sample(100, 101, "unreachable", fault=f"port {n}") for n in range(60)]
    tally = recorder_of(*faults).tally
    assert len(tally.faults) == 51
    assert tally.faults["other faults"] == 10


def test_tallies_of_two_processes_add_up() -> None:
    tokens = Tokens(prompt=10, generated=20, generating_s=0.5, load_s=0.9)
    parts = [sample(100, 101, first=100.2, tokens=tokens), sample(100, 101, "refused", fault="x")]
    both = Tally()
    for part in parts:
        both.merge(recorder_of(part).tally)
    whole = recorder_of(*parts).tally
    assert (both.outcomes, both.faults, both.good) == (whole.outcomes, whole.faults, whole.good)
    assert (both.prompt, both.generated) == (whole.prompt, whole.generated)
    assert both.loads.encoded == whole.loads.encoded
    assert both.per_token.encoded == whole.per_token.encoded


def test_progress_tells_of_the_time_since_it_was_last_told() -> None:
    recorder = recorder_of(sample(100, 100.2), sample(100, 100.4, "refused"))
    recorder.sending()
    assert str(recorder.live(101)) == "1 s: 1/s, 1 in flight, 1 failed, 95 % within 0.2 s"
    assert str(recorder.live(103)) == "3 s: 0/s, 1 in flight, 1 failed, 95 % within 0 ms"


def test_a_record_survives_json() -> None:
    recorder = recorder_of(sample(100, 101, server="agx0"), sample(101, 101.5, "refused"))
    record = recorder.record([Mark(0.5, "agx0 killed")])
    assert from_document(json.loads(json.dumps(to_document(record)))) == record


def test_records_are_merged_by_the_second_of_the_wall_clock() -> None:
    early = LoadRecord(
        "chat", 1000.7, 2.5, "a", {}, (Second(0, 1, 1, 0, 0.5, {"agx0": 1}),), (Mark(1, "x"),)
    )
    late_one = LoadRecord(
        "chat", 1001.9, 1.0, "b", {}, (Second(0, 2, 1, 1, 0.7, {"agx0": 2, "agx1": 1}),)
    )
    same = LoadRecord("chat", 1000.7, 1.0, "a", {}, (Second(0, 4, 3, 0, 0.1, {"agx0": 3}),))
    both = merged([early, late_one, same])
    assert both.timeline == (
        Second(0, 5, 4, 0, 0.5, {"agx0": 4}),
        Second(1, 2, 1, 1, 0.7, {"agx0": 2, "agx1": 1}),
    )
    assert (both.name, both.offered, both.began) == ("chat", "a; b", 1000.7)
    assert both.seconds == pytest.approx(2.5)
    assert both.marks == (Mark(1, "x"),)


def test_merged_distributions_are_those_of_one_recorder() -> None:
    samples = [sample(100 + n / 10, 100 + n / 5) for n in range(40)]
    whole = recorded(*samples)
    parts = [recorded(*samples[index::3]) for index in range(3)]
    assert merged(parts).histograms == whole.histograms
    assert merged(parts).timeline == whole.timeline


def test_nothing_cannot_be_merged() -> None:
    with pytest.raises(ValueError, match="no records"):
        merged([])


def test_a_late_generator_makes_a_result_inconclusive() -> None:
    record = recorded(*(sample(100, 101, sent=100.2) for _ in range(10)))
    assert late(record, 0.3) == ""
    assert late(record, 0.1).startswith(
        "the generator was late: 1 % of the requests left 0.2 s or more after they were due "
        "(at most 0.1 s is allowed)"
    )
    assert late(recorded(sample(100, 101), from_due=False), 0.1) == ""
