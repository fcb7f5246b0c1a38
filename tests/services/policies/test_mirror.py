"""A copy of the API's objects stays what they are, whatever the API and the network do."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.policies.api import Api, ApiError
from services.policies.mirror import LONGEST_WAIT_S, Mirror
from services.policies.objects import Pod, pod
from tests.services.policies import documents
from tests.services.policies.fake_api import Answer, FakeApi, listed, of, watched

PATH = "/api/v1/pods"
ONE = documents.pod("one", "10.244.0.2")
TWO = documents.pod("two", "10.244.0.3")


class EnoughError(Exception):
    """Ends what would go on for ever."""


class Pauses(list[float]):
    """The pauses that were made, of no length; after so many of them, the end."""

    def __init__(self, many: int) -> None:
        super().__init__()
        self._many = many

    def __call__(self, seconds: float) -> None:
        """Notes one."""
        self.append(seconds)
        if len(self) == self._many:
            raise EnoughError


@pytest.fixture
def api(tmp_path: Path) -> Iterator[FakeApi]:
    """A server."""
    with FakeApi(tmp_path) as found:
        yield found


def mirror(api: FakeApi, pauses: Pauses | None = None) -> Mirror[Pod]:
    """A copy of its pods, of which nothing is known yet."""
    waits = Pauses(9) if pauses is None else pauses
    return Mirror(Api(api.login), PATH, pod, threading.Event(), waits)


def followed(api: FakeApi, *answers: Answer, pauses: int = 1) -> tuple[Mirror[Pod], Pauses]:
    """A copy that was followed through these answers."""
    api.answers = list(answers)
    made = Pauses(pauses)
    it = mirror(api, made)
    with pytest.raises(EnoughError):
        it.follow()
    return it, made


def names(it: Mirror[Pod]) -> list[str] | None:
    """Of what it has."""
    kept = it.all()
    return None if kept is None else sorted(each.name for each in kept)


def test_what_is_listed_is_kept_and_then_changed(api: FakeApi) -> None:
    it, _ = followed(
        api,
        listed("10", ONE),
        watched(
            ("ADDED", of(TWO, "11")),
            ("MODIFIED", of(ONE, "12", tier="edge")),
            ("DELETED", of(TWO, "13")),
            ("BOOKMARK", {"metadata": {"resourceVersion": "20"}}),
        ),
    )
    kept = it.all()
    assert kept is not None
    assert [(each.name, each.labels["tier"]) for each in kept] == [("one", "edge")]
    assert api.asked[1]["resourceVersion"] == "10"


def test_nothing_is_known_before_the_first_list(api: FakeApi) -> None:
    it, _ = followed(api, Answer({"message": "not now"}, 500))
    assert names(it) is None


def test_a_long_list_is_asked_for_page_by_page(api: FakeApi) -> None:
    more = {"continue": "there-is-more"}
    it, _ = followed(api, listed("10", ONE, **more), listed("10", TWO), watched())
    assert names(it) == ["one", "two"]
    assert [asked.get("continue") for asked in api.asked[:2]] == [None, "there-is-more"]


def test_a_watch_that_ends_goes_on_where_it_was(api: FakeApi) -> None:
    bookmark = ("BOOKMARK", {"metadata": {"resourceVersion": "20"}})
    it, _ = followed(
        api,
        listed("10", ONE),
        watched(bookmark),
        watched(("ADDED", of(TWO, "21"))),
        pauses=2,
    )
    assert [asked.get("resourceVersion") for asked in api.asked] == [None, "10", "20"]
    assert names(it) == ["one", "two"]


@pytest.mark.parametrize(
    "gone",
    [
        Answer({"kind": "Status", "code": 410, "message": "too old"}, 410),
        watched(("ERROR", {"kind": "Status", "code": 410, "message": "too old"})),
    ],
)
def test_what_is_too_old_to_be_watched_is_listed_anew(api: FakeApi, gone: Answer) -> None:
    it, pauses = followed(api, listed("10", ONE), gone, listed("50", TWO), watched(), pauses=2)
    assert names(it) == ["two"]  # the other one was deleted meanwhile
    assert api.asked[3]["resourceVersion"] == "50"
    assert len(pauses) == 2


def test_a_connection_that_is_cut_is_made_anew_and_nothing_is_lost(api: FakeApi) -> None:
    it, _ = followed(
        api,
        listed("10", ONE),
        watched(("ADDED", of(TWO, "11")), cut=True),
        watched(("DELETED", of(ONE, "12"))),
        pauses=2,
    )
    assert [asked.get("resourceVersion") for asked in api.asked] == [None, "10", "11"]
    assert names(it) == ["two"]


@pytest.mark.parametrize(
    "bad",
    [
        watched('{"type": "ADDED", "object": {"metadata'),
        watched("<html>a proxy's excuse</html>\n"),
        watched(("ADDED", {"kind": "Pod"})),
        watched(("ERROR", {"code": 500, "message": "etcd is slow"})),
        Answer({"message": "a newer version than there is"}, 504),
    ],
)
def test_a_bad_answer_changes_nothing_and_all_is_listed_anew(api: FakeApi, bad: Answer) -> None:
    it, _ = followed(api, listed("10", ONE), bad, pauses=1)
    assert names(it) == ["one"]
    it, _ = followed(api, listed("10", ONE), bad, listed("50", TWO), watched(), pauses=2)
    assert names(it) == ["two"]


@pytest.mark.parametrize(
    "bad",
    [Answer("nothing"), Answer({"items": None}), Answer([]), Answer({"kind": "Status"})],  # type: ignore[arg-type]
)
def test_an_answer_that_is_no_list_is_none(api: FakeApi, bad: Answer) -> None:
    it, _ = followed(api, bad)
    assert names(it) is None


def test_an_object_that_cannot_be_read_is_named(
    api: FakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    strange = {**ONE, "spec": {}}
    it, _ = followed(api, listed("10", TWO), watched(("ADDED", of(strange, "11"))))
    assert names(it) == ["two"]
    assert "/api/v1/pods: shop/one cannot be read (KeyError('containers'))" in caplog.text


def test_while_the_api_is_away_everything_stays_and_pauses_grow(
    api: FakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [listed("10", ONE), watched(), *[Answer({"message": "starting"}, 503)] * 8]
    it, pauses = followed(api, *answers, pauses=9)
    assert names(it) == ["one"]
    assert pauses[1] < pauses[4] <= LONGEST_WAIT_S
    assert max(pauses) <= LONGEST_WAIT_S
    (told,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "/api/v1/pods: the API says 503 (starting)" in told.getMessage()


def test_a_server_that_ends_every_watch_at_once_is_not_asked_without_a_pause(api: FakeApi) -> None:
    _, pauses = followed(api, listed("10"), *[watched()] * 3, pauses=3)
    assert all(0.5 < seconds <= 1 for seconds in pauses)


def test_a_refusal_says_who_refuses_what(api: FakeApi) -> None:
    api.answers = [Answer({"message": 'pods is forbidden: User "system:node:a" cannot list'}, 403)]
    with pytest.raises(ApiError, match=r"/api/v1/pods: the API says 403 \(pods is forbidden: User"):
        mirror(api).catch_up()


def test_a_certificate_that_was_renewed_is_used_from_the_next_connection_on(api: FakeApi) -> None:
    api.answers = [listed("10"), watched(), watched()]
    it = mirror(api)
    it.catch_up()
    api.issue("second")
    it.catch_up()
    assert api.who == ["first", "first", "second"]


@pytest.mark.usefixtures("api")
def test_a_server_that_another_authority_vouches_for_is_not_believed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with FakeApi(other) as false:
        false.answers = [listed("10", ONE)]
        (other / "authority.pem").write_bytes((tmp_path / "authority.pem").read_bytes())
        it = Mirror(Api(false.login), PATH, pod, threading.Event(), Pauses(1))
        with pytest.raises(EnoughError):
            it.follow()
    assert names(it) is None
    assert "CERTIFICATE_VERIFY_FAILED" in caplog.text


def test_what_decides_nothing_wakes_nobody(api: FakeApi) -> None:
    changed = threading.Event()
    it = Mirror(Api(api.login), PATH, pod, changed, Pauses(9))
    api.answers = [listed("10", ONE), watched()]
    it.catch_up()
    assert changed.is_set()
    changed.clear()
    older = {**ONE, "status": {**ONE["status"], "conditions": [{"type": "Ready"}]}}
    waiting = documents.pod("waiting", "")
    api.answers = [watched(("MODIFIED", of(older, "11")), ("ADDED", of(waiting, "12")))]
    it.catch_up()
    assert not changed.is_set()
    api.answers = [watched(("MODIFIED", of(ONE, "13", tier="edge")))]
    it.catch_up()
    assert changed.is_set()
