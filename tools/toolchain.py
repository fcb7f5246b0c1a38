"""The programs that a deployment runs: a Pulumi CLI, its Python language host, its plugins.

Each is had in one of three ways, tried in this order, and the answer says which and why:

    path        on PATH, of a suitable version
    download    the official release, checked against its published checksums
    build       from the Go module proxy (the language host and the kubernetes plugin are Hearth's
                own, in Python)

HEARTH_TOOLCHAIN set to one of these words allows that way alone. The cache:

    toolchain/
    ├── pulumi-VERSION-PLATFORM-HASH/   a part and its manifest, part.json, written last
    ├── docker-VERSION-PLATFORM-HASH/
    ├── ollama-VERSION-PLATFORM-HASH/   and so for every program of an image
    └── venv-HASH/bin/                  for one Python environment: what goes on its PATH
    pulumi/                             PULUMI_HOME: installed plugins
    go/                                 while building: Go's own caches
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from inventory.errors import HearthError
from inventory.paths import cache_dir
from tools import downloads, go_build, versions
from tools.downloads import NotAvailableError
from tools.lock import exclusive
from tools.programs import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Progress = Callable[[str], None]

Way = Literal["path", "download", "build"]

_MARK = "hearth-toolchain"
_CLI = "pulumi"
_HOST = "pulumi-language-python"
_PLUGIN = "pulumi-resource-docker"
_KUBERNETES = "pulumi-resource-kubernetes"
_BRIDGE = "github.com/terraform-providers/terraform-provider-docker/bridge"
_HOST_PROGRAM = Path(__file__).resolve().with_name("language_host.py")
_CHECKOUT = _HOST_PROGRAM.parent.parent
_OWN_PLUGIN = "tools.kubernetes_plugin"
_WORDS = {
    "path": "found on PATH",
    "download": "downloaded from the vendor",
    "build": "built from the Go module proxy",
}


@dataclass(frozen=True)
class Part:
    """One program, and how it came to be here."""

    name: str
    version: str
    way: Way
    why: str
    path: Path
    stamp: tuple[int, int]
    """Modification time (ns) and size (bytes) of the file when it was recorded."""

    def __str__(self) -> str:
        is_ours = self.path.name in (_HOST, _KUBERNETES) and self.way == "build"
        how = "part of Hearth" if is_ours else ""
        return f"{self.name} {self.version}: {how or _WORDS[self.way]}, because {self.why}"


@dataclass(frozen=True)
class Toolchain:
    """What a deployment needs: the parts, and the folder that goes on PATH."""

    parts: tuple[Part, ...]
    bin_dir: Path


@dataclass(frozen=True)
class _Found:
    version: str
    path: Path


@dataclass(frozen=True)
class _Recipe:
    """How to get a part: its ways by name, and the folder of its manifest."""

    name: str
    program: str
    home: Path
    ways: dict[Way, Callable[[Progress], _Found]]


def ensure(progress: Progress, *, docker: bool = True, kubernetes: bool = False) -> Toolchain:
    """Find, download or build what is missing; a second call finds everything in its cache.

    Args:
        progress: Takes short lines for people: what is going on, then a line for each part.
        docker: Whether the docker plugin is one of the parts: a stack on AWS does without.
        kubernetes: Whether the kubernetes plugin is one: only a cluster's stack needs it.

    Raises:
        HearthError: A part cannot be had; those that can are kept.
    """
    forced = _forced_way()
    recipes = tuple(_recipes(docker=docker, kubernetes=kubernetes))
    parts = _recorded_parts(recipes, forced)
    if parts is None:
        with _locked(progress):
            parts = _obtain_all(recipes, forced, progress)
            go_build.clean_go_caches(progress)
    toolchain = Toolchain(parts, bin_dir())
    _link_all(toolchain)
    for part in parts:
        progress(str(part))
    return toolchain


def ensure_programs(names: Iterable[str], progress: Progress) -> dict[str, Path]:
    """Programs of the images, built where they are missing; their builds share Go's caches.

    Args:
        names: Which of `tools.programs.PROGRAMS`.
        progress: Takes short lines for people.

    Returns:
        Where each program is.

    Raises:
        HearthError: One cannot be built; those before it are kept.
    """
    recipes = {name: _program(name) for name in names}
    parts = {name: _recorded(recipe, None) for name, recipe in recipes.items()}
    if all(parts.values()):
        return {name: part.path for name, part in parts.items() if part}
    with _locked(progress):
        built = {
            name: _recorded(recipe, None) or _obtain(recipe, "build", progress)
            for name, recipe in recipes.items()
        }
        go_build.clean_go_caches(progress)
    return {name: part.path for name, part in built.items()}


def built_program(name: str) -> Path | None:
    """A program of the images, if it was built before."""
    part = _recorded(_program(name), None)
    return part.path if part else None


def bin_dir() -> Path:
    """The folder of this Python environment's programs, to go first on PATH."""
    return _venv_home() / "bin"


def pulumi_home() -> Path:
    """The PULUMI_HOME of Hearth: installed plugins are there."""
    return cache_dir() / "pulumi"


def environment() -> dict[str, str]:
    """The variables with which a process finds the toolchain; costs nothing, checks nothing."""
    first = [str(bin_dir()), str(Path(sys.prefix, "bin"))]
    rest = [entry for entry in _path_entries() if entry not in first]
    return {
        "PATH": os.pathsep.join(first + rest),
        "PULUMI_HOME": str(pulumi_home()),
        # The engine would fetch the plugin of every SDK that is installed, used or not.
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }


# The parts.


def _recipes(*, docker: bool, kubernetes: bool) -> Iterator[_Recipe]:
    cli = _cli()
    yield cli
    yield _host(cli.home)
    if docker:
        yield _docker()
    if kubernetes:
        yield _kubernetes()


def _cli() -> _Recipe:
    version = versions.PULUMI_CLI
    home = _home("pulumi", version, "pulumi")

    def download(progress: Progress) -> _Found:
        return _Found(version, _release(home, progress) / _CLI)

    def build(progress: Progress) -> _Found:
        output = home / _CLI
        flag = f"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={version}"
        go_build.build(
            "pulumi",
            "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
            output=output,
            ldflags=f"-s -w -X {flag}",
            progress=progress,
        )
        return _Found(version, output)

    return _Recipe(
        "pulumi CLI",
        _CLI,
        home,
        {"path": lambda _: _cli_on_path(), "download": download, "build": build},
    )


def _host(cli_home: Path) -> _Recipe:
    def download(progress: Progress) -> _Found:
        return _Found(versions.PULUMI_CLI, _release(cli_home, progress) / _HOST)

    ways: dict[Way, Callable[[Progress], _Found]] = {
        "path": lambda _: _host_on_path(),
        "download": download,
        "build": lambda _: _write_host(),
    }
    return _Recipe("python language host", _HOST, _venv_home(), ways)


def _docker() -> _Recipe:
    version = versions.docker_plugin()
    home = _home("docker", version, "docker")

    def download(_: Progress) -> _Found:
        downloads.need_reachable()
        return _install_plugin("docker", version)

    def build(progress: Progress) -> _Found:
        output = home / _PLUGIN
        go_build.build(
            "docker",
            _BRIDGE,
            output=output,
            ldflags=f"-s -w -X main.version={version}",
            tags=("no_compose",),
            progress=progress,
        )
        found = _install_plugin("docker", version, "--reinstall", "--file", str(output))
        output.unlink()  # the plugin's folder has a copy
        return found

    return _Recipe(
        "docker plugin",
        _PLUGIN,
        home,
        {"path": lambda _: _docker_on_path(version), "download": download, "build": build},
    )


def _kubernetes() -> _Recipe:
    version = versions.kubernetes_plugin()
    home = _venv_home() / "kubernetes"

    def download(_: Progress) -> _Found:
        downloads.need_reachable()
        return _install_plugin("kubernetes", version)

    ways: dict[Way, Callable[[Progress], _Found]] = {
        "path": lambda _: _kubernetes_on_path(version),
        "download": download,
        "build": lambda _: _write_kubernetes(home / _KUBERNETES, version),
    }
    return _Recipe("kubernetes plugin", _KUBERNETES, home, ways)


def _program(name: str) -> _Recipe:
    program = PROGRAMS[name]
    home = _home(name, program.version, program.module)

    def build(progress: Progress) -> _Found:
        output = home / name
        go_build.build(
            program.module,
            program.package,
            output=output,
            ldflags=" ".join(["-s -w", *(f"-X {setting}" for setting in program.settings)]),
            cgo=program.cgo,
            tags=program.tags,
            progress=progress,
        )
        return _Found(program.version, output)

    return _Recipe(name, name, home, {"build": build})


def _cli_on_path() -> _Found:
    path = _need_on_path(_CLI)
    version = _version_of(path, "version")
    minimum, below = versions.PULUMI_CLI_MINIMUM, versions.PULUMI_CLI_BELOW
    return _need_suitable(path, version, minimum, below)


def _host_on_path() -> _Found:
    """The host beside a suitable CLI: it has no version of its own, it comes with the CLI."""
    cli = _cli_on_path()
    for folder in (cli.path.parent, cli.path.resolve().parent):
        if (folder / _HOST).is_file():
            return _Found(cli.version, folder / _HOST)
    raise NotAvailableError(f"none is beside {cli.path}")


def _docker_on_path(version: str) -> _Found:
    path = _need_on_path(_PLUGIN)
    below = versions.next_major(version)
    return _need_suitable(path, _version_of(path, "-version"), version, below)


def _kubernetes_on_path(version: str) -> _Found:
    path = _need_on_path(_KUBERNETES)
    below = versions.next_major(version)
    return _need_suitable(path, _served_version(path), version, below)


def _write_host() -> _Found:
    path = bin_dir() / _HOST
    command = shlex.join([sys.executable, "-P", str(_HOST_PROGRAM)])
    _write(path, f'#!/bin/sh\nexec {command} "$@"\n', mode=0o755)
    return _Found(versions.PULUMI_CLI, path)


def _write_kubernetes(path: Path, version: str) -> _Found:
    """The start of Hearth's own plugin, by this interpreter and from this checkout."""
    command = shlex.join([sys.executable, "-P", "-m", _OWN_PLUGIN])
    start = f'PYTHONPATH={shlex.quote(str(_CHECKOUT))} exec {command} "$@"'
    _write(path, f"#!/bin/sh\n{start}\n", mode=0o755)
    return _Found(version, path)


def _release(home: Path, progress: Progress) -> Path:
    """The unpacked official archive, which holds the CLI and the language hosts."""
    folder = home / "release"
    if not folder.is_dir():
        downloads.cli_release(versions.PULUMI_CLI, folder, progress)
    return folder


def _install_plugin(name: str, version: str, *arguments: str) -> _Found:
    cli = bin_dir() / _CLI
    command = [str(cli) if cli.exists() else str(_need_on_path(_CLI))]
    command += ["plugin", "install", "resource", name, version, *arguments]
    answer = subprocess.run(
        command,
        env=os.environ | environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        said = answer.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise NotAvailableError(f"`pulumi plugin install` failed ({said[0]})")
    folder = pulumi_home() / "plugins" / f"resource-{name}-v{version}"
    return _Found(version, folder / f"pulumi-resource-{name}")


# The ways.


def _obtain_all(
    recipes: tuple[_Recipe, ...], forced: Way | None, progress: Progress
) -> tuple[Part, ...]:
    parts: tuple[Part, ...] = ()
    for recipe in recipes:
        part = _recorded(recipe, forced) or _obtain(recipe, forced, progress)
        parts += (part,)
        # The plugin's installation needs the CLI, so links are made as parts come.
        _link_bin(parts)
    return parts


def _obtain(recipe: _Recipe, forced: Way | None, progress: Progress) -> Part:
    reasons: list[str] = []
    for way in (forced,) if forced else get_args(Way):
        try:
            found = recipe.ways[way](progress)
        except NotAvailableError as reason:
            if str(reason) not in reasons:
                reasons.append(str(reason))
            continue
        why = " and ".join(reasons) or _first_reason(forced, found)
        part = Part(recipe.name, found.version, way, why, found.path, _stamp(found.path))
        _record(recipe, part)
        return part
    raise HearthError(
        f"{recipe.name}: it cannot be had ({' and '.join(reasons)}); "
        + ("unset HEARTH_TOOLCHAIN to try the other ways" if forced else "see the reasons")
    )


def _first_reason(forced: Way | None, found: _Found) -> str:
    if forced:
        return f"HEARTH_TOOLCHAIN={forced} asks for it"
    return f"{found.path} is of a suitable version"


def _forced_way() -> Way | None:
    word = os.environ.get("HEARTH_TOOLCHAIN")
    if not word:
        return None
    for way in get_args(Way):
        if word == way:
            return way  # type: ignore[no-any-return]
    raise HearthError(
        f"HEARTH_TOOLCHAIN: there is no such way ({word}); "
        "set it to path, download or build, or unset it"
    )


def _need_on_path(program: str) -> Path:
    path = _on_path(program)
    if path is None:
        raise NotAvailableError(f"no {program} is on PATH")
    return path


def _need_suitable(path: Path, version: str, minimum: str, below: str) -> _Found:
    if not versions.is_suitable(version, minimum=minimum, below=below):
        had = version or "of no known version"
        raise NotAvailableError(f"{path} is {had}, not >={minimum} and <{below}")
    return _Found(version, path)


def _on_path(program: str) -> Path | None:
    """A program on PATH that Hearth did not put there."""
    for entry in _path_entries():
        path = Path(entry, program)
        if path.is_file() and os.access(path, os.X_OK) and not _is_ours(path):
            return path
    return None


def _path_entries() -> list[str]:
    return [entry for entry in os.environ.get("PATH", os.defpath).split(os.pathsep) if entry]


def _version_of(path: Path, argument: str) -> str:
    try:
        answer = subprocess.run(
            [str(path), argument], capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ".".join(map(str, versions.parse(answer.stdout)))


def _served_version(path: Path) -> str:
    """The version of a plugin that tells it to the engine alone; empty if it does not."""
    import grpc  # type: ignore[import-untyped]  # noqa: PLC0415 - slow, seldom needed

    nobody = "127.0.0.1:1"  # it would tell an engine of its troubles, which there is none of
    process = subprocess.Popen(
        [str(path), nobody], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    stopper = threading.Timer(10, process.kill)
    stopper.start()
    try:
        port = process.stdout.readline().strip() if process.stdout else ""
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            ask = channel.unary_unary("/pulumirpc.ResourceProvider/GetPluginInfo")
            answer: bytes = ask(b"", timeout=10)
    except grpc.RpcError:
        return ""
    finally:
        stopper.cancel()
        process.kill()
        process.communicate()
    return ".".join(map(str, versions.parse(answer.decode(errors="replace"))))


# The cache.


def _root() -> Path:
    return cache_dir() / "toolchain"


def _home(name: str, version: str, module: str) -> Path:
    digest = hashlib.sha256()
    for file in sorted((go_build.MODULES / module).iterdir()):
        digest.update(file.read_bytes())
    system, machine = downloads.platform_name()
    return _root() / f"{name}-{version}-{system}-{machine}-{digest.hexdigest()[:12]}"


def _venv_home() -> Path:
    """The language host names an interpreter and a checkout, so each pair has its own."""
    pair = f"{sys.executable}\n{_HOST_PROGRAM}"
    return _root() / f"venv-{hashlib.sha256(pair.encode()).hexdigest()[:12]}"


@contextmanager
def _locked(progress: Progress) -> Iterator[None]:
    with exclusive(_root() / _MARK, when_waiting=lambda: progress("waiting for another setup")):
        for leftover in _root().glob("*/.*-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield


def _recorded_parts(recipes: tuple[_Recipe, ...], forced: Way | None) -> tuple[Part, ...] | None:
    parts = [_recorded(recipe, forced) for recipe in recipes]
    complete = tuple(part for part in parts if part)
    return complete if len(complete) == len(parts) else None


def _recorded(recipe: _Recipe, forced: Way | None) -> Part | None:
    """The part as its manifest has it, if the file is still the one that was recorded."""
    try:
        data = json.loads((recipe.home / "part.json").read_text())
        part = Part(**data | {"path": Path(data["path"]), "stamp": tuple(data["stamp"])})
        is_same_file = part.stamp == _stamp(part.path)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_wanted = forced in (None, part.way)
    if part.way == "path":
        is_in_place = _on_path(recipe.program) == part.path
    else:  # a cache that was moved or copied points back to where it came from
        is_in_place = part.path.is_relative_to(cache_dir())
    return part if is_same_file and is_wanted and is_in_place else None


def _record(recipe: _Recipe, part: Part) -> None:
    data = asdict(part) | {"path": str(part.path)}
    _write(recipe.home / "part.json", json.dumps(data, indent=2) + "\n")


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _write(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}-{os.getpid()}")
    scratch.write_text(text)
    scratch.chmod(mode)
    scratch.replace(path)


# The links.


def _link_all(toolchain: Toolchain) -> None:
    _link_bin(toolchain.parts)
    if sys.prefix != sys.base_prefix:
        _link_environment(Path(sys.prefix, "bin"))


def _link_bin(parts: tuple[Part, ...]) -> None:
    """Make this environment's bin hold the parts that are not on PATH already."""
    wanted = dict(_own_programs(parts))
    bin_dir().mkdir(parents=True, exist_ok=True)
    for name, target in wanted.items():
        if target.parent.name == "release":
            _link(bin_dir() / name, target)
        elif target.parent != bin_dir():
            _link_hard(bin_dir() / name, target)
    # Who does without the kubernetes plugin leaves it to the next who does not.
    stays = {part.path.name for part in parts}.isdisjoint({_KUBERNETES})
    for entry in bin_dir().iterdir():
        if entry.name not in wanted and not (stays and entry.name == _KUBERNETES):
            entry.unlink()


def _own_programs(parts: tuple[Part, ...]) -> Iterator[tuple[str, Path]]:
    for part in parts:
        if not part.path.is_relative_to(_root()):
            continue
        yield part.path.name, part.path
        if part.path.name == _HOST:  # the official host runs a second program, beside it
            for file in part.path.parent.glob(f"{_HOST}-*"):
                yield file.name, file


def _link_environment(folder: Path) -> None:
    """Put the programs on the activated environment's PATH; a file of someone else stays."""
    for entry in bin_dir().iterdir():
        link = folder / entry.name
        if not link.exists() or (link.is_symlink() and _is_ours(link)):
            _link(link, entry)
    for link in folder.glob("pulumi*"):
        if link.is_symlink() and link.readlink().parent == bin_dir() and not link.exists():
            link.unlink()


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    scratch = link.with_name(f".{link.name}-{os.getpid()}")
    scratch.unlink(missing_ok=True)
    scratch.symlink_to(target)
    scratch.replace(link)


def _link_hard(link: Path, target: Path) -> None:
    """Give a file a second name: the built CLI must lie in the folder of its language host.

    The engine resolves symbolic links to find what lies beside it, and warns if that is not
    the host that PATH has.
    """
    if link.exists() and link.samefile(target):
        return
    link.unlink(missing_ok=True)
    try:
        link.hardlink_to(target)
    except OSError:
        link.symlink_to(target)  # all that it costs is the warning


def _is_ours(path: Path) -> bool:
    return any((folder / _MARK).exists() for folder in path.resolve().parents)
