"""A backup from its start to its copy on another machine, and what is asked of those there are."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.keeper import grafana, objects, postgres, snapshot
from services.keeper.errors import KeeperError
from services.keeper.retention import kept
from services.keeper.settings import Settings
from services.keeper.snapshot import DASHBOARDS, DUMP, MANIFEST, Manifest
from services.keeper.store import Store, write

Say = Callable[[str], None]


def backup(told: Settings, store: Store, reason: str, say: Say) -> Manifest:
    """Make a backup, read it back, copy it; the caller holds the lock.

    Raises:
        Unreachable: a service does not answer.
        KeeperError: something failed. Only where the copy did is there a backup.
    """
    started, begun = datetime.now(UTC), time.monotonic()
    while snapshot.id_of(started) in store.ids():
        started += timedelta(seconds=1)
    snapshot_id = snapshot.id_of(started)
    with store.draft(snapshot_id) as draft:
        # The database first: each image that it names is in the object store before its row is.
        database = _postgres(told, draft, say)
        buckets = (
            objects.save(told.minio, told.password("minio"), store, say) if told.minio else None
        )
        dashboards = _grafana(told, draft, say)
        manifest = Manifest(
            id=snapshot_id,
            site=told.site,
            reason=reason,
            time=started.replace(microsecond=0),
            seconds=round(time.monotonic() - begun, 3),
            postgres=database,
            minio=buckets,
            grafana=dashboards,
        )
        write(draft / MANIFEST, [manifest.model_dump_json(indent=1).encode()])
        verify_folder(draft, manifest, store, say)
        store.publish(draft)
    say(f"{snapshot_id}: made and read back in {time.monotonic() - begun:.1f} s")
    try:
        copy(told, store, say)
    except KeeperError as error:
        raise KeeperError(f"{snapshot_id} is there, its copy is not: {error}") from None
    return manifest


def _postgres(told: Settings, draft: Path, say: Say) -> snapshot.Postgres | None:
    if told.postgres is None:
        return None
    found = postgres.dump(told.postgres, told.password("postgres"), draft / DUMP)
    say(f"{found.service}: {len(found.tables)} tables, {sum(found.tables.values())} rows")
    return found


def _grafana(told: Settings, draft: Path, say: Say) -> snapshot.Grafana | None:
    if told.grafana is None:
        return None
    found = grafana.save(told.grafana, told.password("grafana"), draft / DASHBOARDS)
    say(f"{found.service}: {found.dashboards} dashboards, {found.folders} folders")
    return found


def verify(store: Store, snapshot_id: str, say: Say) -> Manifest:
    """Read a backup from beginning to end.

    Raises:
        KeeperError: there is none, or something of it is not what was written.
    """
    manifest = store.manifest(snapshot_id)
    if manifest.id != snapshot_id:
        raise KeeperError(f"{snapshot_id}/{MANIFEST}: is another backup's ({manifest.id})")
    verify_folder(store.file(snapshot_id, ""), manifest, store, say)
    return manifest


def verify_folder(folder: Path, manifest: Manifest, store: Store, say: Say) -> None:
    """The same of a folder that may not be a backup yet."""
    found = [snapshot.fault(folder / p.file, p.sha256, p.bytes) for p in manifest.parts]
    digests = manifest.digests.items()
    found += [snapshot.fault(store.object(sha256), sha256, size) for sha256, size in digests]
    if faults := [fault for fault in found if fault]:
        raise KeeperError("\n".join(f"{manifest.id}/{fault}" for fault in faults))
    if manifest.postgres is not None:
        postgres.check(folder / manifest.postgres.file)
    say(f"{manifest.id}: {len(manifest.parts)} files and {len(digests)} objects read back")


def copy(told: Settings, store: Store, say: Say) -> None:
    """Copy every backup that has no copy yet to the object store: the disk of another machine."""
    if told.minio is None:
        return
    copies = objects.Copies(told.minio, told.password("minio"))
    for snapshot_id in sorted(set(store.ids()) - copies.ids()):
        files = [part.file for part in store.manifest(snapshot_id).parts]
        for name in (*files, MANIFEST):
            copies.add(snapshot_id, store.file(snapshot_id, name))
        say(f"{snapshot_id}: copied to {told.minio.service}")


def prune(told: Settings, store: Store, say: Say) -> list[str]:
    """Remove the backups that need not stay, and their copies; the caller holds the lock.

    A copy goes with its backup alone: where this folder was lost, the copies are all there is.
    """
    gone = sorted(set(store.ids()) - kept(store.ids(), told.keep))
    if told.minio is not None:
        copies = objects.Copies(told.minio, told.password("minio"))
        for snapshot_id in gone:
            copies.remove(snapshot_id)
    unneeded = store.remove(gone)
    say(f"{len(gone)} backups and {unneeded} objects removed, {len(store.ids())} backups stay")
    return gone
