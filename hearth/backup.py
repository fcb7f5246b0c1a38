"""Backups of a site's data: its backup service makes and keeps them, this puts them back over ssh.

What is kept of PostgreSQL is put back as its owner on its own machine: the backup service, which
may only read there, hands the dump out and nothing else.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hearth.remote import ask, ssh
from inventory.errors import HearthError
from inventory.model import Placement, Site
from inventory.services import DATABASE
from inventory.ssh import write_ssh_config
from inventory.units import format_size
from services.assistant import migrate
from services.keeper import snapshot
from services.keeper.errors import KeeperError
from services.keeper.snapshot import DUMP, MANIFEST, Manifest

Progress = Callable[[str], None]

KIND = "backup"
PARTS = ("postgres", "minio", "grafana")
"""In the order in which they are put back."""
BEFORE_RESTORE = "before a restore of"
_SHOWN_LINES = 6
_CHUNK_BYTES = 1 << 20
_DIFFERENT = 1
_RESTORED = "restored"
_EMPTY = (
    "BEGIN; DROP SCHEMA public CASCADE; CREATE SCHEMA public; "
    "ALTER SCHEMA public OWNER TO pg_database_owner; GRANT USAGE ON SCHEMA public TO PUBLIC;"
)
"""With all that later steps of the schema made, which a dump knows nothing of."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a part that was put back.

    Attributes:
        what: for people, such as `9 tables, 120 rows`.
        different: what is missing or not as in the backup.
    """

    service: str
    what: str
    different: tuple[str, ...] = ()


class Backups:
    """The backups of a site, by its backup service.

    Raises:
        HearthError: the site has none that is provisioned.
    """

    def __init__(self, site: Site) -> None:
        found = [p for p in site.by_kind.get(KIND, []) if p.provisioned]
        if not found:
            raise HearthError(f"{site.name}: no {KIND} service; place one, and provision")
        self.site = site
        self.keeper = found[0]
        self._ssh_config = write_ssh_config(site)

    def make(self, reason: str, progress: Progress) -> Manifest:
        """Make a backup now."""
        asked = ["backup", "--json", "--reason", reason]
        return _read(self._keeper(asked, progress))

    def list(self) -> list[Manifest]:
        """Those there are, oldest first."""
        lines = self._keeper(["list", "--json"], lambda _: None).splitlines()
        return [_read(line) for line in lines]

    def export(self, snapshot_id: str, path: Path, progress: Progress) -> None:
        """Write a backup to a file that only its owner may read; it is there whole, or not."""
        partial = path.with_name(f"{path.name}.partial")
        partial.unlink(missing_ok=True)
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                self._keeper(["export", snapshot_id], progress, target=file)
                os.fsync(file.fileno())
            partial.rename(path)
        except OSError as error:
            raise HearthError(f"{path}: cannot be written ({error.strerror})") from None
        finally:
            partial.unlink(missing_ok=True)

    def take_in(self, path: Path, progress: Progress) -> str:
        """Bring a file's backup to the backup service, which reads all of it; its id."""
        try:
            with path.open("rb") as file:
                return self._keeper(["import"], progress, source=file).decode().strip()
        except OSError as error:
            raise HearthError(f"{path}: cannot be read ({error.strerror}); name another") from None

    def verified(self, snapshot_id: str | None, progress: Progress) -> Manifest:
        """A backup, read from beginning to end on its machine.

        Args:
            snapshot_id: where none is named, the newest that was not made by a restore: to repeat
                a restore is not to undo it.
            progress: is told what is done.
        """
        if snapshot_id is None:
            meant = [m.id for m in self.list() if not m.reason.startswith(BEFORE_RESTORE)]
            if not meant:
                raise HearthError(f"{self.keeper.reference}: there is no backup yet; make one")
            snapshot_id = meant[-1]
        self._keeper(["verify", snapshot_id], progress)
        return _read(self._keeper(["cat", snapshot_id, MANIFEST], lambda _: None))

    def plan(self, manifest: Manifest, only: Collection[str]) -> dict[str, Placement]:
        """The parts to put back, each with where to.

        Raises:
            HearthError: one of them is not in the backup, does not fit, or does not answer.
        """
        faults = []
        found: dict[str, Placement] = {}
        for part in PARTS:
            if part in only or not only:
                placement = self.keeper.used(part)
                if getattr(manifest, part) is None:
                    faults += [f"{manifest.id}: it holds no {part}"] if only else []
                elif placement is None or not placement.provisioned:
                    faults.append(f"{self.site.name}: no {part} to put it into; place one")
                else:
                    found[part] = placement
                    faults += self._unfit(manifest, part, placement)
        if faults:
            raise HearthError("\n".join(faults))
        return found

    def _unfit(self, manifest: Manifest, part: str, placement: Placement) -> Iterator[str]:
        """Why a part cannot be put back."""
        running = f"docker inspect -f '{{{{.State.Running}}}}' {placement.name}"
        if (ask(self._ssh_config, placement.host_name, running) or "").strip() != "true":
            yield f"{placement.reference}: does not run; `hearth provision` starts it"
        elif part == "postgres" and manifest.postgres is not None:
            yield from unknown_steps(manifest.postgres)
            program = f"docker exec {placement.name} pg_restore --version"
            said = ask(self._ssh_config, placement.host_name, program) or ""
            here, there = _major(manifest.postgres.client), _major(said.rpartition(") ")[2] or said)
            if not there or there < here:
                yield (
                    f"{placement.reference}: PostgreSQL {there} cannot read what {here} wrote; "
                    "upgrade it first"
                )

    def put_back(
        self, manifest: Manifest, part: str, placement: Placement, progress: Progress
    ) -> Outcome:
        """Put a part back."""
        if part == "postgres" and manifest.postgres is not None:
            return self._put_back_postgres(manifest.id, manifest.postgres, placement, progress)
        said = self._keeper(["restore", manifest.id, part], progress, accepted=(0, _DIFFERENT))
        if not said:
            raise HearthError(f"{placement.reference}: was not restored; see above")
        different = tuple(json.loads(said)["different"])
        return Outcome(placement.reference, holds(manifest)[part], different)

    def _put_back_postgres(
        self, snapshot_id: str, kept: snapshot.Postgres, placement: Placement, progress: Progress
    ) -> Outcome:
        """All of it or nothing: committed where every table has as many rows as the backup."""
        cat = ["cat", snapshot_id, DUMP]
        script = _restore_script(kept.database)
        command = f"docker exec -i {placement.name} sh -c {shlex.quote(script)}"
        with (
            self._remote(self.keeper.host_name, self._command(cat)) as source,
            self._remote(placement.host_name, command, stdin=subprocess.PIPE) as target,
        ):
            said = _pumped(source, target, _checks(kept.tables), kept.bytes)
        if target.returncode or _RESTORED not in said.out.decode().splitlines():
            raise HearthError(
                f"{placement.reference}: was not restored, and is what it was: {_last(said.err)}"
            )
        progress(f"{placement.reference}: {sum(kept.tables.values())} rows are back")
        # What the schema has gained since, and who may do what.
        psql = f"docker exec -i {placement.name} psql -qX -U {DATABASE} -d {kept.database}"
        with self._remote(placement.host_name, psql, stdin=subprocess.PIPE) as migrated:
            _, err = migrated.communicate(migrate.script().encode())
        if migrated.returncode:
            raise HearthError(f"{placement.reference}: its schema is not up to date: {_last(err)}")
        rows = sum(kept.tables.values())
        return Outcome(placement.reference, f"{len(kept.tables)} tables, {rows} rows")

    def _command(self, arguments: Sequence[str], *, interactive: bool = False) -> str:
        flags = ["-i"] if interactive else []
        program = ["python3", "-m", "services.keeper", *arguments]
        return shlex.join(["docker", "exec", *flags, self.keeper.name, *program])

    def _keeper(
        self,
        arguments: Sequence[str],
        progress: Progress,
        *,
        source: IO[bytes] | None = None,
        target: IO[bytes] | None = None,
        accepted: tuple[int, ...] = (0,),
    ) -> bytes:
        """What the backup service's program prints; what it tells on the way is progress."""
        command = self._command(arguments, interactive=source is not None)
        told: list[str] = []
        with self._remote(self.keeper.host_name, command, stdin=source, stdout=target) as process:
            out = _Reader(process.stdout)
            for line in process.stderr or ():
                told.append(line.decode(errors="replace").rstrip())
                progress(told[-1])
            printed = out.read()
        if process.returncode not in accepted:
            last = "\n    ".join(told[-_SHOWN_LINES:]) or f"exit code {process.returncode}"
            raise HearthError(f"{self.keeper.reference}: {arguments[0]} failed:\n    {last}")
        return printed

    @contextmanager
    def _remote(
        self,
        host: str,
        command: str,
        *,
        stdin: IO[bytes] | int | None = None,
        stdout: IO[bytes] | int | None = None,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A command on a machine, which has ended when the block has."""
        process = subprocess.Popen(
            ssh(self._ssh_config, host, command),
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=subprocess.PIPE,
        )
        with process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise


class _Reader:
    """Reads a pipe to its end beside what else is done."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        self._found = b""
        self._pipe = pipe
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        if self._pipe is not None:
            self._found = self._pipe.read()

    def read(self) -> bytes:
        """All of it."""
        self._thread.join()
        return self._found


@dataclass(frozen=True, slots=True)
class _Said:
    out: bytes
    err: bytes


def _pumped(
    source: subprocess.Popen[bytes], target: subprocess.Popen[bytes], first: str, size: int
) -> _Said:
    """What the target says to a line and all that the source prints.

    Raises:
        HearthError: the source did not print all of it; the target is ended before it believes so.
    """
    out, err, complaint = (_Reader(p) for p in (target.stdout, target.stderr, source.stderr))
    if source.stdout is None or target.stdin is None:
        raise TypeError("both have to be pipes")
    sent = 0
    # Whoever stops reading has said why.
    with suppress(BrokenPipeError):
        target.stdin.write(f"{first}\n".encode())
        while chunk := source.stdout.read(_CHUNK_BYTES):
            target.stdin.write(chunk)
            sent += len(chunk)
        if sent != size:
            target.kill()
        target.stdin.close()
    source.kill()
    said = _Said(out.read(), err.read())
    target.wait()
    if target.returncode < 0:
        why = _last(complaint.read())
        raise HearthError(f"the backup broke off after {sent} of {size} bytes: {why}")
    return said


def _restore_script(database: str) -> str:
    """Shell within PostgreSQL's container: reads a line of SQL, then a dump.

    Without the last line nothing is committed, and it is written only where pg_restore was
    content with all that it read.
    """
    dump = "pg_restore --clean --if-exists --no-owner --file=-"
    commit = shlex.quote(f"COMMIT; SELECT '{_RESTORED}';")
    return (
        f"IFS= read -r checks; {{ echo {shlex.quote(_EMPTY)}; {dump}"
        f""" && printf '%s\\n' "$checks" && echo {commit}; }}"""
        f" | psql -v ON_ERROR_STOP=1 -qXAt -U {DATABASE} -d {database}"
    )


def _checks(tables: dict[str, int]) -> str:
    """SQL on one line that fails where a table has another number of rows."""
    checks = []
    for name, rows in tables.items():
        schema, _, table = name.partition(".")
        place = ".".join('"' + part.replace('"', '""') + '"' for part in (schema, table))
        fault = f"{name}: not {rows} rows, as in the backup".replace("'", "''").replace("%", "%%")
        checks.append(
            f"IF (SELECT count(*) FROM {place}) <> {rows} THEN RAISE EXCEPTION '{fault}'; END IF;"  # noqa: S608 - quoted
        )
    return f"DO $checks$ BEGIN {' '.join(checks)} END $checks$;"


def unknown_steps(kept: snapshot.Postgres) -> Iterator[str]:
    """What a backup's schema has that this checkout does not know."""
    known = {step.name: step.sha256 for step in migrate.steps()}
    for name, sha256 in kept.migrations.items():
        if known.get(name) != sha256:
            yield f"{kept.service}: its schema has a step that is not known here ({name}); {_NEWER}"


_NEWER = "use the Hearth that made the backup, or a newer one"


def holds(manifest: Manifest) -> dict[str, str]:
    """What a backup holds, for people, by part."""
    found: dict[str, str] = {}
    if (database := manifest.postgres) is not None:
        rows = sum(database.tables.values())
        found["postgres"] = f"{len(database.tables)} tables, {rows} rows"
    if (store := manifest.minio) is not None:
        objects = list(store.objects)
        size = format_size(sum(o.bytes for o in objects))
        found["minio"] = f"{len(objects)} objects, {size}"
    if (grafana := manifest.grafana) is not None:
        found["grafana"] = f"{grafana.dashboards} dashboards, {grafana.folders} folders"
    return found


def _read(data: bytes) -> Manifest:
    try:
        return snapshot.read(data, MANIFEST)
    except KeeperError as error:
        raise HearthError(str(error)) from None


def _major(version: str) -> int:
    """`15` of `15.18 (Debian ...)`; 0 where there is no number."""
    found = version.strip().partition(".")[0].split(" ")[-1]
    return int(found) if found.isdigit() else 0


def _last(said: bytes) -> str:
    """The last lines of what a program said."""
    lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
    return " ".join(lines[-_SHOWN_LINES:]) or "nothing was said"
