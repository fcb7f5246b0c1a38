"""The how-to of the first production deployment, followed as far as there is no account.

Commands of Hearth that ask no account are run in their order, those of the AWS CLI asked of moto,
the rest is held to what there is: the command line's options, the stack's outputs, the settings.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
from pathlib import Path
from typing import Any

import boto3
import pytest
import typer
import yaml
from botocore import xform_name
from moto import mock_aws
from typer.core import TyperGroup

from hearth.cli import app
from hearth.cost.bill import bill
from hearth.state_backend import backend_of
from inventory.cloud.loading import load_environment
from inventory.cloud.model import Environment
from inventory.cloud.prices import load_prices
from inventory.cloud.summary import quotas
from inventory.paths import PROJECT
from tests.hearth.test_cli import Shell
from tools.aws_echo import ACCOUNT

PAGE = (PROJECT / "docs/how-to/first-production-deployment.md").read_text()
BLOCK = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(PAGE)
LINES = [line.strip() for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
COMMANDS = [line for line in LINES if line.startswith("hearth ")]
AWS = [line for line in LINES if line.startswith("aws ")]
OFFLINE = ("check", "cost production", "preview production", "up production --offline")
"""How the commands begin that ask no account."""
NEED_MORE = ("--online", "--capacity")
OF_THE_CLI_ITSELF = ("configure sso", "eks update-kubeconfig")


def offline(command: str) -> bool:
    told = command.removeprefix("hearth ")
    return told.startswith(OFFLINE) and not any(option in told for option in NEED_MORE)


def without_account(order: list[str]) -> list[str]:
    return [command for command in order if offline(command)]


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_every_command_and_option_is_one_that_there_is(command: str) -> None:
    words = shlex.split(command.partition(" > ")[0])[1:]
    found: Any = typer.main.get_command(app)
    while isinstance(found, TyperGroup):
        # `cost dev` is `cost show dev`.
        name = words.pop(0) if words[0] in found.commands else next(iter(found.commands))
        assert (name, found.name) == ("show", "cost") or command.split()[1:].count(name)
        found = found.commands[name]
    found.make_context(found.name, words)  # raises for an option that there is not


@pytest.fixture
def hearth(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Shell:
    monkeypatch.setattr("hearth.cloud.OFFLINE_HOME", tmp_path / "offline")
    return Shell(capsys, monkeypatch)


def test_what_asks_no_account_is_done_as_it_is_told(hearth: Shell) -> None:
    told = without_account(COMMANDS)
    assert len(told) > 5
    said = {}
    for command in dict.fromkeys(told[:-1]):
        ended = hearth(*shlex.split(command)[1:])
        assert ended.code == 0, f"{command}\n{ended.out}{ended.err}"
        said[command] = ended.out
    assert "sound" in said["hearth check production"]
    assert "VpcOrigin" in said["hearth preview production"]
    # The last is the comparison with what was made believe just before.
    assert told[-2:] == ["hearth up production --offline", "hearth preview production"]
    assert "0 to" not in (last := hearth("preview", "production")).out
    assert "unchanged" in last.out
    assert "create" not in last.out


def test_what_it_costs_stands_at_the_top_as_the_command_prints_it() -> None:
    table = load_prices()
    top = PAGE.partition("## 1.")[0].replace("\n", " ")
    costs = bill(load_environment("production"), table)
    low, typical, high = (f"{usd:,.0f}" for usd in _usd(costs.total))
    assert f"**{typical} USD a month** ({low} to {high}," in top
    low, typical, high = (f"{usd:,.0f}" for usd in _usd(bill(load_environment("dev"), table).total))
    assert f"{typical} ({low} to {high}) for `dev`" in top
    rows = dict(re.findall(r"\| ([\w ,]+) \| ([\d,]*)[^|]* \|", top))
    for name, component in (
        ("GPU nodes", "gpu"),
        ("cluster", "cluster"),
        ("network", "network"),
        ("edge", "edge"),
        ("keys and secrets", "keys"),
        ("storage", "storage"),
    ):
        found = costs.of_component(component)  # type: ignore[arg-type]
        assert found is not None
        assert rows[name] == f"{found.typical:,.0f}"
    for component in ("database", "cache", "registry", "observability"):
        assert costs.of_component(component) is None  # type: ignore[arg-type]


def _usd(found: Any) -> tuple[float, float, float]:
    return found.low, found.typical, found.high


@pytest.mark.parametrize("command", [c for c in AWS if not c[4:].startswith(OF_THE_CLI_ITSELF)])
@mock_aws
@pytest.mark.usefixtures("aws_credentials")
def test_what_aws_is_asked_for_is_what_it_understands(command: str) -> None:
    _, service, operation, *options = shlex.split(command)
    client: Any = boto3.client(service, region_name="us-east-1")  # type: ignore[call-overload]
    method = operation.replace("-", "_")
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method])
    members = model.input_shape.members if model.input_shape else {}
    names = {f"--{xform_name(name, '-')}": name for name in members}
    given: dict[str, Any] = {}
    for option, value in zip(options[::2], options[1::2], strict=True):
        number = members[names[option]].type_name in {"double", "integer"}
        given[names[option]] = float(value) if number else value
    if service != "service-quotas":  # moto has only some of them
        assert getattr(client, method)(**given)["ResponseMetadata"]["HTTPStatusCode"] < 300


def test_quotas_are_asked_for_as_the_settings_take_them() -> None:
    wanted = re.findall(r"--quota-code (\S+) --desired-value (\d+)", PAGE)
    assert [int(value) for _, value in wanted] == list(
        quotas(load_environment("production")).values()
    )
    codes = ["L-1216C47A", "L-DB2E81BA", "L-3819A6DF"]
    assert [code for code, _ in wanted] == codes


def test_the_settings_that_it_shows_are_sound() -> None:
    data = load_environment("production").model_dump(mode="json")
    shown = [
        yaml.safe_load(text) for kind, text in BLOCKS if kind == "yaml" and "jobs:" not in text
    ]
    assert len(shown) == 2
    for part in shown:
        for name, value in part.items():
            data[name] = data[name] | value if isinstance(value, dict) else value
    changed = Environment.model_validate(data)
    assert (changed.account, changed.edge.domain) == ("123456789012", "llm.example.com")


def test_the_outputs_are_those_of_the_stack() -> None:
    tree = ast.parse((PROJECT / "stacks" / "production.py").read_text())
    exported = {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "export"
        and isinstance(node.args[0], ast.Constant)
    }
    section = PAGE.partition("| output |")[2].partition("## 7.")[0]
    told = {
        name
        for row in section.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    assert told == exported
    assert set(re.findall(r"stack output (\w+)", PAGE)) <= exported


@mock_aws
@pytest.mark.usefixtures("aws_credentials")
def test_the_state_is_kept_where_it_says(hearth: Shell) -> None:
    assert "hearth backend aws production" in COMMANDS
    ended = hearth("backend", "aws", "production", "--yes")
    assert ended.code == 0, ended.err
    from hearth.aws_account import require_account  # noqa: PLC0415 - within moto

    production = load_environment("production")
    url = backend_of(production, require_account("production", production)).url
    assert f'export PULUMI_BACKEND_URL="{url}"' in PAGE
    assert url in ended.out
    assert ACCOUNT in url


def test_the_pipeline_gives_the_deploy_role_to_one_environments_jobs_alone() -> None:
    (text,) = [text for kind, text in BLOCKS if kind == "yaml" and "jobs:" in text]
    workflow = yaml.safe_load(text)
    jobs = workflow["jobs"]
    taking = [name for name, job in jobs.items() if "role-to-assume" in json.dumps(job)]
    assert taking == ["image"]
    identity = load_environment("production").identity
    assert jobs["image"]["environment"] == identity.github_environment
    assert jobs["image"]["permissions"]["id-token"] == "write"
    assert "id-token" not in json.dumps([workflow["permissions"], jobs["plan"]])
    told = [step["run"] for step in jobs["plan"]["steps"] if "hearth" in step.get("run", "")]
    commands = [line.removeprefix(".venv/bin/").partition(" | ")[0] for line in told]
    assert commands == ["hearth up production --offline", "hearth preview production"]


def test_no_link_of_the_page_is_broken() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (PROJECT / "docs/how-to" / target).exists(), target
