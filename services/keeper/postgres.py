"""PostgreSQL, read as it is at one moment."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import asyncpg

from services.keeper import settings, snapshot
from services.keeper.errors import KeeperError, Unreachable

_CONNECT_SECONDS = 10
_LAST_LINES = 4
_TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1, 2
"""
_MIGRATIONS = "SELECT name, sha256 FROM public.schema_migrations ORDER BY version"


def dump(told: settings.Postgres, password: str, path: Path) -> snapshot.Postgres:
    """Write the whole database to a file.

    Raises:
        Unreachable: PostgreSQL does not answer.
        KeeperError: it refuses, or pg_dump fails.
    """
    try:
        return asyncio.run(_dump(told, password, path))
    except (OSError, TimeoutError, asyncpg.CannotConnectNowError) as error:
        what = str(error) or type(error).__name__
        raise Unreachable(f"{told.service}: does not answer ({what}); start it") from None
    except asyncpg.PostgresError as error:
        raise KeeperError(f"{told.service}: refuses ({error}); provision anew") from None


async def _dump(told: settings.Postgres, password: str, path: Path) -> snapshot.Postgres:
    connection = await asyncpg.connect(
        host=told.host,
        port=told.port,
        user=told.user,
        database=told.database,
        password=password,
        timeout=_CONNECT_SECONDS,
    )
    try:
        # What pg_dump writes and what is counted here are the same moment's.
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            moment = await connection.fetchval("SELECT pg_export_snapshot()")
            await asyncio.to_thread(_pg_dump, told, password, moment, path)
            names = [(row[0], row[1]) for row in await connection.fetch(_TABLES)]
            tables = {
                f"{schema}.{table}": await connection.fetchval(
                    f"SELECT count(*) FROM {quoted(schema)}.{quoted(table)}"  # noqa: S608 - quoted
                )
                for schema, table in names
            }
            applied = "public.schema_migrations" in tables
            rows = await connection.fetch(_MIGRATIONS) if applied else []
            server = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    sha256, size = snapshot.digest(path)
    return snapshot.Postgres(
        service=told.service,
        bytes=size,
        sha256=sha256,
        database=told.database,
        tables=tables,
        migrations={row["name"]: row["sha256"] for row in rows},
        server=server.partition(" ")[0],
        client=_version(),
    )


def quoted(name: str) -> str:
    """An identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def _pg_dump(told: settings.Postgres, password: str, moment: str, path: Path) -> None:
    place = ["-h", told.host, "-p", str(told.port), "-U", told.user, "-d", told.database]
    command = ["pg_dump", "--format=custom", f"--snapshot={moment}", f"--file={path}", *place]
    # In a process's environment for its own user to see alone, unlike its command line.
    _run(command, {"PGPASSWORD": password, "PGCONNECT_TIMEOUT": str(_CONNECT_SECONDS)})


def check(path: Path) -> None:
    """Read a dump from its beginning to its end.

    Raises:
        KeeperError: it cannot be read.
    """
    _run(["pg_restore", "--file=/dev/null", str(path)])


def _version() -> str:
    return _run(["pg_dump", "--version"]).split()[2]


def _run(command: list[str], more: dict[str, str] | None = None) -> str:
    try:
        ran = subprocess.run(
            command, env=os.environ | (more or {}), capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise KeeperError(f"{command[0]}: no such program; use the image of this version") from None
    if ran.returncode:
        said = " ".join(ran.stderr.split("\n")[:_LAST_LINES]).strip()
        raise KeeperError(f"{command[0]}: failed ({said})")
    return ran.stdout
