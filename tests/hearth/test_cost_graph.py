"""What is billed is what the stack declares."""

from __future__ import annotations

from collections import Counter

import pytest

from hearth.cost.quantities import quantities
from hearth.cost.sizing import pool_of
from inventory.cloud.loading import load_environment
from inventory.cloud.model import Environment
from tests.components.production.whole import declare
from tests.components.recorder import Recording, record
from tests.settings import changed

ELSEWHERE = load_environment("production").model_copy(update={"region": "eu-central-1"})
ENVIRONMENTS = {
    "production": load_environment("production"),
    "dev": load_environment("dev"),
    "elsewhere": ELSEWHERE,
    "without a base": changed(ELSEWHERE, cluster={"gpu": {"base": 0}}, network={"nat": "single"}),
}
HOURS = 730


def billed(environment: Environment) -> Counter[str]:
    """How many of each fixed thing are paid for, by the key of its price."""
    found: Counter[str] = Counter()
    for item in quantities(environment, pool_of(environment)):
        if item.kind == "fixed" and item.amount is not None and item.unit in {"hour", "month"}:
            count = item.amount.typical / (HOURS if item.unit == "hour" else 1)
            found[item.keys[0]] += round(count)
    return found


def declared(recording: Recording) -> Counter[str]:
    """How many of each the stack declares, by the same keys."""
    found: Counter[str] = Counter()
    for kind, key in (
        ("Key", "kms.key"),
        ("NatGateway", "nat.gateway"),
        ("Eip", "address.public"),
        ("eks/cluster:Cluster", "eks.cluster"),
        ("LoadBalancer", "alb.balancer"),
        ("WebAcl", "waf.acl"),
        ("HealthCheck", "route53.health-check"),
        ("Secret", "secrets.secret"),
    ):
        found[key] += len(recording.of_type(kind))
    for endpoint in recording.of_type("VpcEndpoint").values():
        found["endpoint.interface"] += len(endpoint.inputs.get("subnetIds", ()))
    for group in recording.of_type("NodeGroup").values():
        (kind,) = group.inputs["instanceTypes"]
        found[f"ec2.{kind}"] += int(group.inputs["scalingConfig"]["desiredSize"])
    for acl in recording.of_type("WebAcl").values():
        found["waf.rule"] += len(acl.inputs["rules"])
    for database in recording.of_type("rds/instance:Instance").values():
        inputs = database.inputs
        form = "multi-az" if inputs["multiAz"] else "single-az"
        found[f"rds.{inputs['instanceClass']}.{form}"] += 1
        found["secrets.secret"] += inputs["manageMasterUserPassword"]
    for cache in recording.of_type("ReplicationGroup").values():
        node = cache.inputs["nodeType"].removeprefix("cache.")
        key = f"elasticache.{cache.inputs['engine']}.{node}"
        found[key] += int(cache.inputs["numCacheClusters"])
    return +found


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_everything_that_is_paid_for_being_there_is_there_as_often(name: str) -> None:
    environment = ENVIRONMENTS[name]
    assert billed(environment) == declared(record(lambda: declare(environment)))
