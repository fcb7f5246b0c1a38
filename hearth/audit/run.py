"""All judges, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hearth.audit import cluster, data, edge, identity, keeping, network, storage
from hearth.audit.look import Look, Report
from inventory.cloud.model import Environment

if TYPE_CHECKING:
    import boto3

JUDGES: Mapping[str, Callable[[Look], None]] = {
    "network": network.judge,
    "security groups": network.judge_security_groups,
    "launch templates": network.judge_launch_templates,
    "cluster": cluster.judge,
    "database": data.judge_database,
    "cache": data.judge_cache,
    "buckets": storage.judge_buckets,
    "backup vault": storage.judge_vaults,
    "keys": keeping.judge_keys,
    "log groups": keeping.judge_log_groups,
    "image repositories": keeping.judge_repositories,
    "messages": keeping.judge_messages,
    "CloudFront": edge.judge_distributions,
    "load balancer": edge.judge_balancers,
    "identities": identity.judge,
}
"""By the subject that is told where a judge may not look."""


@dataclass(frozen=True, slots=True)
class Audit(Report):
    """What came of holding an account to its environment's promises.

    Attributes:
        promises: how many were judged.
        resources: how many they are about.
    """

    promises: int
    resources: int

    @property
    def summary(self) -> str:
        """`31 resources, 120 promises, 0 broken, 2 not judged`."""
        return (
            f"{self.resources} resources, {self.promises} promises, {self.count('error')} broken, "
            f"{self.count('unjudged')} not judged"
        )


def audit(
    session: boto3.Session, environment: Environment, progress: Callable[[str], None]
) -> Audit:
    """Holds an account to its environment's promises.

    Args:
        session: with the account's credentials and the environment's region.
        environment: what is promised.
        progress: hears of what is looked at.
    """
    look = Look(session, environment)
    for subject, judge in JUDGES.items():
        progress(subject)
        with look.as_far_as_allowed(environment.name, subject):
            judge(look)
    return Audit(environment.name, tuple(look.findings), look.promises, len(look.resources))
