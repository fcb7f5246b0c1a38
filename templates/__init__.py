"""How a configuration file looks: `<service>/<file>.j2`, rendered strictly, loops at most.

Belongs here: the text of files that end on a machine or in a container. Decisions belong
to whoever renders; a value that a template names and nobody gave is an error.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - configuration files, not web pages
    )


def render(template: str, **values: Any) -> str:
    """The text of a template, such as `nginx/nginx.conf.j2`.

    Raises:
        jinja2.UndefinedError: when a value that it names was not given.
    """
    return _environment().get_template(template).render(**values)
