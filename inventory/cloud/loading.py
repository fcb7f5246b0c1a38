"""From an environment's name or file to a checked `Environment`, or to all that is wrong."""

from __future__ import annotations

from pathlib import Path

from inventory import document
from inventory.cloud.checks import check
from inventory.cloud.model import Environment
from inventory.errors import HearthError
from inventory.loading import load_file
from inventory.paths import PROJECT

ENVIRONMENTS = PROJECT / "inventory" / "environments"


def environments() -> list[str]:
    """The names of those that the project has."""
    return sorted(path.stem for path in ENVIRONMENTS.glob("*.yaml"))


def is_environment(argument: str) -> bool:
    """Whether a name or a file is of an environment; a site's file has hosts, and no region."""
    path = Path(argument)
    if path.suffix not in {".yaml", ".yml"}:
        return argument in environments()
    if not path.is_file():
        return False
    data = document.read(path).data
    return "region" in data or data.get("extends") in environments()


def environment_path(environment: str) -> Path:
    """The file of an environment, given by name (`production`) or path (`my/cloud.yaml`).

    Raises:
        HearthError: there is none.
    """
    path = Path(environment)
    if path.suffix not in {".yaml", ".yml"}:
        path = ENVIRONMENTS / f"{environment}.yaml"
    if not path.is_file():
        raise HearthError(
            f"{environment}: no such environment ({path}); name one of "
            f"{', '.join(environments())}, or give the path of a .yaml file"
        )
    return path


def load_environment(environment: str) -> Environment:
    """An environment that passed every check.

    Raises:
        SiteErrors: with all that is wrong, one error a line.
        HearthError: where there is no such file.
    """
    return load_file(environment_path(environment), Environment, check, ENVIRONMENTS)
