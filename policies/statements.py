"""IAM documents: whom and what they allow without naming it.

Used on what is declared and on what an account has: both are documents of the same form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

Document = Mapping[str, Any]
Statement = Mapping[str, Any]

ON_EVERYTHING: Mapping[str, str] = {
    "ecr:GetAuthorizationToken": "AWS gives a token for the whole registry, never for a repository",
    "ec2:Describe*": "AWS has no permissions on single resources for reading EC2",
    "ec2:DescribeInstanceTypes": "a list of what AWS sells",
    "eks:DescribeAddonVersions": "a list of what AWS offers",
    "elasticloadbalancing:Describe*": "AWS has no permissions on single resources for reading them",
    "arc-zonal-shift:GetManagedResource": "the resource stands in its condition",
    "pricing:GetProducts": "a price list",
    "logs:DescribeLogGroups": "AWS has no permission on single groups for listing them",
    "cloudwatch:PutMetricData": "AWS knows namespaces here, not resources: a condition narrows it",
    "cloudwatch:ListMetrics": "AWS has no permission on single metrics",
    "cloudwatch:GetMetricData": "AWS has no permission on single metrics",
    "cloudwatch:DescribeAlarms": "AWS has no permission on single alarms for listing them",
    "xray:Put*": "AWS has no permission on single traces",
    "sts:GetCallerIdentity": "tells who asks",
    "tag:GetResources": "a search",
    "iam:ListInstanceProfiles": "AWS has no permission on single profiles for listing them",
    "s3:ListAllMyBuckets": "AWS has no permission on single buckets for listing them",
}
"""Actions that may name no resource, each with its reason; an entry allows nothing else."""

WHO = frozenset(
    {
        *("aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:userid"),
        *("aws:sourceaccount", "aws:sourcearn", "aws:sourceowner", "aws:sourceorgid"),
        *("aws:sourcevpc", "aws:sourcevpce", "kms:calleraccount"),
    }
)
"""Keys of conditions that say whose request it is; others only say how it comes."""

READING = ("Describe", "Get", "List", "BatchGet", "BatchCheck")
"""Beginnings of actions that change nothing, which may end with a star."""

TOO_MUCH = ("AdministratorAccess", "PowerUserAccess", "IAMFullAccess", "FullAccess")
"""Endings of AWS's own policies that allow more than a program ever needs."""

_WHOLE_SERVICE = re.compile(r"^arn:aws:[a-z0-9-]+:[^:]*:[^:]*:\*$")


def statements(document: Document) -> list[Statement]:
    """What a document allows; denials harm nobody."""
    found = document.get("Statement", [])
    listed = [found] if isinstance(found, Mapping) else found
    return [statement for statement in listed if statement.get("Effect") == "Allow"]


def listed(value: Any) -> list[Any]:
    """IAM writes a list of one as that one."""
    if value is None:
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def wildcards(document: Document, *, own_resource: bool = False) -> Iterator[str]:
    """Actions and resources that a document allows without naming them.

    Args:
        document: an identity's policy, or a resource's own.
        own_resource: whether it is a resource's own: `*` is that resource then.
    """
    for statement in statements(document):
        sid = statement.get("Sid") or "a statement"
        if "NotAction" in statement or "NotResource" in statement:
            yield f"{sid} allows all but what it names (NotAction or NotResource)"
        actions = [str(action) for action in listed(statement.get("Action"))]
        if not own_resource:
            yield from (f"{sid} allows {action}" for action in actions if _too_wide(action))
        yield from _resources(sid, statement, actions, own_resource=own_resource)


def _too_wide(action: str) -> bool:
    """Whether an action with a star can change something."""
    _, _, verb = action.partition(":")
    return "*" in action and not verb.startswith(READING) and action not in ON_EVERYTHING


def _resources(
    sid: str, statement: Statement, actions: Sequence[str], *, own_resource: bool
) -> Iterator[str]:
    for resource in map(str, listed(statement.get("Resource"))):
        if resource == "*" and own_resource:
            continue
        if resource != "*" and not _WHOLE_SERVICE.match(resource):
            continue
        for action in actions:
            if not any(fnmatchcase(action, pattern) for pattern in ON_EVERYTHING):
                yield f"{sid} allows {action} on every resource ({resource})"


def open_to_everybody(document: Document) -> Iterator[str]:
    """Statements that let everybody in: no account, no service, no condition that says who."""
    for statement in statements(document):
        principal = statement.get("Principal")
        named = listed(principal.get("AWS")) if isinstance(principal, Mapping) else [principal]
        conditions = (statement.get("Condition") or {}).values()
        keys = {key.lower() for condition in conditions for key in condition}
        if "*" in named and not keys & WHO:
            yield f"{statement.get('Sid') or 'a statement'} lets everybody in"


def loose_federation(trust: Document) -> Iterator[str]:
    """Trust in tokens of an identity provider, without saying whose."""
    for statement in statements(trust):
        principal = statement.get("Principal")
        if not isinstance(principal, Mapping) or "Federated" not in principal:
            continue
        subjects = [
            subject
            for test in (statement.get("Condition") or {}).values()
            for key, value in test.items()
            if key.endswith(":sub")
            for subject in listed(value)
        ]
        if not subjects:
            yield "takes every token of its identity provider: no condition on `sub`"
        for subject in subjects:
            if "*" in str(subject).partition(":")[2].split(":")[0] or str(subject) == "*":
                yield f"takes tokens of repositories that it does not name ({subject})"


def refuses_plain_text(document: Document) -> bool:
    """Whether a resource's policy denies everybody who comes without TLS."""
    found = document.get("Statement", [])
    for statement in [found] if isinstance(found, Mapping) else found:
        condition = statement.get("Condition") or {}
        secure = (condition.get("Bool") or {}).get("aws:SecureTransport")
        if statement.get("Effect") == "Deny" and str(secure).lower() == "false":
            return True
    return False
