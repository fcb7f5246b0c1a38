"""The schema: applied once, the same by both ways, with no more rights than needed."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from services.assistant import migrate
from tests.services.servers import OWNER, ROLE, Postgres, programs


@asynccontextmanager
async def _empty(cluster: Postgres) -> AsyncIterator[str]:
    if cluster.process is None:
        await cluster.start()
    name = f"empty_{uuid4().hex}"
    owner = await cluster.connect()
    await owner.execute(f"CREATE DATABASE {name}")
    await owner.close()
    yield name


def _psql(cluster: Postgres, database: str, script: str) -> subprocess.CompletedProcess[str]:
    psql = programs("psql")
    if psql is None:
        pytest.skip("psql is not installed")
    return subprocess.run(
        [psql, "-h", "127.0.0.1", "-p", str(cluster.port), "-U", OWNER, "-X", "-d", database],
        input=script,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def _dump(cluster: Postgres, database: str) -> str:
    dump = programs("pg_dump")
    if dump is None:
        pytest.skip("pg_dump is not installed")
    place = ["-h", "127.0.0.1", "-p", str(cluster.port), "-U", OWNER]
    done = subprocess.run(
        [dump, *place, database], capture_output=True, text=True, check=True, timeout=30
    )
    # What differs between any two: when a step was applied, and this pg_dump's own token.
    own = ("\\restrict", "\\unrestrict")
    lines = (line for line in done.stdout.splitlines() if not line.startswith(own))
    return "\n".join("\t".join(line.split("\t")[:3]) for line in lines)


def test_applied_twice_is_applied_once(cluster: Postgres) -> None:
    async def check() -> None:
        async with _empty(cluster) as name:
            connection = await cluster.connect(name)
            first = await migrate.migrate(connection)
            assert first == tuple(step.name for step in migrate.steps())
            assert await migrate.migrate(connection) == ()
            await connection.close()

    asyncio.run(check())


def test_many_at_once_are_one_after_the_other(cluster: Postgres) -> None:
    async def check() -> None:
        async with _empty(cluster) as name:
            connections = [await cluster.connect(name) for _ in range(4)]
            applied = await asyncio.gather(*map(migrate.migrate, connections))
            assert sorted(map(len, applied)) == [0, 0, 0, len(migrate.steps())]
            for connection in connections:
                await connection.close()

    asyncio.run(check())


def test_the_script_makes_the_same_database_and_can_be_repeated(cluster: Postgres) -> None:
    async def check() -> None:
        async with _empty(cluster) as ours, _empty(cluster) as theirs:
            connection = await cluster.connect(ours)
            await migrate.migrate(connection)
            await connection.close()
            done = _psql(cluster, theirs, migrate.script())
            assert (done.returncode, done.stderr) == (0, "")
            names = [step.name for step in migrate.steps()]
            assert done.stdout.splitlines() == [f"applied {name}" for name in names]
            assert _dump(cluster, theirs) == _dump(cluster, ours)
            again = _psql(cluster, theirs, migrate.script())
            assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
            connection = await cluster.connect(theirs)
            assert await migrate.migrate(connection) == ()  # each knows what the other did
            await connection.close()

    asyncio.run(check())


def test_what_fails_in_the_middle_leaves_nothing(cluster: Postgres) -> None:
    async def check() -> None:
        wanted = [*migrate.steps()[:1], migrate.Step(2, "0002_wrong.sql", "SELECT nonsense;")]
        async with _empty(cluster) as ours, _empty(cluster) as theirs:
            connection = await cluster.connect(ours)
            with pytest.raises(asyncpg.UndefinedColumnError):
                await migrate.migrate(connection, wanted)
            await connection.close()
            assert _psql(cluster, theirs, migrate.script(wanted)).returncode == 3
            for name in (ours, theirs):
                connection = await cluster.connect(name)
                count = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
                assert await connection.fetchval(count) == 0
                await connection.close()

    asyncio.run(check())


def test_a_step_that_was_edited_is_refused(cluster: Postgres) -> None:
    async def check() -> None:
        first = migrate.steps()[0]
        edited = [migrate.Step(1, first.name, first.sql + "-- edited")]
        async with _empty(cluster) as name:
            connection = await cluster.connect(name)
            await migrate.migrate(connection)
            with pytest.raises(migrate.MigrationError, match=r"0001_conversations\.sql was edited"):
                await migrate.migrate(connection, edited)
            await connection.close()
            done = _psql(cluster, name, migrate.script(edited))
            assert done.returncode == 3
            assert "0001_conversations.sql was edited after it was applied" in done.stderr

    asyncio.run(check())


def test_roles_made_later_get_their_rights_at_the_next_run(cluster: Postgres) -> None:
    async def check() -> None:
        async with _empty(cluster) as name:
            connection = await cluster.connect(name)
            await migrate.migrate(connection)
            await connection.execute(f"REVOKE ALL ON messages FROM {ROLE}")
            await migrate.migrate(connection)
            may = "SELECT has_table_privilege($1, 'messages', 'INSERT')"
            assert await connection.fetchval(may, ROLE)
            await connection.close()

    asyncio.run(check())


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        (ROLE, "DELETE FROM messages"),
        (ROLE, "UPDATE messages SET content = ''"),
        (ROLE, "DROP TABLE messages"),
        ("dashboards", "SELECT content FROM messages"),
        ("dashboards", "SELECT prompt FROM generated_images"),
        ("dashboards", "SELECT code FROM code_snippets"),
    ],
)
def test_no_role_may_more_than_it_needs(
    cluster: Postgres, database: str, role: str, statement: str
) -> None:
    async def check() -> None:
        connection = await cluster.connect(database)
        await connection.execute(f"SET ROLE {role}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
        await connection.close()

    asyncio.run(check())


def test_dashboards_may_read_every_view(cluster: Postgres, database: str) -> None:
    async def check() -> None:
        connection = await cluster.connect(database)
        query = "SELECT table_name FROM information_schema.views WHERE table_schema = 'public'"
        views = [row[0] for row in await connection.fetch(query)]
        assert len(views) == 5
        await connection.execute("SET ROLE dashboards")
        for view in views:
            assert await connection.fetch(f"SELECT * FROM {view}") == []  # noqa: S608
        await connection.close()

    asyncio.run(check())


def test_the_command_migrates_and_says_what_it_did(
    cluster: Postgres, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def make() -> str:
        async with _empty(cluster) as name:
            return name

    name = asyncio.run(make())
    for variable, value in {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(cluster.port),
        "PGUSER": OWNER,
        "PGDATABASE": name,
    }.items():
        monkeypatch.setenv(variable, value)
    assert migrate.main([]) == 0
    assert capsys.readouterr().out.startswith("applied 0001_conversations.sql\napplied 0002")
    assert migrate.main([]) == 0
    assert capsys.readouterr().out == "up to date\n"
    assert migrate.main(["--script"]) == 0
    assert capsys.readouterr().out == migrate.script()


def test_every_table_says_what_it_is(cluster: Postgres, database: str) -> None:
    async def check() -> None:
        connection = await cluster.connect(database)
        silent = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
            "AND relkind IN ('r', 'v') AND obj_description(oid, 'pg_class') IS NULL"
        )
        assert silent == []
        await connection.close()

    asyncio.run(check())


def test_the_files_are_numbered_without_gaps() -> None:
    folder = Path(migrate.__file__).parent / "migrations"
    versions = [step.version for step in migrate.steps()]
    assert versions == list(range(1, len(list(folder.glob("0*.sql"))) + 1))
