"""Buckets and vaults: closed, encrypted, kept."""

from __future__ import annotations

import json

from hearth.audit.look import Look, unless_absent
from policies.statements import open_to_everybody, refuses_plain_text

_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


def judge_buckets(look: Look) -> None:
    """S3 buckets with the environment's tag."""
    client = look.client("s3")
    buckets = []
    for bucket in look.all("s3", "list_buckets", "Buckets"):
        tags = unless_absent(
            client.get_bucket_tagging, "NoSuchTagSet", "NoSuchBucket", Bucket=bucket["Name"]
        )
        if look.ours(tags.get("TagSet")):
            buckets.append(bucket["Name"])
    look.found("bucket", buckets)
    for bucket in buckets:
        for judge in (_public, _policy, _encrypted, _versions, _life_cycle):
            with look.as_far_as_allowed(bucket, judge.__name__.strip("_").replace("_", " ")):
                judge(look, bucket)


def _public(look: Look, bucket: str) -> None:
    found = unless_absent(
        look.client("s3").get_public_access_block,
        "NoSuchPublicAccessBlockConfiguration",
        Bucket=bucket,
    ).get("PublicAccessBlockConfiguration", {})
    missing = [name for name in _BLOCKS if not found.get(name)]
    look.expect(
        bucket,
        "public access",
        not missing,
        f"can be made public ({', '.join(missing)} off)",
        "turn on all four blocks of public access",
    )


def _policy(look: Look, bucket: str) -> None:
    found = unless_absent(
        look.client("s3").get_bucket_policy, "NoSuchBucketPolicy", Bucket=bucket
    ).get("Policy", "{}")
    policy = json.loads(found)
    look.expect(
        bucket,
        "TLS",
        refuses_plain_text(policy),
        "can be read without TLS",
        "deny s3:* where aws:SecureTransport is false in its policy",
    )
    everybody = list(open_to_everybody(policy))
    look.expect(
        bucket,
        "public access",
        not everybody,
        f"its policy: {'; '.join(everybody)}",
        "name the accounts or services",
    )


def _encrypted(look: Look, bucket: str) -> None:
    found = unless_absent(
        look.client("s3").get_bucket_encryption,
        "ServerSideEncryptionConfigurationNotFoundError",
        Bucket=bucket,
    ).get("ServerSideEncryptionConfiguration", {})
    algorithms = {
        rule.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm")
        for rule in found.get("Rules", [])
    }
    # Where AWS delivers access logs it takes S3's own keys only, so either is a promise kept.
    look.expect(
        bucket,
        "encryption",
        algorithms & {"aws:kms", "aws:kms:dsse", "AES256"},
        "has no default encryption",
        "`pulumi up` turns it on again",
    )


def _versions(look: Look, bucket: str) -> None:
    status = look.client("s3").get_bucket_versioning(Bucket=bucket).get("Status")
    look.expect(bucket, "versions", status == "Enabled", "keeps no versions", "turn on versioning")


def _life_cycle(look: Look, bucket: str) -> None:
    rules = unless_absent(
        look.client("s3").get_bucket_lifecycle_configuration,
        "NoSuchLifecycleConfiguration",
        Bucket=bucket,
    ).get("Rules", [])
    look.expect(
        bucket,
        "life cycle",
        any(rule["Status"] == "Enabled" for rule in rules),
        "grows for ever",
        "`pulumi up` gives it its life cycle again",
    )


def judge_vaults(look: Look) -> None:
    """Vaults of AWS Backup with the environment's tag."""
    client = look.client("backup")
    vaults = [
        vault
        for vault in look.all("backup", "list_backup_vaults", "BackupVaultList")
        if look.ours(client.list_tags(ResourceArn=vault["BackupVaultArn"])["Tags"])
    ]
    look.found("backup vault", [vault["BackupVaultName"] for vault in vaults])
    promised = look.environment.storage.vault_lock_days
    for vault in vaults:
        name = vault["BackupVaultName"]
        found = client.describe_backup_vault(BackupVaultName=name)
        days = found.get("MinRetentionDays", 0) if found.get("Locked") else 0
        look.expect(
            name,
            "vault lock",
            promised is None or days >= promised,
            f"backups can be deleted after {days} days, {promised} are promised",
            "lock the vault",
        )
