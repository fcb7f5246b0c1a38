"""What HAProxy, Redis and nginx do with their rendered files: who gets in, and how often."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from components.homelab.routing import key_map
from tests.components.gateway import KEYS, PASSWORD, SECONDS, Gateway, ask, needs, running, told

pytestmark = needs("haproxy", "redis-server")
PHONE, SMOKE = KEYS["phone"], KEYS["smoke"]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running(tmp_path) as found:
        yield found


def wait(true: Callable[[], bool]) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"apikey": ""},
        {"apikey": "a-wrong-key"},
        {"Authorization": "Bearer a-wrong-key"},
        {"Authorization": f"Basic {PHONE}"},
        {"X-Consumer-Username": "phone"},
        # The digest, which its file tells, is no key.
        {"apikey": key_map({"phone": PHONE}).split()[0]},
    ],
    ids=["none", "empty", "wrong", "wrong bearer", "another scheme", "a claim", "its digest"],
)
def test_without_a_valid_key_nobody_gets_in(gateway: Gateway, headers: dict[str, str]) -> None:
    answer = ask(gateway.url, **headers)
    assert (answer.status, told(answer.body)) == (401, "no valid API key")
    assert answer.headers["www-authenticate"] == 'Key realm="hearth"'
    assert gateway.upstream.seen == []


@pytest.mark.parametrize("headers", [{"apikey": PHONE}, {"Authorization": f"Bearer {PHONE}"}])
def test_the_upstream_is_told_who_asks_and_never_the_key(
    gateway: Gateway, headers: dict[str, str]
) -> None:
    answer = ask(gateway.url, **{**headers, "X-Consumer-Username": "somebody-else"})
    assert answer.status == 200
    (seen,) = gateway.upstream.seen
    assert seen["x-consumer-username"] == "phone"
    assert "apikey" not in seen
    assert "authorization" not in seen
    assert PHONE not in str(seen)


def test_no_key_and_no_password_stands_in_haproxys_files_but_the_one_for_it(
    gateway: Gateway,
) -> None:
    texts = {p.name: p.read_text() for p in gateway.folder.iterdir()}
    assert not [name for name, text in texts.items() if PHONE in text or SMOKE in text]
    assert [name for name, text in texts.items() if "the-password" in text] == ["redis-password"]


def test_what_is_no_route_needs_no_key(gateway: Gateway) -> None:
    assert ask(gateway.url.replace("/api/", "/nothing/")).status == 404


def statuses(gateway: Gateway, key: str, count: int) -> list[int]:
    return [ask(gateway.url, apikey=key).status for _ in range(count)]


def test_a_client_that_asks_for_too_much_is_told_when_to_come_back(gateway: Gateway) -> None:
    assert statuses(gateway, PHONE, 4) == [200, 200, 200, 429]
    refused = ask(gateway.url, apikey=PHONE)
    assert (refused.status, told(refused.body)) == (429, "too many requests")
    # To the end of the hour on the clock.
    left = 3600 - time.time() % 3600
    assert int(refused.headers["retry-after"]) == pytest.approx(left, abs=2)


def test_each_client_has_a_limit_of_its_own(gateway: Gateway) -> None:
    assert statuses(gateway, PHONE, 4)[-1] == 429
    assert statuses(gateway, SMOKE, 3) == [200] * 3


def test_who_has_no_key_spends_nothing_of_a_limit(gateway: Gateway) -> None:
    assert {ask(gateway.url).status for _ in range(5)} == {401}
    assert statuses(gateway, PHONE, 4) == [200, 200, 200, 429]


def test_a_limit_is_still_in_force_after_haproxy_was_restarted(gateway: Gateway) -> None:
    assert statuses(gateway, PHONE, 2) == [200, 200]
    gateway.haproxy.stop()
    gateway.haproxy.start()
    assert statuses(gateway, PHONE, 2) == [200, 429]


def test_a_count_goes_when_its_window_is_over(gateway: Gateway) -> None:
    statuses(gateway, PHONE, 1)
    with redis.Redis(port=gateway.redis.port, password=PASSWORD) as found:
        (name,) = found.keys()
        start = time.time() // 3600 * 3600
        assert name.decode() == f"limit:chat1:3600:phone:{start:.0f}"
        assert 0 < found.ttl(name) <= 3600


def test_requests_at_once_are_counted_one_by_one(gateway: Gateway) -> None:
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.extend(statuses(gateway, PHONE, 3))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(found) == {200: 3, 429: 21}


def test_requests_pass_while_redis_is_down_and_are_counted_when_it_is_back(
    gateway: Gateway,
) -> None:
    gateway.redis.stop()
    assert statuses(gateway, PHONE, 5) == [200] * 5
    assert "limit of chat1 not counted by Redis: no " in gateway.haproxy.log
    gateway.redis.start()
    # It has forgotten all, and HAProxy looks for it once a second.
    wait(lambda: 429 in statuses(gateway, PHONE, 4))


def test_a_redis_that_does_not_answer_holds_requests_up_a_tenth_of_a_second(
    gateway: Gateway,
) -> None:
    gateway.redis.signal(signal.SIGSTOP)
    started = time.monotonic()
    assert statuses(gateway, PHONE, 1) == [200]
    assert 0.1 <= time.monotonic() - started < 1
    assert "not counted by Redis: no answer" in gateway.haproxy.log


def test_a_wrong_password_of_redis_lets_requests_pass_and_is_told(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        gateway.haproxy.stop()
        (gateway.folder / "redis-password").write_text("another\n")
        gateway.haproxy.start()
        assert statuses(gateway, PHONE, 4) == [200] * 4
        assert "not counted by Redis: -WRONGPASS" in gateway.haproxy.log


def test_a_changed_map_of_keys_is_read_without_losing_a_request(tmp_path: Path) -> None:
    with running(tmp_path, requests=100_000) as gateway:
        found: list[int] = []
        over = threading.Event()

        def keep_asking() -> None:
            while not over.is_set():
                found.append(ask(gateway.url, apikey=PHONE).status)

        asker = threading.Thread(target=keep_asking)
        asker.start()
        try:
            assert ask(gateway.url, apikey="the-key-of-the-laptop").status == 401
            keys = {**KEYS, "laptop": "the-key-of-the-laptop"}
            (gateway.folder / "keys.map").write_text(key_map(keys))
            for _ in range(SECONDS):
                # More than once: a master that is still starting overlooks a signal.
                gateway.haproxy.signal(signal.SIGUSR2)
                time.sleep(1)
                if ask(gateway.url, apikey="the-key-of-the-laptop").status == 200:
                    break
            else:
                pytest.fail("the new key is not known")
        finally:
            over.set()
            asker.join()
    assert len(found) > 5
    assert set(found) == {200}


def test_without_clients_the_routes_are_open_and_limited_by_address(tmp_path: Path) -> None:
    with running(tmp_path, keys={}) as gateway:
        # The last address is what nginx saw.
        one = {"X-Forwarded-For": "10.0.0.9, 10.0.0.1", "X-Consumer-Username": "phone"}
        assert [ask(gateway.url, **one).status for _ in range(4)] == [200, 200, 200, 429]
        assert ask(gateway.url, **{"X-Forwarded-For": "10.0.0.2"}).status == 200
        assert ask(gateway.url).status == 200
        assert not any("x-consumer-username" in seen for seen in gateway.upstream.seen)


@needs("nginx")
def test_nginx_hands_the_key_on_and_the_engines_name_for_its_owner_to_nobody(
    tmp_path: Path,
) -> None:
    with running(tmp_path, with_nginx=True) as gateway:
        assert ask(gateway.front).status == 401
        answer = ask(gateway.front, apikey=PHONE)
        assert answer.status == 200
        assert "x-consumer-username" not in answer.headers
        assert ask(gateway.front, Authorization=f"Bearer {PHONE}").status == 200
        assert [s["x-consumer-username"] for s in gateway.upstream.seen] == ["phone"] * 2


@needs("nginx")
def test_a_fallback_is_told_who_asks_and_never_the_key(tmp_path: Path) -> None:
    with running(tmp_path, with_nginx=True) as gateway:
        config = gateway.folder / "haproxy.cfg"
        dead = config.read_text().replace(f":{gateway.upstream.port} ", ":1 ")
        config.write_text(dead)
        gateway.haproxy.stop()
        gateway.haproxy.start()
        assert ask(gateway.front).status == 401
        headers = {"apikey": PHONE, "Authorization": f"Bearer {PHONE}"}
        assert ask(gateway.front, **headers, **{"X-Consumer-Username": "x"}).status == 200
        (seen,) = gateway.fallback.seen
        assert seen["x-consumer-username"] == "phone"
        assert PHONE not in str(seen)


@needs("nginx")
@pytest.mark.parametrize(("keys", "status"), [(KEYS, 503), ({}, 200)], ids=["clients", "open"])
def test_without_its_engine_a_gateway_lets_nobody_past_who_would_need_a_key(
    tmp_path: Path, keys: dict[str, str], status: int
) -> None:
    with running(tmp_path, keys=keys, with_nginx=True) as gateway:
        gateway.haproxy.stop()
        assert ask(gateway.front, apikey=PHONE).status == status
        assert len(gateway.fallback.seen) == (status == 200)
