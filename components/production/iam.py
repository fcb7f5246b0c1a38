"""IAM documents as plain data: statements, and who may take a role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

VERSION = "2012-10-17"
"""Of the policy language; the only one with variables."""
MANAGED = "arn:aws:iam::aws:policy"
"""Where the policies that Amazon writes are."""

Statement = dict[str, Any]
Conditions = Mapping[str, Mapping[str, Any]]


def document(*statements: Statement) -> dict[str, Any]:
    """A policy of these statements."""
    return {"Version": VERSION, "Statement": list(statements)}


def allow(
    sid: str,
    actions: Sequence[str],
    resources: Any,
    conditions: Conditions | None = None,
) -> Statement:
    """Lets whoever has the policy do something.

    Args:
        sid: why, in one word of CamelCase.
        actions: without wildcards, unless a comment beside the call says why.
        resources: ARNs, one or more, each of which may be an output.
        conditions: operator to key to value.
    """
    statement = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": resources}
    return statement | ({"Condition": dict(conditions)} if conditions else {})


def granted(principal: Mapping[str, Any] | str, statement: Statement) -> Statement:
    """The statement in a resource's own policy, which names who."""
    return {"Principal": principal, **statement}


def service_trust(service: str, conditions: Conditions | None = None) -> dict[str, Any]:
    """Who may take a role: a service of AWS, named as `ec2.amazonaws.com`."""
    statement: Statement = {
        "Sid": "Service",
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    return document(statement | ({"Condition": dict(conditions)} if conditions else {}))


def pod_trust(cluster_name: pulumi.Input[str], namespace: str, account: str) -> dict[str, Any]:
    """Who may take a role: the pods of one service account, by EKS Pod Identity.

    Pod Identity sends the tags that are asked for here with every request; TagSession is what lets
    it.
    """
    tags = {
        "eks-cluster-name": cluster_name,
        "kubernetes-namespace": namespace,
        "kubernetes-service-account": account,
    }
    return document(
        {
            "Sid": "Pods",
            "Effect": "Allow",
            "Principal": {"Service": "pods.eks.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": {
                "StringEquals": {f"aws:RequestTag/{tag}": value for tag, value in tags.items()}
            },
        }
    )


def attach_managed(
    name: str, role: aws.iam.Role, policies: Sequence[str], opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Gives a role policies that Amazon writes, named by their paths below `policy/`."""
    return [
        aws.iam.RolePolicyAttachment(
            f"{name}-{policy.rpartition('/')[2].lower()}",
            role=role.name,
            policy_arn=f"{MANAGED}/{policy}",
            opts=opts,
        )
        for policy in policies
    ]


def use_key_for_volumes(key_arn: pulumi.Input[str], region: pulumi.Input[str]) -> list[Statement]:
    """Lets whoever starts instances or makes volumes encrypt them, through EC2 alone."""
    via = {"kms:ViaService": pulumi.Output.format("ec2.{}.amazonaws.com", region)}
    return [
        allow("UseKey", KEY_USE, key_arn, {"StringEquals": via}),
        allow(
            "GrantKeyToVolumes",
            ["kms:CreateGrant"],
            key_arn,
            {"StringEquals": via, "Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
    ]


KEY_USE = (
    "kms:Encrypt",
    "kms:Decrypt",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:DescribeKey",
)
"""All that a service does with a key on behalf of what is encrypted with it."""
