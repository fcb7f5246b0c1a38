"""Keys: one a purpose, rotated, and used by nobody but their users."""

from __future__ import annotations

import pytest

from tests.components.production.core import ENVIRONMENTS, core, inputs, outputs, statements
from tools.aws_echo import ACCOUNT, REGION

PURPOSES = {"cluster", "data", "logs", "backup", "messages"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_purpose_has_a_key_of_its_own_rotated_and_slow_to_delete(environment: str) -> None:
    keys = inputs(core(environment), "Key")
    assert set(keys) == {f"keys-{purpose}" for purpose in PURPOSES}
    for key in keys.values():
        assert key["enableKeyRotation"] is True
        assert key["rotationPeriodInDays"] == 365
        assert key["deletionWindowInDays"] == 30
    assert len(set(outputs(core(environment))["keys"])) == len(PURPOSES)


def test_each_key_has_an_alias() -> None:
    aliases = inputs(core("production"), "Alias")
    assert {alias["namePrefix"] for alias in aliases.values()} == {
        f"alias/keys-{purpose}-" for purpose in PURPOSES
    }
    assert len({alias["targetKeyId"] for alias in aliases.values()}) == len(PURPOSES)


@pytest.mark.parametrize(("environment", "protected"), [("production", True), ("dev", False)])
def test_keys_are_protected_where_the_environment_is(environment: str, *, protected: bool) -> None:
    keys = core(environment).of_type("Key").values()
    assert {key.protect for key in keys} == {protected}


def test_only_the_account_does_anything_without_a_condition() -> None:
    for key in inputs(core("production"), "Key").values():
        for sid, statement in statements(key["policy"]).items():
            if sid == "Account":
                assert statement["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
            else:
                assert statement["Condition"], sid
                assert not any("*" in action for action in statement["Action"]), sid


def test_keys_of_data_and_backups_are_used_by_roles_alone() -> None:
    keys = inputs(core("production"), "Key")
    assert set(statements(keys["keys-data"]["policy"])) == {"Account"}
    assert set(statements(keys["keys-backup"]["policy"])) == {"Account"}


def test_cloudwatch_uses_its_key_for_this_accounts_log_groups_alone() -> None:
    policy = statements(inputs(core("production"), "Key")["keys-logs"]["policy"])
    assert policy["LogGroups"]["Principal"] == {"Service": f"logs.{REGION}.amazonaws.com"}
    assert policy["LogGroups"]["Condition"] == {
        "ArnLike": {
            "kms:EncryptionContext:aws:logs:arn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:*"
        }
    }


def test_what_starts_nodes_encrypts_their_disks_through_ec2_and_grants_to_aws_alone() -> None:
    policy = statements(inputs(core("production"), "Key")["keys-cluster"]["policy"])
    for sid in ("NodeDisks", "NodeDiskGrants"):
        condition = policy[sid]["Condition"]
        assert condition["StringEquals"] == {
            "kms:CallerAccount": ACCOUNT,
            "kms:ViaService": f"ec2.{REGION}.amazonaws.com",
        }
        roles = condition["ArnEquals"]["aws:PrincipalArn"]
        assert all(f"::{ACCOUNT}:role/aws-service-role/" in role for role in roles)
    assert "kms:CreateGrant" not in policy["NodeDisks"]["Action"]
    grants = policy["NodeDiskGrants"]["Condition"]
    assert grants["Bool"] == {"kms:GrantIsForAWSResource": "true"}


def test_senders_of_messages_are_services_acting_for_this_account() -> None:
    policy = statements(inputs(core("production"), "Key")["keys-messages"]["policy"])
    assert all(s.endswith(".amazonaws.com") for s in policy["Senders"]["Principal"]["Service"])
    assert policy["Senders"]["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
