"""Buckets and the vault of backups."""

from __future__ import annotations

from collections.abc import Iterator

from policies.graph import Fault, Graph, Policy, Resource
from policies.statements import open_to_everybody, refuses_plain_text

BUCKET = "aws:s3/bucket:Bucket"
VAULT = "aws:backup/vault:Vault"
LOCK = "aws:backup/vaultLockConfiguration:VaultLockConfiguration"
_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_OF_BUCKET = "aws:s3/bucket{0}:Bucket{0}"
BLOCK = _OF_BUCKET.format("PublicAccessBlock")
POLICY = _OF_BUCKET.format("Policy")
ENCRYPTION = _OF_BUCKET.format("ServerSideEncryptionConfiguration")
VERSIONING = _OF_BUCKET.format("Versioning")
LIFECYCLE = _OF_BUCKET.format("LifecycleConfiguration")
LOGGING = _OF_BUCKET.format("Logging")


def buckets_are_not_public(bucket: Resource, graph: Graph) -> Iterator[Fault]:
    """Nothing that is put into a bucket can be made public."""
    found = graph.about(bucket, BLOCK, "bucket")
    missing = [name for name in _BLOCKS if not any(one.get(name) for one in found)]
    if missing:
        yield Fault(
            f"can be made public ({', '.join(missing)} not set)",
            "add an s3.BucketPublicAccessBlock with all four",
        )


def buckets_refuse_plain_text(bucket: Resource, graph: Graph) -> Iterator[Fault]:
    """Who comes without TLS is denied, and nobody is let in without being named."""
    found = graph.about(bucket, POLICY, "bucket")
    documents = [policy.document("policy") for policy in found]
    if not any(refuses_plain_text(document) for document in documents):
        yield Fault(
            "can be read without TLS", "deny s3:* where aws:SecureTransport is false in its policy"
        )
    for what in (what for document in documents for what in open_to_everybody(document)):
        yield Fault(f"its policy: {what}", "name the accounts or services, or add a condition")


def buckets_are_encrypted(bucket: Resource, graph: Graph) -> Iterator[Fault]:
    """Objects are encrypted with a key of the account's own, unless AWS writes its logs there.

    Load balancers and S3 deliver access logs to buckets with S3's own keys only.
    """
    default = "rules.0.applyServerSideEncryptionByDefault.sseAlgorithm"
    found = [one.get(default) for one in graph.about(bucket, ENCRYPTION, "bucket")]
    allowed = {"aws:kms", "aws:kms:dsse"}
    if _takes_logs(bucket, graph):
        allowed.add("AES256")
    if not allowed.intersection(found):
        yield Fault(
            "is not encrypted with a key of yours",
            "add an s3.BucketServerSideEncryptionConfiguration with aws:kms",
        )


def _takes_logs(bucket: Resource, graph: Graph) -> bool:
    """Whether S3 or a load balancer writes its access logs into a bucket."""
    itself = {bucket.urn, *(policy.urn for policy in graph.about(bucket, POLICY, "bucket"))}
    written = ((LOGGING, "targetBucket"), ("aws:lb/loadBalancer:LoadBalancer", "accessLogs"))
    return any(
        itself & one.references.get(by, frozenset())
        for type_, by in written
        for one in graph.of_type(type_)
    )


def buckets_keep_versions(bucket: Resource, graph: Graph) -> Iterator[Fault]:
    """What was overwritten can be brought back."""
    found = graph.about(bucket, VERSIONING, "bucket")
    if not any(one.get("versioningConfiguration.status") == "Enabled" for one in found):
        yield Fault("keeps no versions", "add an s3.BucketVersioning with status Enabled")


def buckets_have_a_life_cycle(bucket: Resource, graph: Graph) -> Iterator[Fault]:
    """What nobody needs any more is not paid for."""
    if not graph.about(bucket, LIFECYCLE, "bucket"):
        yield Fault("grows for ever", "add an s3.BucketLifecycleConfiguration")


def vaults_are_encrypted(vault: Resource, _graph: Graph) -> Iterator[Fault]:
    """Backups are encrypted with a key of the account's own."""
    if not vault.has("kmsKeyArn"):
        yield Fault("is encrypted with AWS's own key", "give kms_key_arn")


def vaults_are_locked(vault: Resource, graph: Graph) -> Iterator[Fault]:
    """Nobody can delete a backup before its time, unless the settings leave the vault unlocked."""
    promised = 1 if graph.environment is None else graph.environment.storage.vault_lock_days
    if promised is None:
        return
    found = graph.about(vault, LOCK, "backupVaultName")
    days = max((one.get("minRetentionDays", 0) for one in found), default=0)
    if days < promised:
        yield Fault(
            f"its backups can be deleted after {days:.0f} days, {promised} are promised",
            "add a backup.VaultLockConfiguration with min_retention_days",
        )


POLICIES = (
    Policy(buckets_are_not_public, (BUCKET,), whole=True),
    Policy(buckets_refuse_plain_text, (BUCKET,), whole=True),
    Policy(buckets_are_encrypted, (BUCKET,), whole=True),
    Policy(buckets_keep_versions, (BUCKET,), whole=True),
    Policy(buckets_have_a_life_cycle, (BUCKET,), whole=True),
    Policy(vaults_are_encrypted, (VAULT,)),
    Policy(vaults_are_locked, (VAULT,), whole=True),
)
