"""Images that keep data: databases, objects, backups."""

from __future__ import annotations

from pathlib import Path

from inventory.paths import PROJECT
from sandbox.images import python
from sandbox.images.recipe import (
    PATH,
    Recipe,
    add_user,
    copied,
    entrypoint,
    package_version,
    settings,
)
from sandbox.rootfs import File, Layer

POSTGRES_BIN = "/usr/lib/postgresql/15/bin"


def redis() -> Recipe:
    """The store, open to the network it is put on, its data in /data."""
    layer = Layer(
        "redis",
        packages=("redis-server", "redis-tools"),
        files=(entrypoint("redis"),),
        script="""
            mkdir -p /data && chown redis:redis /data
            sed -i -e 's/^daemonize .*/daemonize no/' -e 's/^bind .*/bind * -::*/' \\
                -e 's/^protected-mode .*/protected-mode no/' -e 's/^logfile .*/logfile ""/' \\
                -e 's/^pidfile .*//' -e 's,^dir .*,dir /data,' /etc/redis/redis.conf
            chmod 755 /etc/redis && chmod 644 /etc/redis/redis.conf
        """,
    )
    return Recipe(
        "redis",
        layer,
        settings(
            ["redis-server", "/etc/redis/redis.conf"],
            6379,
            Entrypoint=["docker-entrypoint.sh"],
            WorkingDir="/data",
            Volumes={"/data": {}},
        ),
        package_version("redis-server"),
    )


def postgres() -> Recipe:
    """The database, started as the official image is."""
    layer = Layer(
        "postgres",
        packages=("postgresql-15",),
        files=(
            entrypoint("postgres"),
            File("etc/postgresql-common/createcluster.conf", "create_main_cluster = false\n"),
        ),
        # The compiler of queries is three quarters of the size; without it postgres interprets.
        script=f"""
            rm -rf /usr/lib/postgresql/15/lib/bitcode /usr/lib/postgresql/15/lib/llvmjit*
            rm -f /usr/lib/*/libLLVM-* /usr/lib/*/libz3.so*
            mkdir -p /var/lib/postgresql/data && chown postgres:postgres /var/lib/postgresql/data
            {POSTGRES_BIN}/postgres --version
        """,
    )
    return Recipe(
        "postgres",
        layer,
        settings(
            ["postgres"],
            5432,
            Entrypoint=["docker-entrypoint.sh"],
            environment=["PGDATA=/var/lib/postgresql/data"],
            Volumes={"/var/lib/postgresql/data": {}},
            StopSignal="SIGINT",
        )
        | {
            "Env": [
                f"PATH={POSTGRES_BIN}:{PATH}",
                "LANG=C.UTF-8",
                "PGDATA=/var/lib/postgresql/data",
            ]
        },
        package_version("postgresql-15"),
    )


def minio(server: Path, client: Path) -> Recipe:
    """The object store and its client, `mc`; names and secrets may come from files."""
    layer = Layer(
        "minio",
        files=(entrypoint("minio"),),
        copies=(copied("usr/bin/minio", server), copied("usr/bin/mc", client)),
        script="mkdir /data",
        offline=True,
    )
    return Recipe(
        "minio",
        layer,
        settings(
            ["server", "/data", "--console-address", ":9001"],
            9000,
            9001,
            Entrypoint=["docker-entrypoint.sh"],
            # As in the official image: files beneath /run/secrets, unless they are named in full.
            environment=[
                "MINIO_ACCESS_KEY_FILE=access_key",
                "MINIO_SECRET_KEY_FILE=secret_key",
                "MINIO_ROOT_USER_FILE=access_key",
                "MINIO_ROOT_PASSWORD_FILE=secret_key",
                "MINIO_CONFIG_ENV_FILE=config.env",
                "MC_CONFIG_DIR=/tmp/.mc",
            ],
            Volumes={"/data": {}},
        ),
        "minio --version | grep -o '[0-9]*-[0-9T-]*Z' | head -n 1",
    )


def backup(services: Path = PROJECT / "services") -> Recipe:
    """The program that makes backups, over PostgreSQL's client.

    Raises:
        HearthError: There is none.
    """
    client = Layer("postgres-client", packages=("postgresql-client-15",), below=python.packages())
    layer = Layer(
        "backup",
        copies=python.programs(services, "keeper"),
        script=f"{python.COMPILE} /app\n{add_user('hearth', python.USER, '/app', '/backups')}",
        offline=True,
        below=client,
    )
    return Recipe(
        "backup",
        layer,
        settings(
            ["serve"],
            8210,
            Entrypoint=["python3", "-m", "services.keeper"],
            WorkingDir="/app",
            User=str(python.USER),
        )
        | {"Env": [f"PATH={POSTGRES_BIN}:{PATH}", "LANG=C.UTF-8", *python.ENVIRONMENT]},
        python.OWN_VERSION,
    )
