"""Bring the database's schema up to date: by itself, or as one script for psql.

    PGHOST=... PGDATABASE=... PGUSER=... PGPASSWORD=... python -m services.assistant.migrate
    python -m services.assistant.migrate --script | psql ...

Both apply what is missing in one transaction, one at a time however many run at once, and refuse
to go on where a step that was applied has been edited since.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncpg

# Any number will do, if it stays: two migrations must not run at once.
_ADVISORY_LOCK = 4_720_250_173

_OWN_TABLE = """\
SET LOCAL client_min_messages = warning;
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE schema_migrations IS 'The steps of the schema that were applied';
"""


class MigrationError(Exception):
    """The schema cannot be brought up to date; says which step, why, and what to do."""


@dataclass(frozen=True)
class Step:
    """One numbered file of `migrations/`."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Of the SQL, hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def edited(self) -> str:
        """What is said where another SQL was applied under this number."""
        return (
            f"migration {self.name} was edited after it was applied; "
            "restore it, and write the change as the next number"
        )


def steps() -> tuple[Step, ...]:
    """All steps, in order."""
    files = resources.files("services.assistant.migrations").iterdir()
    named = ((re.fullmatch(r"(\d{4})_\w+\.sql", file.name), file) for file in files)
    found = [
        Step(int(match[1]), file.name, file.read_text("utf-8")) for match, file in named if match
    ]
    return tuple(sorted(found, key=lambda step: step.version))


def grants() -> str:
    """What the roles may do, where they exist."""
    return (
        resources.files("services.assistant.migrations").joinpath("grants.sql").read_text("utf-8")
    )


async def migrate(
    connection: asyncpg.Connection[asyncpg.Record], wanted: Sequence[Step] | None = None
) -> tuple[str, ...]:
    """Apply what is missing.

    Args:
        connection: as the database's owner.
        wanted: all steps unless told.

    Returns:
        The names of the steps that were applied.

    Raises:
        MigrationError: a step was edited after it was applied.
    """
    applied: list[str] = []
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _ADVISORY_LOCK)
        await connection.execute(_OWN_TABLE)
        rows = await connection.fetch("SELECT version, sha256 FROM schema_migrations")
        known = {row["version"]: row["sha256"] for row in rows}
        for step in steps() if wanted is None else wanted:
            if step.version in known:
                if known[step.version] != step.sha256:
                    raise MigrationError(step.edited)
                continue
            await connection.execute(step.sql)
            await connection.execute(
                "INSERT INTO schema_migrations (version, name, sha256) VALUES ($1, $2, $3)",
                step.version,
                step.name,
                step.sha256,
            )
            applied.append(step.name)
        await connection.execute(grants())
    return tuple(applied)


def script(wanted: Sequence[Step] | None = None) -> str:
    """The same as one script for psql 10 or newer, to be run by the database's owner."""
    parts = [
        "\\set ON_ERROR_STOP on\n\\set QUIET on\nBEGIN;\n",
        # DO, because a SELECT would print its row.
        f"DO $$ BEGIN PERFORM pg_advisory_xact_lock({_ADVISORY_LOCK}); END $$;\n",
        _OWN_TABLE,
    ]
    parts += [_conditional(step) for step in (steps() if wanted is None else wanted)]
    return "".join([*parts, "\n", grants(), "COMMIT;\n"])


def _conditional(step: Step) -> str:
    # The values are this package's own files, names and digests.
    return f"""
DO $$ BEGIN
    IF EXISTS (SELECT FROM schema_migrations
               WHERE version = {step.version} AND sha256 <> '{step.sha256}') THEN
        RAISE EXCEPTION '{step.edited}';
    END IF;
END $$;
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE version = {step.version}) AS missing \\gset
\\if :missing
{step.sql.rstrip()}
INSERT INTO schema_migrations (version, name, sha256)
VALUES ({step.version}, '{step.name}', '{step.sha256}');
\\echo applied {step.name}
\\endif
"""  # noqa: S608


async def _run() -> tuple[str, ...]:
    import asyncpg  # noqa: PLC0415 - whoever wants the script alone needs no driver

    connection = await asyncpg.connect(timeout=10)  # the rest from libpq's environment variables
    try:
        return await migrate(connection)
    finally:
        await connection.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m services.assistant.migrate",
        description="Bring the schema up to date, as the owner that PGHOST, PGPORT, PGDATABASE, "
        "PGUSER and PGPASSWORD name.",
    )
    parser.add_argument("--script", action="store_true", help="print it for psql instead")
    if parser.parse_args(arguments).script:
        sys.stdout.write(script())
        return 0
    import asyncpg  # noqa: PLC0415 - as above

    try:
        applied = asyncio.run(_run())
    except (MigrationError, OSError, asyncpg.PostgresError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write("".join(f"applied {name}\n" for name in applied) or "up to date\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
