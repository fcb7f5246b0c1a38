"""The database and the cache: encrypted, in two zones, backed up, hard to lose."""

from __future__ import annotations

from collections.abc import Iterator

from policies.graph import Fault, Graph, Policy, Resource

DATABASE = "aws:rds/instance:Instance"
PARAMETERS = "aws:rds/parameterGroup:ParameterGroup"
CACHE = "aws:elasticache/replicationGroup:ReplicationGroup"
LEAST_BACKUP_DAYS = 7


def databases_are_encrypted(database: Resource, _graph: Graph) -> Iterator[Fault]:
    """Data at rest is encrypted, with a key of the account's own."""
    if not database.get("storageEncrypted", default=False):
        yield Fault("its storage is not encrypted", "set storage_encrypted=True and kms_key_id")
    elif not database.has("kmsKeyId"):
        yield Fault("is encrypted with AWS's own key", "give kms_key_id")


def databases_are_private(database: Resource, _graph: Graph) -> Iterator[Fault]:
    """A database has no address in the internet."""
    if database.get("publiclyAccessible", default=False):
        yield Fault("has a public address", "set publicly_accessible=False")


def databases_stand_in_two_zones(database: Resource, graph: Graph) -> Iterator[Fault]:
    """A standby takes over where a zone is lost, unless the settings do without."""
    promised = graph.environment is None or graph.environment.database.multi_az
    if promised and not database.get("multiAz", default=False):
        yield Fault("is in one zone", "set multi_az=True")


def databases_are_backed_up(database: Resource, graph: Graph) -> Iterator[Fault]:
    """Any moment of the promised days can be brought back."""
    environment = graph.environment
    promised = LEAST_BACKUP_DAYS if environment is None else environment.database.backup_days
    days = database.get("backupRetentionPeriod", 0)
    if days < promised:
        yield Fault(
            f"keeps backups for {days:.0f} days, {promised} are promised",
            "set backup_retention_period",
        )


def databases_are_protected(database: Resource, graph: Graph) -> Iterator[Fault]:
    """A database that must not be lost is not deleted by mistake, nor without a last snapshot."""
    if graph.environment is not None and not graph.environment.protected:
        return
    if not database.get("deletionProtection", default=False):
        yield Fault("AWS would delete it when asked once", "set deletion_protection=True")
    if database.get("skipFinalSnapshot", default=False):
        yield Fault("would be deleted without a last snapshot", "set skip_final_snapshot=False")


def databases_keep_no_password_of_ours(database: Resource, _graph: Graph) -> Iterator[Fault]:
    """AWS makes and changes the password; programs log in with IAM."""
    if not database.get("manageMasterUserPassword", default=False):
        yield Fault("its password is given by the stack", "set manage_master_user_password=True")
    if not database.get("iamDatabaseAuthenticationEnabled", default=False):
        yield Fault("knows passwords only", "set iam_database_authentication_enabled=True")


def databases_force_tls(parameters: Resource, _graph: Graph) -> Iterator[Fault]:
    """PostgreSQL refuses who comes without TLS."""
    if not str(parameters.get("family", "")).startswith("postgres"):
        return
    given = {
        parameters.get(f"{at}.name"): parameters.get(f"{at}.value")
        for at in parameters.each("parameters")
    }
    if str(given.get("rds.force_ssl")) != "1":
        yield Fault("lets clients come without TLS", "set the parameter rds.force_ssl to 1")


def databases_have_own_parameters(database: Resource, _graph: Graph) -> Iterator[Fault]:
    """AWS's default parameters do not force TLS in every version."""
    if not database.has("parameterGroupName"):
        yield Fault("has AWS's default parameters", "give it a group with rds.force_ssl")


def caches_are_encrypted(cache: Resource, _graph: Graph) -> Iterator[Fault]:
    """Data is encrypted at rest and in transit, and not to be had without a password."""
    if not _true(cache, "atRestEncryptionEnabled"):
        yield Fault("its data is not encrypted", "set at_rest_encryption_enabled=True")
    if not _true(cache, "transitEncryptionEnabled"):
        yield Fault("talks in plain text", "set transit_encryption_enabled=True")
    if not cache.has("authToken") and not cache.has("userGroupIds"):
        yield Fault("asks nobody for a password", "give auth_token or user_group_ids")


def caches_fail_over(cache: Resource, graph: Graph) -> Iterator[Fault]:
    """A replica in another zone takes over by itself, unless the settings have none."""
    if graph.environment is not None and graph.environment.cache.replicas == 0:
        return
    for property_, option in (
        ("automaticFailoverEnabled", "automatic_failover_enabled"),
        ("multiAzEnabled", "multi_az_enabled"),
    ):
        if not _true(cache, property_):
            yield Fault("nothing takes over where its zone is lost", f"set {option}=True")


def caches_are_backed_up(cache: Resource, graph: Graph) -> Iterator[Fault]:
    """Snapshots are kept as long as promised."""
    environment = graph.environment
    promised = 1 if environment is None else environment.cache.snapshot_days
    if cache.get("snapshotRetentionLimit", 0) < promised:
        yield Fault(f"keeps no snapshots for {promised} days", "set snapshot_retention_limit")


def _true(resource: Resource, property_: str) -> bool:
    """Some of ElastiCache's flags are texts in Pulumi."""
    return str(resource.get(property_, default=False)).lower() == "true"


POLICIES = (
    Policy(databases_are_encrypted, (DATABASE,)),
    Policy(databases_are_private, (DATABASE,)),
    Policy(databases_stand_in_two_zones, (DATABASE,)),
    Policy(databases_are_backed_up, (DATABASE,)),
    Policy(databases_are_protected, (DATABASE,)),
    Policy(databases_keep_no_password_of_ours, (DATABASE,)),
    Policy(databases_have_own_parameters, (DATABASE,)),
    Policy(databases_force_tls, (PARAMETERS,)),
    Policy(caches_are_encrypted, (CACHE,)),
    Policy(caches_fail_over, (CACHE,)),
    Policy(caches_are_backed_up, (CACHE,)),
)
