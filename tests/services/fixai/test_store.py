"""What is kept, in a real Cassandra."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

import pytest

from services.fixai import events, migrate, roles
from services.fixai.database import Away, Database
from services.fixai.events import ReportCommented, Says
from services.fixai.schema import VERSIONS
from services.fixai.settings import Settings
from services.fixai.store import Account, Comment, Request, Spot, Store, bucket_of, days_back
from tests.services.fixai import stacks
from tests.services.fixai.crashing import described
from tests.services.fixai.processes import Server
from tests.services.fixai.stacks import PRAGUE, Stack, submitted

BUCKETS = 8


def with_store(stack: Stack, claim: Callable[[Store], Awaitable[None]]) -> None:
    """Hold a claim against the database."""

    async def run() -> None:
        async with roles.stored(stack.settings) as store:
            await claim(store)

    asyncio.run(run())


def test_a_report_its_place_and_its_event_are_kept_together(stack: Stack) -> None:
    async def claim(store: Store) -> None:
        event = submitted()
        await store.submit(event)
        report = await store.report(event.report_id)
        assert report is not None
        assert (report.text, report.status) == (event.text, "submitted")
        assert report.submitted_at == event.submitted_at
        found = await store.near(*PRAGUE, 100, days_back(event.at.date(), 1), 50)
        assert event.report_id in {spot.id for spot in found.spots}
        waiting = await store.waiting(bucket_of(event.report_id, BUCKETS), 1000, None)
        assert [w.event for w in waiting if w.key == event.key] == [event.encode()]

    with_store(stack, claim)


def test_a_report_that_is_kept_twice_is_one_and_is_published_once(stack: Stack) -> None:
    async def claim(store: Store) -> None:
        event = submitted()
        bucket = bucket_of(event.report_id, BUCKETS)

        async def waiting() -> list[bytes]:
            found = await store.waiting(bucket, 1000, None)
            mine = [w for w in found if w.key == event.key]
            await store.published(mine)
            return [w.event for w in mine]

        await store.submit(event)
        await store.submit(event)
        assert await waiting() == [event.encode()]
        # The client asks again after the event was published and deleted.
        await store.submit(event)
        assert await waiting() == []

    with_store(stack, claim)


def test_a_request_with_a_key_is_the_first_that_had_it(stack: Stack) -> None:
    async def claim(store: Store) -> None:
        account = uuid4()
        asked = [Request(uuid4(), str(n), events.now()) for n in range(5)]
        answered = await asyncio.gather(*(store.request(account, "k", r) for r in asked))
        assert len({request.id for request in answered}) == 1
        assert await store.request(uuid4(), "k", asked[0]) == asked[0]

    with_store(stack, claim)


def test_a_name_is_one_accounts(stack: Stack) -> None:
    async def claim(store: Store) -> None:
        name = f"n{uuid4().hex[:8]}"
        first, second = (Account(uuid4(), name, p, events.now()) for p in "ab")
        assert await store.add_account(first)
        assert await store.add_account(first), "the answer to the first may have got lost"
        assert not await store.add_account(second)
        assert await store.account(name) == first
        assert await store.account("nobody") is None

    with_store(stack, claim)


def test_a_search_pages_through_all_that_is_near_newest_first(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.fixai.store._SPOTS", 7)  # so that a cell has several pages

    async def claim(store: Store) -> None:
        now = events.now()
        # On the corner of four cells: every page is merged from all of them.
        corner = (45.0, 0.0)
        near = [
            submitted(
                at=now - timedelta(hours=n),
                place=(45 + (-1) ** n * 0.001, (-1) ** (n // 2) * 0.001),
            )
            for n in range(60)
        ]
        far = submitted(at=now, place=(45.02, 0.0))
        same_moment = [submitted(at=now, place=corner) for _ in range(10)]
        for event in [*near, far, *same_moment]:
            await store.submit(event)
        days, after = days_back(now.date(), 4), None
        found: list[Spot] = []
        while True:
            page = await store.near(*corner, 500, days, 9, after)
            found += page.spots
            after = page.after
            if after is None:
                break
            assert len(page.spots) == 9
        assert {spot.id for spot in found} == {e.report_id for e in [*near, *same_moment]}
        assert len(found) == 70
        assert found == sorted(found, key=lambda s: (s.submitted_at, s.id.bytes), reverse=True)

    with_store(stack, claim)


def test_a_late_repetition_of_an_older_description_changes_nothing(stack: Stack) -> None:
    async def claim(store: Store) -> None:
        event = submitted()
        await store.submit(event)
        old = described(event)
        new = old.model_copy(update={"title": "newer", "at": event.at + timedelta(seconds=1)})
        await store.described(new)
        await store.described(old)
        report = await store.report(event.report_id)
        assert report is not None
        assert (report.title, report.status) == ("newer", "described")

    with_store(stack, claim)


def test_comments_are_paged_oldest_first(stack: Stack) -> None:
    async def claim(store: Store) -> None:
        report, now = submitted(), events.now()
        said = [
            Comment(
                uuid4(), report.report_id, now + timedelta(seconds=n), uuid4(), "a", str(n), says
            )
            for n, says in enumerate([None, Says.RESOLVED, Says.STILL_THERE])
        ]
        for comment in said:
            event = ReportCommented(
                report_id=report.report_id,
                at=comment.at,
                submitted_at=comment.at,
                author=comment.author,
                latitude=0,
                longitude=0,
                comment_id=comment.id,
                text=comment.text,
            )
            await store.comment(comment, event)
        first = await store.comments(report.report_id, 2)
        assert first == said[:2]
        rest = await store.comments(report.report_id, 2, (first[-1].at, first[-1].id))
        assert rest == said[2:]

    with_store(stack, claim)


def test_the_first_effect_of_an_event_holds(stack: Stack) -> None:
    async def claim(store: Store) -> None:
        event = uuid4()
        assert await store.effect("description", event) is None
        kept = await asyncio.gather(
            *(store.keep_effect("description", event, bytes([n])) for n in range(5))
        )
        assert len(set(kept)) == 1
        assert await store.effect("description", event) == kept[0]
        assert await store.effect("clustering", event) is None

    with_store(stack, claim)


def test_a_bucket_has_one_owner_until_its_lease_ends(stack: Stack) -> None:
    async def claim(store: Store) -> None:
        assert await store.lease(100, "a", 1)
        assert not await store.lease(100, "b", 1)
        assert await store.lease(100, "a", 1)
        await asyncio.sleep(1.2)
        assert await store.lease(100, "b", 60)
        await store.release(100, "a")
        assert not await store.lease(100, "a", 1), "only the owner gives it back"
        await store.release(100, "b")
        assert await store.lease(100, "a", 1)

    with_store(stack, claim)


def test_a_silent_database_is_away_and_answers_again_by_itself(
    stack: Stack, cassandra_server: Server
) -> None:
    cassandra = stack.settings.cassandra.model_dump(mode="json") | {"timeout_seconds": 0.5}
    quick = stack.ported(cassandra=cassandra)

    async def claim(store: Store) -> None:
        event = submitted()
        await store.report(event.report_id)
        with cassandra_server.paused(), pytest.raises(Away, match="cassandra does not answer"):
            await store.submit(event)
        async with asyncio.timeout(30):
            while True:
                with suppress(Away):
                    await store.submit(event)
                    break
                await asyncio.sleep(0.2)
        assert await store.report(event.report_id) is not None

    with_store(quick, claim)


def on_database(settings: Settings, claim: Callable[[Database], Awaitable[None]]) -> None:
    """Hold a claim against the database without its keyspace."""

    async def run() -> None:
        database = await Database.connect(
            settings.cassandra, "cassandra", "cassandra", keyspace=False
        )
        try:
            await claim(database)
        finally:
            await database.close()

    asyncio.run(run())


def test_migrations_that_start_at_once_apply_each_version_once(stack: Stack) -> None:
    told = stack.settings.cassandra.model_copy(update={"keyspace": stacks.keyspace()})

    async def claim(database: Database) -> None:
        async def patient() -> int:
            while True:
                try:
                    return await migrate.migrate(database, told)
                except Away:
                    await asyncio.sleep(0.2)

        assert sorted(await asyncio.gather(patient(), patient(), patient())) == [
            0,
            0,
            len(VERSIONS),
        ]

    on_database(stack.settings, claim)


def test_a_new_version_is_applied_on_top_and_a_failed_one_again(stack: Stack) -> None:
    told = stack.settings.cassandra.model_copy(update={"keyspace": stacks.keyspace()})
    first = ("CREATE TABLE IF NOT EXISTS {keyspace}.one (id int PRIMARY KEY)",)
    second = ("CREATE TABLE IF NOT EXISTS {keyspace}.two (id int PRIMARY KEY)",)

    async def claim(database: Database) -> None:
        assert await migrate.migrate(database, told, [first]) == 1
        with pytest.raises(Exception, match="nonsense"):
            await migrate.migrate(database, told, [first, (*second, "nonsense")])
        assert await migrate.migrate(database, told, [first, second]) == 1
        await database.plain(f"SELECT * FROM {told.keyspace}.two")  # noqa: S608 - its own name

    on_database(stack.settings, claim)


def test_on_a_new_database_our_account_takes_the_place_of_its_own(stack: Stack) -> None:
    folder = stack.folder / "takeover"
    told = stack.settings.model_copy(
        update={
            "cassandra": stack.settings.cassandra.model_copy(
                update={"keyspace": stacks.keyspace()}
            ),
            "secrets": stack.settings.secrets.model_copy(update={"folder": folder}),
        }
    )
    stacks.write_secrets(folder, {"cassandra": {"user": "fixai", "password": "it's a secret"}})

    async def run() -> None:
        assert await migrate.tables(told) == len(VERSIONS)
        ours = await Database.connect(told.cassandra, "fixai", "it's a secret")
        try:
            rows = await ours.plain(
                "SELECT can_login, is_superuser FROM system_auth.roles WHERE role = 'cassandra'"
            )
            assert [tuple(row) for row in rows] == [(False, False)]
            assert await migrate.tables(told) == 0
        finally:
            await ours.plain("ALTER ROLE cassandra WITH SUPERUSER = true AND LOGIN = true")
            await ours.close()

    asyncio.run(run())
