"""The plugin beside a tiny API server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.tools.kubernetes.fake_api import FakeApi
from tools.kubernetes_plugin.plugin import Diff, Plugin, settings


class Told(list[str]):
    """What a person was shown, one line after the other."""

    def __call__(self, line: str, urn: str = "", *, passing: bool = False) -> None:
        """Notes a line."""
        del urn, passing
        self.append(line)


class Engine:
    """The plugin, asked as the engine asks it: one resource after the other, its state kept."""

    def __init__(self, api: FakeApi, **options: Any) -> None:
        self.told = Told()
        self.plugin = Plugin(self.told)
        self.plugin.configure(settings({"kubeconfig": api.kubeconfig, **options}, {}))
        self.inputs: dict[str, Any] = {}
        self.state: dict[str, Any] = {}
        self.id = ""

    def check(self, token: str, given: Mapping[str, Any], name: str = "main") -> dict[str, Any]:
        """The inputs with what the plugin adds."""
        return self.plugin.check(urn(token, name), self.inputs, given, b"seed")

    def create(self, token: str, given: Mapping[str, Any], seconds: float = 1) -> dict[str, Any]:
        """Makes a resource; returns its state."""
        self.inputs = self.check(token, given)
        self.id, self.state = self.plugin.create(urn(token), self.inputs, seconds, preview=False)
        return self.state

    def preview(self, token: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """What would be made."""
        return self.plugin.create(urn(token), self.check(token, given), 1, preview=True)[1]

    def diff(self, token: str, given: Mapping[str, Any]) -> Diff:
        """What would change."""
        new = self.check(token, given)
        return self.plugin.diff(urn(token), self.state, self.inputs, new)

    def update(self, token: str, given: Mapping[str, Any], seconds: float = 1) -> dict[str, Any]:
        """Changes the resource; returns its state."""
        self.inputs = self.check(token, given)
        self.state = self.plugin.update(urn(token), self.state, self.inputs, seconds, preview=False)
        return self.state

    def refresh(self, token: str) -> dict[str, Any] | None:
        """Reads the resource; returns its inputs, or None if it is gone."""
        found = self.plugin.read(urn(token), self.id, self.state, self.inputs)
        if found is None:
            return None
        self.id, self.state, self.inputs = found
        return self.inputs

    def delete(self, token: str, seconds: float = 1) -> None:
        """Deletes the resource."""
        self.plugin.delete(urn(token), self.id, self.state, seconds)


def urn(token: str, name: str = "main") -> str:
    """A resource's, within a component."""
    return f"urn:pulumi:dev::hearth::hearth:fixai:Fixai${token}::{name}"


def plain(state: Any) -> str:
    """Everything that is readable in a state, as text; secrets are not."""
    return json.dumps(state, default=repr)


@pytest.fixture
def api() -> Iterator[FakeApi]:
    """A server."""
    with FakeApi() as found:
        yield found


@pytest.fixture
def engine(api: FakeApi) -> Engine:
    """The plugin, configured for it."""
    return Engine(api)
