"""PostgreSQL on RDS: private, encrypted, with a standby where the settings say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.production.iam import attach_managed, service_trust
from inventory.cloud.model import Database as DatabaseSettings
from inventory.cloud.model import LogDays
from inventory.services import DATABASE
from inventory.units import GIB

PORT = 5432
MAX_CONNECTIONS = 200
"""Fewer than the smallest class would allow by itself (2 GiB: 225), so a change of class, up or
down, does not change what clients may rely on."""
LOGS = ("postgresql", "upgrade")
AUTHORITY = "rds-ca-rsa2048-g1"
"""Of the server's certificate; valid until 2061."""
MONITORING_POLICY = "service-role/AmazonRDSEnhancedMonitoringRole"


@dataclass(frozen=True, slots=True)
class DatabaseArgs:
    """What a database is made of.

    Attributes:
        settings: its size, its standby, its backups.
        vpc_id: where its security group is.
        subnet_ids: isolated ones, in two zones at least.
        client_security_group_ids: whose members may connect; nobody else may.
        key_arn: encrypts storage, snapshots, insights and the password.
        log_key_arn: encrypts its logs.
        log_days: its logs are kept.
        protected: whether it can be deleted only deliberately. One that is not leaves no final
            snapshot and no automated backups behind, which would be billed.
    """

    settings: DatabaseSettings
    vpc_id: pulumi.Input[str]
    subnet_ids: pulumi.Input[Sequence[str]]
    client_security_group_ids: Sequence[pulumi.Input[str]]
    key_arn: pulumi.Input[str]
    log_key_arn: pulumi.Input[str]
    log_days: LogDays = 90
    protected: bool = True


class Database(pulumi.ComponentResource):
    """One instance of PostgreSQL.

    Its identifier is the component's name, which therefore has to be unique within account and
    region: RDS writes logs into groups named after the identifier, and they have to exist before
    it, or nobody sets their retention and key.

    RDS makes the password, keeps it in Secrets Manager and changes it each week; no stack sees it.
    After an automatic upgrade to a newer minor version, write that version into the settings: RDS
    refuses to go back.
    """

    id: pulumi.Output[str]
    arn: pulumi.Output[str]
    address: pulumi.Output[str]
    port: pulumi.Output[int]
    secret_arn: pulumi.Output[str]
    security_group_id: pulumi.Output[str]
    resource_id: pulumi.Output[str]
    log_group_names: list[pulumi.Output[str]]

    def __init__(
        self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:production:Database", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings = args.settings
        subnets = aws.rds.SubnetGroup(f"{name}-subnets", subnet_ids=args.subnet_ids, opts=child)
        parameters = aws.rds.ParameterGroup(
            f"{name}-parameters",
            family=f"postgres{settings.version.partition('.')[0]}",
            parameters=parameters_of(),
            opts=child,
        )
        security_group = _security_group(name, args, child)
        logs = [
            aws.cloudwatch.LogGroup(
                f"{name}-{kind}",
                name=f"/aws/rds/instance/{name}/{kind}",
                retention_in_days=args.log_days,
                kms_key_id=args.log_key_arn,
                opts=child,
            )
            for kind in LOGS
        ]
        monitoring = aws.iam.Role(
            f"{name}-monitoring",
            assume_role_policy=pulumi.Output.json_dumps(
                service_trust("monitoring.rds.amazonaws.com")
            ),
            opts=child,
        )
        # RDS tries the role when it is given it.
        attached = attach_managed(name, monitoring, [MONITORING_POLICY], child)
        instance = aws.rds.Instance(
            f"{name}-instance",
            identifier=name,
            engine="postgres",
            engine_version=settings.version,
            # The version is pinned in the settings: a change of it is meant.
            allow_major_version_upgrade=True,
            auto_minor_version_upgrade=True,
            instance_class=settings.instance_class,
            multi_az=settings.multi_az,
            db_name=DATABASE,
            username="administrator",
            manage_master_user_password=True,
            master_user_secret_kms_key_id=args.key_arn,
            iam_database_authentication_enabled=True,
            port=PORT,
            db_subnet_group_name=subnets.name,
            vpc_security_group_ids=[security_group.id],
            publicly_accessible=False,
            parameter_group_name=parameters.name,
            ca_cert_identifier=AUTHORITY,
            **_storage(args),
            **_backups(name, args),
            **_insights(args, monitoring),
            enabled_cloudwatch_logs_exports=list(LOGS),
            maintenance_window="sun:04:00-sun:05:00",
            deletion_protection=args.protected,
            opts=pulumi.ResourceOptions(
                parent=self, protect=args.protected, depends_on=[*logs, *attached]
            ),
        )
        self.id = instance.identifier
        self.arn = instance.arn
        self.address = instance.address
        self.port = instance.port
        self.secret_arn = instance.master_user_secrets[0].secret_arn
        self.security_group_id = security_group.id
        self.resource_id = instance.resource_id
        self.log_group_names = [group.name for group in logs]
        self.register_outputs(
            {
                "id": self.id,
                "arn": self.arn,
                "address": self.address,
                "port": self.port,
                "secret_arn": self.secret_arn,
                "security_group_id": self.security_group_id,
                "resource_id": self.resource_id,
            }
        )


def parameters_of() -> list[dict[str, str]]:
    """TLS for everybody; in the log: who connects, changed schemas, waits, and slow statements.

    Statements that take a second or more are logged with their text, which may hold what users
    wrote: the log's group is encrypted, and kept as long as the settings say.
    """
    at_once = {
        "rds.force_ssl": "1",
        "log_statement": "ddl",
        "log_min_duration_statement": "1000",
        "log_connections": "1",
        "log_disconnections": "1",
        "log_lock_waits": "1",
    }
    at_restart = {
        "max_connections": str(MAX_CONNECTIONS),
        "shared_preload_libraries": "pg_stat_statements",
    }
    return [
        {"name": name, "value": value, "apply_method": method}
        for method, values in (("immediate", at_once), ("pending-reboot", at_restart))
        for name, value in values.items()
    ]


def _security_group(name: str, args: DatabaseArgs, child: pulumi.ResourceOptions) -> Any:
    """Its clients come in, nothing goes out: a database answers, and asks nobody."""
    group = aws.ec2.SecurityGroup(
        f"{name}-access",
        description="PostgreSQL for its clients",
        vpc_id=args.vpc_id,
        opts=child,
    )
    for number, client in enumerate(args.client_security_group_ids):
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-client-{number}",
            description="PostgreSQL",
            security_group_id=group.id,
            referenced_security_group_id=client,
            ip_protocol="tcp",
            from_port=PORT,
            to_port=PORT,
            opts=child,
        )
    return group


def _storage(args: DatabaseArgs) -> dict[str, Any]:
    """Encrypted gp3 that grows by itself; RDS counts in GiB and takes no limit that is no more."""
    size, most = -(-args.settings.storage // GIB), args.settings.most_storage // GIB
    return {
        "storage_type": "gp3",
        "storage_encrypted": True,
        "kms_key_id": args.key_arn,
        "allocated_storage": size,
        **({"max_allocated_storage": most} if most > size else {}),
    }


def _backups(name: str, args: DatabaseArgs) -> dict[str, Any]:
    """Point-in-time recovery, and a last snapshot of what is protected."""
    return {
        "backup_retention_period": args.settings.backup_days,
        "backup_window": "02:00-03:00",
        "copy_tags_to_snapshot": True,
        "delete_automated_backups": not args.protected,
        "skip_final_snapshot": not args.protected,
        "final_snapshot_identifier": f"{name}-final" if args.protected else None,
    }


def _insights(args: DatabaseArgs, role: Any) -> dict[str, Any]:
    """Which statements wait for what, and the operating system's figures each minute.

    The standard mode: the advanced one is billed by processor and keeps 15 months.
    """
    return {
        "database_insights_mode": "standard",
        "performance_insights_enabled": True,
        "performance_insights_kms_key_id": args.key_arn,
        "performance_insights_retention_period": args.settings.insights_days,
        "monitoring_interval": 60,
        "monitoring_role_arn": role.arn,
    }
