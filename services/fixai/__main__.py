"""Run one role: `python -m services.fixai ROLE`."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys

from services.fixai import logs, roles, settings

# Imported when run: a role loads what it uses.
ROLES = {
    "backend": ("services.fixai.backend.role", "the API for citizens"),
    "outbox": ("services.fixai.outbox", "publishes what the backend acknowledged"),
    "description": ("services.fixai.consumers.description", "titles, describes and rates reports"),
    "clustering": ("services.fixai.consumers.clustering", "joins reports of the same problem"),
    "incidents": ("services.fixai.consumers.incidents", "checks reports, escalates, closes"),
    "migrate": ("services.fixai.migrate", "makes tables, topics and buckets, then ends"),
    "backup": ("services.fixai.backup", "copies every table to the object store, then ends"),
    "gemini": ("services.fixai.gemini.role", "stands in for the language model (sandbox only)"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run a role until it ends or is told to; the exit code."""
    name = _parser().parse_args(arguments).role
    try:
        told = settings.load(settings.path())
        logs.to_stdout()
        role = importlib.import_module(ROLES[name][0]).role
        asyncio.run(roles.run(role, told))
    except settings.SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    described = "\n".join(f"  {name:12} {what}" for name, (_, what) in ROLES.items())
    parser = argparse.ArgumentParser(
        prog="python -m services.fixai",
        description="Run one role of FixAI.",
        epilog=f"roles:\n{described}\n\nSettings are read from {settings.DEFAULT_PATH}, or from "
        f"the file that {settings.ENVIRONMENT} names. SIGTERM ends a role in order.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("role", metavar="ROLE", choices=ROLES, help="which; see below")
    return parser


if __name__ == "__main__":
    sys.exit(main())
