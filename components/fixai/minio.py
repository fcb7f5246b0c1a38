"""MinIO: the store of pictures and backups, its buckets, and a user for each who needs them."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.batch.v1 import Job

from components.fixai.jobs import job
from components.fixai.objects import Objects, Storage
from components.fixai.pods import (
    SECRETS,
    Container,
    Document,
    Image,
    Pod,
    Probes,
    Secret,
    Where,
    asks,
)
from inventory.fixai import BACKUPS, PICTURES
from inventory.fixai import Pod as Size
from inventory.units import MIB

NAME, SETUP = "minio", "buckets"
PORT = 9000
REGION = "us-east-1"
ROOT, USER, KEEPER = "root", "fixai", "backup"
_ROOT = "minio-root"
_READ = ("s3:GetObject",)
_WRITE = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")
GRANTS: dict[str, dict[str, tuple[str, ...]]] = {
    USER: {PICTURES: _WRITE},
    KEEPER: {PICTURES: _READ, BACKUPS: _WRITE},
}
"""By user: the buckets that it may list, and what it may do to their objects."""


@dataclass(frozen=True, slots=True)
class MinioArgs:
    """What a store is made of.

    Attributes:
        where: one node, the one that its storage is on.
        image: with `minio` and its client, `mc`, on its path.
        root_password: of who may do everything.
        password: of the application's user.
        keeper_password: of who makes backups.
        keep_days: a backup stays so long, and so does a picture that was deleted or replaced.
    """

    where: Where
    image: Image
    size: Size
    storage: Storage
    root_password: pulumi.Input[str]
    password: pulumi.Input[str]
    keeper_password: pulumi.Input[str]
    keep_days: int = 14


class Minio(pulumi.ComponentResource):
    """One server on a folder of its node, and a job that makes buckets and users."""

    address: pulumi.Output[str]
    login: Secret
    keeper: Secret
    buckets: Job

    def __init__(
        self, name: str, args: MinioArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:fixai:Minio", name, None, opts)
        objects = Objects(self, name, NAME, args.where.namespace)
        root = objects.secret(_ROOT, _keys(ROOT, args.root_password))
        self.login = objects.secret(NAME, _keys(USER, args.password))
        self.keeper = objects.secret("minio-backup", _keys(KEEPER, args.keeper_password))
        made = objects.stateful_set(
            Pod(NAME, args.where, [_server(args)], secrets=[root]),
            args.storage,
            [objects.account()],
        )
        service = objects.service({"s3": PORT})
        objects.budget()
        setup = Objects(self, f"{name}-{SETUP}", SETUP, args.where.namespace)
        pod = Pod(
            SETUP,
            args.where,
            [_setup(args)],
            secrets=[root, self.login, self.keeper],
            ends=True,
        )
        self.buckets = job(
            self, f"{name}-{SETUP}", pod, after=[made, service, setup.account()], seconds=300
        )
        self.address = self.buckets.id.apply(lambda _: f"{NAME}:{PORT}")
        self.register_outputs({"address": self.address})


def _keys(user: str, password: pulumi.Input[str]) -> dict[str, pulumi.Input[str]]:
    return {"access-key": user, "secret-key": password}


def _server(args: MinioArgs) -> Container:
    return Container(
        NAME,
        args.image,
        args.size,
        command=["minio", "server", "/data", "--address", f":{PORT}"],
        ports={"s3": PORT},
        environment={
            "MINIO_ROOT_USER_FILE": f"{SECRETS}/{_ROOT}/access-key",
            "MINIO_ROOT_PASSWORD_FILE": f"{SECRETS}/{_ROOT}/secret-key",
            # Figures for who may connect at all: the network policy says who.
            "MINIO_PROMETHEUS_AUTH_TYPE": "public",
            "MINIO_BROWSER": "off",
            "MINIO_REGION_NAME": REGION,
            "GOMEMLIMIT": str(args.size.memory * 9 // 10),
            "HOME": "/tmp",  # noqa: S108 - a container's own
        },
        mounts={"/data": "data"},
        writable=["data"],
        probes=Probes(asks("/minio/health/ready", PORT), asks("/minio/health/live", PORT)),
    )


def _setup(args: MinioArgs) -> Container:
    return Container(
        SETUP,
        args.image,
        Size(memory=256 * MIB),
        command=["sh", "-c", setup_script(args.keep_days)],
        environment={"GOMEMLIMIT": str(200 * MIB), "MC_CONFIG_DIR": "/tmp/mc"},  # noqa: S108 - a container's own
    )


def alias(folder: str) -> list[str]:
    """Lines of shell after which `mc` knows the store as `lab`, with the keys in a folder.

    Keys never stand on a command line, which is everybody's to read.
    """
    return [
        f'key=$(cat "{folder}/access-key") secret=$(cat "{folder}/secret-key")',
        f'export MC_HOST_lab="http://$key:$secret@{NAME}:{PORT}"',
    ]


def setup_script(keep_days: int) -> str:
    """Shell that makes buckets and users, each user with a policy of its own; again is harmless."""
    lines = ["set -eu", *alias(f"{SECRETS}/{_ROOT}"), "mc ready --quiet lab"]
    for bucket in (PICTURES, BACKUPS):
        lines += [
            f"mc mb --quiet --ignore-existing lab/{bucket}",
            f"mc version enable --quiet lab/{bucket}",
            f"mc ilm import --quiet lab/{bucket} <<'end'\n"
            f"{json.dumps(_life_cycle(bucket, keep_days))}\nend",
        ]
    for user, folder in ((USER, NAME), (KEEPER, "minio-backup")):
        policy = shlex.quote(json.dumps(_policy(GRANTS[user])))
        lines += [
            f'{{ cat "{SECRETS}/{folder}/access-key"; echo;'
            f' cat "{SECRETS}/{folder}/secret-key"; echo; }} | mc admin user add lab',
            f"printf '%s' {policy} >/tmp/{user}.json",
            f"mc admin policy create lab {user} /tmp/{user}.json",
            f"mc admin policy attach lab {user} --user {user} 2>/dev/null ||"
            f" mc admin policy entities lab --user {user} | grep -q {user}",
        ]
    return "\n".join(lines)


def _life_cycle(bucket: str, keep_days: int) -> Document:
    """Old versions go after a while; in the bucket of backups everything does."""
    rule: Document = {
        "ID": "keep",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": keep_days},
    }
    if bucket == BACKUPS:
        rule["Expiration"] = {"Days": keep_days}
    return {"Rules": [rule]}


def _policy(grants: dict[str, tuple[str, ...]]) -> Document:
    """Least privilege, as S3 writes it down."""
    statements: list[Document] = [
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket", "s3:GetBucketLocation"],
            "Resource": [f"arn:aws:s3:::{bucket}" for bucket in grants],
        }
    ]
    statements += [
        {"Effect": "Allow", "Action": list(actions), "Resource": [f"arn:aws:s3:::{bucket}/*"]}
        for bucket, actions in grants.items()
    ]
    return {"Version": "2012-10-17", "Statement": statements}
