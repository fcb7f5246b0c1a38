"""Buckets on S3: logs, backups, checkpoints, and one that keeps the records of who read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.production.iam import Statement, allow, document, granted
from components.production.transport import tls_only
from inventory.cloud.model import Bucket as BucketSettings
from inventory.cloud.model import Storage as StorageSettings

INFREQUENT, ARCHIVE = "STANDARD_IA", "GLACIER"
MULTIPART_DAYS = 7
"""Parts of uploads that nobody finished are billed, and seen in no listing."""
BALANCER_PREFIX = "balancer"
"""Of a load balancer's records in the bucket of access records."""


@dataclass(frozen=True, slots=True)
class StorageArgs:
    """What the buckets are made of.

    Attributes:
        settings: the life cycle of each.
        key_arn: encrypts the objects.
        account: number of the account; only its own services may deliver.
        protected: whether buckets can be deleted only deliberately; those that are not go with all
            that is in them.
    """

    settings: StorageSettings
    key_arn: pulumi.Input[str]
    account: pulumi.Input[str]
    protected: bool = True


class Storage(pulumi.ComponentResource):
    """Three buckets under the stack's key, and a fourth that cannot be.

    S3's server access logs and a load balancer's access logs reach only buckets that S3 encrypts
    with keys of its own: both come into `access_bucket`, whose objects live as long as the logs do.
    Its own accesses are recorded nowhere: into itself each record would make another.

    A name is known once the bucket's policy is in place, so that whoever delivers there may.
    """

    logs_bucket: pulumi.Output[str]
    logs_bucket_arn: pulumi.Output[str]
    backups_bucket: pulumi.Output[str]
    backups_bucket_arn: pulumi.Output[str]
    checkpoints_bucket: pulumi.Output[str]
    checkpoints_bucket_arn: pulumi.Output[str]
    access_bucket: pulumi.Output[str]

    def __init__(
        self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:production:Storage", name, None, opts)
        settings = args.settings
        access = self._bucket(f"{name}-access", args, settings.logs, key_arn=None)
        logs = self._bucket(f"{name}-logs", args, settings.logs, args.key_arn)
        backups = self._bucket(f"{name}-backups", args, settings.backups, args.key_arn)
        checkpoints = self._bucket(f"{name}-checkpoints", args, settings.checkpoints, args.key_arn)
        recorded = {"logs": logs, "backups": backups, "checkpoints": checkpoints}
        self.access_bucket, _ = self._policy(
            f"{name}-access", access, access_deliveries(access.arn, args, list(recorded.values()))
        )
        self.logs_bucket, self.logs_bucket_arn = self._policy(
            f"{name}-logs",
            logs,
            [*key_only(logs.arn, args.key_arn), log_delivery(logs.arn, args.account)],
        )
        self.backups_bucket, self.backups_bucket_arn = self._policy(
            f"{name}-backups", backups, key_only(backups.arn, args.key_arn)
        )
        self.checkpoints_bucket, self.checkpoints_bucket_arn = self._policy(
            f"{name}-checkpoints", checkpoints, key_only(checkpoints.arn, args.key_arn)
        )
        for kind, bucket in recorded.items():
            aws.s3.BucketLogging(
                f"{name}-{kind}",
                bucket=bucket.id,
                target_bucket=self.access_bucket,
                target_prefix=f"s3/{kind}/",
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs(
            {
                "logs_bucket": self.logs_bucket,
                "backups_bucket": self.backups_bucket,
                "checkpoints_bucket": self.checkpoints_bucket,
                "access_bucket": self.access_bucket,
            }
        )

    def _bucket(
        self,
        name: str,
        args: StorageArgs,
        settings: BucketSettings,
        key_arn: pulumi.Input[str] | None,
    ) -> Any:
        """A bucket that is private, versioned, encrypted, and forgets in time."""
        child = pulumi.ResourceOptions(parent=self)
        bucket = aws.s3.Bucket(
            name,
            force_destroy=not args.protected,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protected),
        )
        aws.s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        aws.s3.BucketOwnershipControls(
            name, bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=child
        )
        versioning = aws.s3.BucketVersioning(
            name, bucket=bucket.id, versioning_configuration={"status": "Enabled"}, opts=child
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            name, bucket=bucket.id, rules=[encryption(key_arn)], opts=child
        )
        aws.s3.BucketLifecycleConfiguration(
            name,
            bucket=bucket.id,
            rules=[lifecycle(settings)],
            # S3 refuses rules about versions before there are versions.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versioning]),
        )
        return bucket

    def _policy(
        self, name: str, bucket: Any, statements: Sequence[Statement]
    ) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        """Adds a bucket's policy; returns its name and ARN, known once that is done."""
        everything = pulumi.Output.concat(bucket.arn, "/*")
        policy = aws.s3.BucketPolicy(
            name,
            bucket=bucket.id,
            policy=pulumi.Output.json_dumps(
                document(tls_only(["s3:*"], bucket.arn, everything), *statements)
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return policy.bucket, pulumi.Output.format("arn:aws:s3:::{}", policy.bucket)


def encryption(key_arn: pulumi.Input[str] | None) -> dict[str, Any]:
    """Under a key, asked for once a bucket rather than once an object; or under S3's own."""
    if key_arn is None:
        return {"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}
    return {
        "apply_server_side_encryption_by_default": {
            "sse_algorithm": "aws:kms",
            "kms_master_key_id": key_arn,
        },
        "bucket_key_enabled": True,
    }


def lifecycle(settings: BucketSettings) -> dict[str, Any]:
    """One rule for all objects, from the settings."""
    steps = {INFREQUENT: settings.infrequent_after_days, ARCHIVE: settings.archive_after_days}
    rule: dict[str, Any] = {
        "id": "life",
        "status": "Enabled",
        "filter": {"prefix": ""},
        "abort_incomplete_multipart_upload": {"days_after_initiation": MULTIPART_DAYS},
        "noncurrent_version_expiration": {"noncurrent_days": settings.versions_kept_days},
        "transitions": [
            {"storage_class": kind, "days": days} for kind, days in steps.items() if days
        ],
    }
    if settings.expires_after_days:
        rule["expiration"] = {"days": settings.expires_after_days}
    return rule


def key_only(bucket_arn: pulumi.Input[str], key_arn: pulumi.Input[str]) -> list[Statement]:
    """Refuses objects that ask for another encryption, or another key.

    Those that ask for none get the bucket's own. The conditions on absence are needed: a comparison
    for inequality holds where there is nothing to compare.
    """
    header = "s3:x-amz-server-side-encryption"
    return [
        {
            "Sid": sid,
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": pulumi.Output.concat(bucket_arn, "/*"),
            "Condition": {"Null": {asked: "false"}, "StringNotEquals": {asked: wanted}},
        }
        for sid, asked, wanted in (
            ("KmsOnly", header, "aws:kms"),
            ("ThisKeyOnly", f"{header}-aws-kms-key-id", key_arn),
        )
    ]


def log_delivery(bucket_arn: pulumi.Input[str], account: pulumi.Input[str]) -> Statement:
    """Lets CloudWatch's log delivery write what CloudFront records.

    From any region and source of this account: CloudFront's are all in us-east-1, and a source is
    named after the bucket.
    """
    return granted(
        {"Service": "delivery.logs.amazonaws.com"},
        allow(
            "LogDelivery",
            ["s3:PutObject"],
            pulumi.Output.format("{}/AWSLogs/{}/*", bucket_arn, account),
            {
                "StringEquals": {
                    "s3:x-amz-acl": "bucket-owner-full-control",
                    "aws:SourceAccount": account,
                },
                "ArnLike": {
                    "aws:SourceArn": pulumi.Output.format(
                        "arn:aws:logs:*:{}:delivery-source:*", account
                    )
                },
            },
        ),
    )


def access_deliveries(
    bucket_arn: pulumi.Input[str], args: StorageArgs, recorded: Sequence[Any]
) -> list[Statement]:
    """Lets S3 write who read the recorded buckets, and load balancers who asked them."""
    return [
        granted(
            {"Service": "logging.s3.amazonaws.com"},
            allow(
                "BucketRecords",
                ["s3:PutObject"],
                pulumi.Output.concat(bucket_arn, "/s3/*"),
                {
                    "StringEquals": {"aws:SourceAccount": args.account},
                    "ArnEquals": {"aws:SourceArn": [bucket.arn for bucket in recorded]},
                },
            ),
        ),
        granted(
            {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
            allow(
                "BalancerRecords",
                ["s3:PutObject"],
                pulumi.Output.format(
                    "{}/{}/AWSLogs/{}/*", bucket_arn, BALANCER_PREFIX, args.account
                ),
            ),
        ),
    ]
