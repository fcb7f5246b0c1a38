"""The engine's plan becomes what a person reads and what a script gets."""

from __future__ import annotations

import io
import json
from typing import Any

from rich.console import Console

from hearth.plan import Plan, plan_from

ROOT = "urn:pulumi:dev::hearth::pulumi:pulumi:Stack::hearth-dev"
NETWORK = "urn:pulumi:dev::hearth::hearth:production:Network::network"
VPC, SUBNET = "ec2/vpc:Vpc", "ec2/subnet:Subnet"


def step(op: str, type_: str, name: str, parent: str = ROOT, **more: Any) -> dict[str, Any]:
    state = {"type": type_, "custom": type_.startswith("aws:"), "parent": parent}
    urn = f"urn:pulumi:dev::hearth::{type_}::{name}"
    return {"op": op, "urn": urn, "newState": state, "oldState": state} | more


def planned(*steps: dict[str, Any]) -> Plan:
    engine = [
        step("same", "pulumi:pulumi:Stack", "hearth-dev", ""),
        {**step("create", "pulumi:providers:aws", "aws")},
        step("create", "hearth:production:Network", "network"),
    ]
    return plan_from({"steps": [*engine, *steps]}, "dev", offline=True)


def shown(plan: Plan) -> str:
    text = io.StringIO()
    plan.show(Console(file=text, width=160, highlight=False))
    return text.getvalue()


REPLACED = step(
    "replace",
    f"aws:{VPC}",
    "network-vpc",
    NETWORK,
    detailedDiff={
        "cidrBlock": {"kind": "update-replace", "inputDiff": True},
        "tags.Owner": {"kind": "update", "inputDiff": True},
    },
    replaceReasons=["cidrBlock"],
)


def test_only_what_aws_has_is_counted() -> None:
    assert planned().counts == {}
    plan = planned(
        step("create", f"aws:{SUBNET}", "network-a", NETWORK),
        step("create", f"aws:{SUBNET}", "network-b", NETWORK),
        step("same", f"aws:{VPC}", "network-vpc", NETWORK),
    )
    assert plan.counts == {"create": 2}
    assert plan.unchanged == 1
    assert str(plan) == "2 to create, 1 unchanged"


def test_what_is_new_takes_one_line_a_component() -> None:
    plan = planned(
        step("create", f"aws:{VPC}", "network-vpc", NETWORK),
        step("create", f"aws:{SUBNET}", "network-a", NETWORK),
        step("create", f"aws:{SUBNET}", "network-b", NETWORK),
        step("create", "aws:s3/bucket:Bucket", "logs"),
    )
    assert shown(plan).splitlines() == [
        "network",
        "  + create     3  Vpc, 2 Subnet",
        "logs",
        "  + create     1  Bucket",
    ]


def test_a_replacement_is_one_change_with_what_forces_it() -> None:
    parts = [
        {**REPLACED, "op": operation} for operation in ("create-replacement", "delete-replaced")
    ]
    plan = planned(REPLACED, *parts)
    assert plan.counts == {"replace": 1}
    (change,) = plan.changes
    assert change.because == ("cidrBlock", "tags.Owner")
    assert change.replacing == ("cidrBlock",)
    assert "  ! REPLACE  Vpc network-vpc: cidrBlock" in shown(plan)
    assert "are lost with what is in them" in shown(plan)


def test_an_update_and_a_deletion_are_told_one_by_one() -> None:
    difference = {"tags.Owner": {"kind": "update", "inputDiff": True}}
    plan = planned(
        step("update", f"aws:{VPC}", "network-vpc", NETWORK, detailedDiff=difference),
        step("delete", f"aws:{SUBNET}", "network-b", NETWORK, newState=None),
    )
    assert "  ~ update   Vpc network-vpc: tags.Owner" in shown(plan)
    assert "  - DELETE   Subnet network-b" in shown(plan)


def test_a_resource_within_a_component_of_a_component_is_the_outer_ones() -> None:
    inner = "urn:pulumi:dev::hearth::hearth:production:Rules::network-rules"
    plan = planned(
        step("create", "hearth:production:Rules", "network-rules", NETWORK),
        step("create", f"aws:{SUBNET}", "deep", inner),
    )
    assert [change.component for change in plan.changes] == ["network"]


def test_the_loss_of_something_protected_is_refused() -> None:
    state = {"type": f"aws:{VPC}", "custom": True, "parent": NETWORK, "protect": True}
    plan = planned({**REPLACED, "oldState": state})
    assert plan.refused == ("Vpc network-vpc",)
    assert "(protected: refused)" in shown(plan)


def test_scripts_get_every_change() -> None:
    document = json.loads(json.dumps(planned(REPLACED).document))
    assert document["environment"] == "dev"
    assert document["offline"] is True
    assert document["counts"] == {"replace": 1}
    assert document["changes"][0] == {
        "action": "replace",
        "component": "network",
        "type": VPC,
        "name": "network-vpc",
        "because": ["cidrBlock", "tags.Owner"],
        "replacing": ["cidrBlock"],
        "protected": False,
    }
