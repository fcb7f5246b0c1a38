"""`hearth backup` and `hearth restore` on a real PostgreSQL: all comes back, or nothing changes.

ssh and docker are scripts that run the same commands here.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from components.homelab.postgres import schema_script
from hearth.backup import unknown_steps
from hearth.cli import main
from inventory.paths import PROJECT
from services.assistant import migrate
from services.keeper.snapshot import Postgres as Kept
from tests.services.keepers import FakeS3, Lab, grafana_running
from tests.services.servers import Postgres, programs

SSH = """#!/bin/sh
printf '%s\\n' "$*" >>{home}/said
for last; do :; done
exec sh -c "$last"
"""
DOCKER = """#!/bin/sh
case "$1" in
    inspect) [ ! -e {home}/stopped ] && echo true; exit ;;
    exec) shift ;;
esac
[ "$1" = -i ] && shift
shift
case "$1" in
    python3) shift; exec {python} "$@" ;;
esac
exec "$@"
"""
ROWS = "SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {} t"
FILL = """
INSERT INTO users (name, first_seen, last_seen)
SELECT 'user ' || n, now(), now() FROM generate_series(1, 40) n;
INSERT INTO conversations SELECT gen_random_uuid(), id, now(), now() FROM users;
INSERT INTO messages (id, conversation_id, role, content, at, ordinal, truncated, cached)
SELECT gen_random_uuid(), id, 'user', E'it''s "quoted"\\n\\\\. ' || repeat('ü', 500), now(), 1,
       false, false FROM conversations;
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Hearth = Callable[..., Ended]


class KeptLab:
    """The lab whose data is kept."""

    def __init__(self, lab: Lab, cluster: Postgres, s3: FakeS3) -> None:
        self.lab, self.cluster, self.s3 = lab, cluster, s3

    def sql(self, statement: str, user: str = "hearth") -> list[asyncpg.Record]:
        """What the database answers."""

        async def ask() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(
                host="127.0.0.1", port=self.cluster.port, user=user, database="hearth"
            )
            try:
                return list(await connection.fetch(statement))
            finally:
                await connection.close()

        return asyncio.run(ask())

    def fill(self) -> None:
        """Let people have said things."""
        for statement in FILL.strip().split(";\n"):
            self.sql(statement)

    @property
    def contents(self) -> dict[str, str]:
        """Each table's digest, and what the roles may do with it."""
        tables = self.sql(
            "SELECT oid::regclass::text AS name, coalesce(relacl::text, '') AS may FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        return {
            row["name"]: f"{self.sql(ROWS.format(row['name']))[0][0]} {row['may']}"
            for row in tables
        }


@pytest.fixture
def kept(tmp_path: Path, cluster: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeptLab]:
    found = {name: programs(name) for name in ("pg_dump", "pg_restore", "psql")}
    if None in found.values():
        pytest.skip("PostgreSQL's client is not installed (pg_dump, pg_restore, psql)")
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("ssh", SSH), ("docker", DOCKER)):
        (folder / name).write_text(text.format(home=tmp_path, python=sys.executable))
        (folder / name).chmod(0o755)
    place = next(iter(path.parent for path in found.values() if path))
    for key, value in {
        "PATH": f"{folder}:{place}:{os.environ['PATH']}",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(cluster.port),
        "PYTHONPATH": str(PROJECT),
        "KEEPER_CONFIG": str(tmp_path / "settings" / "keeper.json"),
    }.items():
        monkeypatch.setenv(key, value)
    with FakeS3().running() as s3, grafana_running(tmp_path / "grafana") as grafana:
        for number in range(3):
            s3.put(f"/images/{number}.png", f"pixels {number}".encode())
        lab = Lab(tmp_path).with_store(s3.url).with_grafana(grafana)
        lab.with_database(cluster.port, "hearth").write()
        asyncio.run(_fresh(cluster))
        _provision()
        yield KeptLab(lab, cluster, s3)


async def _fresh(cluster: Postgres) -> None:
    """An empty database, as a new container's."""
    if cluster.process is None:
        await cluster.start()
    owner = await cluster.connect()
    if not await owner.fetch("SELECT FROM pg_roles WHERE rolname = 'hearth'"):
        await owner.execute("CREATE ROLE hearth SUPERUSER LOGIN")
    await owner.execute("DROP DATABASE IF EXISTS hearth WITH (FORCE)")
    await owner.execute("CREATE DATABASE hearth OWNER hearth")
    await owner.close()


def _provision() -> None:
    """The roles and the schema, by the script that a machine runs."""
    roles = ("assistant", "dashboards", "monitor", "backup")
    script = schema_script("postgres", dict.fromkeys(roles, "secret"))
    assert os.system(f"set -e\n{script}") == 0  # noqa: S605 - the component's own text


@pytest.fixture
def hearth(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Hearth:
    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["hearth", *arguments])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        printed = capfd.readouterr()
        return Ended(code, printed.out, printed.err)

    return run


def test_the_backup_role_may_read_everything_and_change_nothing(kept: KeptLab) -> None:
    kept.fill()
    assert kept.sql("SELECT count(*) FROM messages", "backup")[0][0] == 40
    for statement in (
        "DELETE FROM messages",
        "UPDATE users SET name = ''",
        "INSERT INTO deliveries VALUES (gen_random_uuid(), 1, now())",
        "DROP TABLE messages",
        "CREATE TABLE mine (a int)",
        "CREATE ROLE another",
        "COPY users TO '/tmp/users'",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            kept.sql(statement, "backup")


def test_a_backup_says_what_was_in_each_table(kept: KeptLab, hearth: Hearth) -> None:
    kept.fill()
    ended = hearth("backup", "sandbox", "--json")
    assert ended.code == 0, ended.err
    made = json.loads(ended.out)
    tables = made["postgres"]["tables"]
    assert (tables["public.users"], tables["public.messages"]) == (40, 40)
    assert tables["public.schema_migrations"] == len(migrate.steps())
    assert made["postgres"]["migrations"] == {s.name: s.sha256 for s in migrate.steps()}
    assert len(made["minio"]["buckets"]["images"]) == 3


def test_a_lost_lab_comes_back_from_a_file(kept: KeptLab, hearth: Hearth, tmp_path: Path) -> None:
    kept.fill()
    before, objects = kept.contents, kept.s3.in_bucket("images")
    file = tmp_path / "lab.tar"
    ended = hearth("backup", "sandbox", "--to", str(file))
    assert ended.code == 0, ended.err
    assert file.stat().st_mode & 0o777 == 0o600

    shutil.rmtree(kept.lab.home / "backups")
    kept.s3.objects.clear()
    asyncio.run(_fresh(kept.cluster))
    _provision()
    ended = hearth("restore", "sandbox", "--from", str(file), "--yes")
    assert ended.code == 0, ended.out + ended.err
    assert kept.contents == before
    assert kept.s3.in_bucket("images") == objects
    # What was there was kept first.
    reasons = [made.reason for made in map(kept.lab.store.manifest, kept.lab.store.ids())]
    assert [reason.partition(" of ")[0] for reason in reasons] == ["by hand", "before a restore"]
    # New rows get numbers of their own, and its role may write.
    kept.sql(
        "INSERT INTO users (name, first_seen, last_seen) VALUES ('new', now(), now())", "assistant"
    )


def test_a_restore_takes_what_came_later_away(kept: KeptLab, hearth: Hearth) -> None:
    before = kept.contents
    assert hearth("backup", "sandbox").code == 0
    kept.fill()
    # A later step of the schema, which holds on to what a dump would drop.
    kept.sql("CREATE TABLE later (id int, user_id bigint REFERENCES users)")
    ended = hearth("restore", "sandbox", "--only", "postgres", "--yes")
    assert ended.code == 0, ended.out + ended.err
    assert kept.contents == before


def test_a_restore_can_be_repeated_and_undone(kept: KeptLab, hearth: Hearth) -> None:
    before = kept.contents
    assert hearth("backup", "sandbox").code == 0
    kept.fill()
    filled = kept.contents
    for _ in range(2):
        assert hearth("restore", "sandbox", "--only", "postgres", "--yes").code == 0
        assert kept.contents == before
    undo = kept.lab.store.ids()[1]
    assert hearth("restore", "sandbox", undo, "--only", "postgres", "--yes").code == 0
    assert kept.contents == filled


def test_without_a_yes_nothing_is_changed(
    kept: KeptLab, hearth: Hearth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert hearth("backup", "sandbox").code == 0
    kept.fill()
    before = kept.contents
    ended = hearth("restore", "sandbox")
    assert ended.code == 1
    assert "pi52.postgres: 8 tables, " in ended.out
    assert "in place of everything in it" in ended.out
    assert kept.contents == before
    assert len(kept.lab.store.ids()) == 1


def spoil_dump(kept: KeptLab, snapshot_id: str) -> None:
    """Make a dump lie about its rows, in a way that its digest does not tell."""
    path = kept.lab.store.file(snapshot_id, "manifest.json")
    document = json.loads(path.read_text())
    document["postgres"]["tables"]["public.users"] += 1
    path.write_text(json.dumps(document))


def test_where_the_rows_are_not_the_backups_nothing_is_committed(
    kept: KeptLab, hearth: Hearth
) -> None:
    assert hearth("backup", "sandbox").code == 0
    (snapshot_id,) = kept.lab.store.ids()
    spoil_dump(kept, snapshot_id)
    kept.fill()
    before = kept.contents
    ended = hearth("restore", "sandbox", snapshot_id, "--yes")
    assert ended.code == 1
    assert "public.users: not 1 rows, as in the backup" in ended.err
    assert "is what it was" in ended.err
    assert kept.contents == before


@pytest.mark.parametrize("part", ["grafana.json", "postgres.dump"])
def test_a_tampered_backup_is_refused_before_anything_is_touched(
    kept: KeptLab, hearth: Hearth, part: str
) -> None:
    assert hearth("backup", "sandbox").code == 0
    (snapshot_id,) = kept.lab.store.ids()
    path = kept.lab.store.file(snapshot_id, part)
    path.write_bytes(path.read_bytes()[:-1])
    before = kept.contents
    ended = hearth("restore", "sandbox", snapshot_id, "--yes")
    assert ended.code == 1
    assert f"{snapshot_id}/{part}: is not what was written" in ended.err
    assert kept.contents == before
    assert len(kept.lab.store.ids()) == 1


def test_a_dump_that_breaks_off_changes_nothing(
    kept: KeptLab, hearth: Hearth, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.fill()
    assert hearth("backup", "sandbox").code == 0
    kept.sql("DELETE FROM messages")
    before = kept.contents
    monkeypatch.setattr("hearth.backup.DUMP", "manifest.json")
    ended = hearth("restore", "sandbox", "--only", "postgres", "--yes")
    assert ended.code == 1
    assert "the backup broke off" in ended.err
    assert kept.contents == before


def test_what_does_not_run_is_told_before_anything_is_touched(
    kept: KeptLab, hearth: Hearth
) -> None:
    assert hearth("backup", "sandbox").code == 0
    (kept.lab.home / "stopped").touch()
    ended = hearth("restore", "sandbox", "--yes")
    assert ended.code == 1
    for service in ("pi52.postgres", "pi52.minio", "pi41.grafana"):
        assert f"{service}: does not run" in ended.err
    assert len(kept.lab.store.ids()) == 1


def test_no_secret_stands_on_a_command_line(kept: KeptLab, hearth: Hearth) -> None:
    assert hearth("backup", "sandbox").code == 0
    assert hearth("restore", "sandbox", "--yes").code == 0
    said = (kept.lab.home / "said").read_text()
    assert "pg_restore" in said
    assert "secret" not in said


def test_backups_are_listed(kept: KeptLab, hearth: Hearth) -> None:
    for _ in range(2):
        assert hearth("backup", "sandbox").code == 0
    ids = kept.lab.store.ids()
    lines = hearth("backups", "sandbox").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ids
    told = json.loads(hearth("backups", "sandbox", "--json").out)
    assert [made["id"] for made in told] == ids


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "redis"], "--only: no such part (redis); known are postgres, minio, grafana"),
        (["20200101T030000Z", "--from", "x.tar"], "name a backup or a file, not both"),
        (["20200101T030000Z"], "20200101T030000Z: no such backup"),
        (["--from", "/nowhere/x.tar"], "/nowhere/x.tar: cannot be read"),
    ],
)
@pytest.mark.usefixtures("kept")
def test_what_cannot_be_meant_is_told(hearth: Hearth, arguments: list[str], told: str) -> None:
    ended = hearth("restore", "sandbox", "--yes", *arguments)
    assert ended.code == 1
    assert told in ended.err


def dumped(**migrations: str) -> Kept:
    """What a manifest says of a database with these steps."""
    return Kept(
        service="pi52.postgres",
        bytes=1,
        sha256="0" * 64,
        database="hearth",
        tables={},
        migrations=migrations,
        server="15.1",
        client="15.1",
    )


def test_an_older_schema_fits_and_an_unknown_one_is_told() -> None:
    first, second = migrate.steps()[:2]
    assert list(unknown_steps(dumped(**{first.name: first.sha256}))) == []
    for name, sha256 in (("9999_later.sql", "0" * 64), (second.name, "0" * 64)):
        (told,) = unknown_steps(dumped(**{first.name: first.sha256, name: sha256}))
        assert f"a step that is not known here ({name}); use the Hearth that made" in told


def test_a_site_without_the_service_is_told(hearth: Hearth) -> None:
    minimal = str(PROJECT / "tests/sites/valid/minimal.yaml")
    ended = hearth("backup", minimal)
    assert ended.code == 1
    assert ended.err == "minimal: no backup service; place one, and provision\n"
