"""Backups of the lab: `python -m services.keeper COMMAND`.

Exit codes: 0 done; 1 failed, with why; 2 wrong usage or settings; 3 nothing to back up yet: a
service does not answer, and there never was a backup.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from services.keeper import archive, grafana, objects, run
from services.keeper.errors import KeeperError, Unreachable
from services.keeper.serve import serve
from services.keeper.settings import FILE, Settings, load
from services.keeper.snapshot import DASHBOARDS, FILES, Manifest
from services.keeper.store import Store

ENVIRONMENT = "KEEPER_CONFIG"
_WAIT_SECONDS = 600
_FAILED, _UNUSABLE, NOTHING_YET = 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        told = load(Path(os.environ.get(ENVIRONMENT, f"/settings/{FILE}")))
    except KeeperError as error:
        _say(str(error))
        return _UNUSABLE
    try:
        store = Store(told.backups)
        code: int = asked.run(told, store, asked)
    except BrokenPipeError:
        return _FAILED
    except (KeeperError, OSError) as error:
        _say(str(error))
        return _FAILED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="services.keeper", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: object, what: str) -> argparse.ArgumentParser:
        found = commands.add_parser(name, help=what, description=what)
        found.set_defaults(run=function)
        return found

    command("serve", _serve, "make backups when they are due, and tell about them")
    make = command("backup", _backup, "make a backup and read it back")
    make.add_argument("--reason", default="by hand", help="for people")
    make.add_argument("--prune", action="store_true", help="remove those that need not stay")
    make.add_argument("--json", action="store_true", help="print its manifest")
    found = command("list", _list, "the backups, oldest first")
    found.add_argument("--json", action="store_true", help="print their manifests, one a line")
    for name, function, what in (
        ("verify", _verify, "read a backup from beginning to end"),
        ("export", _export, "write a backup to standard output as a tar"),
    ):
        command(name, function, what).add_argument("id", nargs="?", help="the newest, if left out")
    cat = command("cat", _cat, "write a file of a backup to standard output")
    cat.add_argument("id")
    cat.add_argument("file", choices=FILES)
    command("import", _import, "take in a tar from standard input; prints the backup's id")
    back = command("restore", _restore, "put a part back; prints what differs then, as JSON")
    back.add_argument("id")
    back.add_argument("part", choices=("minio", "grafana"))
    return parser


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _serve(told: Settings, store: Store, _asked: argparse.Namespace) -> int:
    serve(told, store)
    return 0


def _backup(told: Settings, store: Store, asked: argparse.Namespace) -> int:
    try:
        with store.lock(_WAIT_SECONDS, _say):
            manifest = run.backup(told, store, asked.reason, _say)
            if asked.prune:
                run.prune(told, store, _say)
    except Unreachable as error:
        if not store.ids():
            _say(f"nothing to back up yet: {error}")
            return NOTHING_YET
        store.count_failure()
        raise
    except (KeeperError, OSError):
        store.count_failure()
        raise
    sys.stdout.write(f"{manifest.model_dump_json() if asked.json else manifest.id}\n")
    return 0


def _list(_told: Settings, store: Store, asked: argparse.Namespace) -> int:
    # One at a time: each may name many objects.
    for manifest in map(store.manifest, store.ids()):
        line = f"{manifest.id}  {sum(manifest.sizes.values()):>12}  {manifest.reason}"
        sys.stdout.write(f"{manifest.model_dump_json() if asked.json else line}\n")
    return 0


def _found(store: Store, asked: argparse.Namespace) -> Manifest:
    found = store.manifest(asked.id) if asked.id else store.newest()
    if found is None:
        raise KeeperError("there is no backup yet; make one")
    return found


def _verify(_told: Settings, store: Store, asked: argparse.Namespace) -> int:
    manifest = run.verify(store, _found(store, asked).id, _say)
    sys.stdout.write(f"{manifest.id}\n")
    return 0


def _export(_told: Settings, store: Store, asked: argparse.Namespace) -> int:
    archive.export(store, _found(store, asked), sys.stdout.buffer)
    return 0


def _cat(_told: Settings, store: Store, asked: argparse.Namespace) -> int:
    with store.file(asked.id, asked.file).open("rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer)
    return 0


def _import(_told: Settings, store: Store, _asked: argparse.Namespace) -> int:
    with store.lock(_WAIT_SECONDS, _say):
        manifest = archive.load(store, sys.stdin.buffer, _say)
    sys.stdout.write(f"{manifest.id}\n")
    return 0


def _restore(told: Settings, store: Store, asked: argparse.Namespace) -> int:
    manifest = store.manifest(asked.id)
    with store.lock(_WAIT_SECONDS, _say):
        different = _put_back(told, store, manifest, asked.part)
    sys.stdout.write(json.dumps({"different": different}) + "\n")
    return int(bool(different))


def _put_back(told: Settings, store: Store, manifest: Manifest, part: str) -> list[str]:
    """Put a part back; what is still missing or different then."""
    if part == "minio" and told.minio is not None and manifest.minio is not None:
        password = told.password("minio")
        objects.restore(told.minio, password, manifest.minio, store, _say)
        found = objects.differing(told.minio, password, manifest.minio)
        return [f"{bucket}/{key}" for bucket, keys in found.items() for key in keys]
    if part == "grafana" and told.grafana is not None and manifest.grafana is not None:
        password, path = told.password("grafana"), store.file(manifest.id, DASHBOARDS)
        grafana.restore(told.grafana, password, path, _say)
        return grafana.differing(told.grafana, password, path)
    raise KeeperError(f"{manifest.id}: no {part} in the backup, or none in the lab")


if __name__ == "__main__":
    sys.exit(main())
