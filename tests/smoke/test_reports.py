"""The suite of reports passes a FixAI that keeps its promises, and tells which one is broken."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hearth.secrets import AUTHORITY, CERTIFICATE, PRIVATE_KEY, missing_settings
from inventory.loading import load
from smoke.access import Access
from smoke.records import Records
from smoke.run import run
from smoke.suites import edges, reports
from tests.smoke.city import Behaviour, serving

if TYPE_CHECKING:
    from inventory.model import Site
    from smoke.verdict import Check

Judge = Callable[..., dict[str, "Check"]]


@pytest.fixture(scope="module")
def site() -> Site:
    """FixAI's, with as many reports in a second and a half as else in a minute."""
    site = load("fixai")
    assert site.fixai
    level = site.fixai.service_level.model_copy(update={"reports_per_minute": 2400})
    fixai = site.fixai.model_copy(update={"service_level": level})
    return site.model_copy(update={"fixai": fixai})


@pytest.fixture(scope="module")
def papers(site: Site, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The authority's certificate, the city's, and its key."""
    folder = tmp_path_factory.mktemp("papers")
    paths = folder / "ca.crt", folder / "city.crt", folder / "city.key"
    settings = {setting.key: setting.value for setting in missing_settings({}, site)}
    for path, key in zip(paths, (AUTHORITY, CERTIFICATE, PRIVATE_KEY), strict=True):
        path.write_text(settings[key])
    return paths


@pytest.fixture
def judge(site: Site, papers: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch) -> Judge:
    """What the suite finds of a city that behaves so, by claim."""
    monkeypatch.setattr(reports, "SETTLE_S", -14.0)  # a second in all

    def judge_it(behaviour: Behaviour, records: Records | None = None) -> dict[str, Check]:
        async def told(_site: Site, _access: Access, ids: Sequence[str]) -> Records:
            published = dict.fromkeys(ids, 1)
            return records or Records(published, {}, {"description": 0, "clustering": 0})

        monkeypatch.setattr(reports, "records_of", told)
        with serving(behaviour, *papers[1:]) as url:
            found = run(
                site, Access(url, Path("/dev/null"), papers[0]), ["reports"], lambda _: None
            )
        return {check.name: check for check in found.checks}

    return judge_it


def failing(found: dict[str, Check]) -> set[str]:
    return {name for name, check in found.items() if check.verdict == "fail"}


def test_a_city_that_keeps_its_promises_passes(judge: Judge) -> None:
    found = judge(Behaviour())
    assert {check.verdict for check in found.values()} == {"pass"}, found
    assert found["reports that are acknowledged"].figure == "60 of 60"
    assert found["problems whose reports are joined, and theirs alone"].figure == "6 of 6"


@pytest.mark.parametrize(
    ("behaviour", "claims"),
    [
        (
            Behaviour(forgets=10),
            {
                "acknowledged reports that are stored",
                "acknowledged reports that were described, joined and checked",
                "acknowledged reports with live updates of every stage",
            },
        ),
        (Behaviour(refuses=20), {"reports that are acknowledged"}),
        (
            Behaviour(stuck="clustered"),
            {
                "acknowledged reports that were described, joined and checked",
                "acknowledged reports with live updates of every stage",
            },
        ),
        (
            Behaviour(silent="described"),
            {"acknowledged reports with live updates of every stage"},
        ),
        (Behaviour(joins="all"), {"problems whose reports are joined, and theirs alone"}),
        (Behaviour(joins="none"), {"problems whose reports are joined, and theirs alone"}),
        (Behaviour(late_s=1.5), {"95 % are acknowledged within"}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_broken_is_what_fails(judge: Judge, behaviour: Behaviour, claims: set[str]) -> None:
    assert failing(judge(behaviour)) == claims


def test_updates_that_come_again_are_told_and_no_fault(judge: Judge) -> None:
    found = judge(Behaviour(twice=True))
    check = found["acknowledged reports with live updates of every stage"]
    assert (check.verdict, check.detail) == ("pass", "180 updates came again")


def test_a_report_that_kafka_does_not_have_is_lost(judge: Judge) -> None:
    found = judge(Behaviour(), Records({}, {"some": ["reports.submitted.description.dead"]}, {}))
    assert failing(found) == {
        "acknowledged reports that are records of Kafka",
        "dead letters of them",
    }


def test_a_kafka_that_does_not_tell_is_no_verdict(judge: Judge) -> None:
    found = judge(Behaviour(), Records(fault="description: no pod of it runs"))
    unsure = {name for name, check in found.items() if check.verdict == "inconclusive"}
    assert unsure == {
        "acknowledged reports that are records of Kafka",
        "dead letters of them",
        "events that wait for a consumer in the end",
    }
    assert not failing(found)


def test_events_that_wait_are_told(judge: Judge) -> None:
    found = judge(Behaviour(), Records({}, {}, {"description": 7, "clustering": 0}))
    check = found["events that wait for a consumer in the end"]
    assert (check.verdict, check.figure, check.detail) == ("fail", "7", "description 7")


def test_a_city_that_does_not_answer_fails(site: Site, papers: tuple[Path, Path, Path]) -> None:
    access = Access("https://127.0.0.1:9", Path("/dev/null"), papers[0])
    found = run(site, access, ["reports"], lambda _: None)
    assert [check.verdict for check in found.checks] == ["fail"]
    assert "POST /accounts" in found.checks[0].detail


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What was tried, by part or machine, in a cluster that is open to everybody.

    Only the outbox reaches what it needs and no more. All listen but what is in `silent`.
    """
    asked: dict[str, list[str]] = {"silent": []}

    async def places(_bench: object, targets: set[str]) -> dict[str, edges.Place]:
        await asyncio.sleep(0)
        names = sorted(targets - set(asked["silent"]))
        return {name: edges.Place(f"10.0.0.{n}", f"node{n % 2}") for n, name in enumerate(names)}

    async def inside(
        _access: Access, _site: Site, workload: str, _script: str, arguments: Sequence[str]
    ) -> tuple[list[str], str]:
        await asyncio.sleep(0)
        asked[workload] = list(arguments)
        open_ = [f"{told.split('/')[0]}/{told.split('/')[2]}" for told in arguments]
        if workload == "outbox":
            return [name for name in open_ if name in {"cassandra/9042", "kafka/9092"}], ""
        return open_, ""

    async def beside(
        _access: Access, host: str, _script: str, arguments: Sequence[str]
    ) -> tuple[list[str], str]:
        await asyncio.sleep(0)
        asked[host] = list(arguments)
        return [f"{told.split('/')[0]}/{told.split('/')[2]}" for told in arguments], ""

    monkeypatch.setattr(edges, "_places", places)
    monkeypatch.setattr(edges, "python", inside)
    monkeypatch.setattr(edges, "python_on", beside)
    return asked


def tries_edges(site: Site) -> dict[str, Check]:
    """What the suite finds, by claim."""
    access = Access("http://127.0.0.1:9", Path("/dev/null"))
    found = run(site, access, ["edges"], lambda _: None)
    return {check.name: check for check in found.checks}


def test_a_connection_that_is_nobodys_business_is_found(
    site: Site, tried: dict[str, list[str]]
) -> None:
    found = tries_edges(site)
    assert found["every port that is tried has a listener"].verdict == "pass"
    assert found["outbox: connections that it needs"].verdict == "pass"
    assert found["outbox: connections that are nobody's business"].verdict == "pass"
    assert found["backend: connections that are nobody's business"].verdict == "fail"
    assert any(told.startswith("zookeeper/") for told in tried["backend"])
    assert any(told.startswith("zookeeper/") for told in tried["node0"] + tried["node1"])


def test_a_part_that_is_dead_does_not_pass_for_one_that_is_closed(
    site: Site, tried: dict[str, list[str]]
) -> None:
    whole = tries_edges(site)["outbox: connections that are nobody's business"]
    tried["silent"] = ["zookeeper", "cassandra"]
    found = tries_edges(site)
    listening = found["every port that is tried has a listener"]
    assert (listening.verdict, "zookeeper/2181" in listening.detail) == ("fail", True)
    assert not any(told.startswith("zookeeper/") for told in tried["outbox"])
    left = found["outbox: connections that are nobody's business"]
    assert (left.verdict, left.samples < whole.samples) == ("pass", True)
    # What it needs is missing rather than left out.
    assert found["outbox: connections that it needs"].figure == "1 of 2"


def test_a_part_that_needs_what_it_does_not_reach_is_found(
    site: Site, monkeypatch: pytest.MonkeyPatch, tried: dict[str, list[str]]
) -> None:
    async def nothing(*_: object) -> tuple[list[str], str]:
        await asyncio.sleep(0)
        return [], ""

    monkeypatch.setattr(edges, "python", nothing)
    found = tries_edges(site)["outbox: connections that it needs"]
    assert (found.verdict, found.figure) == ("fail", "0 of 2")
    assert "node0" in tried


def test_only_a_connection_that_was_made_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        ports = [each.getsockname()[1] for each in (listening, deaf)]
        # Of a network for documentation: nobody answers.
        told = [*(f"it/127.0.0.1/{port}" for port in ports), "far/192.0.2.1/80"]
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", edges._SCRIPT, *told], capture_output=True, check=True
        )
    assert json.loads(done.stdout) == [f"it/{ports[0]}"]
    assert time.monotonic() - began < edges.CONNECTS_WITHIN_S + 3


def test_connections_that_cannot_be_tried_are_no_verdict(
    site: Site, monkeypatch: pytest.MonkeyPatch, tried: dict[str, list[str]]
) -> None:
    async def nobody(*_: object) -> tuple[None, str]:
        await asyncio.sleep(0)
        return None, "backend: no pod of it runs"

    monkeypatch.setattr(edges, "python", nobody)
    monkeypatch.setattr(edges, "python_on", nobody)
    assert {check.verdict for check in tries_edges(site).values()} == {"inconclusive"}
    assert tried == {"silent": []}
