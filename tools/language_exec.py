"""Runs a Pulumi program for the language host: connects the SDK to the engine, then the program.

Executed by path, in a process of its own. It takes the arguments that the host gives it and
ends with 0, with 32 after an error that the user has been shown, or as the program chose.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pulumi
from pulumi.runtime import (
    Settings,
    configure,
    get_config_env,
    get_config_secret_keys_env,
    run_in_stack,
    set_all_config,
)

_EXIT_AFTER_MESSAGE = 32
_THREADS_PER_OPERATION = 4


def main() -> int:
    """Run the program; the exit code is the answer."""
    arguments = _parse()
    set_all_config(get_config_env(), get_config_secret_keys_env())
    configure(_settings(arguments))
    os.chdir(arguments.pwd or ".")
    program = Path(arguments.program)
    if program.is_dir() and not (program / "__main__.py").is_file():
        pulumi.log.error(f"{program.resolve()}: there is no program (__main__.py); write one")
        return _EXIT_AFTER_MESSAGE
    sys.argv = [arguments.program, *arguments.arguments]
    return _run(program, max(arguments.parallel, 1) * _THREADS_PER_OPERATION)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run a Pulumi program.")
    for name in ("monitor", "engine", "project", "stack", "organization", "root_directory", "pwd"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--dry_run", type=lambda text: text == "true", default=False)
    parser.add_argument("program")
    parser.add_argument("arguments", nargs="*")
    return parser.parse_args()


def _settings(arguments: argparse.Namespace) -> Settings:
    return Settings(
        project=arguments.project,
        stack=arguments.stack,
        monitor=arguments.monitor,
        engine=arguments.engine,
        parallel=arguments.parallel,
        dry_run=arguments.dry_run,
        organization=arguments.organization,
        root_directory=arguments.root_directory,
    )


def _run(program: Path, threads: int) -> int:
    # A program that failed leaves futures behind that nobody awaits; asyncio would list them.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        with asyncio.Runner() as runner, ThreadPoolExecutor(max_workers=threads) as executor:
            runner.get_loop().set_default_executor(executor)
            runner.run(run_in_stack(lambda: _run_program(program)))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
    except KeyboardInterrupt:
        return _EXIT_AFTER_MESSAGE
    except Exception as error:  # noqa: BLE001 - whatever the program raises is the user's to see
        told = _users_traceback(error, program)
        pulumi.log.error(f"Program failed with an unhandled exception:\n{told}")
    else:
        return 0
    return _EXIT_AFTER_MESSAGE


def _run_program(program: Path) -> None:
    runpy.run_path(str(program), run_name="__main__")


def _users_traceback(error: Exception, program: Path) -> str:
    """The traceback from the program on: what is above it is not the user's."""
    main = program.resolve() / "__main__.py" if program.is_dir() else program.resolve()
    frame = error.__traceback__
    while frame and Path(frame.tb_frame.f_code.co_filename).resolve() != main:
        frame = frame.tb_next
    return "".join(traceback.format_exception(type(error), error, frame or error.__traceback__))


if __name__ == "__main__":
    sys.exit(main())
