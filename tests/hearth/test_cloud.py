"""The real engine plans and runs an environment with AWS's stand-in: no account, no network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hearth.cloud import CloudStack, Place, offline_place
from hearth.plan import Plan
from inventory.cloud.loading import load_environment
from inventory.errors import HearthError
from inventory.paths import PROJECT
from tools import toolchain


def quiet(_line: str) -> None:
    pass


class Lab:
    """An environment's file and its stack, in a folder of the test's own."""

    def __init__(self, folder: Path, place: Place) -> None:
        self.file = folder / "trial.yaml"
        self.place = place

    def stack(self, **settings: Any) -> CloudStack:
        """The stack of the small environment with these settings."""
        self.file.write_text(json.dumps({"extends": "dev", "name": "trial"} | settings))
        made = CloudStack(str(self.file), load_environment(str(self.file)), self.place)
        made.prepare()
        return made

    def state(self) -> list[dict[str, Any]]:
        """Every resource of AWS in the stack's state."""
        said = self.stack()._pulumi("stack", "export", "--stack", "trial")
        found = json.loads(said)["deployment"].get("resources") or []
        return [r for r in found if r["type"].startswith("aws:")]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab that is up: what its tests plan is against what was made up."""
    toolchain.ensure(quiet, docker=False)
    folder = tmp_path_factory.mktemp("offline")
    lab = Lab(folder, offline_place(folder))
    assert lab.stack().up(quiet).counts.keys() == {"created"}
    return lab


def of_kind(plan: Plan, kind: str) -> dict[str, str]:
    return {change.name: change.action for change in plan.changes if change.kind == kind}


def test_what_the_stack_declares_is_there_with_its_tags(lab: Lab) -> None:
    resources = lab.state()
    (vpc,) = [r for r in resources if r["type"] == "aws:ec2/vpc:Vpc"]
    assert vpc["inputs"]["cidrBlock"] == "10.21.0.0/16"
    tags = {"Environment": "trial", "Owner": "platform", "ManagedBy": "hearth"}
    assert vpc["inputs"]["tags"].items() >= tags.items()
    assert vpc["id"].startswith("vpc-")


def test_the_same_settings_are_no_change(lab: Lab) -> None:
    plan = lab.stack().preview()
    assert plan.counts == {}
    assert plan.unchanged == len(lab.state())


def test_another_owner_is_a_change_in_place(lab: Lab) -> None:
    plan = lab.stack(owner="research").preview()
    assert plan.counts.keys() == {"update"}
    assert {change.because for change in plan.changes} >= {("tags.Owner",)}


def test_another_network_replaces_the_vpc(lab: Lab) -> None:
    plan = lab.stack(network={"cidr": "10.77.0.0/16"}).preview()
    (vpc,) = [change for change in plan.changes if change.kind == "Vpc"]
    assert (vpc.action, vpc.replacing) == ("replace", ("cidrBlock",))


def test_the_checkouts_own_settings_and_state_are_left_alone(lab: Lab) -> None:
    assert not (PROJECT / "stacks" / "Pulumi.trial.yaml").exists()
    assert (lab.place.folder / "Pulumi.trial.yaml").is_file()
    assert list((lab.place.folder / "state").rglob("trial.json"))


def test_what_is_protected_is_refused_before_anything_is_deleted(lab: Lab) -> None:
    before = len(lab.state())
    lab.stack(protected=True).up(quiet)
    with pytest.raises(HearthError) as refused:
        lab.stack(protected=True).destroy(quiet)
    assert "nothing is deleted, as these are protected: " in str(refused.value)
    assert "set `protected: false` in" in str(refused.value)
    assert len(lab.state()) == before
    lab.stack().up(quiet)
    lab.stack().destroy(quiet)
    assert lab.state() == []


def test_a_program_that_fails_says_why(tmp_path: Path) -> None:
    lab = Lab(tmp_path, offline_place(tmp_path))
    stack = lab.stack()
    lab.file.write_text("extends: dev\nname: trial\nowner: 7 of 9\n")
    with pytest.raises(HearthError, match=r"pulumi preview of trial failed:(.|\n)*owner"):
        stack.preview()


def test_without_the_sdk_it_is_said_how_to_get_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(HearthError, match="pulumi_aws is not installed; run `make setup-cloud`"):
        lab.stack()
