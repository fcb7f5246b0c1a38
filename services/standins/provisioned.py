"""What a Grafana is told by files: data sources, and dashboards in folders.

ProvisioningError     a file cannot be used; says which and why
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class ProvisioningError(Exception):
    """A file cannot be used: where, and what is wrong."""


@dataclass(frozen=True, slots=True)
class DataSource:
    """Where figures or lines come from.

    Attributes:
        kind: `prometheus` or `loki`.
        url: without a trailing slash.
    """

    name: str
    kind: str
    uid: str
    url: str
    default: bool


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard as its file says it."""

    folder: str
    document: dict[str, Any]

    @property
    def uid(self) -> str:
        """Part of its address."""
        return str(self.document["uid"])

    @property
    def title(self) -> str:
        """For people."""
        return str(self.document.get("title", self.uid))

    @property
    def tags(self) -> list[str]:
        """For searches."""
        return [str(tag) for tag in self.document.get("tags") or []]

    @property
    def panels(self) -> Iterator[dict[str, Any]]:
        """All its panels in order, rows among them."""
        for panel in self.document.get("panels") or []:
            yield panel
            yield from panel.get("panels") or []


@dataclass(frozen=True, slots=True)
class Provisioned:
    """All of it, by uid and in the files' order."""

    sources: dict[str, DataSource]
    dashboards: dict[str, Dashboard]


def read(folder: Path) -> Provisioned:
    """Read a provisioning folder.

    Raises:
        ProvisioningError: a file cannot be used.
    """
    sources = {
        source.uid: source
        for path, document in _documents(folder / "datasources")
        for source in _sources(path, document)
    }
    dashboards = {
        dashboard.uid: dashboard
        for _, document in _documents(folder / "dashboards")
        for provider in document.get("providers") or []
        for dashboard in _dashboards(provider)
    }
    return Provisioned(sources, dashboards)


def _documents(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(folder.glob("*.yaml")):
        try:
            document = yaml.safe_load(path.read_text())
        except (OSError, yaml.YAMLError) as error:
            raise ProvisioningError(f"{path}: cannot be read ({error})") from None
        if not isinstance(document, dict):
            raise ProvisioningError(f"{path}: is not a mapping; see Grafana's provisioning")
        yield path, document


def _sources(path: Path, document: dict[str, Any]) -> Iterator[DataSource]:
    for told in document.get("datasources") or []:
        missing = {"name", "type", "uid", "url"} - set(told)
        if missing:
            names = ", ".join(sorted(missing))
            raise ProvisioningError(f"{path}: a data source without {names}; add it")
        url, default = str(told["url"]).rstrip("/"), bool(told.get("isDefault"))
        yield DataSource(told["name"], told["type"], told["uid"], url, default)


def _dashboards(provider: dict[str, Any]) -> Iterator[Dashboard]:
    folder = Path(str((provider.get("options") or {}).get("path", "")))
    for path in sorted(folder.glob("*.json")):
        try:
            document = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise ProvisioningError(f"{path}: cannot be read ({error})") from None
        if not isinstance(document, dict) or "uid" not in document:
            raise ProvisioningError(f"{path}: a dashboard without a uid; add it")
        yield Dashboard(str(provider.get("folder", "")), document)
