"""The database and the cache: encrypted, in two zones, backed up, hard to lose."""

from __future__ import annotations

from typing import Any

from hearth.audit.look import Look


def judge_database(look: Look) -> None:
    """RDS instances with the environment's tag."""
    found = look.all("rds", "describe_db_instances", "DBInstances")
    databases = [database for database in found if look.ours(database.get("TagList"))]
    look.found("database", [database["DBInstanceIdentifier"] for database in databases])
    for database in databases:
        _kept(look, database)
        _closed(look, database)
        with look.as_far_as_allowed(database["DBInstanceIdentifier"], "TLS"):
            _tls(look, database)


def _kept(look: Look, database: dict[str, Any]) -> None:
    name, settings = database["DBInstanceIdentifier"], look.environment.database
    look.expect(
        name,
        "multi-AZ",
        database["MultiAZ"] or not settings.multi_az,
        "is in one zone",
        "modify it to multi-AZ",
    )
    days = database["BackupRetentionPeriod"]
    look.expect(
        name,
        "backups",
        days >= settings.backup_days,
        f"keeps backups for {days} days, {settings.backup_days} are promised",
        "raise its backup retention period",
    )
    look.expect(
        name,
        "deletion protection",
        database["DeletionProtection"] or not look.environment.protected,
        "AWS would delete it when asked once",
        "turn on deletion protection",
    )


def _closed(look: Look, database: dict[str, Any]) -> None:
    name = database["DBInstanceIdentifier"]
    look.expect(
        name,
        "encryption",
        database["StorageEncrypted"],
        "its storage is not encrypted",
        "restore an encrypted copy of a snapshot: it cannot be turned on",
    )
    look.expect(
        name,
        "public access",
        not database["PubliclyAccessible"],
        "has a public address",
        "modify it to be reached within the VPC only",
    )
    look.expect(
        name,
        "IAM authentication",
        database["IAMDatabaseAuthenticationEnabled"],
        "knows passwords only",
        "turn on IAM database authentication",
    )
    look.expect(
        name,
        "password",
        "MasterUserSecret" in database,
        "its password is not kept by AWS",
        "let Secrets Manager manage the master password",
    )


def _tls(look: Look, database: dict[str, Any]) -> None:
    parameters = [
        parameter
        for group in database["DBParameterGroups"]
        for parameter in look.all(
            "rds",
            "describe_db_parameters",
            "Parameters",
            DBParameterGroupName=group["DBParameterGroupName"],
        )
    ]
    forced = {found["ParameterName"]: found.get("ParameterValue") for found in parameters}
    look.expect(
        database["DBInstanceIdentifier"],
        "TLS",
        forced.get("rds.force_ssl") == "1",
        "lets clients come without TLS",
        "set rds.force_ssl to 1 in its parameter group",
    )


def judge_cache(look: Look) -> None:
    """ElastiCache replication groups with the environment's tag."""
    found = look.all("elasticache", "describe_replication_groups", "ReplicationGroups")
    client = look.client("elasticache")
    caches = [
        cache
        for cache in found
        if look.ours(client.list_tags_for_resource(ResourceName=cache["ARN"])["TagList"])
    ]
    look.found("cache", [cache["ReplicationGroupId"] for cache in caches])
    for cache in caches:
        _cache(look, cache)


def _cache(look: Look, cache: dict[str, Any]) -> None:
    name, settings = cache["ReplicationGroupId"], look.environment.cache
    alone = settings.replicas == 0
    look.expect(
        name,
        "multi-AZ",
        alone or (cache["AutomaticFailover"] == "enabled" and cache["MultiAZ"] == "enabled"),
        "nothing takes over where its zone is lost",
        "turn on multi-AZ and automatic failover",
    )
    for key, where in (
        ("AtRestEncryptionEnabled", "at rest"),
        ("TransitEncryptionEnabled", "in transit"),
    ):
        look.expect(
            name,
            f"encryption {where}",
            cache.get(key),
            f"its data is not encrypted {where}",
            "make it anew: it cannot be turned on" if where == "at rest" else "turn it on",
        )
    look.expect(
        name,
        "password",
        cache.get("AuthTokenEnabled") or cache.get("UserGroupIds"),
        "asks nobody for a password",
        "give it an AUTH token or a user group",
    )
    days = cache.get("SnapshotRetentionLimit", 0)
    look.expect(
        name,
        "backups",
        days >= settings.snapshot_days,
        f"keeps snapshots for {days} days, {settings.snapshot_days} are promised",
        "raise its snapshot retention limit",
    )
