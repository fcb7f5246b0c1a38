"""Backups: what each node keeps is copied to the other one, every night."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components.fixai.jobs import cron_job
from components.fixai.minio import NAME as MINIO
from components.fixai.minio import alias
from components.fixai.objects import Objects, Storage
from components.fixai.pods import (
    SECRETS,
    Container,
    Image,
    Pod,
    Secret,
    Where,
    claimed,
    configuration,
)
from inventory.fixai import PICTURES, Backups
from inventory.fixai import Pod as Size
from inventory.units import MIB

CASSANDRA, COPY = "backup-cassandra", "backup-pictures"
_SECONDS = 4 * 3600


@dataclass(frozen=True, slots=True)
class CassandraBackupArgs:
    """What a backup of Cassandra is made of.

    Attributes:
        image: FixAI's own.
        settings: the text of its settings.
        at: `02:30`, UTC.
        login: of the database.
        keeper: of the store, who may write backups.
        after: what has to be there before.
    """

    where: Where
    image: Image
    settings: str
    at: str
    login: Secret
    keeper: Secret
    after: Sequence[pulumi.Resource] = ()


class CassandraBackup(pulumi.ComponentResource):
    """Every table, row by row, as compressed objects in the bucket of backups.

    A copy of rows, not of files: it needs no access to the server's machine and can be restored
    into any version, of any number of nodes.
    """

    def __init__(
        self, name: str, args: CassandraBackupArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:fixai:CassandraBackup", name, None, opts)
        objects = Objects(self, name, CASSANDRA, args.where.namespace)
        settings = objects.settings({"settings.json": args.settings})
        program = Container(
            "backup",
            args.image,
            Size(memory=192 * MIB),
            arguments=["backup"],
            mounts={"/etc/fixai": "settings"},
        )
        pod = Pod(
            CASSANDRA,
            args.where,
            [program],
            volumes={"settings": configuration(CASSANDRA)},
            secrets=[args.login, args.keeper.seen_as(MINIO)],
            settings=[args.settings],
            ends=True,
        )
        after = [objects.account(), settings, *args.after]
        cron_job(self, name, pod, args.at, after, seconds=_SECONDS)
        self.register_outputs({})


@dataclass(frozen=True, slots=True)
class PicturesBackupArgs:
    """What a copy of the pictures is made of.

    Attributes:
        where: the node that has the copy: another one than the store's.
        image: with MinIO's client, `mc`, on its path.
        settings: when.
        storage: of the copy.
        keeper: of the store, who may read pictures.
        after: what has to be there before.
    """

    where: Where
    image: Image
    settings: Backups
    storage: Storage
    keeper: Secret
    after: Sequence[pulumi.Resource] = ()


class PicturesBackup(pulumi.ComponentResource):
    """The pictures, as files in a folder of the other node. What was deleted stays there."""

    def __init__(
        self, name: str, args: PicturesBackupArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:fixai:PicturesBackup", name, None, opts)
        objects = Objects(self, name, COPY, args.where.namespace)
        claim = objects.claim(args.storage, "pictures-copy")
        folder = f"{SECRETS}/{args.keeper.name}"
        script = ["set -eu", *alias(folder), f"mc mirror --quiet lab/{PICTURES} /copy/{PICTURES}"]
        program = Container(
            "copy",
            args.image,
            Size(memory=256 * MIB),
            command=["sh", "-c", "\n".join(script)],
            environment={"MC_CONFIG_DIR": "/tmp/mc"},  # noqa: S108 - a container's own
            mounts={"/copy": "copy"},
            writable=["copy"],
        )
        pod = Pod(
            COPY,
            args.where,
            [program],
            volumes={"copy": claimed("pictures-copy")},
            secrets=[args.keeper],
            ends=True,
        )
        after = [objects.account(), claim, *args.after]
        cron_job(self, name, pod, args.settings.at, after, seconds=_SECONDS)
        self.register_outputs({})
