"""A site's cluster as this machine reaches it: its kubeconfig, its nodes, its pods."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from hearth.remote import ask
from inventory.errors import HearthError
from inventory.kubernetes import CONTROL_PLANE
from inventory.model import Site
from inventory.paths import state_dir
from inventory.ssh import write_ssh_config

ADMIN = "/etc/kubernetes/admin.conf"
"""On the control plane's machine: where kubeadm puts the administrator's certificate."""
READY_WITHIN_S = 300
LOOK_AGAIN_S = 1.0
_KUBECTL = f"sudo -n kubectl --kubeconfig {ADMIN} "
_SYSTEM = "kube-system"


def kubeconfig_path(site: Site) -> Path:
    """Where the administrator's kubeconfig of a site's cluster is; its owner alone can read it."""
    return state_dir(site.name) / "kubeconfig"


def api_url(site: Site) -> str:
    """Where this machine reaches the cluster's API: a forwarded port in a sandbox."""
    placement = site.by_kind[CONTROL_PLANE][0]
    port = placement.ports["api"]
    if site.sandbox is not None:
        for listen_port, inside in site.sandbox.forwards.items():
            if inside == port:
                return f"https://127.0.0.1:{listen_port}"
    return f"https://{placement.host.address}:{port}"


def fetch_kubeconfig(site: Site) -> Path:
    """Brings the administrator's kubeconfig here where it is not, or is another cluster's.

    Raises:
        HearthError: The control plane's machine does not answer, or there is no cluster.
    """
    found = ask(write_ssh_config(site), site.control_plane, f"sudo -n cat {ADMIN}")
    if not found:
        raise HearthError(
            f"{site.name}: {site.control_plane} has no kubeconfig ({ADMIN}), or does not answer; "
            f"run `hearth bootstrap {site.name}` again"
        )
    document = yaml.safe_load(found)
    for cluster in document["clusters"]:
        cluster["cluster"]["server"] = api_url(site)
    text = yaml.safe_dump(document, sort_keys=False)
    path = kubeconfig_path(site)
    if not path.is_file() or path.read_text() != text or path.stat().st_mode & 0o777 != 0o600:  # noqa: PLR2004 - its owner's alone
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(".kubeconfig.new")
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(text)
        partial.replace(path)
    return path


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A node as the cluster knows it.

    Attributes:
        state: `Ready`; else why not, in the kubelet's words; `missing`, where it has not joined.
        version: of its kubelet.
    """

    name: str
    state: str
    version: str = ""

    @property
    def good(self) -> bool:
        """Whether it runs pods."""
        return self.state == "Ready"


@dataclass(frozen=True, slots=True)
class PodStatus:
    """A pod as the cluster knows it.

    Attributes:
        name: `namespace/name`.
        node: where it runs; empty while it has no place.
        state: `Running`, `Completed`, or what is in the way.
        ready: how many of its containers are, `1/1`.
        restarts: of all its containers.
        good: whether it is as it should be.
    """

    name: str
    node: str
    state: str
    ready: str
    restarts: int
    good: bool


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """A site's cluster: nodes in the site's order, pods by name."""

    site: str
    nodes: tuple[NodeStatus, ...]
    pods: tuple[PodStatus, ...]

    @property
    def exit_code(self) -> int:
        """0 where every node and every pod is as it should be, else 1."""
        well = all(node.good for node in self.nodes) and all(pod.good for pod in self.pods)
        return int(not well)

    @property
    def summary(self) -> str:
        """`2 of 2 nodes ready, 9 of 9 pods well`."""
        nodes, pods = Counter(n.good for n in self.nodes), Counter(p.good for p in self.pods)
        return (
            f"{nodes[True]} of {len(self.nodes)} nodes ready, "
            f"{pods[True]} of {len(self.pods)} pods well"
        )

    @property
    def document(self) -> dict[str, object]:
        """For scripts."""
        return {
            "site": self.site,
            "nodes": [{**asdict(node), "good": node.good} for node in self.nodes],
            "pods": [asdict(pod) for pod in self.pods],
        }

    def show(self, out: Console) -> None:
        """Prints the nodes, the pods, and the counts below them."""
        nodes = Table(box=None, pad_edge=False)
        for heading in ("node", "is", "version"):
            nodes.add_column(heading)
        for node in self.nodes:
            nodes.add_row(node.name, _coloured(node.state, good=node.good), node.version)
        out.print(nodes)
        out.print()
        pods = Table(box=None, pad_edge=False)
        for heading in ("pod", "node", "is", "ready", "restarts"):
            pods.add_column(heading)
        for pod in self.pods:
            state = _coloured(pod.state, good=pod.good)
            pods.add_row(pod.name, pod.node or "-", state, pod.ready, str(pod.restarts))
        out.print(pods)
        out.print(f"\n{self.summary}")


def look(site: Site) -> ClusterStatus:
    """Asks the cluster, on its control plane's machine.

    Raises:
        HearthError: It does not answer.
    """
    said = ask(
        write_ssh_config(site),
        site.control_plane,
        f"{_KUBECTL} get nodes -o json && {_KUBECTL} get pods --all-namespaces -o json",
    )
    if not said:
        raise HearthError(
            f"{site.name}: {site.control_plane} or its API does not answer; "
            f"`hearth up {site.name}` brings it up, `journalctl -u kubelet` there tells why not"
        )
    nodes, end = json.JSONDecoder().raw_decode(said)
    pods = json.loads(said[end:])
    return status_of(site, nodes["items"], pods["items"])


def status_of(site: Site, nodes: list[dict[str, Any]], pods: list[dict[str, Any]]) -> ClusterStatus:
    """What the API's documents say of the cluster that the site asks for."""
    found = {node["metadata"]["name"]: _node(node) for node in nodes}
    wanted = dict.fromkeys([site.control_plane, *site.nodes, *found])
    return ClusterStatus(
        site.name,
        tuple(found.get(name, NodeStatus(name, "missing")) for name in wanted),
        tuple(sorted((_pod(pod) for pod in pods), key=lambda pod: pod.name)),
    )


def wait_until_ready(site: Site, progress: Callable[[str], None]) -> ClusterStatus:
    """Waits until all nodes are ready and the system's own pods run.

    Raises:
        HearthError: They are not in time; the message names what is missing.
    """
    deadline = time.monotonic() + READY_WITHIN_S
    told = ""
    while True:
        try:
            status = look(site)
            missing = _missing(status)
        except HearthError as error:
            missing = [str(error)]
        if not missing:
            return status
        if told != (told := ", ".join(missing[:3])):
            progress(f"waiting for {told}")
        if time.monotonic() > deadline:
            raise HearthError(
                f"{site.name}: not ready after {READY_WITHIN_S} s ({', '.join(missing)}); "
                f"see `hearth status {site.name}`, and `journalctl -u kubelet` on the machine"
            )
        time.sleep(LOOK_AGAIN_S)


def _missing(status: ClusterStatus) -> list[str]:
    """What is not as it should be, of the cluster's own parts."""
    nodes = [f"{node.name} ({node.state})" for node in status.nodes if not node.good]
    own = [pod for pod in status.pods if pod.name.startswith(f"{_SYSTEM}/")]
    names = [pod for pod in own if "coredns" in pod.name]
    pods = [f"{pod.name} ({pod.state})" for pod in own if not pod.good]
    return nodes + pods + ([] if names else ["coredns (none)"])


def _node(document: dict[str, Any]) -> NodeStatus:
    conditions = {c["type"]: c for c in document["status"].get("conditions", ())}
    ready = conditions.get("Ready", {"status": "Unknown", "reason": "NeverSeen"})
    state = "Ready" if ready["status"] == "True" else str(ready["reason"])
    if document["spec"].get("unschedulable"):
        state = "Cordoned"
    info = document["status"].get("nodeInfo", {})
    return NodeStatus(document["metadata"]["name"], state, info.get("kubeletVersion", ""))


def _pod(document: dict[str, Any]) -> PodStatus:
    meta, status = document["metadata"], document["status"]
    containers = status.get("containerStatuses", [])
    waiting = [
        said["reason"]
        for one in (*status.get("initContainerStatuses", ()), *containers)
        for kind, said in one.get("state", {}).items()
        if kind != "running" and said.get("reason") not in {None, "Completed"}
    ]
    ready = sum(1 for one in containers if one["ready"])
    all_ready = bool(containers) and ready == len(containers)
    state = str(waiting[0] if waiting else status.get("reason", status["phase"]))
    if "deletionTimestamp" in meta:
        state = "Terminating"
    elif state == "Succeeded":
        state = "Completed"
    elif state == "Running" and not all_ready:
        state = "NotReady"
    return PodStatus(
        f"{meta['namespace']}/{meta['name']}",
        document["spec"].get("nodeName", ""),
        state,
        f"{ready}/{len(document['spec']['containers'])}",
        sum(one["restartCount"] for one in containers),
        good=state in {"Running", "Completed"},
    )


def _coloured(state: str, *, good: bool) -> str:
    return state if good else f"[red]{state}[/red]"
