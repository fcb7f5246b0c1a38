"""From an environment's name or file to a checked `Environment`, or to all that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inventory import document
from inventory.cloud.checks import check
from inventory.cloud.model import Environment
from inventory.errors import HearthError
from inventory.loading import SITE, Form, load_file
from inventory.paths import PROJECT

ENVIRONMENTS = PROJECT / "inventory" / "environments"
ENVIRONMENT = Form(Environment, check, ENVIRONMENTS, "environment", "hearth schema --environment")


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


def is_environment(argument: str) -> bool:
    """Whether a name or a file is one of an environment; not, where there is neither."""
    try:
        return kind_of(argument) is ENVIRONMENT
    except HearthError:
        return False


def kind_of(argument: str) -> Form[Any]:
    """Whether a name or a file is one of a site or of an environment.

    A file is of the kind whose names it uses more of, or that has the file that it extends.

    Raises:
        HearthError: there is neither a site nor an environment of that name.
        SiteErrors: the file cannot be read.
    """
    if Path(argument).is_file():
        data = document.read(Path(argument)).data
        return max((SITE, ENVIRONMENT), key=lambda form: _likeness(form, data))
    for form in (SITE, ENVIRONMENT):
        if argument in form.names():
            return form
    raise HearthError(
        f"{argument}: no such site or environment; name one of {', '.join(SITE.names())} (sites), "
        f"{', '.join(environments())} (environments), or give the path of a .yaml file"
    )


def _likeness(form: Form[Any], data: dict[str, Any]) -> int:
    own = len(data.keys() & form.model.model_fields.keys())
    return own + int(data.get("extends") in form.names())
