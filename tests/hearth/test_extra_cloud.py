"""What environments on AWS need is installed by `make setup-cloud` alone."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import packages_distributions

from inventory.paths import PROJECT

MODULES = (
    *("hearth.cli", "hearth.cloud", "hearth.plan", "hearth.state_backend", "hearth.aws_account"),
    *(
        "hearth.audit.run",
        "hearth.audit.leftovers",
        "hearth.cost.report",
        "hearth.draw_environment",
    ),
    *("stacks.production", "tools.aws_plugin"),
)


def locked(name: str) -> set[str]:
    """The packages that a lock file has installed."""
    text = (PROJECT / "requirements" / name).read_text()
    return {found.lower() for found in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)}


def test_nothing_of_an_environment_needs_the_homelabs_packages() -> None:
    others = locked("run.txt") - locked("production.txt")
    blocked = sorted(
        module
        for module, packages in packages_distributions().items()
        if {package.lower().replace("_", "-") for package in packages} <= others
    )
    assert {"cryptography", "pyinfra", "pulumi_docker"} <= set(blocked)
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked!r})); "
        f"import importlib; [importlib.import_module(name) for name in {MODULES!r}]"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
