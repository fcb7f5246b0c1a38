"""The web application firewall in front of CloudFront."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.production.iam import allow, document, granted
from inventory.cloud.model import LogDays
from inventory.cloud.parts import CLOUDFRONT_REGION, COMMON_RULES, MANAGED_RULES

WINDOW_S = 300
PROMPTS = (
    "SizeRestrictions_BODY",
    "CrossSiteScripting_BODY",
    "GenericLFI_BODY",
    "GenericRFI_BODY",
    "EC2MetaDataSSRF_BODY",
)
"""Rules that are counted and refuse nothing: a prompt is free text, of any length, and may well be
about HTML, paths or URLs."""
SECRETS = ("authorization", "cookie", "x-api-key")
"""Headers that are left out of the log."""


@dataclass(frozen=True, slots=True)
class FirewallArgs:
    """What the firewall is made of.

    Attributes:
        requests_per_5_minutes: of one address; more are refused.
        account: number of the account.
        log_key_arn: encrypts the log; of us-east-1. None: by CloudWatch's own key.
        log_days: the log is kept.
    """

    requests_per_5_minutes: int
    account: pulumi.Input[str]
    log_key_arn: pulumi.Input[str] | None = None
    log_days: LogDays = 90


class Firewall(pulumi.ComponentResource):
    """A web ACL: a limit by address, then Amazon's managed rules, then everybody else comes in."""

    arn: pulumi.Output[str]
    metric: pulumi.Output[str]
    log_group_name: pulumi.Output[str]

    def __init__(
        self, name: str, args: FirewallArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:production:Firewall", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        acl = aws.wafv2.WebAcl(
            f"{name}-acl",
            scope="CLOUDFRONT",
            region=CLOUDFRONT_REGION,
            default_action={"allow": {}},
            rules=rules(args.requests_per_5_minutes),
            visibility_config=_visible(name),
            opts=child,
        )
        log = aws.cloudwatch.LogGroup(
            f"{name}-log",
            # The firewall writes to groups of this prefix only.
            name_prefix=f"aws-waf-logs-{name}-",
            region=CLOUDFRONT_REGION,
            retention_in_days=args.log_days,
            kms_key_id=args.log_key_arn,
            opts=child,
        )
        delivery = allow(
            "FirewallLog",
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            pulumi.Output.concat(log.arn, ":*"),
            {"StringEquals": {"aws:SourceAccount": args.account}},
        )
        permission = aws.cloudwatch.LogResourcePolicy(
            f"{name}-log",
            policy_name=f"{name}-log",
            region=CLOUDFRONT_REGION,
            policy_document=pulumi.Output.json_dumps(
                document(granted({"Service": "delivery.logs.amazonaws.com"}, delivery))
            ),
            opts=child,
        )
        aws.wafv2.WebAclLoggingConfiguration(
            f"{name}-log",
            resource_arn=acl.arn,
            region=CLOUDFRONT_REGION,
            log_destination_configs=[log.arn],
            redacted_fields=[{"single_header": {"name": header}} for header in SECRETS],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permission]),
        )
        self.arn = acl.arn
        self.metric = pulumi.Output.from_input(name)
        self.log_group_name = log.name
        self.register_outputs(
            {"arn": self.arn, "metric": self.metric, "log_group_name": self.log_group_name}
        )


def rules(requests_per_5_minutes: int) -> list[dict[str, Any]]:
    """In the order of their evaluation, the cheapest to refuse by first."""
    limit = {
        "name": "limit-by-address",
        "priority": 0,
        "action": {"block": {"custom_response": {"response_code": 429}}},
        "statement": {
            "rate_based_statement": {
                "aggregate_key_type": "IP",
                "limit": requests_per_5_minutes,
                "evaluation_window_sec": WINDOW_S,
            }
        },
        "visibility_config": _visible("limit-by-address"),
    }
    return [
        limit,
        *(
            _managed(group, priority, PROMPTS if group == COMMON_RULES else ())
            for priority, group in enumerate(MANAGED_RULES, start=1)
        ),
    ]


def _managed(group: str, priority: int, counted: tuple[str, ...]) -> dict[str, Any]:
    """A group of rules that Amazon keeps, as it is but for those that are only counted."""
    return {
        "name": group,
        "priority": priority,
        "override_action": {"none": {}},
        "statement": {
            "managed_rule_group_statement": {
                "vendor_name": "AWS",
                "name": group,
                "rule_action_overrides": [
                    {"name": rule, "action_to_use": {"count": {}}} for rule in counted
                ],
            }
        },
        "visibility_config": _visible(group),
    }


def _visible(metric: str) -> dict[str, Any]:
    return {
        "metric_name": metric,
        "cloudwatch_metrics_enabled": True,
        "sampled_requests_enabled": True,
    }
