"""Roles: named actions on named resources, taken by whom they name."""

from __future__ import annotations

from typing import Any

from hearth.audit.look import Look
from policies.statements import TOO_MUCH, loose_federation, open_to_everybody, wildcards


def judge(look: Look) -> None:
    """Roles with the environment's tag, and the policies that they have."""
    details = look.client("iam").get_paginator("get_account_authorization_details")
    pages = list(details.paginate(Filter=["Role", "LocalManagedPolicy"]))
    documents = {
        policy["Arn"]: version["Document"]
        for page in pages
        for policy in page["Policies"]
        for version in policy["PolicyVersionList"]
        if version["IsDefaultVersion"]
    }
    roles = [role for page in pages for role in page["RoleDetailList"] if look.ours(role["Tags"])]
    look.found("role", [role["RoleName"] for role in roles])
    for role in roles:
        _permissions(look, role, documents)
        trust = role["AssumeRolePolicyDocument"]
        loose = [*open_to_everybody(trust), *loose_federation(trust)]
        look.expect(
            role["RoleName"],
            "trust",
            not loose,
            "; ".join(loose),
            "name the service, the account, or the repository and environment",
        )


def _permissions(look: Look, role: dict[str, Any], documents: dict[str, dict[str, Any]]) -> None:
    attached = [policy["PolicyArn"] for policy in role["AttachedManagedPolicies"]]
    own = {entry["PolicyName"]: entry["PolicyDocument"] for entry in role["RolePolicyList"]}
    own |= {arn.rpartition("/")[2]: documents[arn] for arn in attached if arn in documents}
    found = [f"{name}: {what}" for name, document in own.items() for what in wildcards(document)]
    found += [arn.rpartition("/")[2] for arn in attached if arn.endswith(TOO_MUCH)]
    look.expect(
        role["RoleName"],
        "IAM wildcards",
        not found,
        "; ".join(found),
        "name actions and ARNs, or give the reason in policies/statements.py",
    )
