"""What is kept of logs, who is called when, and what a month may cost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pulumi
import pulumi_aws as aws

from components.production.alarms import Alarm, Watched, alarms
from components.production.iam import Statement, allow, document, granted, service_trust
from components.production.transport import tls_only
from inventory.cloud.model import Observability as ObservabilitySettings
from inventory.cloud.parts import CLOUDFRONT_REGION

TOPIC_ACTIONS = ("sns:Publish", "sns:Subscribe")
"""The actions on a topic that carry something; SNS refuses `sns:*` in a topic's policy."""
COPIES = "cloudwatch"
"""Prefix of copied logs in their bucket."""
BUFFER_S, BUFFER_MB = 300, 64
"""A file is written after so long or so much: few files, and at most five minutes behind."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that is told when it happens.

    Attributes:
        then: what it means and what to do.
        source: of EventBridge, which says who saw it.
        kind: of it, EventBridge's detail-type.
        detail: which of that kind, field to values.
        what: path of what it happened to.
        said: path of what AWS says about it.
    """

    then: str
    source: str
    kind: str
    detail: Mapping[str, Sequence[pulumi.Input[str]]]
    what: str
    said: str


def events(watched: Watched) -> dict[str, Event]:
    """By name. Failed backups are those of the whole account; failovers those of the database."""
    backup = Event(
        "A backup failed, was aborted or did not begin in time. Open the job in AWS Backup for its "
        "reason, then start it by hand: the day has no copy in the vault otherwise.",
        "aws.backup",
        "Backup Job State Change",
        {"state": ["FAILED", "ABORTED", "EXPIRED"]},
        "$.detail.backupJobId",
        "$.detail.statusMessage",
    )
    if watched.database_id is None:
        return {"backup-failed": backup}
    database = Event(
        "The database failed over, failed, or runs out of storage. After a failover see that "
        "clients have reconnected; otherwise read Amazon's health dashboard.",
        "aws.rds",
        "RDS DB Instance Event",
        {
            "SourceIdentifier": [watched.database_id],
            "EventCategories": ["failover", "failure", "low storage"],
        },
        "$.detail.SourceIdentifier",
        "$.detail.Message",
    )
    return {"backup-failed": backup, "database-event": database}


@dataclass(frozen=True, slots=True)
class ObservabilityArgs:
    """What is watched, and by what means.

    Attributes:
        settings: who is told, how long logs are kept, what a month may cost.
        account: number of the account.
        region: of the stack.
        message_key_arn: encrypts the topic; its policy admits CloudWatch, EventBridge and Budgets.
        log_key_arn: encrypts the log groups and the copies on their way.
        log_bucket_arn: takes the copies.
        bucket_key_arn: encrypts that bucket.
        watched: what the alarms are about.
        copied_log_groups: names of groups of other components that are copied too, by subject.
        global_message_key_arn: as message_key_arn, in us-east-1, where CloudFront's figures are and
            alarms about them tell a topic; needed where the stack is elsewhere.
    """

    settings: ObservabilitySettings
    account: pulumi.Input[str]
    region: str
    message_key_arn: pulumi.Input[str]
    log_key_arn: pulumi.Input[str]
    log_bucket_arn: pulumi.Input[str]
    bucket_key_arn: pulumi.Input[str]
    watched: Watched = field(default_factory=Watched)
    copied_log_groups: Mapping[str, pulumi.Input[str]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    global_message_key_arn: pulumi.Input[str] | None = None

    def __post_init__(self) -> None:
        if self.region != CLOUDFRONT_REGION and self.global_message_key_arn is None:
            raise ValueError(
                f"region: is {self.region}, and alarms about CloudFront are in "
                f"{CLOUDFRONT_REGION}; give global_message_key_arn, a key there"
            )


class Observability(pulumi.ComponentResource):
    """Log groups with copies, alarms, events and a budget, all told to one topic.

    The budget is the whole account's: what belongs to no environment costs as well, and a filter by
    tag counts nothing until the tag is activated in the billing console.
    """

    topic_arn: pulumi.Output[str]
    service_log_group: pulumi.Output[str]

    def __init__(
        self, name: str, args: ObservabilityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:production:Observability", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        topics = {args.region: self._topic("topic", args.region, args.message_key_arn)}
        if args.region != CLOUDFRONT_REGION and args.global_message_key_arn is not None:
            topics[CLOUDFRONT_REGION] = self._topic(
                "global-topic", CLOUDFRONT_REGION, args.global_message_key_arn
            )
        service = self._log_group("service")
        self._copies({"service": service.name, **args.copied_log_groups})
        for alarm in alarms(args.watched):
            region = alarm.region or args.region
            self._alarm(alarm, region, topics[region])
        for subject, event in events(args.watched).items():
            self._event(subject, event, topics[args.region])
        self._budget(topics[args.region])
        self.topic_arn, self.service_log_group = topics[args.region], service.name
        self.register_outputs(
            {"topic_arn": self.topic_arn, "service_log_group": self.service_log_group}
        )

    def _topic(self, subject: str, region: str, key_arn: pulumi.Input[str]) -> pulumi.Output[str]:
        """A topic that mails everybody; its ARN, once those who tell it may."""
        name, args = f"{self._name}-{subject}", self._args
        topic = aws.sns.Topic(name, kms_master_key_id=key_arn, region=region, opts=self._child)
        policy = aws.sns.TopicPolicy(
            name,
            arn=topic.arn,
            policy=pulumi.Output.json_dumps(
                document(tls_only(TOPIC_ACTIONS, topic.arn), *publishers(topic.arn, args.account))
            ),
            region=region,
            opts=self._child,
        )
        for number, email in enumerate(args.settings.alarm_emails):
            aws.sns.TopicSubscription(
                f"{name}-{number}",
                topic=topic.arn,
                protocol="email",
                endpoint=email,
                region=region,
                opts=self._child,
            )
        return pulumi.Output.concat(policy.arn)

    def _log_group(self, subject: str) -> Any:
        return aws.cloudwatch.LogGroup(
            f"{self._name}-{subject}",
            retention_in_days=self._args.settings.log_days,
            kms_key_id=self._args.log_key_arn,
            opts=self._child,
        )

    def _copies(self, groups: Mapping[str, pulumi.Input[str]]) -> None:
        """Every line of these groups once more, on S3, where it is kept longer for less.

        One stream for all: each record says which group it is of. Records come compressed, and
        stay so.
        """
        name, args = self._name, self._args
        errors = self._log_group("copy-errors")
        role = self._role("copy", "firehose.amazonaws.com", _writes_copies(args, errors.arn))
        stream = aws.kinesis.FirehoseDeliveryStream(
            f"{name}-copies",
            destination="extended_s3",
            server_side_encryption={
                "enabled": True,
                "key_type": "CUSTOMER_MANAGED_CMK",
                "key_arn": args.log_key_arn,
            },
            extended_s3_configuration={
                "bucket_arn": args.log_bucket_arn,
                "role_arn": role,
                "kms_key_arn": args.bucket_key_arn,
                "prefix": f"{COPIES}/!{{timestamp:yyyy/MM/dd}}/",
                "error_output_prefix": f"{COPIES}-errors/!{{firehose:error-output-type}}/",
                "file_extension": ".json.gz",
                "compression_format": "UNCOMPRESSED",
                "buffering_interval": BUFFER_S,
                "buffering_size": BUFFER_MB,
                "cloudwatch_logging_options": {
                    "enabled": True,
                    "log_group_name": errors.name,
                    "log_stream_name": "s3",
                },
            },
            opts=self._child,
        )
        feed = allow("Feed", ["firehose:PutRecord", "firehose:PutRecordBatch"], stream.arn)
        feeder = self._role("feed", "logs.amazonaws.com", [feed])
        for subject, group in groups.items():
            aws.cloudwatch.LogSubscriptionFilter(
                f"{name}-{subject}",
                log_group=group,
                destination_arn=stream.arn,
                filter_pattern="",
                role_arn=feeder,
                opts=self._child,
            )

    def _role(
        self, subject: str, service: str, statements: Sequence[Statement]
    ) -> pulumi.Output[str]:
        """A role of a service on behalf of this account; its ARN, once it has its policy."""
        trust = service_trust(service, {"StringEquals": {"aws:SourceAccount": self._args.account}})
        role = aws.iam.Role(
            f"{self._name}-{subject}",
            assume_role_policy=pulumi.Output.json_dumps(trust),
            opts=self._child,
        )
        policy = aws.iam.RolePolicy(
            f"{self._name}-{subject}",
            role=role.name,
            policy=pulumi.Output.json_dumps(document(*statements)),
            opts=self._child,
        )
        return pulumi.Output.all(role.arn, policy.id).apply(lambda made: str(made[0]))

    def _alarm(self, alarm: Alarm, region: str, topic_arn: pulumi.Input[str]) -> None:
        aws.cloudwatch.MetricAlarm(
            f"{self._name}-{alarm.name}",
            alarm_description=alarm.then,
            **_figure(alarm),
            comparison_operator=alarm.comparison,
            threshold=alarm.limit,
            evaluation_periods=alarm.figures,
            treat_missing_data="breaching" if alarm.silence_is_wrong else "notBreaching",
            alarm_actions=[topic_arn],
            ok_actions=[topic_arn],
            region=region,
            opts=self._child,
        )

    def _event(self, subject: str, event: Event, topic_arn: pulumi.Input[str]) -> None:
        """Tells the topic, in words, what happened to what."""
        pattern = {"source": [event.source], "detail-type": [event.kind], "detail": event.detail}
        rule = aws.cloudwatch.EventRule(
            f"{self._name}-{subject}",
            description=event.then,
            event_pattern=pulumi.Output.json_dumps(pattern),
            opts=self._child,
        )
        aws.cloudwatch.EventTarget(
            f"{self._name}-{subject}",
            rule=rule.name,
            arn=topic_arn,
            input_transformer={
                "input_paths": {"what": event.what, "said": event.said},
                "input_template": json.dumps(f"<what>: <said> {event.then}"),
            },
            opts=self._child,
        )

    def _budget(self, topic_arn: pulumi.Input[str]) -> None:
        settings = self._args.settings
        told = ((80, "ACTUAL"), (100, "ACTUAL"), (100, "FORECASTED"))
        aws.budgets.Budget(
            f"{self._name}-month",
            budget_type="COST",
            limit_amount=f"{settings.budget_usd:.2f}",
            limit_unit="USD",
            time_unit="MONTHLY",
            notifications=[
                {
                    "comparison_operator": "GREATER_THAN",
                    "threshold": threshold,
                    "threshold_type": "PERCENTAGE",
                    "notification_type": kind,
                    "subscriber_sns_topic_arns": [topic_arn],
                }
                for threshold, kind in told
            ],
            opts=self._child,
        )


def _figure(alarm: Alarm) -> dict[str, Any]:
    """What an alarm looks at: one metric, or a formula over that of several."""
    namespace, _, metric = alarm.metric.partition(" ")
    seconds = alarm.minutes * 60
    if alarm.formula:
        each = [
            {
                "id": f"m{number}",
                "metric": {
                    "namespace": namespace,
                    "metric_name": metric,
                    "dimensions": of,
                    "stat": alarm.statistic,
                    "period": seconds,
                },
            }
            for number, of in enumerate(alarm.each)
        ]
        figure = {"id": "figure", "expression": alarm.formula, "return_data": True}
        return {"metric_queries": [*each, {**figure, "label": alarm.name}]}
    percentile = alarm.statistic.startswith("p")
    return {
        "namespace": namespace,
        "metric_name": metric,
        "dimensions": alarm.of,
        "period": seconds,
        "extended_statistic" if percentile else "statistic": alarm.statistic,
    }


def publishers(topic_arn: pulumi.Input[str], account: pulumi.Input[str]) -> list[Statement]:
    """Which services may tell the topic something.

    EventBridge without a condition: SNS does not pass one on for it.
    """
    of_account = {"StringEquals": {"aws:SourceAccount": account}}
    services = {
        "Alarms": ("cloudwatch.amazonaws.com", of_account),
        "Budgets": ("budgets.amazonaws.com", of_account),
        "Backups": ("backup.amazonaws.com", of_account),
        "Events": ("events.amazonaws.com", None),
    }
    return [
        granted({"Service": service}, allow(sid, ["sns:Publish"], topic_arn, condition))
        for sid, (service, condition) in services.items()
    ]


def _writes_copies(args: ObservabilityArgs, errors_arn: pulumi.Input[str]) -> list[Statement]:
    """Firehose: files into the bucket below its prefixes, with the bucket's key."""
    objects = [
        pulumi.Output.concat(args.log_bucket_arn, f"/{prefix}/*")
        for prefix in (COPIES, f"{COPIES}-errors")
    ]
    return [
        allow("Write", ["s3:PutObject", "s3:AbortMultipartUpload"], objects),
        allow(
            "Look",
            ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
            args.log_bucket_arn,
        ),
        allow(
            "UseKeys",
            ["kms:GenerateDataKey", "kms:Decrypt"],
            [args.bucket_key_arn, args.log_key_arn],
        ),
        allow("TellErrors", ["logs:PutLogEvents"], pulumi.Output.concat(errors_arn, ":*")),
    ]
