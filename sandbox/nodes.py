"""Machines that become nodes: Kubernetes' packages, and what a kubelet asks of its kernel.

A kubelet changes settings of its kernel, reads the kernel's log and ends where it cannot. A machine
of a lab shares this computer's kernel: it finds there what it would have set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox import debian, requirements, rootfs
from sandbox.images.catalogue import programs
from sandbox.images.recipe import copied
from sandbox.rootfs import File, Layer
from tools.versions import KUBERNETES

if TYPE_CHECKING:
    from sandbox.plan import LabPlan, MachinePlan, Progress

PACKAGES = {
    "kubelet": "iptables (>= 1.4.21), mount, util-linux",
    "kubeadm": "kubelet, kubectl",
    "kubectl": "",
}
"""Those of Kubernetes' own that a deploy installs, and what each depends on."""
REVISION = "1.1"
"""The vendor's, of the first packages of a version."""
OFFLINE_PACKAGES = ("containerd", "containernetworking-plugins", "conntrack", "ethtool")
REPOSITORY = "/opt/hearth/packages"
KUBELET_FOLDER = "etc/kubernetes/kubelet.conf.d"
RESOLV_CONF = "etc/kubernetes/resolv.conf"
REAL_FOLDERS = ("containerd", "kubelet", "etcd", "fixai")
"""Of /var/lib, on a real filesystem: images' layers, volumes, the cluster's state and its data."""

UNIT = """\
[Unit]
Description=Let a kubelet find what it would set in a kernel of its own
After=hearth-cgroup.service
Before=containerd.service kubelet.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/hearth-node

[Install]
WantedBy=multi-user.target
"""
PREPARE = """\
#!/bin/sh
set -eu
mkdir -p /run/hearth-node
show() {
    [ "$(cat "/proc/sys/$1")" != "$2" ] || return 0
    file=/run/hearth-node/$(basename "$1")
    echo "$2" >"$file"
    mount --bind "$file" "/proc/sys/$1"
}
show vm/overcommit_memory 1
show kernel/panic 10
show kernel/panic_on_oops 1
[ -e /dev/kmsg ] || ln -s null /dev/kmsg
# Volumes that a pod mounts are seen by others.
mount --make-rshared /
"""
KUBELET_UNIT = """\
[Unit]
Description=kubelet: The Kubernetes Node Agent
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=2

[Install]
WantedBy=multi-user.target
"""
# As in the vendor's package: kubeadm writes what these name.
KUBEADM_DROP_IN = """\
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \
--kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS \
$KUBELET_EXTRA_ARGS
"""
KUBELET_SETTINGS = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
# The disk is this computer's: how full it is says nothing about the machine.
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
"""


def layer(login_user: str, progress: Progress = lambda _: None) -> Layer:
    """A machine that can become a node: what it would install lies in an apt repository of its own.

    Args:
        login_user: has the key and sudo.
        progress: takes short lines for people, where the programs are built first.
    """
    paths = programs(PACKAGES, progress)
    trees = "opt/hearth/{0}/DEBIAN/control"
    return Layer(
        "node",
        below=rootfs.machine_layer(login_user),
        files=(
            File("etc/systemd/system/hearth-node.service", UNIT),
            File("usr/local/sbin/hearth-node", PREPARE, 0o755),
            File("etc/apt/sources.list.d/hearth.list", f"deb [trusted=yes] file:{REPOSITORY} ./\n"),
            File("etc/default/kubelet", f"KUBELET_EXTRA_ARGS=--config-dir=/{KUBELET_FOLDER}\n"),
            File(f"{KUBELET_FOLDER}/80-sandbox.conf", KUBELET_SETTINGS),
            *(File(trees.format(name), control(name, needs)) for name, needs in PACKAGES.items()),
            File("opt/hearth/kubelet/lib/systemd/system/kubelet.service", KUBELET_UNIT),
            File(
                "opt/hearth/kubeadm/lib/systemd/system/kubelet.service.d/10-kubeadm.conf",
                KUBEADM_DROP_IN,
            ),
        ),
        copies=tuple(
            copied(f"opt/hearth/{name}/usr/bin/{name}", path) for name, path in paths.items()
        ),
        script=f"""
            mkdir -p {REPOSITORY}
            cd /opt/hearth
            mkdir -p kubelet/etc/kubernetes/manifests
            for name in {" ".join(PACKAGES)}; do
                chmod 755 $name/usr/bin/$name
                dpkg-deb -Znone --root-owner-group --build $name {REPOSITORY}/$name.deb >/dev/null
                rm -r $name
            done
            cd {REPOSITORY}
            for file in *.deb; do
                dpkg-deb -f $file
                echo "Filename: ./$file"
                echo "Size: $(stat -c %s $file)"
                echo "SHA256: $(sha256sum $file | cut -d ' ' -f 1)"
                echo
            done >Packages
            apt-get update -qq -o Dir::Etc::sourcelist=sources.list.d/hearth.list \\
                -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0
            {rootfs.INSTALL} --download-only {" ".join(OFFLINE_PACKAGES)}
            apt-cache gencaches
            systemctl enable --quiet hearth-node.service
        """,
        keep_apt_cache=True,
    )


def control(name: str, depends: str) -> str:
    """What a package says of itself."""
    return "".join(
        f"{line}\n"
        for line in (
            f"Package: {name}",
            f"Version: {KUBERNETES}-{REVISION}",
            f"Architecture: {debian.architecture()}",
            "Maintainer: Hearth <hearth@localhost>",
            *([f"Depends: {depends}"] if depends else []),
            f"Description: Kubernetes' {name}, built from its Go module",
        )
    )


def own_files(plan: LabPlan, machine: MachinePlan) -> dict[str, str]:
    """What tells a node's kubelet which share of this computer is its machine's, by path."""
    if not plan.cluster:
        return {}
    total = requirements.total_memory()
    reserved = max(0, total - machine.memory_bytes) // 2**20
    return {
        # Its name server answers "not here" at once, as everything outside does.
        RESOLV_CONF: f"nameserver {plan.router}\n",
        f"{KUBELET_FOLDER}/90-machine.conf": (
            "apiVersion: kubelet.config.k8s.io/v1beta1\n"
            "kind: KubeletConfiguration\n"
            f"resolvConf: /{RESOLV_CONF}\n"
            f"kubeReserved: {{memory: {reserved}Mi}}\n"
        ),
    }
