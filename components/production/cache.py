"""Valkey or Redis on ElastiCache: private, encrypted, with a password and replicas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from inventory.cloud.model import Cache as CacheSettings
from inventory.cloud.model import LogDays

PORT = 6379
LOGS = ("slow-log", "engine-log")


@dataclass(frozen=True, slots=True)
class CacheArgs:
    """What a cache is made of.

    Attributes:
        settings: engine, nodes, snapshots.
        vpc_id: where its security group is.
        subnet_ids: isolated ones; with replicas in two zones at least.
        client_security_group_ids: whose members may connect; nobody else may.
        key_arn: encrypts what it holds, its snapshots, and the secret.
        password: what clients present. 16 to 128 letters, digits, `-` and `_`; the stack generates
            it once. It is marked as a secret here, whether it was one or not.
        log_key_arn: encrypts its logs.
        log_days: its logs are kept.
        protected: whether it can be deleted only deliberately, and leaves a last snapshot.
    """

    settings: CacheSettings
    vpc_id: pulumi.Input[str]
    subnet_ids: pulumi.Input[Sequence[str]]
    client_security_group_ids: Sequence[pulumi.Input[str]]
    key_arn: pulumi.Input[str]
    password: pulumi.Input[str]
    log_key_arn: pulumi.Input[str]
    log_days: LogDays = 90
    protected: bool = True


class Cache(pulumi.ComponentResource):
    """A primary and its replicas.

    Clients authenticate by one password over TLS. A user group would give each its own commands;
    there is one client, the service, and a password works with every client library.
    """

    id: pulumi.Output[str]
    primary_address: pulumi.Output[str]
    reader_address: pulumi.Output[str]
    port: pulumi.Output[int]
    secret_arn: pulumi.Output[str]
    security_group_id: pulumi.Output[str]
    log_group_names: list[pulumi.Output[str]]

    def __init__(
        self, name: str, args: CacheArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:production:Cache", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings = args.settings
        password = pulumi.Output.secret(args.password)
        subnets = aws.elasticache.SubnetGroup(
            f"{name}-subnets", subnet_ids=args.subnet_ids, opts=child
        )
        parameters = aws.elasticache.ParameterGroup(
            f"{name}-parameters",
            family=family(settings.engine, settings.version),
            # Answers that nobody asked for lately make room for new ones.
            parameters=[{"name": "maxmemory-policy", "value": "allkeys-lru"}],
            opts=child,
        )
        security_group = _security_group(name, args, child)
        logs = {
            kind: aws.cloudwatch.LogGroup(
                f"{name}-{kind}",
                # Under this prefix AWS needs no resource policy that grows with each group.
                name_prefix=f"/aws/vendedlogs/elasticache/{name}-{kind}-",
                retention_in_days=args.log_days,
                kms_key_id=args.log_key_arn,
                opts=child,
            )
            for kind in LOGS
        }
        failover = settings.replicas > 0
        group = aws.elasticache.ReplicationGroup(
            f"{name}-nodes",
            description="Answers that were given already",
            engine=settings.engine,
            engine_version=settings.version,
            auto_minor_version_upgrade=True,
            node_type=settings.node_type,
            num_cache_clusters=1 + settings.replicas,
            multi_az_enabled=failover,
            automatic_failover_enabled=failover,
            port=PORT,
            subnet_group_name=subnets.name,
            security_group_ids=[security_group.id],
            parameter_group_name=parameters.name,
            at_rest_encryption_enabled=True,
            kms_key_id=args.key_arn,
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            auth_token=password,
            # A new password is added beside the old one, which goes at the next change.
            auth_token_update_strategy="ROTATE",  # noqa: S106 - how, not what
            snapshot_retention_limit=settings.snapshot_days,
            snapshot_window="02:30-03:30",
            maintenance_window="sun:05:00-sun:06:00",
            final_snapshot_identifier=f"{name}-final" if args.protected else None,
            log_delivery_configurations=[
                {
                    "log_type": kind,
                    "log_format": "json",
                    "destination_type": "cloudwatch-logs",
                    "destination": log.name,
                }
                for kind, log in logs.items()
            ],
            opts=pulumi.ResourceOptions(parent=self, protect=args.protected),
        )
        self.id = group.id
        self.primary_address = group.primary_endpoint_address
        self.reader_address = group.reader_endpoint_address
        self.port = pulumi.Output.from_input(PORT)
        self.secret_arn = _secret(name, args, group, password, child)
        self.security_group_id = security_group.id
        self.log_group_names = [log.name for log in logs.values()]
        self.register_outputs(
            {
                "id": self.id,
                "primary_address": self.primary_address,
                "reader_address": self.reader_address,
                "port": self.port,
                "secret_arn": self.secret_arn,
                "security_group_id": self.security_group_id,
            }
        )


def family(engine: str, version: str) -> str:
    """The parameter groups that fit a version: `valkey8`, `redis7`; before 7 Redis wrote `6.x`."""
    major = version.partition(".")[0]
    return f"{engine}{major}.x" if (engine, major) == ("redis", "6") else f"{engine}{major}"


def _security_group(name: str, args: CacheArgs, child: pulumi.ResourceOptions) -> Any:
    """Its clients come in, nothing goes out: nodes reach each other by paths of ElastiCache's."""
    group = aws.ec2.SecurityGroup(
        f"{name}-access",
        description="The cache for its clients",
        vpc_id=args.vpc_id,
        opts=child,
    )
    for number, client in enumerate(args.client_security_group_ids):
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-client-{number}",
            description=args.settings.engine,
            security_group_id=group.id,
            referenced_security_group_id=client,
            ip_protocol="tcp",
            from_port=PORT,
            to_port=PORT,
            opts=child,
        )
    return group


def _secret(
    name: str,
    args: CacheArgs,
    group: Any,
    password: pulumi.Output[str],
    child: pulumi.ResourceOptions,
) -> pulumi.Output[str]:
    """Where clients read how to connect; what is not protected leaves no name reserved."""
    secret = aws.secretsmanager.Secret(
        f"{name}-login",
        description="Address and password of the cache",
        kms_key_id=args.key_arn,
        recovery_window_in_days=30 if args.protected else 0,
        opts=child,
    )
    login = {
        "host": group.primary_endpoint_address,
        "reader": group.reader_endpoint_address,
        "port": PORT,
        "password": password,
        "tls": True,
    }
    version = aws.secretsmanager.SecretVersion(
        f"{name}-login-value",
        secret_id=secret.id,
        secret_string=pulumi.Output.json_dumps(login),
        opts=child,
    )
    return pulumi.Output.all(secret.arn, version.id).apply(lambda made: str(made[0]))
