"""Streams of tokens: cut anywhere, timed as they came."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoke.load.ollama import Stream
from smoke.load.openai import CompletionStream, Events
from smoke.load.sample import Tokens

EVENTS = (
    'data: {"choices":[{"delta":{"role":"assistant"}}]}\r\n\r\n'
    ": a comment that keeps the connection open\r\n\r\n"
    'data: {"choices":[{"delta":{"content":"grüezi"}}]}\r\n\r\n'
    'event: message\r\nid: 7\r\ndata: {"choices":[{"delta":{"content":" all"}}]}\r\n\r\n'
    'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\r\n\r\n'
    "data: [DONE]\r\n\r\n"
).encode()


def test_gaps_are_between_texts_not_between_lines() -> None:
    stream = Stream()
    for at, content in ((1.0, ""), (2.0, "a"), (2.5, "b"), (3.0, ""), (3.25, "c")):
        stream.feed(json.dumps({"message": {"content": content}}).encode() + b"\n", at)
    assert stream.first == 2.0
    assert stream.gaps == [0.5, 0.75]
    assert not stream.whole


@pytest.mark.parametrize(
    "line",
    [
        {"message": {"content": "a"}},
        {"message": {"content": "", "thinking": "hm"}},
        {"response": "a"},
    ],
    ids=["a chat", "a thought", "a plain completion"],
)
def test_whatever_a_model_writes_is_a_first_token(line: dict[str, object]) -> None:
    stream = Stream()
    stream.feed(json.dumps(line).encode() + b"\n", 1.5)
    assert stream.first_text == 1.5


def test_counters_are_those_of_the_last_line_not_of_the_lines() -> None:
    stream = Stream()
    stream.feed(b'{"message":{"content":"a"}}\n', 1.0)
    assert stream.tokens == Tokens()
    stream.feed(b'{"done":true,"eval_count":9,"eval_duration":3000000000}\n', 2.0)
    assert stream.tokens == Tokens(prompt=0, generated=9, generating_s=3.0, load_s=0.0)
    assert stream.whole


def test_a_completion_is_read_event_by_event() -> None:
    stream = CompletionStream()
    for at, event in enumerate(EVENTS.split(b"\r\n\r\n")):
        stream.feed(event + b"\r\n\r\n", float(at))
    assert stream.first == 2.0
    assert stream.gaps == [1.0]
    assert stream.tokens == Tokens(prompt=3, generated=2)
    assert (stream.whole, stream.fault) == (True, "")


@settings(deadline=None)
@given(st.lists(st.integers(min_value=1, max_value=len(EVENTS) - 1), max_size=9))
def test_events_may_be_cut_anywhere(cuts: list[int]) -> None:
    places = [0, *sorted(set(cuts)), len(EVENTS)]
    events = Events()
    parts = [EVENTS[start:end] for start, end in pairwise(places)]
    assert [data for part in parts for data in events.feed(part)] == Events().feed(EVENTS)


def test_an_event_of_several_lines_is_one() -> None:
    assert Events().feed(b"data: a\ndata: b\n\n") == ["a\nb"]


@pytest.mark.parametrize(
    ("event", "fault"),
    [
        (b"data: <html>\n\n", "an event is not of OpenAI's form ('<html>')"),
        (b"data: []\n\n", "an event is not of OpenAI's form ('[]')"),
        (b'data: {"error": "out of memory"}\n\n', "the model failed (out of memory)"),
    ],
)
def test_what_is_no_completion_is_named(event: bytes, fault: str) -> None:
    stream = CompletionStream()
    stream.feed(event, 1.0)
    assert stream.fault == fault


def test_a_completion_that_ends_without_done_is_not_whole() -> None:
    stream = CompletionStream()
    stream.feed(EVENTS.replace(b"data: [DONE]\r\n\r\n", b""), 1.0)
    assert not stream.whole
