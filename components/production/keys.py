"""Keys: one for each purpose, so that who may read the logs may not read the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.production.iam import KEY_USE, Conditions, Statement, allow, document, granted
from inventory.cloud.parts import KeyPurpose

DELETION_DAYS = 30
"""The longest that AWS lets a key wait for its deletion: what it encrypted goes with it."""
ROTATION_DAYS = 365

THIS_KEY = "*"
"""In a key's own policy the only resource is the key itself, and it has no other name there."""

INSTANCE_STARTERS = (
    "autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",
    "spot.amazonaws.com/AWSServiceRoleForEC2Spot",
    "ec2fleet.amazonaws.com/AWSServiceRoleForEC2Fleet",
)
"""Roles of AWS that start nodes: those of managed groups, on spot, in a fleet."""
SENDERS = ("cloudwatch.amazonaws.com", "events.amazonaws.com", "budgets.amazonaws.com")
"""Services that put messages into encrypted topics and queues."""


@dataclass(frozen=True, slots=True)
class KeysArgs:
    """What the keys need.

    Attributes:
        account: number of the account that owns them.
        region: in which they are, and are used.
        protected: whether the engine refuses to delete them; what they encrypted goes with them.
    """

    account: pulumi.Input[str]
    region: pulumi.Input[str]
    protected: bool = True


class Keys(pulumi.ComponentResource):
    """A KMS key for each purpose, rotated each year; the attributes are their ARNs.

    Each is administered by its account, whose IAM policies say who uses it. Services that use a key
    in nobody's name are admitted by the key's own policy, for what is of this account.

    Attributes:
        cluster: Kubernetes' secrets, and the disks of nodes.
        data: database, cache, buckets, images, secrets.
        logs: CloudWatch's log groups.
        backup: the vault of backups.
        messages: topics and queues.
    """

    cluster: pulumi.Output[str]
    data: pulumi.Output[str]
    logs: pulumi.Output[str]
    backup: pulumi.Output[str]
    messages: pulumi.Output[str]

    def __init__(
        self, name: str, args: KeysArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:production:Keys", name, None, opts)
        made = {}
        for purpose, (what, users) in PURPOSES.items():
            policy = document(_administration(args), *users(args))
            made[purpose] = aws.kms.Key(
                f"{name}-{purpose}",
                description=f"{name}: {what}",
                policy=pulumi.Output.json_dumps(policy),
                enable_key_rotation=True,
                rotation_period_in_days=ROTATION_DAYS,
                deletion_window_in_days=DELETION_DAYS,
                opts=pulumi.ResourceOptions(parent=self, protect=args.protected),
            )
            aws.kms.Alias(
                f"{name}-{purpose}",
                name_prefix=f"alias/{name}-{purpose}-",
                target_key_id=made[purpose].key_id,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.cluster = made["cluster"].arn
        self.data = made["data"].arn
        self.logs = made["logs"].arn
        self.backup = made["backup"].arn
        self.messages = made["messages"].arn
        self.register_outputs({purpose: key.arn for purpose, key in made.items()})


def _administration(args: KeysArgs) -> Statement:
    """The account decides by IAM who may do what with the key.

    Every action: a key that nobody can administer any more is lost, and only Amazon's support can
    mend it.
    """
    root = {"AWS": pulumi.Output.format("arn:aws:iam::{}:root", args.account)}
    return granted(root, allow("Account", ["kms:*"], THIS_KEY))


def _delivered_logs(args: KeysArgs) -> list[Statement]:
    """What delivers CloudFront's logs into a bucket, for this account's deliveries alone.

    Its name and region are not fixed yet when the key is made: CloudFront's are in us-east-1.
    """
    arns = pulumi.Output.format("arn:aws:logs:*:{}:delivery-source:*", args.account)
    only: Conditions = {
        "StringEquals": {"aws:SourceAccount": args.account},
        "ArnLike": {"aws:SourceArn": arns},
    }
    service = {"Service": "delivery.logs.amazonaws.com"}
    return [granted(service, allow("DeliveredLogs", ["kms:GenerateDataKey"], THIS_KEY, only))]


def _nobody(_args: KeysArgs) -> list[Statement]:
    """Roles use the key, by their own policies."""
    return []


def _instance_starters(args: KeysArgs) -> list[Statement]:
    """What starts nodes encrypts their disks, through EC2 alone.

    The principal is everybody, and the condition narrows that to roles by their ARN: named as
    principals they would have to exist already, which they do not in a new account.
    """
    only: Conditions = {
        "StringEquals": {
            "kms:CallerAccount": args.account,
            "kms:ViaService": pulumi.Output.format("ec2.{}.amazonaws.com", args.region),
        },
        "ArnEquals": {
            "aws:PrincipalArn": [
                pulumi.Output.format("arn:aws:iam::{}:role/aws-service-role/{}", args.account, role)
                for role in INSTANCE_STARTERS
            ]
        },
    }
    grants = {**only, "Bool": {"kms:GrantIsForAWSResource": "true"}}
    everybody = {"AWS": "*"}
    return [
        granted(everybody, allow("NodeDisks", KEY_USE, THIS_KEY, only)),
        granted(everybody, allow("NodeDiskGrants", ["kms:CreateGrant"], THIS_KEY, grants)),
    ]


def _log_groups(args: KeysArgs) -> list[Statement]:
    """CloudWatch, for log groups of this account: the context names the group.

    Which group, a wildcard leaves open: groups are named when they are made, after the key.
    """
    service = {"Service": pulumi.Output.format("logs.{}.amazonaws.com", args.region)}
    groups = pulumi.Output.format("arn:aws:logs:{}:{}:log-group:*", args.region, args.account)
    return [
        granted(
            service,
            allow(
                "LogGroups",
                KEY_USE,
                THIS_KEY,
                {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
            ),
        )
    ]


def _senders(args: KeysArgs) -> list[Statement]:
    """Alarms, events and budgets of this account."""
    return [
        granted(
            {"Service": list(SENDERS)},
            allow(
                "Senders",
                ["kms:Decrypt", "kms:GenerateDataKey"],
                THIS_KEY,
                {"StringEquals": {"aws:SourceAccount": args.account}},
            ),
        )
    ]


PURPOSES: Mapping[KeyPurpose, tuple[str, Callable[[KeysArgs], list[Statement]]]] = {
    "cluster": ("Kubernetes' secrets and the disks of nodes", _instance_starters),
    "data": ("database, cache, buckets, images, secrets", _delivered_logs),
    "logs": ("log groups", _log_groups),
    "backup": ("backups", _nobody),
    "messages": ("topics and queues", _senders),
}
"""What each key encrypts, and which services its own policy admits."""
