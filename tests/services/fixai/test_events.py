"""Events: their ids, their bytes, and what is refused."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from services.fixai import events
from services.fixai.store import sequence
from tests.services.fixai.stacks import submitted


def test_an_event_of_a_report_has_one_id_however_often_it_is_made() -> None:
    report = uuid4()
    first, second = submitted(report), submitted(report, text="another text")
    assert first.id == second.id
    assert first.id != submitted().id


def test_each_stage_of_a_report_has_an_id_of_its_own() -> None:
    event = submitted()
    described = events.ReportDescribed(
        **event.model_dump(exclude={"kind", "version", "id", "text", "pictures"}),
        title="t",
        description="d",
        severity=3,
    )
    assert described.id != event.id


def test_an_event_comes_back_from_its_bytes() -> None:
    event = submitted()
    assert events.decode(event.encode()) == event


def test_an_id_that_somebody_gives_is_not_believed() -> None:
    told = json.loads(submitted().encode()) | {"id": str(UUID(int=1))}
    assert events.decode(json.dumps(told).encode()).id != UUID(int=1)


def test_a_form_that_is_not_known_is_refused_without_telling_its_content() -> None:
    told = json.loads(submitted(text="my secret").encode()) | {"version": 99}
    with pytest.raises(events.EventError) as error:
        events.decode(json.dumps(told).encode())
    assert str(error.value) == (
        "not an event of a known form (report-submitted.version: literal_error)"
    )


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(events.EventError, match="json_invalid"):
        events.decode(b"\x00 nonsense")


def test_the_order_of_the_outbox_is_that_of_the_events_times() -> None:
    first = submitted()
    second = submitted(at=first.at + timedelta(milliseconds=1))
    assert sequence(first).time < sequence(second).time
    assert sequence(first) == sequence(events.decode(first.encode()))


def test_descriptions_are_keyed_by_their_place() -> None:
    event = submitted()
    described = events.ReportDescribed(
        **event.model_dump(exclude={"kind", "version", "id", "text", "pictures"}),
        title="t",
        description="d",
        severity=3,
    )
    assert event.key == str(event.report_id)
    assert described.key == event.cell == "u2fkbe"
