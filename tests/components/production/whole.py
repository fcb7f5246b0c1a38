"""The stack of an environment as it is recorded: policies, checkov and the audit look at it."""

from __future__ import annotations

from functools import cache

from inventory.cloud.loading import load_environment
from inventory.cloud.model import Environment
from stacks import production
from tests.components.recorder import Recording, record

PASSWORD = "a-password-of-enough-length"  # noqa: S105 - nobody's


def declare(environment: Environment) -> None:
    """Declares an environment as its stack does."""
    production.declare(environment, PASSWORD)


@cache
def whole(name: str) -> Recording:
    """What is recorded of one of the project's environments."""
    environment = load_environment(name)
    return record(lambda: declare(environment))
