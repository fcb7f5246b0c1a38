"""The images that the lab's registry serves: real software, built here from packages.

Each is the base's layer, which all share, and one of its own. Its tag is the software's version
and a digest of its recipe, so that a changed recipe is a new image.
"""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inventory.errors import HearthError
from inventory.paths import cache_dir
from inventory.services import MODELS
from sandbox import debian, rootfs, storage
from sandbox.files import write_whole
from sandbox.model import tiny_model
from sandbox.rootfs import File, Layer
from sandbox.tarball import Packed, pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.plan import Progress

# The tag under which a site names the images; it moves when a recipe changes.
TAG = "sandbox"

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
POSTGRES_BIN = "/usr/lib/postgresql/15/bin"
# A random model seldom says that it is done: a short answer and window keep it quick and small.
# One thread: more would spin, waiting for each other, in a machine's share of a processor.
MODELFILE = "".join(
    f"{line}\\n"
    for line in (
        *("FROM /tiny.gguf", "PARAMETER num_predict 48"),
        *("PARAMETER num_ctx 512", "PARAMETER num_thread 1"),
    )
)


@dataclass(frozen=True)
class Recipe:
    """How an image is made.

    Args:
        kind: Its name, under `hearth/`.
        layer: Its own layer.
        settings: The container's defaults, in the image config's own words.
        version_of: Shell that prints the software's version, run in the finished layer.
    """

    kind: str
    layer: Layer
    settings: dict[str, Any] = field(default_factory=dict)
    version_of: str = ""

    @property
    def repository(self) -> str:
        """Its name in the registry."""
        return f"hearth/{self.kind}"

    @property
    def key(self) -> str:
        """Eight digits that change when anything about the image does."""
        definition = json.dumps([self.layer.key, rootfs.BASE.key, self.settings], sort_keys=True)
        return hashlib.sha256(definition.encode()).hexdigest()[:8]

    @property
    def record(self) -> Path:
        """Where its reference is kept once it is in the storage."""
        return cache_dir() / "sandbox" / "images" / f"{self.kind}-{self.key}"


def settings(command: list[str], port: int, **more: Any) -> dict[str, Any]:
    """An image's defaults: its command, its port, and what else it needs."""
    environment = [f"PATH={PATH}", "LANG=C.UTF-8", *more.pop("environment", [])]
    return {"Cmd": command, "Env": environment, "ExposedPorts": {f"{port}/tcp": {}}, **more}


def package_version(package: str) -> str:
    """Shell that prints a package's upstream version."""
    return f"dpkg-query -W -f '${{source:Upstream-Version}}' {package}"


def script(name: str) -> str:
    """The text of one of this package's scripts."""
    return rootfs.script_file(name).read_text()


def nginx() -> Recipe:
    """The web server, its logs on the container's output."""
    layer = Layer(
        "nginx",
        packages=("nginx-light",),
        script="ln -sf /dev/stdout /var/log/nginx/access.log\n"
        "ln -sf /dev/stderr /var/log/nginx/error.log",
    )
    command = ["nginx", "-g", "daemon off;"]
    return Recipe(
        "nginx",
        layer,
        settings(command, 80, StopSignal="SIGQUIT"),
        package_version("nginx-light"),
    )


def haproxy() -> Recipe:
    """The load balancer; its configuration is the user's to bring."""
    layer = Layer("haproxy", packages=("haproxy", "wget"), script="mkdir -p /run/haproxy")
    command = ["haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
    return Recipe(
        "haproxy",
        layer,
        settings(command, 8404, StopSignal="SIGUSR1"),
        package_version("haproxy"),
    )


def redis() -> Recipe:
    """The store, open to the network it is put on, its data in /data."""
    layer = Layer(
        "redis",
        packages=("redis-server", "redis-tools"),
        files=(File("usr/local/bin/docker-entrypoint.sh", script("redis-entrypoint.sh"), 0o755),),
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
            File("usr/local/bin/docker-entrypoint.sh", script("postgres-entrypoint.sh"), 0o755),
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


def ollama(binary: Path, models: tuple[str, ...] = tuple(MODELS)) -> Recipe:
    """The language model server with a tiny model under the names of large ones."""
    creates = "\n".join(f"ollama create {name} -f /Modelfile >/dev/null" for name in models)
    model = tiny_model()
    layer = Layer(
        "ollama",
        packages=("libstdc++6",),
        copies=(
            ("usr/bin/ollama", binary, file_digest(binary)),
            ("tiny.gguf", model, file_digest(model)),
        ),
        script=f"""
            chmod 755 /usr/bin/ollama
            ollama serve >/server.log 2>&1 &
            curl -fsS --retry 50 --retry-delay 1 --retry-connrefused -o /dev/null \\
                http://127.0.0.1:11434/ 2>/dev/null || {{ cat /server.log; exit 1; }}
            printf '{MODELFILE}' >/Modelfile
            {creates}
            kill $!
            wait $! || true
            rm -rf /tiny.gguf /Modelfile /server.log /root/.ollama/id_* /root/.ollama/history
        """,
        offline=True,
    )
    command = ["serve"]
    return Recipe(
        "ollama",
        layer,
        settings(
            command,
            11434,
            Entrypoint=["/bin/ollama"],
            environment=["OLLAMA_HOST=0.0.0.0:11434"],
        ),
        "ollama --version 2>/dev/null | grep -o '[0-9][0-9.]*' | head -n 1",
    )


def ollama_binary(progress: Progress) -> Path:
    """The server's program: HEARTH_OLLAMA, else built from source."""
    if override := os.environ.get("HEARTH_OLLAMA"):
        return Path(override)
    from tools.toolchain import ensure_ollama  # noqa: PLC0415 - builds; only where it is needed

    return Path(ensure_ollama(progress))


def recipes(progress: Progress) -> tuple[Recipe, ...]:
    """Every image of the lab."""
    return (ollama(ollama_binary(progress)), postgres(), nginx(), haproxy(), redis())


def root() -> Path:
    """The registry's storage."""
    return cache_dir() / "sandbox" / "registry"


def references(progress: Progress = lambda _: None) -> dict[str, str]:
    """The images in the storage: kind to repository and tag.

    Raises:
        HearthError: Some are not built.
    """
    wanted = recipes(progress)
    if missing := [recipe.kind for recipe in wanted if not recipe.record.exists()]:
        raise HearthError(f"images: not built ({', '.join(missing)}); bring the sandbox up first")
    return {recipe.kind: recipe.record.read_text().strip() for recipe in wanted}


def build_all(progress: Progress) -> None:
    """Build the images that are missing; each is then served under the one tag of TAG."""
    everything = recipes(progress)
    build_missing([recipe for recipe in everything if not recipe.record.exists()], progress)
    for recipe in everything:
        tag = recipe.record.read_text().strip().rpartition(":")[2]
        storage.alias(root(), recipe.repository, tag, TAG)


def build_missing(wanted: Sequence[Recipe], progress: Progress) -> None:
    """Build these images, the base's layer once for all."""
    if not wanted:
        return
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        base = threads.submit(packed_layer, rootfs.BASE)
        layers = [threads.submit(rootfs.build, recipe.layer, progress) for recipe in wanted]
        for recipe, layer in zip(wanted, layers, strict=True):
            layer.result()
            publish(recipe, base.result())
            progress(f"packed {recipe.record.read_text().strip()}")


def publish(recipe: Recipe, base: Packed) -> None:
    """Put an image into the storage and note its reference."""
    layers = (base, packed_layer(recipe.layer))
    image = storage.compose(layers, recipe.settings, debian.architecture())
    tag = f"{rootfs.ask(recipe.layer, recipe.version_of)}-{recipe.key}"
    storage.publish(root(), recipe.repository, tag, image, layers)
    write_whole(recipe.record, f"{recipe.repository}:{tag}\n")


def packed_layer(layer: Layer) -> Packed:
    """A layer as a blob in the storage, packed at the first call."""
    record = rootfs.place(layer) / "packed.json"
    if record.exists():
        packed = Packed(**json.loads(record.read_text()))
        if storage.blob(root(), packed.digest).exists():
            return packed
    partial = rootfs.place(layer) / "packing"
    packed = pack(rootfs.tree(layer), partial)
    storage.adopt(root(), partial, packed.digest)
    write_whole(record, json.dumps(asdict(packed)))
    return packed


def file_digest(path: Path) -> str:
    """The digest of a file's content.

    Raises:
        HearthError: There is no such file.
    """
    if not path.is_file():
        raise HearthError(f"images: no such file ({path}); build it, or correct HEARTH_OLLAMA")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
