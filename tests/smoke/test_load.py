"""The parts of the load engine: arrivals, latencies, streams."""

from __future__ import annotations

import asyncio
import json

import pytest

from smoke.load.arrivals import constant, drive
from smoke.load.http import Exchange
from smoke.load.latency import Latencies
from smoke.load.ollama import Answer, Stream
from smoke.load.streams import flowed, request_count


def test_arrivals_are_evenly_spaced() -> None:
    assert constant(240, 4) == [0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize(
    ("per_minute", "count"), [(240, 60), (50, 60), (20, 60), (10, 30), (0.2, 1)]
)
def test_a_load_is_bounded_in_requests_and_in_time(per_minute: float, count: int) -> None:
    assert request_count(per_minute) == count


def test_a_slow_answer_does_not_hold_the_next_request_up() -> None:
    async def scenario() -> list[float]:
        loop = asyncio.get_running_loop()

        async def send(due: float) -> float:
            late = loop.time() - due
            await asyncio.sleep(0.2)
            return late

        return await drive(constant(6000, 10), send)

    assert max(asyncio.run(scenario())) < 0.1


def test_requests_that_are_overdue_are_sent_at_once_and_known_to_be_late() -> None:
    async def scenario() -> list[float]:
        loop = asyncio.get_running_loop()

        async def send(due: float) -> float:
            return loop.time() - due

        return await drive([0, 0.5], send, start=loop.time() - 1)

    assert asyncio.run(scenario()) == pytest.approx([1, 0.5], abs=0.1)


def test_percentiles_are_within_a_thousandth() -> None:
    latencies = Latencies(n / 1000 for n in range(1, 1001))
    assert latencies.percentile(95) == pytest.approx(0.95, rel=0.001)
    assert len(latencies) == 1000
    assert latencies.encoded.startswith("HIST")


def test_a_line_in_two_reads_is_one_line() -> None:
    stream = Stream()
    stream.feed(b'{"message": {"content": "a"}, "do', 1.0)
    stream.feed(b'ne": false}\n{"done": true, "eval_count": 1}\n', 2.0)
    assert (stream.reads, stream.lines, stream.first_text) == (2, 2, 2.0)
    assert stream.final == {"done": True, "eval_count": 1}


def test_the_first_token_is_the_first_text_not_an_empty_line() -> None:
    stream = Stream()
    stream.feed(b'{"message": {"content": ""}}\n', 1.0)
    stream.feed(b'{"message": {"content": "a"}}\n', 2.0)
    assert (stream.first_line, stream.first_text) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"<html>\n", "a line is not of Ollama's form (b'<html>')"),
        (b"[]\n", "a line is not of Ollama's form (b'[]')"),
        (b'{"error": "out of memory"}\n', "the model failed (out of memory)"),
    ],
)
def test_what_is_no_answer_is_named(line: bytes, fault: str) -> None:
    stream = Stream()
    stream.feed(line, 1.0)
    assert stream.fault == fault


@pytest.mark.parametrize(
    ("lines", "reads", "made_over_s", "came_over_s", "as_made"),
    [
        (48, 48, 2.0, 1.9, True),
        (48, 6, 2.0, 1.9, True),
        (48, 3, 0.1, 0.09, True),
        (48, 3, 2.0, 1.9, False),
        (48, 1, 2.0, 0.0, False),
        (48, 48, 2.0, 0.5, False),
    ],
    ids=["a line a read", "eight a read", "bursts too short to see", "bursts", "at once", "late"],
)
def test_a_stream_flows_when_its_lines_come_as_they_are_made(
    lines: int, reads: int, made_over_s: float, came_over_s: float, *, as_made: bool
) -> None:
    done = {"done": True, "eval_duration": made_over_s * 1e9}
    stream = Stream(reads, lines, first_line=1.0, last_line=1.0 + came_over_s, final=done)
    assert flowed(Answer(1.0, Exchange(1.0), stream)) is as_made


@pytest.mark.parametrize(("came_over_s", "as_made"), [(0.9, True), (0.1, False)])
def test_lines_tell_when_they_were_made_whatever_the_counters_say(
    came_over_s: float,
    as_made: bool,  # noqa: FBT001 - what is expected
) -> None:
    # The model had thought for two seconds before it wrote for one.
    stream = Stream()
    for second in (2, 3):
        made = f"2026-01-01T00:00:0{second}.000000001Z"
        line = {"message": {"content": "word "}, "created_at": made, "done": second == 3}
        text = json.dumps(line | {"eval_duration": 3_000_000_000}).encode() + b"\n"
        stream.feed(text, 10.0 if second == 2 else 10.0 + came_over_s)
    stream.reads = 30
    answer = Answer(1.0, Exchange(1.0), stream)
    assert stream.made_over_s == 1.0
    assert flowed(answer) is as_made
