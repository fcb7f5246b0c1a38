"""The real engine plans and runs an environment with AWS's stand-in: no account, no network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from hearth.aws_account import require_account
from hearth.cloud import CloudStack, Place, offline_place, online_place
from hearth.draw_environment import svg
from hearth.processes import Finished
from hearth.state_backend import backend_of, make_backend
from inventory.cloud.loading import load_environment
from inventory.errors import HearthError
from inventory.paths import PROJECT
from policies.wire import plain
from tools import toolchain
from tools.aws_echo import BACKEND, OFFLINE

PROTECTED_BY_AWS = {
    "Bucket production-storage-access",
    "Bucket production-storage-backups",
    "Bucket production-storage-checkpoints",
    "Bucket production-storage-logs",
    "Cluster production-cluster",
    "Instance production-database-instance",
    "LoadBalancer production-edge-alb",
    "ReplicationGroup production-cache-nodes",
    "Repository production-api",
    "Repository production-ollama",
    "Secret production-cache-login",
    "Vault production-backup-vault",
}
"""What AWS itself refuses to delete, or keeps for a while, where `protected` says so."""


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
        return resources(self.stack())


def resources(stack: CloudStack) -> list[dict[str, Any]]:
    """Every resource of AWS in a stack's state."""
    said = stack._pulumi("stack", "export", "--stack", stack.environment.name)
    found = json.loads(said)["deployment"].get("resources") or []
    return [r for r in found if r["type"].startswith("aws:")]


def asked_for(stack: CloudStack) -> dict[str, Any]:
    """The inputs of each of them, by `Type name`; secrets, encrypted anew each time, are alike."""
    return {
        f"{r['type'].rpartition(':')[2]} {r['urn'].rpartition('::')[2]}": plain(r["inputs"])
        for r in resources(stack)
    }


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    toolchain.ensure(quiet, docker=False)
    return Lab(tmp_path, offline_place(tmp_path))


def test_an_environment_comes_changes_is_protected_and_goes(lab: Lab) -> None:
    """One test, as each run of the engine takes seconds."""
    assert lab.stack(protected=True).up(quiet).counts.keys() == {"created"}
    there = lab.state()
    (vpc,) = [r for r in there if r["type"] == "aws:ec2/vpc:Vpc"]
    assert vpc["id"].startswith("vpc-")
    assert vpc["inputs"]["cidrBlock"] == "10.21.0.0/16"
    tags = {"Environment": "trial", "Owner": "platform", "ManagedBy": "hearth"}
    assert vpc["inputs"]["tags"].items() >= tags.items()

    assert lab.stack(protected=True).up(quiet).counts.keys() == {"unchanged"}
    assert len(lab.state()) == len(there)

    with pytest.raises(HearthError) as refused:
        lab.stack(protected=True).destroy(quiet)
    assert "nothing is deleted, as these are protected: " in str(refused.value)
    assert "set `protected: false` in" in str(refused.value)
    assert len(lab.state()) == len(there)

    assert lab.stack().up(quiet).counts.keys() <= {"updated", "unchanged"}
    plan = lab.stack(owner="research", network={"cidr": "10.77.0.0/16"}).preview()
    changed = {change.name: change for change in plan.changes if change.kind in {"Vpc", "Key"}}
    (vpc_change,) = [change for change in changed.values() if change.kind == "Vpc"]
    assert (vpc_change.action, vpc_change.replacing) == ("replace", ("cidrBlock",))
    keys = [change for change in changed.values() if change.kind == "Key"]
    assert {(change.action, change.because) for change in keys} == {("update", ("tags.Owner",))}

    lab.stack().destroy(quiet)
    assert lab.state() == []
    assert not (PROJECT / "stacks" / "Pulumi.trial.yaml").exists()
    assert (lab.place.folder / "Pulumi.trial.yaml").is_file()


def test_production_as_it_is_comes_stays_changes_is_protected_and_goes(
    lab: Lab, tmp_path: Path
) -> None:
    """The whole stack by the real engine; one test, as each run of it takes seconds."""
    stack = CloudStack("production", load_environment("production"), lab.place)
    stack.prepare()
    declared = stack.graph()
    assert svg(declared) == (PROJECT / "docs" / "production.svg").read_text()
    assert stack.up(quiet).counts.keys() == {"created"}
    there = asked_for(stack)
    assert len(there) == sum(r.type.startswith("aws:") for r in declared.resources)

    with pytest.raises(HearthError, match="nothing is deleted, as these are protected: "):
        stack.destroy(quiet)
    assert asked_for(stack) == there

    # The same environment with a node more, and no longer protected.
    file = tmp_path / "grown.yaml"
    changed = {"extends": "production", "protected": False, "cluster": {"system": {"count": 4}}}
    file.write_text(json.dumps(changed))
    grown = CloudStack(str(file), load_environment(str(file)), lab.place)
    grown.prepare()
    assert grown.up(quiet).counts.keys() == {"updated", "unchanged"}
    then = asked_for(grown)
    assert then.keys() == there.keys()
    differ = {name for name, inputs in then.items() if inputs != there[name]}
    assert differ == {"NodeGroup production-cluster-nodes-system", *PROTECTED_BY_AWS}
    sizes = {"desiredSize": 4, "maxSize": 4, "minSize": 4}
    assert then["NodeGroup production-cluster-nodes-system"]["scalingConfig"] == sizes
    grown.destroy(quiet)
    assert asked_for(grown) == {}


def test_a_program_that_fails_says_why(lab: Lab) -> None:
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


@pytest.mark.usefixtures("no_credentials")
def test_online_nothing_is_done_without_credentials() -> None:
    with pytest.raises(HearthError, match=r"no AWS credentials here(.|\n)*`hearth preview dev`"):
        online_place("dev", load_environment("dev"))


@mock_aws
@pytest.mark.usefixtures("aws_credentials")
def test_online_there_has_to_be_a_bucket_for_the_state() -> None:
    with pytest.raises(
        HearthError, match=r"no bucket for its state(.|\n)*`hearth backend aws dev`"
    ):
        online_place("dev", load_environment("dev"))


@mock_aws
@pytest.mark.usefixtures("aws_credentials")
def test_online_the_account_has_to_be_the_environments() -> None:
    other = load_environment("dev").model_copy(update={"account": "210987654321"})
    with pytest.raises(HearthError, match="account is 210987654321, these credentials are of 1234"):
        online_place("dev", other)


@mock_aws
@pytest.mark.usefixtures("aws_credentials")
def test_online_without_a_connection_it_is_said_where_the_plugin_comes_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(BACKEND, "file:///elsewhere")
    refused = Finished(1, "error: could not reach get.pulumi.com\n")
    monkeypatch.setattr("hearth.cloud.stream", lambda *_: refused)
    with pytest.raises(HearthError, match="put pulumi-resource-aws on PATH"):
        online_place("dev", load_environment("dev"))


@mock_aws
@pytest.mark.usefixtures("aws_credentials")
def test_online_the_state_is_in_the_environments_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = load_environment("dev")
    account = require_account("dev", environment)
    make_backend(backend_of(environment, account), account, quiet)
    monkeypatch.setattr("hearth.cloud.stream", lambda *_: Finished(0, ""))
    place = online_place("dev", environment)
    assert place.backend == "s3://hearth-dev-state-123456789012?region=us-east-1&awssdk=v2"
    assert place.secrets == "awskms://alias/hearth-dev-secrets?region=us-east-1&awssdk=v2"
    assert OFFLINE not in place.variables
    assert place.folder == PROJECT
