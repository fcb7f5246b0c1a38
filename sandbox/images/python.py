"""Images of Python programs: Hearth's own services, and what they stand on.

Debian's Python, the packages pinned in services/requirements.txt, and the programs are a layer
each, so that a changed program is a small new layer.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

from inventory.errors import HearthError
from inventory.paths import PROJECT
from sandbox.images.recipe import Recipe, add_user, copied, settings
from sandbox.rootfs import File, Layer

SITE = "/opt/packages"
USER = 10001
GRAFANA_USER = 472
ENVIRONMENT = [f"PYTHONPATH=/app:{SITE}", "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1"]
# A packed layer has no times, by which Python would tell that what it compiled is still good.
COMPILE = "python3 -m compileall -q -f --invalidation-mode unchecked-hash"
SONARQUBE_USER = 1000
SONARQUBE = "/opt/sonarqube"
COMFYUI = "/opt/ComfyUI"
COMFYUI_MAIN = """\
import runpy

runpy.run_module("services.standins.comfyui", run_name="__main__")
"""
STANDIN_VERSION = "echo simulated"
OWN_VERSION = f"echo {metadata.version('hearth')}"
PIP = (
    "python3 $(echo /usr/share/python-wheels/pip-*.whl)/pip install "
    "--quiet --no-cache-dir --no-compile --root-user-action ignore"
)


def interpreter() -> Layer:
    """Debian's Python."""
    return Layer("python", packages=("python3",), script=f"{COMPILE} /usr/lib/python3*")


def install(arguments: str, folder: str) -> str:
    """Shell that installs Python packages with a pip that does not stay."""
    return f"""
        apt-get install -qq -y --no-install-recommends python3-pip-whl
        {PIP} --target {folder} {arguments}
        apt-get purge -qq -y python3-pip-whl
        {COMPILE} {folder}
    """


def packages(requirements: Path = PROJECT / "services/requirements.txt") -> Layer:
    """What the services import."""
    pinned, script = pinned_packages(requirements)
    return Layer("python-packages", files=(pinned,), script=script, below=interpreter())


def pinned_packages(requirements: Path) -> tuple[File, str]:
    """A lock file as a layer takes it, and the shell that installs what it pins.

    Raises:
        HearthError: There is no such file.
    """
    if not requirements.is_file():
        raise HearthError(f"images: no lock file ({requirements}); build from a whole checkout")
    pinned = File("opt/requirements.txt", requirements.read_text())
    return pinned, install(f"--require-hashes -r /{pinned.path}", SITE)


def assistant(services: Path = PROJECT / "services") -> Recipe:
    """The lab's API, as it is in this checkout.

    Raises:
        HearthError: There is none.
    """
    layer = Layer(
        "assistant",
        copies=programs(services, "assistant"),
        # The scanner is the one program among the packages.
        script=f"{COMPILE} /app\nln -s {SITE}/bin/pysonar /usr/local/bin/\n"
        + add_user("hearth", USER, "/app", "/spool"),
        offline=True,
        below=packages(),
    )
    return Recipe(
        "assistant",
        layer,
        started_as("services.assistant", 8200),
        OWN_VERSION,
    )


def drift_check(services: Path = PROJECT / "services") -> Recipe:
    """The drift check, as it is in this checkout.

    Raises:
        HearthError: There is none.
    """
    layer = Layer(
        "drift-check",
        copies=programs(services, "driftcheck"),
        script=f"{COMPILE} /app\n{add_user('hearth', USER, '/app')}",
        offline=True,
        below=packages(),
    )
    return Recipe(
        "drift-check",
        layer,
        started_as("services.driftcheck", 8300),
        OWN_VERSION,
    )


def comfyui(services: Path = PROJECT / "services") -> Recipe:
    """A stand-in for ComfyUI, started by the same command line, its folders in the same places.

    Raises:
        HearthError: There is none.
    """
    layer = Layer(
        "comfyui",
        files=(File(f"{COMFYUI.lstrip('/')}/main.py", COMFYUI_MAIN),),
        copies=programs(services, "standins"),
        script=f"{COMPILE} /app\n"
        + add_user("comfyui", USER, COMFYUI, f"{COMFYUI}/models", f"{COMFYUI}/output"),
        offline=True,
        below=packages(),
    )
    return Recipe(
        "comfyui",
        layer,
        settings(
            ["python3", f"{COMFYUI}/main.py", "--listen", "0.0.0.0", "--port", "7860"],  # noqa: S104
            7860,
            WorkingDir=COMFYUI,
            User=str(USER),
            environment=ENVIRONMENT,
        ),
        STANDIN_VERSION,
    )


def grafana(services: Path = PROJECT / "services") -> Recipe:
    """A stand-in for Grafana, as the official image is started.

    Raises:
        HearthError: There is none.
    """
    layer = Layer(
        "grafana",
        packages=("wget",),
        copies=programs(services, "standins"),
        script=f"{COMPILE} /app\n{add_user('grafana', GRAFANA_USER, '/app', '/var/lib/grafana')}",
        below=packages(),
    )
    return Recipe(
        "grafana",
        layer,
        started_as("services.standins.grafana", 3000, GRAFANA_USER),
        STANDIN_VERSION,
    )


def sonarqube(services: Path = PROJECT / "services") -> Recipe:
    """A stand-in for SonarQube, its data where the official image has it."""
    data = f"{SONARQUBE}/data"
    layer = Layer(
        "sonarqube",
        copies=programs(services, "standins"),
        script=f"{COMPILE} /app\n{add_user('sonarqube', SONARQUBE_USER, SONARQUBE, data)}",
        offline=True,
        below=packages(),
    )
    return Recipe(
        "sonarqube",
        layer,
        started_as("services.standins.sonarqube", 9000, SONARQUBE_USER, f"SQ_DATA_DIR={data}"),
        STANDIN_VERSION,
    )


def started_as(module: str, port: int, user: int = USER, *environment: str) -> dict[str, Any]:
    """The defaults of an image that runs a module of the services."""
    return settings(
        [],
        port,
        Entrypoint=["python3", "-m", module],
        WorkingDir="/app",
        User=str(user),
        environment=[*ENVIRONMENT, *environment],
    )


def programs(services: Path, package: str) -> tuple[tuple[str, Path, str], ...]:
    """The files of one of the services' packages and what they share, as they lie in /app.

    Raises:
        HearthError: There are none.
    """
    files = [path for path in sorted((services / package).rglob("*")) if path.is_file()]
    wanted = [path for path in files if "__pycache__" not in path.parts]
    if not wanted:
        raise HearthError(f"{package}: no programs ({services}); build it from a whole checkout")
    top = sorted(services.glob("*.py"))
    return tuple(copied(f"app/{path.relative_to(services.parent)}", path) for path in top + wanted)
