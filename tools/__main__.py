"""`python -m tools`: make the toolchain ready, a line of progress at a time."""

from __future__ import annotations

import argparse
import sys

from inventory.errors import HearthError
from tools.toolchain import bin_dir, ensure


def main() -> int:
    """Make the toolchain ready; 0 if it is, 1 with one line of error if not."""
    argparse.ArgumentParser(
        prog="python -m tools",
        description="Find, download or build the Pulumi CLI, its Python language host and its "
        "docker plugin.",
        epilog="HEARTH_TOOLCHAIN=path|download|build allows one way alone; "
        "HEARTH_CACHE says where to keep what was made.",
    ).parse_args()
    try:
        ensure(_tell)
    except HearthError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    _tell(f"ready: {bin_dir()}")
    return 0


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
