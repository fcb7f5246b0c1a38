"""Root filesystems in layers: Debian at the bottom, one overlay per purpose above it.

A layer is named after the content of its definition. It is built in a folder of its own and
renamed when it is whole: what carries the name is complete, and a killed build is swept away
by the next.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from inventory.errors import HearthError
from inventory.paths import cache_dir
from sandbox import debian
from sandbox.command import CONTAINED, run, run_logged
from sandbox.files import remove_tree

if TYPE_CHECKING:
    from sandbox.plan import Progress

# Everyone's bottom. curl is what health checks use; both it and the certificates are in all images.
BASE_PACKAGES = ("ca-certificates", "curl")
MACHINE_PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "libpam-systemd", "openssh-server", "sudo"),
    *("iproute2", "nftables", "iptables", "procps", "iputils-ping"),
    # Every vendor's image has it; nothing of ours needs it.
    "python3-apt",
)
# Left in the machines' apt cache, to be installed by a deploy although there is no way out.
OFFLINE_PACKAGES = ("docker.io", "chrony", "unattended-upgrades")
INSTALL = "apt-get install -qq -y --no-install-recommends -o Dpkg::Options::=--force-confold"
# Nobody reads these in a lab, and they are a third of the files.
UNREAD = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info")
DPKG = "force-unsafe-io\n" + "".join(f"path-exclude=/{folder}/*\n" for folder in UNREAD)
LEFTOVERS = ("var/cache/apt", "var/cache/debconf", "var/log", "tmp", "usr/sbin/policy-rc.d")
REMEDY = (
    "see above; if packages are not found (404), Debian has moved on since the lists were read: "
    "delete {layers} and run again"
)

CGROUP_UNIT = """\
[Unit]
Description=Let services make control groups (version 1 comes read-only in a container)
ConditionPathIsMountPoint=/sys/fs/cgroup/memory
Before=docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'for folder in /sys/fs/cgroup/*/; do \\
  case $folder in */systemd/|*/unified/) continue;; esac; \\
  mount -o remount,rw,bind "$folder" || true; done'

[Install]
WantedBy=multi-user.target
"""
# A clean power-off would otherwise wait 90 s for whatever does not listen to SIGTERM.
STOP_SOON = "[Manager]\nDefaultTimeoutStopSec=5s\n"
NO_APT_TIMERS = "apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer"


@dataclass(frozen=True)
class File:
    """A file that a layer has from the start."""

    path: str
    content: str
    mode: int = 0o644


@dataclass(frozen=True)
class Layer:
    """The definition of a layer over the base.

    Args:
        name: What it is for.
        packages: Debian packages installed in it.
        files: Written before the packages are installed.
        script: Shell, run after the packages are installed.
        copies: Files of this computer copied in before the script: path in the layer, source
            and the source's digest.
        offline: The script and all before it have loopback only.
        keep_apt_cache: Leave what apt downloaded and indexed.
        below: The layer that this one lies on; None is the base.
    """

    name: str
    packages: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    script: str = ""
    copies: tuple[tuple[str, Path, str], ...] = ()
    offline: bool = False
    keep_apt_cache: bool = False
    below: Layer | None = None

    @property
    def stack(self) -> tuple[Layer, ...]:
        """This layer and what it lies on, down to the base's."""
        return (self, *(self.below.stack if self.below else ()))

    @property
    def key(self) -> str:
        """Twelve digits that change when the definition does."""
        definition = {
            **asdict(replace(self, below=None)),
            "copies": [(path, digest) for path, _, digest in self.copies],
            "base": [debian.SUITE, BASE_PACKAGES, DPKG, UNREAD],
            "architecture": debian.architecture(),
        }
        if self.below:
            definition["below"] = self.below.key
        else:
            del definition["below"]
        return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:12]


BASE = Layer("base")
REGISTRY_CONFIG = """\
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: /srv}, maintenance: {readonly: {enabled: true}}}
"""
REGISTRY = Layer(
    "registry",
    packages=("docker-registry",),
    files=(File("etc/hearth-registry.yml", REGISTRY_CONFIG),),
)


def machine_layer(login_user: str) -> Layer:
    """What a freshly flashed board has: systemd, sshd, a login user with sudo."""
    return Layer(
        "machine",
        packages=MACHINE_PACKAGES,
        files=(
            File("etc/systemd/system/hearth-cgroup.service", CGROUP_UNIT),
            File("etc/systemd/system.conf.d/hearth.conf", STOP_SOON),
            File(f"etc/sudoers.d/{login_user}", f"{login_user} ALL=(ALL) NOPASSWD: ALL\n", 0o440),
        ),
        script=f"""
            useradd --create-home --shell /bin/bash --groups sudo {login_user}
            rm -f /etc/ssh/ssh_host_*
            systemctl mask --quiet {NO_APT_TIMERS}
            systemctl enable --quiet hearth-cgroup.service
            apt-get clean
            {INSTALL} --download-only {" ".join(OFFLINE_PACKAGES)}
            apt-cache gencaches
            : >/etc/machine-id
        """,
        keep_apt_cache=True,
    )


def layers_dir() -> Path:
    """Where built layers are kept."""
    return cache_dir() / "sandbox" / "layers"


def place(layer: Layer) -> Path:
    """A layer's folder, built or not."""
    return layers_dir() / f"{layer.name}-{layer.key}"


def built(layer: Layer) -> bool:
    """Whether a layer is there, whole."""
    return place(layer).is_dir()


def tree(layer: Layer) -> Path:
    """The files of a built layer: for the base a whole system, else what it adds to that."""
    return place(layer) / "root"


def stack(layer: Layer) -> str:
    """Overlay's `lowerdir` for a system made of a layer, what it lies on, and apt's lists."""
    below = [tree(BASE), place(BASE) / "lists"]
    above = [tree(part) for part in layer.stack if part != BASE]
    return ":".join(map(str, [*above, *below]))


def sweep() -> None:
    """Remove what killed builds left; the caller holds the cache's lock."""
    for leftover in layers_dir().glob(".building-*"):
        remove_tree(leftover)


def cache_lock() -> Path:
    """The lock that builders hold."""
    return cache_dir() / "sandbox" / "lock"


def build(layer: Layer, progress: Progress) -> Path:
    """Build a layer unless it is there; what it lies on must be."""
    if built(layer):
        return place(layer)
    layers_dir().mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=layers_dir()))
    building.chmod(0o755)
    progress(f"building the {layer.name} layer")
    if layer == BASE:
        bootstrap(building)
    else:
        build_above(layer, building)
    building.rename(place(layer))
    return place(layer)


def bootstrap(building: Path) -> None:
    """Debian's smallest system, its unread files removed, and apt's lists beside it."""
    root = building / "root"
    write_files(root, (File("etc/dpkg/dpkg.cfg.d/hearth", DPKG),))
    mirror = debian.mirror()
    run_logged(
        [
            *CONTAINED,
            *("debootstrap", "--variant=minbase", f"--include={','.join(BASE_PACKAGES)}"),
            *(debian.SUITE, str(root), *([mirror] if mirror else [])),
        ],
        "debootstrap",
        "check the network, or name a mirror in HEARTH_DEBIAN_MIRROR",
    )
    for name in UNREAD:
        empty(root / name)
    (root / "etc/resolv.conf").write_text("")
    (root / "etc/hostname").write_text("localhost\n")
    (root / "etc/machine-id").write_text("")
    fetch_lists(building)
    forget_build(root)


def fetch_lists(building: Path) -> None:
    """Read apt's lists into a tree of their own, which images do not carry."""
    lists = building / "lists" / "var/lib/apt/lists"
    lists.mkdir(parents=True)
    script = "apt-get update -qq"
    empty(building / "root/var/lib/apt/lists")
    run_in_stack(building, str(building / "root"), "fetched", script, offline=False)
    fetched = building / "fetched/var/lib/apt/lists"
    shutil.copytree(fetched, lists, symlinks=True, dirs_exist_ok=True)
    remove_tree(building / "fetched")


def build_above(layer: Layer, building: Path) -> None:
    """Install a layer's packages and run its script; what changed is the layer."""
    root = building / "root"
    write_files(root, (*layer.files, File("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)))
    for path, source, _ in layer.copies:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, root / path)
    install = f"{INSTALL} {' '.join(layer.packages)}" if layer.packages else ":"
    lower = stack(layer.below or BASE)
    run_in_stack(building, lower, "root", install, offline=False)
    if layer.script:
        run_in_stack(building, lower, "root", layer.script, offline=layer.offline)
    kept = {"var/cache/apt"} if layer.keep_apt_cache else set()
    forget_build(root, kept)


def ask(layer: Layer, question: str) -> str:
    """The answer of a line of shell, run in a finished layer that it cannot change."""
    with tempfile.TemporaryDirectory(prefix=".building-", dir=layers_dir()) as folder:
        merged = Path(folder)
        script = 'mount -t overlay overlay -o "lowerdir=$1" "$2"; exec chroot "$2" sh -c "$3"'
        return run(
            *CONTAINED, "sh", "-euc", script, "ask", stack(layer), str(merged), question
        ).strip()


def run_in_stack(building: Path, lower: str, upper: str, script: str, *, offline: bool) -> None:
    """Run shell in an overlay that ends with the shell."""
    work, merged = building / "work", building / "merged"
    for folder in (building / upper, work, merged):
        folder.mkdir(exist_ok=True)
    run_logged(
        [
            *CONTAINED,
            *(["--net"] if offline else []),
            *("sh", str(script_file("build-layer.sh")), lower, str(building / upper)),
            *(str(work), str(merged), "offline" if offline else "online", script),
        ],
        building.name,
        REMEDY.format(layers=layers_dir()),
    )
    remove_tree(work)
    merged.rmdir()


def forget_build(root: Path, kept: set[str] | None = None) -> None:
    """Remove what a build leaves behind and no machine or image needs."""
    for name in LEFTOVERS:
        path = root / name
        if name in (kept or set()) or not path.exists():
            continue
        if name == "var/log":
            drop_logs(path)
        elif path.is_dir():
            empty(path)
        else:
            path.unlink()


def empty(folder: Path) -> None:
    """Remove everything in a folder."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            remove_tree(entry)
        else:
            entry.unlink()


def drop_logs(folder: Path) -> None:
    """Remove logs; folders belong to services, and links lead to a container's output."""
    for entry in folder.rglob("*"):
        if entry.is_file() and not entry.is_symlink():
            entry.unlink()


def write_files(root: Path, files: tuple[File, ...]) -> None:
    """Write a layer's files."""
    for file in files:
        path = root / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.content)
        path.chmod(file.mode)


def script_file(name: str) -> Path:
    """One of the shell scripts that come with this package."""
    path = Path(str(resources.files("sandbox") / "scripts" / name))
    if not path.is_file():
        raise HearthError(f"sandbox: a file of its own is missing ({path}); install Hearth again")
    return path
