"""MinIO: the lab's object store, its buckets, and a user for each who needs some of them."""

from __future__ import annotations

import json
import shlex

import pulumi

from components.homelab.service import Extras, Service, ServiceArgs

IMAGES, MODELS, BACKUPS = "images", "models", "backups"
REGION = "us-east-1"
ROOT = "root"
POLICIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "assistant": ((IMAGES,), ("s3:GetObject", "s3:PutObject")),
    "backup": ((IMAGES, MODELS, BACKUPS), ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")),
}
"""By user: the buckets that it may list, and what it may do to their objects."""


class Minio(Service):
    """An S3 store on a volume of the machine."""

    def __init__(
        self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, args, opts)
        self.run_inside("buckets", args, POLICIES, buckets_script)

    def extras(self, args: ServiceArgs) -> Extras:
        """The name and the password of the user who may do everything."""
        return Extras(
            files={
                "root-user": ROOT,
                "root-password": args.secrets.password(args.placement, ROOT),
            }
        )


def buckets_script(container: str, passwords: dict[str, str]) -> str:
    """Shell that makes the buckets and the users, each with a policy of its own.

    Passwords go through standard input: a command line is everybody's to read.

    Args:
        container: MinIO's.
        passwords: by user; of letters, digits, `-` and `_`.
    """
    lines = [
        "set -eu",
        "IFS= read -r root </settings/root-password",
        f'export MC_HOST_lab="http://{ROOT}:$root@127.0.0.1:9000"',
        *(f"mc mb --quiet --ignore-existing lab/{bucket}" for bucket in (IMAGES, MODELS, BACKUPS)),
    ]
    for user, password in sorted(passwords.items()):
        policy = json.dumps(_policy(*POLICIES[user]))
        lines += [
            f"printf '%s\\n%s\\n' {user} {password} | mc admin user add lab",
            f"printf '%s' {shlex.quote(policy)} >/tmp/{user}.json",
            f"mc admin policy create lab {user} /tmp/{user}.json",
            f"mc admin policy attach lab {user} --user {user} 2>/dev/null ||"
            f" mc admin policy entities lab --user {user} | grep -q {user}",
        ]
    inner = "\n".join(lines)
    return f"docker exec -i {container} sh -s >&2 <<'end-of-script'\n{inner}\nend-of-script\n"


def _policy(buckets: tuple[str, ...], actions: tuple[str, ...]) -> dict[str, object]:
    """Least privilege, as S3 writes it down."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:ListBucket", "s3:GetBucketLocation"],
                "Resource": [f"arn:aws:s3:::{bucket}" for bucket in buckets],
            },
            {
                "Effect": "Allow",
                "Action": list(actions),
                "Resource": [f"arn:aws:s3:::{bucket}/*" for bucket in buckets],
            },
        ],
    }
