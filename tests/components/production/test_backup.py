"""The vault keeps what it promises, in both environments."""

from __future__ import annotations

import json

import pytest

from components.production.backup import Vault, VaultArgs
from inventory.cloud.model import Environment
from tests.components.production.given import BOTH, key, named, only, recorded
from tests.components.recorder import Recording
from tools.aws_echo import ACCOUNT

DATABASE = "arn:aws:rds:us-east-1:123456789012:db:database"


def declare(environment: Environment) -> Vault:
    return Vault(
        "backup",
        VaultArgs(
            settings=environment.storage,
            account=ACCOUNT,
            key_arn=key("backup"),
            database_arn=DATABASE,
            topic_arn="arn:topic" if environment.protected else None,
            protected=environment.protected,
        ),
    )


@pytest.fixture(scope="module")
def recordings() -> dict[str, Recording]:
    return recorded(declare)


def test_the_vault_is_encrypted_and_goes_with_its_backups_only_where_it_may(
    recordings: dict[str, Recording],
) -> None:
    production, dev = (named(recordings[name], "backup/vault:Vault", "vault") for name in BOTH)
    assert {production.inputs["kmsKeyArn"], dev.inputs["kmsKeyArn"]} == {key("backup")}
    assert (production.protect, dev.protect) == (True, False)
    assert (production.inputs["forceDestroy"], dev.inputs["forceDestroy"]) == (False, True)


def test_the_lock_is_the_settings_and_an_administrator_can_lift_it(
    recordings: dict[str, Recording],
) -> None:
    lock = only(recordings["production"], "backup/vaultLockConfiguration:VaultLockConfiguration")
    assert lock["minRetentionDays"] == 7
    assert "changeableForDays" not in lock  # with it nobody could, ever again
    assert not recordings["dev"].of_type("backup/vaultLockConfiguration:VaultLockConfiguration")


@pytest.mark.parametrize(("name", "days"), [("production", (35, 365)), ("dev", (7, 31))])
def test_daily_and_monthly_backups_are_kept_as_long_as_the_settings_say(
    recordings: dict[str, Recording], name: str, days: tuple[int, int]
) -> None:
    daily, monthly = only(recordings[name], "backup/plan:Plan")["rules"]
    assert (daily["ruleName"], monthly["ruleName"]) == ("daily", "monthly")
    assert (daily["lifecycle"]["deleteAfter"], monthly["lifecycle"]["deleteAfter"]) == days
    assert (daily["schedule"], monthly["schedule"]) == ("cron(0 3 * * ? *)", "cron(0 5 1 * ? *)")


@pytest.mark.parametrize("name", BOTH)
def test_the_database_keeps_its_own_point_in_time_recovery(
    recordings: dict[str, Recording], name: str
) -> None:
    rules = only(recordings[name], "backup/plan:Plan")["rules"]
    assert not any(rule["enableContinuousBackup"] for rule in rules)


@pytest.mark.parametrize("name", BOTH)
def test_the_database_and_what_is_tagged_are_backed_up_by_a_role_that_may(
    recordings: dict[str, Recording], name: str
) -> None:
    recording = recordings[name]
    selection = "backup/selection:Selection"
    assert named(recording, selection, "-database").inputs["resources"] == [DATABASE]
    assert named(recording, selection, "-tagged").inputs["selectionTags"] == [
        {"type": "STRINGEQUALS", "key": "Backup", "value": "daily"}
    ]
    trust = json.loads(only(recording, "iam/role:Role")["assumeRolePolicy"])["Statement"][0]
    assert trust["Principal"] == {"Service": "backup.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    attached = recording.of_type("iam/rolePolicyAttachment:RolePolicyAttachment").values()
    assert {each.inputs["policyArn"].rpartition("/")[2] for each in attached} == {
        "AWSBackupServiceRolePolicyForBackup",
        "AWSBackupServiceRolePolicyForRestores",
    }
    for each in recording.of_type(selection).values():
        assert {one.urn for one in attached} <= each.depends_on


def test_failures_are_told_where_there_is_a_topic(recordings: dict[str, Recording]) -> None:
    told = only(recordings["production"], "backup/vaultNotifications:VaultNotifications")
    assert told["snsTopicArn"] == "arn:topic"
    assert "BACKUP_JOB_FAILED" in told["backupVaultEvents"]
    assert not recordings["dev"].of_type("backup/vaultNotifications:VaultNotifications")
