"""Which of Hearth's extras a package belongs to, for who has installed another."""

from __future__ import annotations

import re
from importlib import metadata

INSTALLED_BY = {
    "homelab": "make setup",
    "sandbox": "make setup",
    "production": "make setup-cloud",
}
"""By extra, those that a person needs first."""
DISTRIBUTIONS = {"hdrh": "hdrhistogram"}
"""Of modules that are not named after theirs."""
_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+).*extra == ['\"](\w+)['\"]")


def missing_extra(module: str) -> str:
    """What to do about a module that is not there; empty where no extra has it."""
    top = module.partition(".")[0]
    wanted = _normal(DISTRIBUTIONS.get(top, top))
    found = (_REQUIREMENT.match(line) for line in metadata.requires("hearth") or ())
    having = {match[2] for match in found if match and _normal(match[1]) == wanted}
    for extra, command in INSTALLED_BY.items():
        if extra in having:
            return (
                f"{top} is not installed: this command needs Hearth's extra `{extra}`; "
                f"run `{command}`"
            )
    return ""


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
