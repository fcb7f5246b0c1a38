"""The Pulumi engine for a site's stack: what `pulumi` would do by hand, with progress."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from hearth.access import key_file
from hearth.drift import drifted
from hearth.interrupted import clear_dead_locks, leftovers
from hearth.processes import Finished, stream
from hearth.remote import ask, ssh
from hearth.secrets import AUTHORITY, Setting, missing_settings
from hearth.updates import Changes, Progress, counts, show
from inventory.errors import HearthError
from inventory.loading import SITES, site_path
from inventory.model import KEY_HEADER, SMOKE_CLIENT, Site
from inventory.paths import PROJECT, state_dir
from inventory.ssh import write_ssh_config
from stacks import ABSENT
from tools import toolchain

BACKEND = PROJECT / ".hearth" / "pulumi"
PASSPHRASE = PROJECT / ".hearth" / "passphrase"
_FAILED_CONTAINER = re.compile(r"docker:index:Container (\S+) \*\*\w+ failed\*\*")
_SHOWN_LINES = 3
_EXCLUDE = "--exclude **::{name} --exclude **::{name}.**"
"""By the names that `components.homelab.machine.Machine` gives."""


def environment() -> dict[str, str]:
    """What `pulumi` needs to be run by hand: the toolchain and where the passphrase is."""
    env = toolchain.environment()
    if not {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} & os.environ.keys():
        env["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(PASSPHRASE)
    return env


class Stack:
    """The stack of a site."""

    def __init__(self, site_argument: str, site: Site) -> None:
        self.site_argument = site_argument
        self.site = site

    @property
    def config_file(self) -> Path:
        """Where Pulumi keeps the stack's configuration."""
        return PROJECT / "stacks" / f"Pulumi.{self.site.name}.yaml"

    def config(self) -> dict[str, Any]:
        """The stack's configuration without the project's prefix; secrets are None."""
        if not self.config_file.is_file():
            return {}
        stored = yaml.safe_load(self.config_file.read_text()) or {}
        return {
            key.partition(":")[2]: None if isinstance(value, dict) else value
            for key, value in (stored.get("config") or {}).items()
        }

    def prepare(self) -> None:
        """Makes the backend, the stack and its secrets, each where it is missing."""
        BACKEND.mkdir(parents=True, exist_ok=True)
        _make_passphrase()
        stack_file = BACKEND / ".pulumi" / "stacks" / "hearth" / f"{self.site.name}.json"
        if not stack_file.is_file():
            self._pulumi("stack", "select", "--create", self.site.name)
        for setting in missing_settings(self.config(), self.site):
            self._set(setting)
        plain = {}
        if file := self._other_file():
            plain["site"] = file
        elif "site" in self.config():
            self._pulumi("config", "rm", "hearth:site", "--stack", self.site.name)
        if self.site.sandbox is not None:
            plain["images"] = json.dumps(_built_images(self.site), sort_keys=True)
        for key, value in plain.items():
            if self.config().get(key) != value:
                self._set(Setting(key, value, secret=False))
        authority = state_dir(self.site.name) / "ca.crt"
        authority.parent.mkdir(parents=True, exist_ok=True)
        authority.write_text(self.config()[AUTHORITY])
        self._write_smoke_key()

    def _write_smoke_key(self) -> None:
        """Writes the smoke suites' key where they look for it, whenever a setting has changed."""
        file = key_file(self.site)
        if not self.site.api_clients:
            file.unlink(missing_ok=True)
        elif not file.is_file() or file.stat().st_mtime < self.config_file.stat().st_mtime:
            _write_private(file, f"{KEY_HEADER}: {self.api_key(SMOKE_CLIENT)}\n")

    def api_key(self, client: str) -> str:
        """A client's API key.

        Raises:
            HearthError: The site has no such client, or the client no key yet.
        """
        site, name = self.site_argument, self.site.api_key(client)
        if client not in self.site.api_clients:
            known = ", ".join(self.site.api_clients) or "none"
            raise HearthError(
                f"{site}: no such client ({client}); add it to `api_clients`, known are {known}"
            )
        if name not in self.config():
            raise HearthError(
                f"{site}: {client} has no key yet; `hearth provision {site}` makes it"
            )
        key = f"hearth:{name}"
        return self._pulumi("config", "get", key, "--stack", self.site.name).strip()

    def api_keys(self) -> list[str]:
        """Every client's API key."""
        return [self.api_key(client) for client in self.site.api_clients]

    def up(self, progress: Progress, absent: Collection[str] = ()) -> Changes:
        """Makes the machines what the site says.

        Args:
            progress: hears of what is done.
            absent: machines that do not answer: nothing is done there.

        Raises:
            HearthError: with what went wrong.
        """
        self._mend_interrupted(progress, absent)
        return self._change("up", progress, absent)

    def preview(self, progress: Progress) -> Changes:
        """What `up` would do."""
        return self._change("preview", progress)

    def destroy(self, progress: Progress) -> Changes:
        """Removes every container; data volumes stay."""
        return self._change("destroy", progress)

    def remove(self) -> None:
        """Forgets the stack, its configuration and its local files, whatever they say.

        The backend's files are removed as files: what is broken, or has lost its toolchain, has
        to go all the same.
        """
        name = self.site.name
        self.config_file.unlink(missing_ok=True)
        for found in list(BACKEND.glob(f".pulumi/stacks/hearth/{name}.json*")):
            found.unlink()
        for folder in (
            state_dir(name),
            *BACKEND.glob(f".pulumi/*/hearth/{name}"),
            *BACKEND.glob(f".pulumi/locks/*/hearth/{name}"),
        ):
            shutil.rmtree(folder, ignore_errors=True)
        if not any(BACKEND.glob(".pulumi/stacks/hearth/*.json")) and not _settings():
            shutil.rmtree(BACKEND.parent, ignore_errors=True)

    def _change(self, verb: str, progress: Progress, absent: Collection[str] = ()) -> Changes:
        flags = ["--non-interactive", "--color", "never", "--stack", self.site.name]
        if verb != "preview":
            flags += ["--yes", "--skip-preview"]
        # A cluster is asked for all that it has at once: there is no quicker look.
        cluster = self.site.kubernetes is not None
        if verb == "destroy" or cluster or self._has_drifted(progress, absent):
            flags.append("--refresh")
        finished = self._run(
            [verb, *flags, *_excluded(absent)],
            lambda line: show(line, progress),
            {ABSENT: " ".join(absent)},
        )
        if finished.code:
            raise HearthError(self._explain(verb, finished.output))
        return Changes(counts(finished.output))

    def _has_drifted(self, progress: Progress, absent: Collection[str]) -> bool:
        """Whether somebody has changed what the last update left: only then is all of it read."""
        exported = json.loads(self._pulumi("stack", "export", "--stack", self.site.name))
        resources = exported["deployment"].get("resources", [])
        found = drifted(write_ssh_config(self.site), resources, absent)
        for what in found:
            progress(f"changed by hand: {what}")
        return bool(found)

    def _run(
        self,
        arguments: list[str],
        on_line: Progress,
        variables: Mapping[str, str] = MappingProxyType({}),
        text: str | None = None,
    ) -> Finished:
        return stream(["pulumi", *arguments], environment() | dict(variables), on_line, text)

    def _pulumi(self, *arguments: str, text: str | None = None) -> str:
        flags = ["--non-interactive", "--color", "never"]
        finished = self._run([*arguments, *flags], lambda _: None, text=text)
        if finished.code:
            raise HearthError(f"pulumi {arguments[0]}: {finished.output.strip()}")
        return finished.output

    def _other_file(self) -> str | None:
        """The site's file where that is not the one that the stack's name tells."""
        file = site_path(self.site_argument).absolute()
        return None if file == SITES / f"{self.site.name}.yaml" else str(file)

    def _set(self, setting: Setting) -> None:
        kind = "--secret" if setting.secret else "--plaintext"
        key = f"hearth:{setting.key}"
        self._pulumi("config", "set", key, kind, "--stack", self.site.name, text=setting.value)

    def _mend_interrupted(self, progress: Progress, absent: Collection[str]) -> None:
        """Clears what an update that was killed on this machine left behind."""
        store = BACKEND / ".pulumi"
        name = self.site.name
        if clear_dead_locks(store / "locks" / "organization" / "hearth" / name):
            progress("an earlier update was killed: its lock is cleared")
        checkpoint = store / "stacks" / "hearth" / f"{name}.json"
        if not checkpoint.is_file() or not (found := leftovers(json.loads(checkpoint.read_text()))):
            return
        progress(f"an earlier update was killed: {len(found)} unfinished resources are cleared")
        config = write_ssh_config(self.site)
        for leftover in found:
            if leftover.name is not None and leftover.host not in absent:
                command = ssh(config, leftover.host, "docker", *leftover.command)
                # It may never have been made: then there is nothing to remove, and no error.
                stream(command, {}, lambda _: None)
        flags = ["--clear-pending-creates", "--yes", "--skip-preview", *_excluded(absent)]
        self._pulumi("refresh", *flags, "--stack", name)

    def _last_words(self, reference: str) -> list[str]:
        """The last lines of a service's log."""
        host, _, service = reference.partition(".")
        said = ask(write_ssh_config(self.site), host, f"docker logs --tail 20 {service} 2>&1")
        return _last_lines(said or "", _SHOWN_LINES) or ["nothing"]

    def _explain(self, verb: str, output: str) -> str:
        errors = [
            line for line in output.splitlines() if re.search(r"error|failed", line, re.IGNORECASE)
        ]
        shown = "\n".join(f"    {line.strip()}" for line in errors[:12]) or output[-1500:]
        for name in sorted(set(_FAILED_CONTAINER.findall(output))):
            shown += f"\n    {name} said last:" + "".join(
                f"\n        {line}" for line in self._last_words(name)
            )
        again = f"mend what is named above and run `hearth up {self.site_argument}` again"
        if "currently locked" in output:
            again = f"if no other update is under way: `pulumi cancel --stack {self.site.name}`"
        return f"pulumi {verb} of {self.site.name} failed:\n{shown}\n{again}"


def _excluded(absent: Iterable[str]) -> list[str]:
    """Flags that leave every resource of some machines as it is."""
    return [flag for name in absent for flag in _EXCLUDE.format(name=name).split()]


def _last_lines(text: str, count: int) -> list[str]:
    """The last lines that differ, as a program that starts over says the same each time."""
    return list(dict.fromkeys(line for line in text.splitlines() if line.strip()))[-count:]


def _built_images(site: Site) -> dict[str, str]:
    """A sandbox's images by kind, with the tags that change when an image does.

    None before the first boot: a preview then shows the tag that moves.
    """
    from hearth.labs import lab_of  # noqa: PLC0415 - needs Linux

    try:
        return lab_of(site).images()
    except HearthError:
        return {}


def _make_passphrase() -> None:
    """A passphrase for this checkout, readable by its owner only."""
    if not PASSPHRASE.exists():
        PASSPHRASE.parent.mkdir(parents=True, exist_ok=True)
        _write_private(PASSPHRASE, secrets.token_urlsafe(32))


def _write_private(path: Path, text: str) -> None:
    """Writes a file that its owner alone can read, from its first byte on."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)


def _settings() -> list[Path]:
    """The configurations that this checkout's passphrase decrypts."""
    return list((PROJECT / "stacks").glob("Pulumi.*.yaml"))
