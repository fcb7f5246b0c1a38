"""The database keeps what it promises, in both environments."""

from __future__ import annotations

from typing import Any

import pytest

from components.production.database import Database, DatabaseArgs
from inventory.cloud.loading import load_environment
from inventory.cloud.model import Database as Settings
from inventory.cloud.model import Environment
from tests.components.production.given import (
    BOTH,
    CLIENTS,
    SUBNETS,
    VPC,
    key,
    named,
    only,
    recorded,
    rules_of,
)
from tests.components.recorder import Recording, record

INSTANCE = "rds/instance:Instance"
REPLACES = frozenset(
    {
        *("availabilityZone", "characterSetName", "customIamInstanceProfile", "dbName", "engine"),
        *("identifier", "identifierPrefix", "kmsKeyId", "ncharCharacterSetName"),
        *("restoreToPointInTime", "snapshotIdentifier", "storageEncrypted", "timezone"),
        *("username", "backupTarget"),
    }
)
"""Inputs whose change makes a new instance: those that the provider's schema forces to."""


def declare(environment: Environment) -> Database:
    return Database(
        "database",
        args_of(environment.database, protected=environment.protected),
    )


def args_of(settings: Settings, *, protected: bool) -> DatabaseArgs:
    return DatabaseArgs(
        settings=settings,
        vpc_id=VPC,
        subnet_ids=SUBNETS,
        client_security_group_ids=CLIENTS,
        key_arn=key("data"),
        log_key_arn=key("logs"),
        log_days=30,
        protected=protected,
    )


@pytest.fixture(scope="module")
def recordings() -> dict[str, Recording]:
    return recorded(declare)


@pytest.fixture(params=BOTH)
def recording(request: pytest.FixtureRequest, recordings: dict[str, Recording]) -> Recording:
    return recordings[request.param]


@pytest.fixture
def instance(recording: Recording) -> dict[str, Any]:
    return only(recording, INSTANCE)


def test_it_is_where_nobody_outside_reaches_it(
    instance: dict[str, Any], recording: Recording
) -> None:
    assert instance["publiclyAccessible"] is False
    assert only(recording, "rds/subnetGroup:SubnetGroup")["subnetIds"] == SUBNETS
    assert instance["dbSubnetGroupName"].startswith("database-subnets")


def test_only_its_clients_connect_and_it_connects_to_nobody(recording: Recording) -> None:
    rules = rules_of(recording, "SecurityGroupIngressRule")
    assert [rule["referencedSecurityGroupId"] for rule in rules] == CLIENTS
    assert {(rule["fromPort"], rule["toPort"], rule["ipProtocol"]) for rule in rules} == {
        (5432, 5432, "tcp")
    }
    assert not any("cidrIpv4" in rule or "prefixListId" in rule for rule in rules)
    assert recording.of_type("SecurityGroupEgressRule") == {}
    group = only(recording, "ec2/securityGroup:SecurityGroup")
    assert "egress" not in group
    assert "ingress" not in group


def test_connections_without_tls_are_refused_and_slow_statements_logged(
    recording: Recording, instance: dict[str, Any]
) -> None:
    group = only(recording, "rds/parameterGroup:ParameterGroup")
    values = {each["name"]: each["value"] for each in group["parameters"]}
    assert values["rds.force_ssl"] == "1"
    assert (values["log_statement"], values["log_min_duration_statement"]) == ("ddl", "1000")
    assert group["family"] == "postgres17"
    assert instance["parameterGroupName"].startswith("database-parameters")
    assert instance["caCertIdentifier"] == "rds-ca-rsa2048-g1"


def test_no_password_is_given_and_rds_keeps_its_own_under_the_key(
    instance: dict[str, Any],
) -> None:
    assert instance["manageMasterUserPassword"] is True
    assert instance["masterUserSecretKmsKeyId"] == key("data")
    assert instance["iamDatabaseAuthenticationEnabled"] is True
    assert not {"password", "passwordWo"} & set(instance)


def test_storage_is_encrypted_and_grows(instance: dict[str, Any]) -> None:
    assert (instance["storageEncrypted"], instance["kmsKeyId"]) == (True, key("data"))
    assert instance["storageType"] == "gp3"
    assert instance["maxAllocatedStorage"] > instance["allocatedStorage"]


def test_storage_that_may_not_grow_has_no_limit_above_it() -> None:
    settings = load_environment("dev").database
    fixed = settings.model_copy(update={"most_storage": settings.storage})
    made = record(lambda: _declared(fixed))
    assert "maxAllocatedStorage" not in only(made, INSTANCE)


def test_size_and_standby_are_the_settings(recordings: dict[str, Recording]) -> None:
    production, dev = (only(recordings[name], INSTANCE) for name in BOTH)
    assert (production["multiAz"], dev["multiAz"]) == (True, False)
    assert (production["allocatedStorage"], dev["allocatedStorage"]) == (100, 20)
    assert (production["maxAllocatedStorage"], dev["maxAllocatedStorage"]) == (500, 50)
    assert (production["instanceClass"], dev["instanceClass"]) == ("db.m7g.large", "db.t4g.medium")
    assert (production["backupRetentionPeriod"], dev["backupRetentionPeriod"]) == (14, 3)


def test_upgrades_backups_and_logs_are_as_they_should_be(
    instance: dict[str, Any], recording: Recording
) -> None:
    assert instance["autoMinorVersionUpgrade"] is True
    assert instance["copyTagsToSnapshot"] is True
    assert (instance["backupWindow"], instance["maintenanceWindow"]) == (
        "02:00-03:00",
        "sun:04:00-sun:05:00",
    )
    assert instance["enabledCloudwatchLogsExports"] == ["postgresql", "upgrade"]
    groups = recording.of_type("cloudwatch/logGroup:LogGroup").values()
    assert {group.inputs["name"] for group in groups} == {
        f"/aws/rds/instance/{instance['identifier']}/{kind}" for kind in ("postgresql", "upgrade")
    }
    assert {(g.inputs["retentionInDays"], g.inputs["kmsKeyId"]) for g in groups} == {
        (30, key("logs"))
    }
    assert {g.urn for g in groups} <= named(recording, INSTANCE, "instance").depends_on


def test_insights_and_monitoring_are_on_and_encrypted(
    instance: dict[str, Any], recording: Recording
) -> None:
    assert instance["performanceInsightsEnabled"] is True
    assert instance["performanceInsightsKmsKeyId"] == key("data")
    assert instance["performanceInsightsRetentionPeriod"] == 7
    assert instance["databaseInsightsMode"] == "standard"
    assert instance["monitoringInterval"] == 60
    role = only(recording, "iam/role:Role")
    assert "monitoring.rds.amazonaws.com" in role["assumeRolePolicy"]
    attached = only(recording, "iam/rolePolicyAttachment:RolePolicyAttachment")
    assert attached["policyArn"].endswith("/service-role/AmazonRDSEnhancedMonitoringRole")


def test_what_is_protected_goes_only_deliberately_and_leaves_a_snapshot(
    recordings: dict[str, Recording],
) -> None:
    production, dev = (named(recordings[name], INSTANCE, "instance") for name in BOTH)
    assert production.protect
    assert production.inputs["deletionProtection"] is True
    assert production.inputs["skipFinalSnapshot"] is False
    assert production.inputs["finalSnapshotIdentifier"] == "database-final"
    assert production.inputs["deleteAutomatedBackups"] is False
    assert not dev.protect
    assert dev.inputs["deletionProtection"] is False
    assert dev.inputs["skipFinalSnapshot"] is True
    assert dev.inputs["deleteAutomatedBackups"] is True


OTHER_SETTINGS: dict[str, Any] = {
    "version": "18.1",
    "instance_class": "db.r7g.xlarge",
    "multi_az": False,
    "storage": 300 * 1024**3,
    "most_storage": 900 * 1024**3,
    "backup_days": 35,
    "insights_days": 731,
}


def _declared(settings: Settings, *, protected: bool = True) -> None:
    Database("database", args_of(settings, protected=protected))


def test_every_setting_is_tried_for_a_replacement() -> None:
    assert set(OTHER_SETTINGS) == set(Settings.model_fields)


@pytest.mark.parametrize("field", OTHER_SETTINGS)
def test_no_change_of_a_setting_replaces_the_database(
    field: str, recordings: dict[str, Recording]
) -> None:
    before = only(recordings["production"], INSTANCE)
    settings = load_environment("production").database
    changed = settings.model_copy(update={field: OTHER_SETTINGS[field]})
    after = only(record(lambda: _declared(changed)), INSTANCE)
    differing = {
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    }
    assert differing
    assert differing & REPLACES == set()


def test_giving_up_protection_does_not_replace_the_database(
    recordings: dict[str, Recording],
) -> None:
    settings = load_environment("production").database
    before = only(recordings["production"], INSTANCE)
    after = only(record(lambda: _declared(settings, protected=False)), INSTANCE)
    assert not {name for name in REPLACES if before.get(name) != after.get(name)}
