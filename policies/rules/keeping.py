"""What is kept and how: keys, logs, messages, images, secrets; the tags that say whose it is."""

from __future__ import annotations

from collections.abc import Iterator

from policies.graph import Fault, Graph, Policy, Resource

KEY = "aws:kms/key:Key"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
TOPIC, QUEUE = "aws:sns/topic:Topic", "aws:sqs/queue:Queue"
REPOSITORY = "aws:ecr/repository:Repository"
SECRET = "aws:secretsmanager/secret:Secret"  # noqa: S105 - a resource's type
TAGS = ("Environment", "Owner", "ManagedBy")
TAGGED = (
    *(KEY, LOG_GROUP, TOPIC, QUEUE, REPOSITORY, SECRET),
    *("aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet", "aws:ec2/natGateway:NatGateway"),
    *("aws:ec2/eip:Eip", "aws:ec2/securityGroup:SecurityGroup", "aws:ec2/vpcEndpoint:VpcEndpoint"),
    *("aws:ec2/launchTemplate:LaunchTemplate", "aws:ec2/flowLog:FlowLog"),
    *("aws:eks/cluster:Cluster", "aws:eks/nodeGroup:NodeGroup", "aws:iam/role:Role"),
    *("aws:rds/instance:Instance", "aws:elasticache/replicationGroup:ReplicationGroup"),
    *("aws:s3/bucket:Bucket", "aws:backup/vault:Vault", "aws:iam/policy:Policy"),
    *("aws:cloudfront/distribution:Distribution", "aws:lb/loadBalancer:LoadBalancer"),
    *("aws:wafv2/webAcl:WebAcl", "aws:acm/certificate:Certificate"),
)
"""What costs money, or is looked for by `hearth audit` and `hearth leftovers`."""


def keys_rotate(key: Resource, _graph: Graph) -> Iterator[Fault]:
    """AWS renews the key's material each year."""
    symmetric = key.get("customerMasterKeySpec", "SYMMETRIC_DEFAULT") == "SYMMETRIC_DEFAULT"
    if symmetric and not key.get("enableKeyRotation", default=False):
        yield Fault("is never renewed", "set enable_key_rotation=True")


def keys_have_a_policy(key: Resource, _graph: Graph) -> Iterator[Fault]:
    """Who may use a key stands beside it."""
    if not key.has("policy"):
        yield Fault("has AWS's default policy", "give a policy that names who uses it for what")


def logs_go_after_a_time(group: Resource, _graph: Graph) -> Iterator[Fault]:
    """Logs are kept for a time that somebody chose."""
    if not group.get("retentionInDays", 0):
        yield Fault("keeps logs for ever", "set retention_in_days")


def logs_are_encrypted(group: Resource, _graph: Graph) -> Iterator[Fault]:
    """Logs are encrypted with a key of the account's own."""
    if not group.has("kmsKeyId"):
        yield Fault("is encrypted with AWS's own key", "give kms_key_id")


def messages_are_encrypted(resource: Resource, _graph: Graph) -> Iterator[Fault]:
    """Topics and queues encrypt what passes through them."""
    encrypted = resource.has("kmsMasterKeyId") or resource.has("sqsManagedSseEnabled")
    if not encrypted:
        yield Fault("its messages are not encrypted", "give kms_master_key_id")


def secrets_are_encrypted(secret: Resource, _graph: Graph) -> Iterator[Fault]:
    """Secrets are encrypted with a key of the account's own."""
    if not secret.has("kmsKeyId"):
        yield Fault("is encrypted with AWS's own key", "give kms_key_id")


def images_cannot_be_replaced(repository: Resource, _graph: Graph) -> Iterator[Fault]:
    """A tag names the same image for ever."""
    if not str(repository.get("imageTagMutability", "MUTABLE")).startswith("IMMUTABLE"):
        yield Fault("its tags can be moved", "set image_tag_mutability='IMMUTABLE'")


def images_are_scanned(repository: Resource, _graph: Graph) -> Iterator[Fault]:
    """Known weaknesses of an image are told when it is pushed."""
    if not repository.get("imageScanningConfiguration.scanOnPush", default=False):
        yield Fault("its images are not scanned", "set image_scanning_configuration scan_on_push")


def images_are_encrypted(repository: Resource, _graph: Graph) -> Iterator[Fault]:
    """Images are encrypted with a key of the account's own."""
    if repository.get("encryptionConfigurations.0.encryptionType") != "KMS":
        yield Fault("is encrypted with AWS's own key", "give encryption_configurations of type KMS")


def tags_say_whose_it_is(resource: Resource, _graph: Graph) -> Iterator[Fault]:
    """What costs money says for which environment, whose it is and what made it."""
    tags = {**resource.get("tags", {}), **resource.get("tagsAll", {})}
    if missing := [tag for tag in TAGS if tag not in tags]:
        yield Fault(f"has no tag {', '.join(missing)}", "stacks/production.py adds them to all")


POLICIES = (
    Policy(keys_rotate, (KEY,)),
    Policy(keys_have_a_policy, (KEY,)),
    Policy(logs_go_after_a_time, (LOG_GROUP,)),
    Policy(logs_are_encrypted, (LOG_GROUP,)),
    Policy(messages_are_encrypted, (TOPIC, QUEUE)),
    Policy(secrets_are_encrypted, (SECRET,)),
    Policy(images_cannot_be_replaced, (REPOSITORY,)),
    Policy(images_are_scanned, (REPOSITORY,)),
    Policy(images_are_encrypted, (REPOSITORY,)),
    Policy(tags_say_whose_it_is, TAGGED),
)
