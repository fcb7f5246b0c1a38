"""Sessions, storage, monitoring, backups and certificates are held to what the site says."""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hearth.secrets import AUTHORITY, CERTIFICATE, PRIVATE_KEY, missing_settings
from inventory.loading import load
from inventory.model import Range
from smoke.access import Access
from smoke.bench import open_bench
from smoke.prometheus import Series
from smoke.suites import backups, certificates, monitoring, persistence
from tests.smoke.gateway import Behaviour

if TYPE_CHECKING:
    from inventory.model import Site
    from smoke.report import Report
    from smoke.verdict import Check
    from tests.smoke.conftest import Judge

ALL_TURNS = "chat: people, of 15 at once, answered in every turn"
WAITS = "chat: people wait for the first token, 95 % within"


def verdicts(report: Report) -> dict[str, str]:
    """By claim."""
    return {check.name: check.verdict for check in report.checks}


@pytest.fixture
def brisk(site: Site) -> Site:
    """People think for a tenth of a second."""
    route = site.routes["chat"]
    level = route.service_level.model_copy(
        update={"requests_per_minute": Range(low=9000, high=9000)}
    )
    changed = route.model_copy(update={"service_level": level})
    return site.model_copy(update={"routes": {"chat": changed}})


def test_people_who_are_answered_in_every_turn_pass(judge: Judge, brisk: Site) -> None:
    behaviour = Behaviour()
    report = judge(behaviour, "sessions", other=brisk)
    assert verdicts(report) == {ALL_TURNS: "pass", WAITS: "pass"}
    talks = [request["conversation"] for request in behaviour.requests]
    assert sorted(talks.count(talk) for talk in set(talks)) == [3] * 15


def test_people_who_wait_too_long_fail(judge: Judge, brisk: Site) -> None:
    report = judge(Behaviour(delay_s=0.3), "sessions", other=brisk)
    assert verdicts(report) == {ALL_TURNS: "pass", WAITS: "fail"}


def test_a_turn_that_is_cut_short_fails_its_person(judge: Judge, brisk: Site) -> None:
    report = judge(Behaviour(truncate_every=20), "sessions", other=brisk)
    assert verdicts(report)[ALL_TURNS] == "fail"
    assert report.checks[0].figure == "86.7 %"


def test_sessions_that_would_take_minutes_are_left_out(judge: Judge, site: Site) -> None:
    slow = site.routes["chat"].service_level.model_copy(
        update={"requests_per_minute": Range(low=1, high=5)}
    )
    changed = site.routes["chat"].model_copy(update={"service_level": slow})
    report = judge(
        Behaviour(), "sessions", other=site.model_copy(update={"routes": {"chat": changed}})
    )
    assert verdicts(report) == {ALL_TURNS: "unjudged"}
    assert "takes 15 min" in report.checks[0].detail


@pytest.mark.parametrize(
    ("found", "verdict", "detail"),
    [
        ({"a": (1, 1), "b": (1, 1)}, "pass", "0 lost, 0 stored twice"),
        ({"a": (1, 1)}, "fail", "1 lost, 0 stored twice"),
        ({"a": (1, 1), "b": (1, 0)}, "fail", "1 lost, 0 stored twice"),
        ({"a": (1, 1), "b": (2, 2)}, "fail", "0 lost, 1 stored twice"),
        (None, "inconclusive", "the database does not tell"),
    ],
)
def test_what_was_acknowledged_is_stored_once(
    found: dict[str, tuple[int, int]] | None, verdict: str, detail: str
) -> None:
    check = persistence.judge(persistence.CHECK, "chat", found, ["a", "b"])
    assert (check.verdict, check.detail) == (verdict, detail)


def test_nothing_said_shows_nothing_of_what_is_stored() -> None:
    check = persistence.judge(persistence.CHECK, "chat", {}, [])
    assert (check.verdict, check.detail) == ("inconclusive", "nothing was answered")


def test_a_service_that_prometheus_does_not_reach_is_named() -> None:
    site = load("sandbox")
    wanted = sorted(monitoring.with_figures(site))
    assert "pi52.minio" in wanted
    assert "pi51.nginx" not in wanted
    up = [Series({"service": service}, 1.0) for service in wanted]
    assert monitoring.judge(site, up, "").verdict == "pass"
    down = [*up[1:], Series({"service": wanted[0]}, 0.0)]
    check = monitoring.judge(site, down, "")
    assert (check.verdict, check.detail) == ("fail", f"silent: {wanted[0]}")
    assert monitoring.judge(site, [], "ssh: exit 255").verdict == "inconclusive"


@pytest.mark.parametrize(
    ("hours", "verdict", "figure"),
    [((1.0, 2.0), "pass", "2.0 h"), ((1.0, 30.0), "fail", "30.0 h"), ((), "fail", "none")],
)
def test_the_oldest_of_the_last_backups_counts(
    hours: tuple[float, ...], verdict: str, figure: str
) -> None:
    found = [Series({"service": f"s{n}"}, hour * 3600) for n, hour in enumerate(hours)]
    check = backups.judge(found, "")
    assert (check.verdict, check.figure) == (verdict, figure)


@pytest.mark.parametrize(("days", "verdict"), [(22, "pass"), (20, "fail")])
def test_a_certificate_has_to_be_valid_for_three_weeks(days: int, verdict: str) -> None:
    assert certificates.judge(timedelta(days=days), "").verdict == verdict


@pytest.mark.parametrize(("own", "verdict"), [(True, "pass"), (False, "fail")])
def test_a_certificate_of_a_stranger_is_refused(tmp_path: Path, *, own: bool, verdict: str) -> None:
    report = asyncio.run(_shown(tmp_path, own=own))
    assert [check.verdict for check in report] == [verdict]


async def _shown(folder: Path, *, own: bool) -> list[Check]:
    """What the suite says of a server with the lab's certificate, or with another lab's."""
    site = load("sandbox")
    files = {}
    for name in ("own", "other"):
        made = {setting.key: setting.value for setting in missing_settings({}, site)}
        for key in (CERTIFICATE, PRIVATE_KEY, AUTHORITY):
            files[name, key] = folder / f"{name}-{key}"
            files[name, key].write_text(made[key])
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    whose = "own" if own else "other"
    shown.load_cert_chain(files[whose, CERTIFICATE], files[whose, PRIVATE_KEY])
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", ssl=shown)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    access = Access(url, Path("/dev/null"), ca_file=files["own", AUTHORITY])
    async with server, open_bench(site, access, lambda _: None) as bench:
        return await certificates.suite(bench)
