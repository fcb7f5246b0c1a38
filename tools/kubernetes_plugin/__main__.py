"""Started by the engine: a server for as long as the engine runs."""

from __future__ import annotations

import sys
import types
from importlib.util import find_spec
from pathlib import Path


def stand_in_for_the_sdk() -> None:
    """Has its messages imported without the SDK itself, which takes longer than all the rest.

    The packages above them are stood in for by empty ones with the same path, so that what their
    __init__.py imports is not.
    """
    spec = find_spec("pulumi")
    if spec is None or spec.origin is None:
        sys.exit(f"{sys.executable} has no Pulumi SDK; install Hearth with its extra `cluster`")
    folder = Path(spec.origin).parent
    for name in ("pulumi", "pulumi.runtime", "pulumi.runtime.proto"):
        module = types.ModuleType(name)
        module.__path__ = [str(folder.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = module


if __name__ == "__main__":
    stand_in_for_the_sdk()
    from tools.kubernetes_plugin.server import main

    main()
