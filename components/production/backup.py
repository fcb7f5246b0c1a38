"""AWS Backup: a vault that nobody empties in haste, and what goes into it."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.production.iam import attach_managed, service_trust
from inventory.cloud.model import Storage as StorageSettings

TAG, DAILY = "Backup", "daily"
"""Resources that carry it are backed up as the database is."""
POLICIES = (
    "service-role/AWSBackupServiceRolePolicyForBackup",
    "service-role/AWSBackupServiceRolePolicyForRestores",
)
EVENTS = ("BACKUP_JOB_FAILED", "BACKUP_JOB_EXPIRED", "RESTORE_JOB_COMPLETED")


@dataclass(frozen=True, slots=True)
class VaultArgs:
    """What the vault is made of.

    Attributes:
        settings: how long backups are kept, and how long nobody may delete them.
        account: number of the account: on its behalf the role is taken.
        key_arn: encrypts the backups.
        database_arn: of what is always backed up.
        topic_arn: is told of failures and restores, where given.
        protected: whether the vault can be deleted only deliberately; one that is not goes with its
            backups.
    """

    settings: StorageSettings
    account: pulumi.Input[str]
    key_arn: pulumi.Input[str]
    database_arn: pulumi.Input[str]
    topic_arn: pulumi.Input[str] | None = None
    protected: bool = True


class Vault(pulumi.ComponentResource):
    """A vault, a plan of daily and monthly backups, and the selection of what they hold.

    The lock is in governance mode: for `vault_lock_days` nobody deletes a backup, unless a role
    that may also lift the lock lifts it first, which CloudTrail shows. Compliance mode cannot be
    lifted by anybody, Amazon included: a wrong number would be billed until it has passed, so it is
    left to whoever has to prove more, by hand.

    No backup is continuous here: for the database RDS does that itself (`backup_days`), and AWS
    Backup would overwrite its retention and window. The vault keeps what an attacker with the
    database's own permissions cannot delete.
    """

    vault_name: pulumi.Output[str]
    vault_arn: pulumi.Output[str]
    plan_id: pulumi.Output[str]

    def __init__(
        self, name: str, args: VaultArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:production:Vault", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings = args.settings
        vault = aws.backup.Vault(
            f"{name}-vault",
            kms_key_arn=args.key_arn,
            force_destroy=not args.protected,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protected),
        )
        if settings.vault_lock_days is not None:
            aws.backup.VaultLockConfiguration(
                f"{name}-lock",
                backup_vault_name=vault.name,
                min_retention_days=settings.vault_lock_days,
                opts=child,
            )
        if args.topic_arn is not None:
            aws.backup.VaultNotifications(
                f"{name}-notifications",
                backup_vault_name=vault.name,
                backup_vault_events=list(EVENTS),
                sns_topic_arn=args.topic_arn,
                opts=child,
            )
        plan = aws.backup.Plan(
            f"{name}-plan",
            rules=[
                _rule("daily", "cron(0 3 * * ? *)", vault.name, settings.vault_days),
                _rule("monthly", "cron(0 5 1 * ? *)", vault.name, settings.vault_monthly_days),
            ],
            opts=child,
        )
        trust = service_trust(
            "backup.amazonaws.com", {"StringEquals": {"aws:SourceAccount": args.account}}
        )
        role = aws.iam.Role(
            f"{name}-role", assume_role_policy=pulumi.Output.json_dumps(trust), opts=child
        )
        attached = attach_managed(name, role, POLICIES, child)
        for subject, selected in (
            ("database", {"resources": [args.database_arn]}),
            ("tagged", {"selection_tags": [{"type": "STRINGEQUALS", "key": TAG, "value": DAILY}]}),
        ):
            aws.backup.Selection(
                f"{name}-{subject}",
                plan_id=plan.id,
                iam_role_arn=role.arn,
                **selected,
                opts=pulumi.ResourceOptions(parent=self, depends_on=attached),
            )
        self.vault_name, self.vault_arn = vault.name, vault.arn
        self.plan_id = plan.id
        self.register_outputs(
            {"vault_name": self.vault_name, "vault_arn": self.vault_arn, "plan_id": self.plan_id}
        )


def _rule(
    name: str, schedule: str, vault_name: pulumi.Input[str], days: int
) -> dict[str, pulumi.Input[object]]:
    """One of the plan's rules, its times in minutes: it begins within an hour, ends within six."""
    return {
        "rule_name": name,
        "target_vault_name": vault_name,
        "schedule": schedule,
        "schedule_expression_timezone": "Etc/UTC",
        "start_window": 60,
        "completion_window": 360,
        "enable_continuous_backup": False,
        "lifecycle": {"delete_after": days},
    }
