"""An environment's stack on AWS: planned without an account, or run in one.

Offline the engine is the real one and AWS is a stand-in (`tools.aws_plugin`). Such a stack has a
project folder, a backend and a configuration of its own, in .hearth/offline, so that what was made
up never stands in the state or the settings of an account.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any

import yaml

from hearth.aws_account import require_account
from hearth.passwords import new_password
from hearth.plan import Plan, plan_from
from hearth.processes import Finished, stream
from hearth.updates import Changes, Progress, counts, show
from inventory.cloud.loading import ENVIRONMENTS, environment_path
from inventory.cloud.model import Environment
from inventory.errors import HearthError
from inventory.paths import PROJECT
from policies.graph import Graph
from tools import toolchain
from tools.aws_echo import BACKEND, OFFLINE

STAND_IN = PROJECT / "tools" / "stand_in"
OFFLINE_HOME = PROJECT / ".hearth" / "offline"
PLUGIN = "pulumi-resource-aws"
SETTING = "hearth:environment"
CACHE_PASSWORD = "hearth:cachePassword"  # noqa: S105 - the name of a setting
"""Generated once; with which the service logs in to the cache."""
_SHOWN_ERRORS = 12


@dataclass(frozen=True, slots=True)
class Place:
    """Where an environment's stack is kept, and with what it is run.

    Attributes:
        folder: of its Pulumi.yaml.
        backend: URL of its state.
        secrets: Pulumi's secrets provider; None for a passphrase.
        variables: that `pulumi` gets, beside this process's own.
        offline: whether AWS is a stand-in.
    """

    folder: Path
    backend: str
    secrets: str | None
    variables: Mapping[str, str]
    offline: bool


def offline_place(home: Path | None = None, backend: str | None = None) -> Place:
    """The place of what is made up; makes its project folder.

    Args:
        home: the folder, deleted at will; the checkout's, if left out.
        backend: URL of the state; a folder in `home`, if left out.
    """
    home = home or OFFLINE_HOME
    state = home / "state"
    state.mkdir(parents=True, exist_ok=True)
    url = backend or f"{state.as_uri()}?metadata=skip"
    project = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())
    project |= {
        "main": os.path.relpath(PROJECT / project["main"], home),
        "stackConfigDir": ".",
        "backend": {"url": url},
    }
    stand_in = {"name": "aws", "path": os.path.relpath(STAND_IN, home)}
    project["plugins"] = {"providers": [stand_in]}
    (home / "Pulumi.yaml").write_text(yaml.safe_dump(project, sort_keys=False))
    variables = toolchain.environment() | {
        # Nothing in it is secret: a word is enough for what Pulumi wants encrypted.
        "PULUMI_CONFIG_PASSPHRASE": "offline",
        BACKEND: url,
        OFFLINE: url,
    }
    return Place(home, url, None, variables, offline=True)


def online_place(argument: str, environment: Environment) -> Place:
    """The place of what an account has; nothing is changed in it.

    The state is in the environment's bucket, or where PULUMI_BACKEND_URL says.

    Raises:
        HearthError: There is no account, no bucket, or no plugin to be had.
    """
    account = require_account(argument, environment)
    from hearth.state_backend import backend_of, has_bucket  # noqa: PLC0415 - imports boto3

    own = backend_of(environment, account)
    url = os.environ.get(BACKEND) or own.url
    is_own = url.startswith(f"s3://{own.bucket}?")
    if is_own and not has_bucket(own, account):
        raise HearthError(
            f"{argument}: there is no bucket for its state ({own.bucket}) in {account.id}; "
            f"`hearth backend aws {argument}` makes it"
        )
    variables = {**toolchain.environment(), BACKEND: url}
    _require_plugin(argument, variables)
    secrets = own.secrets_provider if is_own else None
    return Place(PROJECT, url, secrets, variables, offline=False)


def _require_plugin(argument: str, variables: Mapping[str, str]) -> None:
    """Has Pulumi install the official plugin where it is not there yet."""
    if shutil.which(PLUGIN, path=variables["PATH"]):
        return
    version = metadata.version("pulumi-aws")
    command = ["pulumi", "plugin", "install", "resource", "aws", version]
    finished = stream(command, variables, lambda _: None)
    if finished.code:
        said = finished.output.strip().splitlines()[-1:] or ["it said nothing"]
        raise HearthError(
            f"{argument}: Pulumi's aws plugin {version} cannot be had ({said[0]}); connect this "
            f"computer to get.pulumi.com, or put {PLUGIN} on PATH; without it there is the plan: "
            f"`hearth preview {argument}`"
        )


class CloudStack:
    """The stack of an environment, in one place."""

    def __init__(self, argument: str, environment: Environment, place: Place) -> None:
        """Runs nothing yet.

        Args:
            argument: the environment as the person named it.
            environment: the same, loaded.
            place: where its stack is kept.

        Raises:
            HearthError: AWS's SDK is not installed.
        """
        if util.find_spec("pulumi_aws") is None:
            raise HearthError(f"{argument}: pulumi_aws is not installed; run `make setup-cloud`")
        self.argument = argument
        self.environment = environment
        self.place = place

    def prepare(self) -> None:
        """Makes the stack where it is missing, and names the environment's file to it."""
        secrets = ["--secrets-provider", self.place.secrets] if self.place.secrets else []
        self._pulumi("stack", "select", "--create", self.environment.name, *secrets)
        file = environment_path(self.argument).absolute()
        if file != ENVIRONMENTS / f"{self.environment.name}.yaml":
            self._pulumi("config", "set", SETTING, str(file), "--stack", self.environment.name)
        elif SETTING in self._settings():
            self._pulumi("config", "rm", SETTING, "--stack", self.environment.name)
        if CACHE_PASSWORD not in self._settings():
            setting = (
                "config",
                "set",
                CACHE_PASSWORD,
                "--secret",
                "--stack",
                self.environment.name,
            )
            self._pulumi(*setting, text=new_password())

    def preview(self) -> Plan:
        """What `up` would do.

        Raises:
            HearthError: with what is wrong.
        """
        code, found, output = self._planned()
        plan = plan_from(found, self.environment.name, offline=self.place.offline)
        if code and not plan.refused:
            raise HearthError(self._explain("preview", _told(found) or output))
        return plan

    def graph(self) -> Graph:
        """What the stack declares: resources, and what of each comes from which other.

        Raises:
            HearthError: with what is wrong.
        """
        from policies.wire import resource_of_state  # noqa: PLC0415 - imports Pulumi's SDK

        code, found, output = self._planned()
        if code:
            raise HearthError(self._explain("preview", _told(found) or output))
        states = [step["newState"] for step in found["steps"] if step.get("newState")]
        return Graph([resource_of_state(state) for state in states], self.environment)

    def _planned(self) -> tuple[int, Mapping[str, Any], str]:
        """The exit code of a preview, the plan, and all that was printed."""
        flags = ["--json", "--show-sames", "--stack", self.environment.name]
        finished = self._run(["preview", *flags], lambda _: None)
        return finished.code, _document(finished.output), finished.output

    def up(self, progress: Progress) -> Changes:
        """Makes the account what the environment says.

        Raises:
            HearthError: with what went wrong.
        """
        return self._change("up", progress)

    def destroy(self, progress: Progress) -> Changes:
        """Removes every resource, or none where one is protected.

        The engine would find that out half way, with the rest deleted.

        Raises:
            HearthError: with what is protected, or with what went wrong.
        """
        exported = json.loads(self._pulumi("stack", "export", "--stack", self.environment.name))
        resources = exported["deployment"].get("resources") or ()
        if kept := [_told_of(resource) for resource in resources if resource.get("protect")]:
            raise HearthError(self.refusal(kept))
        return self._change("destroy", progress)

    def remove(self) -> None:
        """Forgets the stack; what it had is to be destroyed before."""
        self._pulumi("stack", "rm", self.environment.name, "--yes")

    def _change(self, verb: str, progress: Progress) -> Changes:
        flags = ["--yes", "--skip-preview", "--stack", self.environment.name]
        finished = self._run([verb, *flags], lambda line: show(line, progress))
        if finished.code:
            raise HearthError(self._explain(verb, finished.output))
        return Changes(counts(finished.output))

    def _settings(self) -> Mapping[str, Any]:
        folder = self.place.folder if self.place.offline else self.place.folder / "stacks"
        file = folder / f"Pulumi.{self.environment.name}.yaml"
        stored = yaml.safe_load(file.read_text()) if file.is_file() else None
        return (stored or {}).get("config") or {}

    def _pulumi(self, *arguments: str, text: str | None = None) -> str:
        finished = self._run(list(arguments), lambda _: None, text)
        if finished.code:
            what = " ".join(arguments[:2])
            raise HearthError(f"{self.argument}: pulumi {what}: {finished.output.strip()}")
        return finished.output

    def _run(self, arguments: list[str], on_line: Progress, text: str | None = None) -> Finished:
        command = ["pulumi", "-C", str(self.place.folder), *arguments]
        command += ["--non-interactive", "--color", "never"]
        return stream(command, self.place.variables, on_line, text)

    def refusal(self, protected: Sequence[str]) -> str:
        """Why nothing is done where something protected would be lost."""
        flag = " --offline" if self.place.offline else ""
        file = os.path.relpath(environment_path(self.argument))
        return (
            f"{self.argument}: nothing is deleted, as these are protected: {', '.join(protected)}\n"
            f"to give up what they hold, set `protected: false` in {file}, run "
            f"`hearth up {self.argument}{flag}` without other changes, then this again"
        )

    def _explain(self, verb: str, output: str) -> str:
        name = self.environment.name
        lines = [line.strip() for line in output.splitlines()]
        errors = [line for line in lines if re.search(r"error|failed", line, re.IGNORECASE)]
        shown = "\n".join(f"    {line}" for line in errors[:_SHOWN_ERRORS]) or output[-1500:]
        again = "mend what is named above and run it again: it goes on from there"
        if "currently locked" in output:
            again = f"if no other update is under way: `pulumi cancel --stack {name}`"
        return f"pulumi {verb} of {name} failed:\n{shown}\n{again}"


def _document(output: str) -> Mapping[str, Any]:
    """The JSON in what was printed; what plugins say comes before it."""
    start = output.find("{")
    try:
        found, _ = json.JSONDecoder().raw_decode(output[max(start, 0) :])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _told_of(resource: Mapping[str, Any]) -> str:
    return f"{resource['type'].rpartition(':')[2]} {resource['urn'].split('::', 3)[3]}"


def _told(preview: Mapping[str, Any]) -> str:
    """The errors of a plan that could not be made."""
    said = preview.get("diagnostics") or ()
    return "\n".join(d["message"] for d in said if d.get("severity") == "error")
