"""Where a team keeps an environment's state: a bucket of the account, and keys of its own.

Two keys, so that who may read the state need not be able to read the secrets in it. Pulumi's locks
are files in the same bucket, `.pulumi/locks/`: there is no table to be made for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from botocore.exceptions import ClientError

from hearth.aws_account import AwsAccount
from hearth.updates import Progress
from inventory.cloud.model import Environment
from inventory.errors import HearthError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OLD_VERSIONS_DAYS = 90
"""How long a version of a file is kept that a newer one has replaced."""

T = TypeVar("T")
NOT_FOUND = 404

_HOME_REGION = "us-east-1"
"""The region whose buckets name none."""


@dataclass(frozen=True, slots=True)
class StateBackend:
    """The names of all that belongs to an environment's backend."""

    environment: str
    region: str
    account: str

    @property
    def bucket(self) -> str:
        """Its name; those of all accounts have to differ."""
        return f"hearth-{self.environment}-state-{self.account}"

    @property
    def url(self) -> str:
        """For `pulumi login` and PULUMI_BACKEND_URL."""
        return f"s3://{self.bucket}?region={self.region}&awssdk=v2"

    @property
    def secrets_provider(self) -> str:
        """For `pulumi stack init --secrets-provider`."""
        return f"awskms://{self.alias('secrets')}?region={self.region}&awssdk=v2"

    @property
    def tags(self) -> dict[str, str]:
        """By which its bucket and keys are known to be of Hearth."""
        return {"Environment": self.environment, "ManagedBy": "hearth"}

    def alias(self, key: Literal["state", "secrets"]) -> str:
        """The alias of one of its keys."""
        return f"alias/hearth-{self.environment}-{key}"


def backend_of(environment: Environment, account: AwsAccount) -> StateBackend:
    """The backend of an environment in an account."""
    return StateBackend(environment.name, environment.region, account.id)


def has_bucket(backend: StateBackend, account: AwsAccount) -> bool:
    """Whether the backend's bucket is there.

    Raises:
        HearthError: It is somebody else's.
    """
    s3 = account.session.client("s3")
    try:
        s3.head_bucket(Bucket=backend.bucket, ExpectedBucketOwner=backend.account)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == NOT_FOUND:
            return False
        raise HearthError(_not_ours(backend, str(error))) from None
    return True


def _not_ours(backend: StateBackend, why: str) -> str:
    return (
        f"{backend.bucket}: the bucket is another account's, or these credentials may not see it "
        f"({why}); give the environment another `name`, or ask who administers the account"
    )


def make_backend(backend: StateBackend, account: AwsAccount, progress: Progress) -> list[str]:
    """Makes what is missing of a backend and puts right what was changed.

    Args:
        backend: what it is to be.
        account: where.
        progress: hears of what is done.

    Returns:
        What was done; nothing the second time.

    Raises:
        HearthError: A bucket or a key of that name is somebody else's, or AWS refused.
    """
    try:
        done: list[str] = []
        is_there = has_bucket(backend, account)
        if is_there:
            _need_ours(backend, account)
        state_key = _make_key(backend, account, "state", done)
        _make_key(backend, account, "secrets", done)
        s3 = account.session.client("s3")
        if not is_there:
            _make_bucket(s3, backend)
            done.append(f"bucket {backend.bucket} made")
        for setting in _settings(s3, backend, state_key):
            progress(f"bucket: {setting.what}")
            if setting.read() != setting.wanted:
                setting.put()
                done.append(f"bucket: {setting.what} set")
    except ClientError as error:
        raise HearthError(
            f"{backend.bucket}: AWS refused ({error}); `hearth backend aws` needs to administer "
            "S3 buckets and KMS keys"
        ) from None
    return done


def _make_bucket(s3: S3Client, backend: StateBackend) -> None:
    if backend.region == _HOME_REGION:
        s3.create_bucket(Bucket=backend.bucket)
    else:
        where: Any = {"LocationConstraint": backend.region}
        s3.create_bucket(Bucket=backend.bucket, CreateBucketConfiguration=where)


def _need_ours(backend: StateBackend, account: AwsAccount) -> None:
    """Refuses a bucket of this account that was not made here and holds something."""
    s3 = account.session.client("s3")
    own = s3.list_buckets(Prefix=backend.bucket)["Buckets"]
    if backend.bucket not in {bucket["Name"] for bucket in own}:
        raise HearthError(_not_ours(backend, f"{account.caller} has none of that name"))
    where = s3.get_bucket_location(Bucket=backend.bucket).get("LocationConstraint")
    if (where or _HOME_REGION) != backend.region:
        raise HearthError(
            f"{backend.bucket}: is in {where or _HOME_REGION}, the environment in "
            f"{backend.region}; mend `region`, or give the environment another `name`"
        )
    tags = _bucket_tags(s3, backend.bucket)
    if tags.items() >= backend.tags.items():
        return
    # An earlier run may have ended before it could put the tags.
    is_empty = not s3.list_objects_v2(Bucket=backend.bucket, MaxKeys=1).get("KeyCount")
    if tags or not is_empty:
        raise HearthError(
            f"{backend.bucket}: there is such a bucket, which Hearth did not make for "
            f"{backend.environment} (its tags: {tags or 'none'}); give the environment another "
            f"`name`, or tag it {_as_words(backend.tags)} if it is to be used"
        )


def _bucket_tags(s3: S3Client, bucket: str) -> dict[str, str]:
    found = _unless("NoSuchTagSet", lambda: s3.get_bucket_tagging(Bucket=bucket)["TagSet"])
    return {tag["Key"]: tag["Value"] for tag in found or ()}


def _as_words(tags: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in tags.items())


def _make_key(
    backend: StateBackend,
    account: AwsAccount,
    key: Literal["state", "secrets"],
    done: list[str],
) -> str:
    """A key with its alias, rotated each year; returns its ARN."""
    kms = account.session.client("kms")
    alias = backend.alias(key)
    found = _unless("NotFoundException", lambda: kms.describe_key(KeyId=alias)["KeyMetadata"])
    if found is None:
        tags = [{"TagKey": k, "TagValue": v} for k, v in backend.tags.items()]
        description = f"Pulumi {key} of {backend.environment}, made by Hearth"
        found = kms.create_key(Description=description, Tags=tags)["KeyMetadata"]
        kms.create_alias(AliasName=alias, TargetKeyId=found["KeyId"])
        done.append(f"key {alias} made")
    if found["KeyState"] != "Enabled":
        raise HearthError(
            f"{alias}: its key is {found['KeyState']}; what it encrypted is lost without it: "
            "enable it, or cancel its deletion, in KMS"
        )
    if not kms.get_key_rotation_status(KeyId=found["KeyId"])["KeyRotationEnabled"]:
        kms.enable_key_rotation(KeyId=found["KeyId"])
        done.append(f"key {alias}: rotation set")
    arn: str = found["Arn"]
    return arn


@dataclass(frozen=True, slots=True)
class _Setting:
    """A setting of the bucket: what it is, and what it has to be."""

    what: str
    read: Callable[[], object]
    wanted: object
    put: Callable[[], object]


def _settings(s3: S3Client, backend: StateBackend, key_arn: str) -> Iterator[_Setting]:
    """All of them; what keeps others out comes first."""
    name = backend.bucket
    blocks: Any = dict.fromkeys(
        ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
    )
    yield _Setting(
        "public access block",
        lambda: _unless(
            "NoSuchPublicAccessBlockConfiguration",
            lambda: s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"],
        ),
        blocks,
        lambda: s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=blocks),
    )
    yield _Setting(
        "tags",
        lambda: _bucket_tags(s3, name),
        backend.tags,
        lambda: s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": _tag_set(backend.tags)}),
    )
    owner: Any = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    yield _Setting(
        "ownership",
        lambda: _unless(
            "OwnershipControlsNotFoundError",
            lambda: s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"],
        ),
        owner,
        lambda: s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls=owner),
    )
    yield _Setting(
        "versioning",
        lambda: s3.get_bucket_versioning(Bucket=name).get("Status"),
        "Enabled",
        lambda: s3.put_bucket_versioning(
            Bucket=name, VersioningConfiguration={"Status": "Enabled"}
        ),
    )
    encryption: Any = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key_arn}
    # A bucket key asks KMS once in a while, not once a file.
    rules: Any = [{"ApplyServerSideEncryptionByDefault": encryption, "BucketKeyEnabled": True}]
    yield _Setting(
        "encryption",
        lambda: _encryption(s3, name),
        (encryption, True),
        lambda: s3.put_bucket_encryption(
            Bucket=name, ServerSideEncryptionConfiguration={"Rules": rules}
        ),
    )
    policy = _tls_only(name)
    yield _Setting(
        "policy",
        lambda: json.loads(
            _unless("NoSuchBucketPolicy", lambda: s3.get_bucket_policy(Bucket=name)["Policy"])
            or "{}"
        ),
        policy,
        lambda: s3.put_bucket_policy(Bucket=name, Policy=json.dumps(policy)),
    )
    yield _Setting(
        "life cycle",
        lambda: _unless(
            "NoSuchLifecycleConfiguration",
            lambda: s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"],
        ),
        _LIFE_CYCLE,
        lambda: s3.put_bucket_lifecycle_configuration(
            Bucket=name, LifecycleConfiguration={"Rules": _LIFE_CYCLE}
        ),
    )


_LIFE_CYCLE: Any = [
    {
        "ID": "old versions",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": OLD_VERSIONS_DAYS},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
    }
]


def _tls_only(bucket: str) -> dict[str, Any]:
    """A policy that refuses everybody who does not come by TLS 1.2 or newer."""
    arns = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    conditions = {
        "TlsOnly": {"Bool": {"aws:SecureTransport": "false"}},
        "Tls12OrNewer": {"NumericLessThan": {"s3:TlsVersion": "1.2"}},
    }
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": name,
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": arns,
                "Condition": condition,
            }
            for name, condition in conditions.items()
        ],
    }


def _encryption(s3: S3Client, bucket: str) -> tuple[Any, bool] | None:
    found = _unless(
        "ServerSideEncryptionConfigurationNotFoundError",
        lambda: s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"],
    )
    if not found:
        return None
    rule = found["Rules"][0]
    return rule.get("ApplyServerSideEncryptionByDefault"), bool(rule.get("BucketKeyEnabled"))


def _tag_set(tags: Mapping[str, str]) -> Any:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _unless(code: str, ask: Callable[[], T]) -> T | None:
    """What AWS answers; None where it answers with this error."""
    try:
        return ask()
    except ClientError as error:
        if error.response["Error"]["Code"] != code:
            raise
        return None
