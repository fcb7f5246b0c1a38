"""What every environment has the same of: components declare it, its cost is counted from it."""

from __future__ import annotations

from typing import Literal, get_args

KeyPurpose = Literal["cluster", "data", "logs", "backup", "messages"]
KEY_PURPOSES: tuple[KeyPurpose, ...] = get_args(KeyPurpose)
"""A KMS key for each, in a region."""

CLOUDFRONT_REGION = "us-east-1"
"""Where CloudFront's certificates, firewall, figures and alarms are, wherever the rest is."""

SECRETS = ("database", "cache")
"""Whose logins are in Secrets Manager."""

COMMON_RULES = "AWSManagedRulesCommonRuleSet"
MANAGED_RULES = (
    "AWSManagedRulesAmazonIpReputationList",
    "AWSManagedRulesKnownBadInputsRuleSet",
    COMMON_RULES,
)
"""Groups of Amazon's that the firewall asks, after its own limit of an address."""
FIREWALL_RULES = 1 + len(MANAGED_RULES)


def key_regions(region: str) -> list[str]:
    """Where an environment of a region has keys: alarms about CloudFront need them at its place."""
    return list(dict.fromkeys((region, CLOUDFRONT_REGION)))
