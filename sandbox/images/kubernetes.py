"""Images of Kubernetes' own parts, laid out as the official ones are: kubeadm names programs."""

from __future__ import annotations

from pathlib import Path

from inventory.paths import cache_dir
from sandbox.command import run
from sandbox.images.recipe import Recipe, copied, settings
from sandbox.rootfs import Layer
from tools.versions import KUBERNETES

COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
PAUSE_SOURCE = Path(__file__).with_name("pause.c")
PAUSE_VERSION = "3.10"
"""The official one's that it stands for."""


def component(name: str, binary: Path) -> Recipe:
    """A part of the control plane, or kube-proxy with what it tells the kernel's filter with."""
    tools = ("nftables", "iptables") if name == "kube-proxy" else ()
    path = f"usr/local/bin/{name}"
    layer = Layer(name, packages=tools, copies=(copied(path, binary),), script=f"chmod 755 /{path}")
    version_of = f"{name} --version | sed 's/.* v//'"
    # kubeadm asks for the version of the cluster.
    return Recipe(name, layer, settings([name]), version_of, tags=(f"v{KUBERNETES}",))


def etcd(binary: Path) -> Recipe:
    """The store of a cluster's state."""
    layer = Layer(
        "etcd",
        copies=(copied("usr/local/bin/etcd", binary),),
        script="chmod 755 /usr/local/bin/etcd",
        offline=True,
    )
    version_of = "etcd --version | sed -n 's/^etcd Version: //p'"
    return Recipe("etcd", layer, settings(["etcd"], 2379, 2380), version_of)


def coredns(binary: Path) -> Recipe:
    """A cluster's name server."""
    layer = Layer(
        "coredns",
        copies=(copied("coredns", binary),),
        script="chmod 755 /coredns",
        offline=True,
    )
    version_of = "/coredns -version | sed -n 's/^CoreDNS-//p'"
    return Recipe(
        "coredns",
        layer,
        settings([], 53, "53/udp", Entrypoint=["/coredns"], WorkingDir="/"),
        version_of,
    )


def pause() -> Recipe:
    """A pod's first process."""
    layer = Layer("pause", copies=(copied("pause", compiled_pause()),), offline=True)
    return Recipe(
        "pause",
        layer,
        settings([], Entrypoint=["/pause"], User="65535:65535"),
        f"echo {PAUSE_VERSION}",
        tags=(PAUSE_VERSION,),
    )


def compiled_pause() -> Path:
    """The program, compiled at the first call."""
    source = copied("", PAUSE_SOURCE)[2][:12]
    program = cache_dir() / "sandbox" / "images" / f"pause-program-{source}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        partial = program.with_suffix(".partial")
        run(
            "gcc", "-Os", "-Wall", "-Werror", "-static", "-s", "-o", str(partial), str(PAUSE_SOURCE)
        )
        partial.replace(program)
    return program
