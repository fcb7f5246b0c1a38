"""A cluster of a site's machines: containerd and kubelet on each, put together by kubeadm.

The packages are the vendor's; a sandbox's machines bring packages of the same names. What a pod
needs of its machine (its address, the way to other nodes' pods) is here: the network is plain
routes, as all nodes are neighbours, and Debian's CNI plugins.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Iterator
from io import StringIO

import gevent
from pyinfra import host, logger
from pyinfra.api import FileUploadCommand, FunctionCommand, deploy, operation
from pyinfra.api.host import Host
from pyinfra.api.state import State
from pyinfra.operations import apt, files

from deploys.facts.files import FileState
from deploys.facts.machine import Machine
from deploys.files import STATES, config_file
from deploys.units import running
from inventory.fixai import VOLUMES
from inventory.kubernetes import CONTROL_PLANE, IMAGES, Kubernetes
from inventory.model import Site
from templates import render

REVISION = "1.1"
"""The vendor's, of the first packages of a version."""
OWN_PACKAGES = ("kubelet", "kubeadm", "kubectl")
DEBIANS_PACKAGES = ("containerd", "containernetworking-plugins", "conntrack", "ethtool", "iptables")
REPOSITORY = "https://pkgs.k8s.io/core:/stable:/v{minor}/deb"
KEY = "/etc/apt/keyrings/kubernetes.asc"

FOLDER = "/etc/hearth/kubernetes"
LOGS = "/var/log/kubernetes"
CONFIG, ENCRYPTION = f"{FOLDER}/kubeadm.yaml", f"{FOLDER}/encryption.yaml"
ADMIN = "/etc/kubernetes/admin.conf"
"""On the control plane's machine, once there is a cluster."""
KUBELET = "/etc/kubernetes/kubelet.conf"
"""On every machine that has joined it."""
PKI = "/etc/kubernetes/pki"
JOINING, WHERE = "/run/hearth-join.yaml", "/run/hearth-join.kubeconfig"
"""On a machine while it joins."""

ADMITS_FOR = "10m"
ANSWERS_WITHIN_S, LOOK_AGAIN_S = 60, 1
NOT_IN_CONTAINERS = ("SystemVerification", "Swap", "NumCPU", "Mem", "HTTPProxyCIDR")
"""What kubeadm would see of the computer that plays a machine; and a check that ends with an error
where kubeadm is built with a Go that takes brackets in addresses for IPv6."""
_TOKEN = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")


def packages(cluster: Kubernetes) -> list[str]:
    """What a node runs, as apt takes it: Kubernetes' own of the cluster's version."""
    own = [f"{name}={cluster.version}-{REVISION}" for name in OWN_PACKAGES]
    return [*DEBIANS_PACKAGES, *own]


def image(site: Site, name: str) -> str:
    """A part's image without its tag: from the lab's registry where that has it."""
    if site.registry is not None and name in site.registry.images:
        return f"{site.registry.endpoint}/{site.registry.images[name].partition(':')[0]}"
    return IMAGES[name]


def kubeadm_config(site: Site, machine: Machine) -> str:
    """What the cluster is, for kubeadm."""
    name, cluster, registry = site.control_plane, _cluster(site), site.registry
    address, port = _api(site)
    images = registry and {
        "repository": image(site, "kube-apiserver").rpartition("/")[0],
        "coredns_tag": registry.images["coredns"].partition(":")[2],
        "etcd_tag": registry.images["etcd"].partition(":")[2],
    }
    return render(
        "kubernetes/kubeadm.yaml.j2",
        site=site.name,
        cluster=cluster,
        address=address,
        port=port,
        # A sandbox's API is forwarded to this computer's loopback.
        names=[name, address, *(["127.0.0.1", "localhost"] if site.sandbox else [])],
        images=images,
        registration=registration(site, name, machine),
        folder=FOLDER,
        logs=LOGS,
        systemd_cgroup=not machine.container,
        own_kernel=not machine.container,
    )


def registration(site: Site, host_name: str, machine: Machine) -> str:
    """How a machine is to be known to the cluster."""
    return render(
        "kubernetes/registration.yaml.j2",
        name=host_name,
        address=site.hosts[host_name].address,
        runs_pods=host_name in site.nodes,
        ignored=NOT_IN_CONTAINERS if machine.container else (),
    ).strip()


def join_config(site: Site, host_name: str, machine: Machine, token: str) -> str:
    """What a machine needs to join, for kubeadm, beside what `discovery` says; holds the token."""
    return (
        "apiVersion: kubeadm.k8s.io/v1beta4\n"
        "kind: JoinConfiguration\n"
        f"{registration(site, host_name, machine)}\n"
        "discovery:\n"
        f"  file: {{kubeConfigPath: {WHERE}}}\n"
        f"  tlsBootstrapToken: {token}\n"
    )


def cni_config(site: Site, host_name: str) -> str:
    """How a pod gets its address: of its node's share, over a wire of its own.

    Every packet between pods passes the machine's filter: there is no bridge beside it.
    """
    pods = site.pods_of(host_name)
    plugins = [
        {
            "type": "ptp",
            "ipMasq": False,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": str(pods)}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                # Gone after a boot, as the pods that had the addresses are.
                "dataDir": "/run/cni/addresses",
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    conflist = {"cniVersion": "1.0.0", "name": "hearth", "plugins": plugins}
    return json.dumps(conflist, indent=2) + "\n"


@deploy("Kubernetes' packages")
def source(site: Site) -> None:
    """Takes the vendor's packages; a sandbox's machines bring their own."""
    if site.sandbox is not None:
        return
    repository = REPOSITORY.format(minor=_cluster(site).minor)
    files.directory(name="Folder of repositories' keys", path=KEY.rpartition("/")[0], mode="755")
    files.download(
        name="Key of Kubernetes' repository", src=f"{repository}/Release.key", dest=KEY, mode="644"
    )
    listed = config_file(
        "Kubernetes' repository",
        "/etc/apt/sources.list.d/kubernetes.list",
        f"deb [signed-by={KEY}] {repository}/ /\n",
    )
    config_file(
        "Kubernetes' version is pinned",
        "/etc/apt/preferences.d/hearth-kubernetes",
        "".join(
            f"Package: {name}\nPin: version {_cluster(site).version}-*\nPin-Priority: 1001\n\n"
            for name in OWN_PACKAGES
        ),
    )
    apt.update(name="Kubernetes' package list", _if=listed.did_change)


@deploy("Node's settings")
def settings(site: Site, host_name: str, machine: Machine) -> None:
    """Puts in place what containerd and the kubelet read, before they start for the first time."""
    restart = "systemctl try-restart containerd || ! systemctl cat containerd >/dev/null 2>&1"
    pause = image(site, "pause")
    tag = site.registry.images["pause"].partition(":")[2] if site.registry else "3.10"
    config_file(
        "containerd's settings",
        "/etc/containerd/config.toml",
        render(
            "containerd/config.toml.j2",
            pause_image=f"{pause}:{tag}",
            systemd_cgroup=not machine.container,
        ),
        # Containers live on while it restarts.
        then=restart,
    )
    if site.registry is not None:
        endpoint = site.registry.endpoint
        config_file(
            "containerd's registry",
            f"/etc/containerd/certs.d/{endpoint}/hosts.toml",
            render("containerd/hosts.toml.j2", endpoint=endpoint),
        )
    config_file("Pods' addresses", "/etc/cni/net.d/10-hearth.conflist", cni_config(site, host_name))
    sysctls = "/etc/sysctl.d/91-hearth-kubernetes.conf"
    config_file(
        "Packets are handed on", sysctls, "net.ipv4.ip_forward = 1\n", then=f"sysctl -qp {sysctls}"
    )


@deploy("Node")
def node(site: Site, host_name: str) -> None:
    """Runs containerd and the ways to other nodes' pods; the kubelet starts once it has joined."""
    program, network = "/usr/local/sbin/hearth-pods", f"{FOLDER}/network.nft"
    own = site.pods_of(host_name)
    reload = "systemctl try-restart hearth-pods || ! systemctl cat hearth-pods >/dev/null 2>&1"
    config_file(
        "Pods' way out",
        network,
        render("kubernetes/network.nft.j2", own=own, all_pods=_cluster(site).pods),
        validate="nft -cf {}",
        then=reload,
    )
    others = [name for name in site.nodes if name != host_name]
    config_file(
        "Ways to other nodes' pods",
        program,
        render(
            "kubernetes/routes.sh.j2",
            routes=[(site.pods_of(name), site.hosts[name].address) for name in others],
            own=[own],
            network=network,
        ),
        mode="755",
        validate="sh -n {}",
        then=reload,
    )
    config_file(
        "Pods' network at boot",
        "/etc/systemd/system/hearth-pods.service",
        render("systemd/hearth-pods.service.j2", program=program),
        then="systemctl daemon-reload",
    )
    running("Pods' network", "hearth-pods.service")
    running("containerd runs", "containerd.service")
    running("Kubelet at boot", "kubelet.service", start=False)
    files.directory(name="Folder of volumes", path=VOLUMES, mode="711")
    for claim in site.fixai.claims.values() if site.fixai is not None else ():
        if claim.host == host_name:
            # The kubelet gives each to its pod's group, and leaves this mode as it is.
            files.directory(name="Folder of a volume", path=claim.path, mode="2770")


@deploy("Cluster")
def cluster(site: Site, host_name: str, machine: Machine) -> None:
    """Makes the cluster on the control plane's machine, then has the others join it.

    pyinfra waits between two operations for the machines that have both: every machine has these,
    one of which finds nothing to do there.
    """
    controls = host_name == site.control_plane
    for path in (ENCRYPTION, CONFIG) if controls else (KUBELET,):
        STATES.note(path)
    if controls:
        for what in ("audit-policy", "authentication"):
            config_file(
                f"API server's {what.replace('-', ' ')}",
                f"{FOLDER}/{what}.yaml",
                render(f"kubernetes/{what}.yaml.j2"),
                mode="600",
            )
        _encryption_key(name="Key of the secrets in etcd")
    text = kubeadm_config(site, machine) if controls else ""
    _made(name="The cluster is made", text=text)
    _joined(name="Joins the cluster", site=site, host_name=host_name, machine=machine)


@operation()
def _encryption_key() -> Iterator[str]:
    """Makes the key with which secrets are kept in etcd; it never leaves its machine."""
    if STATES.state(ENCRYPTION) is not None:
        host.noop("there is a key")
        return
    yield (
        f"umask 077 && mkdir -p {FOLDER} && {{ "
        "printf 'apiVersion: apiserver.config.k8s.io/v1\\nkind: EncryptionConfiguration\\n"
        "resources:\\n  - resources: [secrets]\\n    providers:\\n      - secretbox:\\n"
        '          keys:\\n            - {name: first, secret: "%s"}\\n      - identity: {}\\n\' '
        f'"$(head -c 32 /dev/urandom | base64)"; }} >{ENCRYPTION}.new && '
        f"mv {ENCRYPTION}.new {ENCRYPTION}"
    )


@operation()
def _made(text: str) -> Iterator[object]:
    """Makes the cluster; where its description has changed, its control plane is made anew.

    The description is put in its place when all is done: it tells a cluster that was made.

    Args:
        text: the description; empty on the machines that join.
    """
    if not text:
        host.noop("it is made on another machine")
        return
    state = STATES.state(CONFIG)
    if state == FileState(hashlib.sha256(text.encode()).hexdigest(), "600", "root:root"):
        host.noop("the cluster is as it is described")
        return
    new = f"{CONFIG}.hearth-new"
    yield f"mkdir -p {LOGS} && chmod 700 {LOGS}"
    yield FileUploadCommand(StringIO(text), new)
    yield f"chown root:root {new} && chmod 600 {new}"
    if state is None:
        # What a run that was cut off has left would be in the way.
        yield f"[ ! -e {PKI}/ca.crt ] || kubeadm reset --force"
        yield f"kubeadm init --skip-token-print --config {new}"
    else:
        yield f"kubeadm init phase control-plane all --config {new}"
        yield f"kubeadm init phase upload-config all --config {new} --kubeconfig {ADMIN}"
    yield f"mv {new} {CONFIG}"


@operation()
def _joined(site: Site, host_name: str, machine: Machine) -> Iterator[object]:
    """Has a machine join that has not."""
    if host_name == site.control_plane or STATES.state(KUBELET) is not None:
        host.noop("it is part of the cluster")
        return
    yield f"[ ! -e {PKI}/ca.crt ] || kubeadm reset --force"
    yield FunctionCommand(_join, (site, host_name, machine), {})


def _join(state: State, host: Host, site: Site, host_name: str, machine: Machine) -> bool:
    """Takes a token from the control plane to the machine: by standard input and files of root's.

    It admits kubelets for some minutes, and is deleted as soon as this one is in.
    """
    control = state.inventory.get_host(site.control_plane)
    if not control.connected:  # left out by --limit
        control.connect(show_errors=False)
    token = _token(control)
    if not token:
        logger.error(f"{host.print_prefix}Failed: {control.name} gives no token to join with")
        return False
    try:
        _, authority = control.run_shell_command(f"cat {PKI}/ca.crt", _sudo=True)
        for path, text in {
            WHERE: discovery(site, "\n".join(authority.stdout_lines), token),
            JOINING: join_config(site, host_name, machine, token),
        }.items():
            host.run_shell_command(f"umask 077 && cat >{path}", _sudo=True, _stdin=text)
        joined, output = host.run_shell_command(f"kubeadm join --config {JOINING}", _sudo=True)
        if not joined:
            for line in output.stderr_lines[-10:]:
                logger.error(f"{host.print_prefix}{line.replace(token, '(token)')}")
        return bool(joined)
    finally:
        host.run_shell_command(f"rm -f {WHERE} {JOINING}", _sudo=True)
        control.run_shell_command(f"kubeadm token delete {token.partition('.')[0]}", _sudo=True)


def _token(control: Host) -> str:
    """A token of the cluster's; empty where it gives none, as an API server that just started."""
    deadline = time.monotonic() + ANSWERS_WITHIN_S
    while time.monotonic() < deadline:
        command = f"kubeadm token create --ttl {ADMITS_FOR}"
        _, output = control.run_shell_command(command, _sudo=True)
        if token := next((line for line in output.stdout_lines if _TOKEN.fullmatch(line)), ""):
            return str(token)
        gevent.sleep(LOOK_AGAIN_S)
    return ""


def discovery(site: Site, authority: str, token: str) -> str:
    """Where the cluster's API is, who vouches for it, and who asks: nobody is let in anonymously.

    Args:
        site: the cluster's.
        authority: the certificate of the cluster's own authority, in PEM.
        token: admits a kubelet, for minutes.
    """
    certificate = base64.b64encode(f"{authority}\n".encode()).decode()
    known = {"server": server(site), "certificate-authority-data": certificate}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": site.name, "cluster": known}],
        "users": [{"name": "joining", "user": {"token": token}}],
        "contexts": [{"name": "join", "context": {"cluster": site.name, "user": "joining"}}],
        "current-context": "join",
    }
    return json.dumps(document)


def _cluster(site: Site) -> Kubernetes:
    if site.kubernetes is None:
        raise ValueError(f"{site.name} is no cluster")
    return site.kubernetes


def server(site: Site) -> str:
    """Where the cluster's API is asked."""
    address, port = _api(site)
    return f"https://{address}:{port}"


def _api(site: Site) -> tuple[str, int]:
    """Address and port of the cluster's API."""
    placement = next(p for p in site.on_host(site.control_plane) if p.kind_name == CONTROL_PLANE)
    return str(placement.host.address), placement.ports["api"]
