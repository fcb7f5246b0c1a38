"""The cache keeps what it promises, in both environments."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.production.cache import Cache, CacheArgs, family
from inventory.cloud.loading import load_environment
from inventory.cloud.model import Cache as Settings
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
from tests.components.recorder import Recording, is_secret, opened, public_texts, record

GROUP = "elasticache/replicationGroup:ReplicationGroup"
PASSWORD = "a-password-of-the-cache"  # noqa: S105 - of nothing
REPLACES = frozenset(
    {
        *("atRestEncryptionEnabled", "dataTieringEnabled", "globalReplicationGroupId", "kmsKeyId"),
        *("networkType", "port", "replicationGroupId", "securityGroupNames", "snapshotArns"),
        *("snapshotName", "subnetGroupName"),
    }
)
"""Inputs whose change makes a new group. An older version of the engine, or Redis in place of
Valkey, does as well: see below."""


def declare(environment: Environment) -> Cache:
    return Cache("cache", args_of(environment.cache, protected=environment.protected))


def args_of(settings: Settings, *, protected: bool = True) -> CacheArgs:
    return CacheArgs(
        settings=settings,
        vpc_id=VPC,
        subnet_ids=SUBNETS,
        client_security_group_ids=CLIENTS,
        key_arn=key("data"),
        password=PASSWORD,
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
def group(recording: Recording) -> dict[str, Any]:
    return only(recording, GROUP)


def test_only_its_clients_connect_and_it_connects_to_nobody(recording: Recording) -> None:
    rules = rules_of(recording, "SecurityGroupIngressRule")
    assert [rule["referencedSecurityGroupId"] for rule in rules] == CLIENTS
    assert {(rule["fromPort"], rule["toPort"]) for rule in rules} == {(6379, 6379)}
    assert recording.of_type("SecurityGroupEgressRule") == {}
    assert only(recording, "elasticache/subnetGroup:SubnetGroup")["subnetIds"] == SUBNETS


def test_everything_is_encrypted_on_its_way_and_at_rest(group: dict[str, Any]) -> None:
    assert group["transitEncryptionEnabled"] is True
    assert group["transitEncryptionMode"] == "required"
    assert group["atRestEncryptionEnabled"] is True
    assert group["kmsKeyId"] == key("data")


def test_the_password_is_a_secret_wherever_it_stands(
    group: dict[str, Any], recording: Recording
) -> None:
    assert is_secret(group["authToken"])
    assert opened(group["authToken"]) == PASSWORD
    stored = only(recording, "secretsmanager/secretVersion:SecretVersion")["secretString"]
    assert is_secret(stored)
    for resource in recording.resources:
        assert PASSWORD not in "".join(public_texts(resource.inputs))


def test_clients_read_how_to_connect_from_an_encrypted_secret(recording: Recording) -> None:
    secret = only(recording, "secretsmanager/secret:Secret")
    assert secret["kmsKeyId"] == key("data")
    stored = only(recording, "secretsmanager/secretVersion:SecretVersion")["secretString"]
    login = json.loads(opened(stored))
    assert login["password"] == PASSWORD
    assert login["host"].startswith("master.")
    assert (login["port"], login["tls"]) == (6379, True)


def test_a_replica_takes_over_where_there_is_one(recordings: dict[str, Recording]) -> None:
    production, dev = (only(recordings[name], GROUP) for name in BOTH)
    for setting in ("multiAzEnabled", "automaticFailoverEnabled"):
        assert (production[setting], dev[setting]) == (True, False)
    assert (production["numCacheClusters"], dev["numCacheClusters"]) == (2, 1)


def test_snapshots_and_upgrades(recordings: dict[str, Recording]) -> None:
    production, dev = (only(recordings[name], GROUP) for name in BOTH)
    assert (production["snapshotRetentionLimit"], dev["snapshotRetentionLimit"]) == (7, 1)
    for group in (production, dev):
        assert group["autoMinorVersionUpgrade"] in {True, "true"}
        assert group["snapshotWindow"] == "02:30-03:30"
        assert group["maintenanceWindow"] == "sun:05:00-sun:06:00"


def test_its_logs_are_kept_encrypted(group: dict[str, Any], recording: Recording) -> None:
    assert {each["logType"] for each in group["logDeliveryConfigurations"]} == {
        "slow-log",
        "engine-log",
    }
    logs = recording.of_type("cloudwatch/logGroup:LogGroup").values()
    assert {(log.inputs["retentionInDays"], log.inputs["kmsKeyId"]) for log in logs} == {
        (30, key("logs"))
    }
    assert all(log.inputs["namePrefix"].startswith("/aws/vendedlogs/") for log in logs)


def test_what_is_protected_goes_only_deliberately(recordings: dict[str, Recording]) -> None:
    production, dev = (named(recordings[name], GROUP, "nodes") for name in BOTH)
    assert (production.protect, dev.protect) == (True, False)
    assert production.inputs["finalSnapshotIdentifier"] == "cache-final"
    assert "finalSnapshotIdentifier" not in dev.inputs
    windows = [
        only(recordings[name], "secretsmanager/secret:Secret")["recoveryWindowInDays"]
        for name in BOTH
    ]
    assert windows == [30, 0]


@pytest.mark.parametrize(
    ("engine", "version", "expected"),
    [("valkey", "8.2", "valkey8"), ("redis", "7.1", "redis7"), ("redis", "6.2", "redis6.x")],
)
def test_the_parameter_group_fits_the_version(engine: str, version: str, expected: str) -> None:
    assert family(engine, version) == expected


OTHER_SETTINGS: dict[str, Any] = {
    "engine": "redis",
    "version": "9.1",
    "node_type": "cache.r7g.xlarge",
    "replicas": 3,
    "snapshot_days": 35,
}
BACKWARDS = {"engine"}
"""Valkey cannot become Redis again: the one setting here that makes a new cache. A lower version
does too."""


def test_every_setting_is_tried_for_a_replacement() -> None:
    assert set(OTHER_SETTINGS) == set(Settings.model_fields)


@pytest.mark.parametrize("field", sorted(set(OTHER_SETTINGS) - BACKWARDS))
def test_no_change_of_a_setting_but_backwards_replaces_the_cache(
    field: str, recordings: dict[str, Recording]
) -> None:
    before = only(recordings["production"], GROUP)
    settings = load_environment("production").cache
    changed = settings.model_copy(update={field: OTHER_SETTINGS[field]})
    made = record(lambda: _declared(changed))
    after = only(made, GROUP)
    differing = {
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    }
    assert differing
    assert differing & REPLACES == set()
    assert "engine" not in differing


def _declared(settings: Settings) -> None:
    Cache("cache", args_of(settings))
