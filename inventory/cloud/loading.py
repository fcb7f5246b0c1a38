"""From an environment's name or file to a checked `Environment`, or to all that is wrong."""

from __future__ import annotations

from pathlib import Path

from inventory.cloud.checks import check
from inventory.cloud.model import Environment
from inventory.loading import Form, load_file
from inventory.paths import PROJECT

ENVIRONMENTS = PROJECT / "inventory" / "environments"
ENVIRONMENT = Form(
    Environment, check, ENVIRONMENTS, "environment", "hearth schema --environment"
)


def environments() -> list[str]:
    """The names of those that the project has."""
    return ENVIRONMENT.names()


def environment_path(environment: str) -> Path:
    """The file of an environment, given by name (`production`) or path (`my/cloud.yaml`).

    Raises:
        HearthError: there is none.
    """
    return ENVIRONMENT.path(environment)


def load_environment(environment: str) -> Environment:
    """An environment that passed every check.

    Raises:
        SiteErrors: with all that is wrong, one error a line.
        HearthError: where there is no such file.
    """
    return load_file(environment_path(environment), ENVIRONMENT)
