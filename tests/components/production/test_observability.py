"""Observability keeps what it promises, in both environments."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.production.alarms import Watched
from components.production.observability import Observability, ObservabilityArgs
from inventory.cloud.loading import load_environment
from inventory.cloud.model import Environment
from inventory.units import GIB
from tests.components.production.given import BOTH, key, named, only, policy, recorded
from tests.components.recorder import Recorded, Recording, record
from tools.aws_echo import ACCOUNT, REGION

ALARM = "cloudwatch/metricAlarm:MetricAlarm"
BUCKET = "arn:aws:s3:::logs-bucket"


def watched(environment: Environment) -> Watched:
    failover = environment.edge.failover
    return Watched(
        database_id="database",
        database_storage=environment.database.storage,
        cache_id="cache",
        cache_nodes=1 + environment.cache.replicas,
        balancer_suffix="app/alb/1",
        target_group_suffix="targetgroup/pods/1",
        distribution_id="EDIST",
        firewall_metric="firewall",
        health_check_id="check" if failover else None,
        nat_ids=["nat-1", "nat-2", "nat-3"],
        nats=environment.network.zones if environment.network.nat == "per-zone" else 1,
    )


def declare(environment: Environment, region: str = REGION, **more: Any) -> Observability:
    return Observability(
        "watch",
        ObservabilityArgs(
            settings=environment.observability,
            account=ACCOUNT,
            region=region,
            message_key_arn=key("messages"),
            log_key_arn=key("logs"),
            log_bucket_arn=BUCKET,
            bucket_key_arn=key("data"),
            watched=watched(environment),
            copied_log_groups={"database": "/aws/rds/instance/database/postgresql"},
            **more,
        ),
    )


@pytest.fixture(scope="module")
def recordings() -> dict[str, Recording]:
    return recorded(declare)


@pytest.fixture(params=BOTH)
def recording(request: pytest.FixtureRequest, recordings: dict[str, Recording]) -> Recording:
    return recordings[request.param]


def alarm(recording: Recording, name: str) -> dict[str, Any]:
    return recording.of_type(ALARM)[f"watch-{name}"].inputs


def trusts(role: Recorded) -> dict[str, Any]:
    statement: dict[str, Any] = json.loads(role.inputs["assumeRolePolicy"])["Statement"][0]
    return statement


# Logs


def test_logs_are_encrypted_and_kept_as_long_as_the_settings_say(
    recordings: dict[str, Recording],
) -> None:
    for name, days in (("production", 90), ("dev", 7)):
        groups = recordings[name].of_type("cloudwatch/logGroup:LogGroup").values()
        assert {g.inputs["retentionInDays"] for g in groups} == {days}
        assert {g.inputs["kmsKeyId"] for g in groups} == {key("logs")}


def test_every_log_is_copied_to_the_bucket_encrypted_all_the_way(recording: Recording) -> None:
    stream = only(recording, "kinesis/firehoseDeliveryStream:FirehoseDeliveryStream")
    to = stream["extendedS3Configuration"]
    assert (to["bucketArn"], to["kmsKeyArn"]) == (BUCKET, key("data"))
    assert stream["serverSideEncryption"] == {
        "enabled": True,
        "keyType": "CUSTOMER_MANAGED_CMK",
        "keyArn": key("logs"),
    }
    filters = recording.of_type("cloudwatch/logSubscriptionFilter:LogSubscriptionFilter")
    assert set(filters) == {"watch-service", "watch-database"}
    assert {each.inputs["filterPattern"] for each in filters.values()} == {""}
    database = filters["watch-database"].inputs
    assert database["logGroup"] == "/aws/rds/instance/database/postgresql"


def test_those_who_copy_may_do_that_and_nothing_else(recording: Recording) -> None:
    roles = recording.of_type("iam/role:Role")
    assert trusts(roles["watch-copy"])["Principal"] == {"Service": "firehose.amazonaws.com"}
    assert trusts(roles["watch-feed"])["Principal"] == {"Service": "logs.amazonaws.com"}
    for role in roles.values():
        assert trusts(role)["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    for each in recording.of_type("iam/rolePolicy:RolePolicy").values():
        for statement in policy(each.inputs["policy"]).values():
            assert not any("*" in action for action in statement["Action"])
            assert statement["Resource"] != "*"
    write = policy(named(recording, "iam/rolePolicy:RolePolicy", "-copy").inputs["policy"])["Write"]
    assert write["Resource"] == [f"{BUCKET}/cloudwatch/*", f"{BUCKET}/cloudwatch-errors/*"]


# Messages


def test_alarms_are_mailed_through_an_encrypted_topic(recording: Recording) -> None:
    topic = only(recording, "sns/topic:Topic")
    assert topic["kmsMasterKeyId"] == key("messages")
    mailed = only(recording, "sns/topicSubscription:TopicSubscription")
    assert (mailed["protocol"], mailed["endpoint"]) == ("email", "on-call@example.com")


def test_only_services_of_the_account_tell_the_topic_and_only_by_tls(recording: Recording) -> None:
    statements = policy(only(recording, "sns/topicPolicy:TopicPolicy")["policy"])
    assert statements.pop("TlsOnly")["Effect"] == "Deny"
    assert {each["Principal"]["Service"] for each in statements.values()} == {
        "cloudwatch.amazonaws.com",
        "budgets.amazonaws.com",
        "backup.amazonaws.com",
        "events.amazonaws.com",
    }
    assert {tuple(each["Action"]) for each in statements.values()} == {("sns:Publish",)}
    conditions = {sid: each.get("Condition") for sid, each in statements.items()}
    assert conditions.pop("Events") is None
    assert all(c == {"StringEquals": {"aws:SourceAccount": ACCOUNT}} for c in conditions.values())


# Alarms


@pytest.mark.parametrize(
    ("name", "metric", "comparison", "threshold"),
    [
        ("database-cpu", "CPUUtilization", "GreaterThanThreshold", 80),
        ("database-storage", "FreeStorageSpace", "LessThanThreshold", 10 * GIB),
        ("database-connections", "DatabaseConnections", "GreaterThanThreshold", 160),
        ("database-memory", "FreeableMemory", "LessThanThreshold", GIB / 4),
        ("cache-001-memory", "DatabaseMemoryUsagePercentage", "GreaterThanThreshold", 85),
        ("cache-001-evictions", "Evictions", "GreaterThanThreshold", 1000),
        ("cache-001-cpu", "EngineCPUUtilization", "GreaterThanThreshold", 80),
        ("cache-002-lag", "ReplicationLag", "GreaterThanThreshold", 10),
        ("balancer-5xx", "HTTPCode_ELB_5XX_Count", "GreaterThanThreshold", 10),
        ("service-5xx", "HTTPCode_Target_5XX_Count", "GreaterThanThreshold", 10),
        ("service-latency", "TargetResponseTime", "GreaterThanThreshold", 20),
        ("service-unhealthy", "UnHealthyHostCount", "GreaterThanThreshold", 0),
        ("service-gone", "HealthyHostCount", "LessThanThreshold", 1),
        ("edge-5xx", "5xxErrorRate", "GreaterThanThreshold", 5),
        ("firewall-blocked", "BlockedRequests", "GreaterThanThreshold", 1000),
        ("edge-failover", "HealthCheckStatus", "LessThanThreshold", 1),
        ("nat-0-ports", "ErrorPortAllocation", "GreaterThanThreshold", 0),
        ("nat-2-drops", "PacketsDropCount", "GreaterThanThreshold", 100),
    ],
)
def test_what_goes_wrong_calls_somebody(
    recordings: dict[str, Recording], name: str, metric: str, comparison: str, threshold: float
) -> None:
    inputs = alarm(recordings["production"], name)
    assert inputs["metricName"] == metric
    assert inputs["comparisonOperator"] == comparison
    assert inputs["threshold"] == pytest.approx(threshold)


def test_every_alarm_tells_the_topic_when_it_begins_and_ends_and_what_to_do(
    recording: Recording,
) -> None:
    made = recording.of_type(ALARM).values()
    assert made
    for each in made:
        assert each.inputs["alarmActions"] == each.inputs["okActions"]
        assert each.inputs["alarmActions"][0].startswith("arn:aws:sns:")
        described = each.inputs["alarmDescription"]
        assert 80 < len(described) <= 1024
        assert described.count(".") >= 2, "what it means, then what to do"


def test_what_is_watched_is_named(recordings: dict[str, Recording]) -> None:
    production = recordings["production"]
    assert alarm(production, "cache-002-cpu")["dimensions"] == {"CacheClusterId": "cache-002"}
    assert alarm(production, "nat-1-ports")["dimensions"] == {"NatGatewayId": "nat-2"}
    assert alarm(production, "service-latency")["dimensions"] == {
        "LoadBalancer": "app/alb/1",
        "TargetGroup": "targetgroup/pods/1",
    }
    assert alarm(production, "service-latency")["extendedStatistic"] == "p95"
    assert "statistic" not in alarm(production, "service-latency")


def test_a_failover_of_the_cache_is_seen_by_which_node_is_the_primary(
    recordings: dict[str, Recording],
) -> None:
    inputs = alarm(recordings["production"], "cache-failover")
    *nodes, figure = inputs["metricQueries"]
    assert [(node["id"], node["metric"]["dimensions"]["CacheClusterId"]) for node in nodes] == [
        ("m0", "cache-001"),
        ("m1", "cache-002"),
    ]
    assert {node["metric"]["metricName"] for node in nodes} == {"IsMaster"}
    # 0 to 1 is a node that has become the primary; the other's 1 to 0 is no alarm of its own.
    assert figure["expression"] == "MAX([DIFF(m0), DIFF(m1)])"
    assert (figure["returnData"], inputs["threshold"], inputs["comparisonOperator"]) == (
        True,
        0,
        "GreaterThanThreshold",
    )
    assert not {"metricName", "statistic", "period"} & inputs.keys()


def test_dev_watches_what_it_has(recordings: dict[str, Recording]) -> None:
    names = {name.removeprefix("watch-") for name in recordings["dev"].of_type(ALARM)}
    assert {"cache-001-cpu", "nat-0-ports", "edge-5xx"} <= names
    absent = {"cache-002-cpu", "cache-001-lag", "cache-failover", "nat-1-ports", "edge-failover"}
    assert not absent & names


def test_a_service_that_is_not_there_at_all_is_an_alarm(recordings: dict[str, Recording]) -> None:
    production = recordings["production"]
    assert alarm(production, "service-gone")["treatMissingData"] == "breaching"
    assert alarm(production, "service-5xx")["treatMissingData"] == "notBreaching"


def test_failed_backups_and_failovers_are_told_in_words(recording: Recording) -> None:
    rules = recording.of_type("cloudwatch/eventRule:EventRule")
    patterns = {name: json.loads(rule.inputs["eventPattern"]) for name, rule in rules.items()}
    assert patterns["watch-backup-failed"]["detail"]["state"] == ["FAILED", "ABORTED", "EXPIRED"]
    assert patterns["watch-database-event"]["detail"] == {
        "SourceIdentifier": ["database"],
        "EventCategories": ["failover", "failure", "low storage"],
    }
    for target in recording.of_type("cloudwatch/eventTarget:EventTarget").values():
        transformer = target.inputs["inputTransformer"]
        assert set(transformer["inputPaths"]) == {"what", "said"}
        assert "<what>: <said>" in json.loads(transformer["inputTemplate"])


# Cost


def test_the_budget_tells_at_80_at_100_and_when_forecast(recordings: dict[str, Recording]) -> None:
    for name, limit in (("production", "3000.00"), ("dev", "600.00")):
        budget = only(recordings[name], "budgets/budget:Budget")
        assert (budget["limitAmount"], budget["limitUnit"], budget["timeUnit"]) == (
            limit,
            "USD",
            "MONTHLY",
        )
        assert [(n["threshold"], n["notificationType"]) for n in budget["notifications"]] == [
            (80, "ACTUAL"),
            (100, "ACTUAL"),
            (100, "FORECASTED"),
        ]
        for notification in budget["notifications"]:
            assert notification["subscriberSnsTopicArns"][0].startswith("arn:aws:sns:")


# Elsewhere


def test_alarms_about_cloudfront_are_where_its_figures_are() -> None:
    made = record(
        lambda: _declared("eu-central-1", global_message_key_arn=key("messages-in-us-east-1"))
    )
    topics = made.of_type("sns/topic:Topic")
    assert topics["watch-global-topic"].inputs["region"] == "us-east-1"
    assert topics["watch-global-topic"].inputs["kmsMasterKeyId"] == key("messages-in-us-east-1")
    assert alarm(made, "edge-5xx")["region"] == "us-east-1"
    assert "global" in alarm(made, "edge-5xx")["alarmActions"][0]
    assert alarm(made, "database-cpu")["region"] == "eu-central-1"
    assert "global" not in alarm(made, "database-cpu")["alarmActions"][0]


def test_elsewhere_a_key_in_us_east_1_is_asked_for() -> None:
    with pytest.raises(ValueError, match="give global_message_key_arn, a key there"):
        record(lambda: _declared("eu-central-1"))


def _declared(region: str, **more: Any) -> None:
    declare(load_environment("production"), region, **more)
