"""A real control plane on loopback: etcd, API server, controllers, scheduler, a node in name only.

The node's Pods are said to run by `Kubelet`, a thread; nothing runs in them.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import json
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from tests.ports import free_port
from tools.kubernetes_plugin import kubeconfig
from tools.kubernetes_plugin.api import Api, ApiError, Object, UnreachableError

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
NODE = "node-1"
NODE_KEY, AUTHORITY = "node.pem", "serving/apiserver.crt"
"""In the control plane's folder: the node's kubelet's certificate and key, and who vouches for the
API."""
POD_ADDRESS = "10.244.0.9"
"""That every Pod is said to have."""
_SECONDS = 60
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A control plane that runs.

    Attributes:
        kubeconfig: of its administrator, by a client certificate.
        api: the same, asked directly.
    """

    kubeconfig: str
    api: Api

    def object(self, path: str) -> Object:
        """What is at a path."""
        return self.api.get(path)

    def edit(self, path: str, change: Mapping[str, Any], manager: str = "kubectl-edit") -> None:
        """Changes an object as `kubectl edit` does."""
        self.api.request(
            "PATCH", path, dict(change), "application/merge-patch+json", {"fieldManager": manager}
        )


@contextmanager
def running(programs: Mapping[str, Path], folder: Path) -> Iterator[Cluster]:
    """A control plane with a node, ended with everything that it started."""
    with ExitStack() as stack:
        peers, store = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        _start(
            stack,
            folder,
            programs["etcd"],
            data_dir=folder / "etcd",
            listen_client_urls=store,
            advertise_client_urls=store,
            listen_peer_urls=peers,
            initial_advertise_peer_urls=peers,
            initial_cluster=f"default={peers}",
            unsafe_no_fsync="true",
            log_level="error",
        )
        text = _keys(folder)
        port = free_port()
        _start(
            stack,
            folder,
            programs["kube-apiserver"],
            etcd_servers=store,
            secure_port=port,
            bind_address="127.0.0.1",
            cert_dir=folder / "serving",
            client_ca_file=folder / "ca.crt",
            service_account_issuer="https://kubernetes.default.svc",
            service_account_key_file=folder / "account.key",
            service_account_signing_key_file=folder / "account.key",
            service_cluster_ip_range="10.96.0.0/16",
            authorization_mode="RBAC",
            v=0,
        )
        server = {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}
        text = text.replace('"CLUSTER"', json.dumps(server))
        (folder / "kubeconfig").write_text(text)
        api = Api(kubeconfig.load(text))
        _until(lambda: bool(api.text("/readyz")))
        common = {"kubeconfig": folder / "kubeconfig", "leader_elect": "false", "secure_port": 0}
        _start(
            stack,
            folder,
            programs["kube-controller-manager"],
            controllers="*,-node-lifecycle-controller",
            service_account_private_key_file=folder / "account.key",
            **common,
        )
        _start(stack, folder, programs["kube-scheduler"], **common)
        stack.enter_context(Kubelet(Api(kubeconfig.load(text))))
        _until(lambda: bool(api.find("/api/v1/namespaces/default/serviceaccounts/default")))
        yield Cluster(text, api)


def _start(stack: ExitStack, folder: Path, program: Path, **flags: Any) -> None:
    log = stack.enter_context((folder / f"{program.name}.log").open("w"))
    words = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
    process = subprocess.Popen([str(program), *words], stdout=log, stderr=log, cwd=folder)
    stack.callback(process.wait)
    stack.callback(process.kill)


def _until(is_so: Any) -> None:
    for _ in range(_SECONDS * 10):
        with contextlib.suppress(UnreachableError, ApiError):
            if is_so():
                return
        time.sleep(0.1)
    raise TimeoutError("the control plane does not come up; see the logs in its folder")


def _keys(folder: Path) -> str:
    """The keys of the control plane; returns a kubeconfig that lacks its server."""
    account = rsa.generate_private_key(65537, 2048)
    (folder / "account.key").write_bytes(_pem(account))
    root, user = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    authority = _certificate(issuer, root, issuer, root, is_authority=True)
    (folder / "ca.crt").write_bytes(authority)
    kubelet = ec.generate_private_key(ec.SECP256R1())
    node = _certificate(_member("system:nodes", f"system:node:{NODE}"), kubelet, issuer, root)
    (folder / NODE_KEY).write_bytes(node + _pem(kubelet))
    admin = _member("system:masters", "admin")
    login = {
        "client-certificate-data": _coded(_certificate(admin, user, issuer, root)),
        "client-key-data": _coded(_pem(user)),
    }
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            "clusters": [{"name": "test", "cluster": "CLUSTER"}],
            "users": [{"name": "admin", "user": login}],
        }
    )


def _member(group: str, name: str) -> x509.Name:
    """Somebody of a group."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, group),
        ]
    )


def _coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    by: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool = False,
) -> bytes:
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .sign(by, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


class Kubelet(threading.Thread):
    """Says of a node's Pods that they run, or that their image is not there if it says so."""

    def __init__(self, api: Api) -> None:
        super().__init__(daemon=True)
        self._api = api
        self._ended = threading.Event()

    def __enter__(self) -> None:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
        self._api.request("POST", "/api/v1/nodes", node)
        room = {"cpu": "8", "memory": "16Gi", "pods": "200"}
        ready = {"type": "Ready", "status": "True", "reason": "Ready", "message": "it runs"}
        status = {"capacity": room, "allocatable": room, "conditions": [ready]}
        self._say(f"/api/v1/nodes/{NODE}", status)
        self._api.request("PATCH", f"/api/v1/nodes/{NODE}", {"spec": {"taints": None}}, _MERGE)
        self.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Looks at the Pods until it is stopped."""
        while not self._ended.wait(0.1):
            with contextlib.suppress(ApiError, UnreachableError):
                for pod in self._api.items("/api/v1/pods", fieldSelector=f"spec.nodeName={NODE}"):
                    self._tend(pod)

    def _tend(self, pod: Object) -> None:
        data = pod["metadata"]
        path = f"/api/v1/namespaces/{data['namespace']}/pods/{data['name']}"
        if data.get("deletionTimestamp"):
            self._api.request("DELETE", path, {"gracePeriodSeconds": 0})
        elif not pod["status"].get("containerStatuses"):
            self._say(path, _pod_status(pod))

    def _say(self, path: str, status: Mapping[str, Any]) -> None:
        self._api.request("PATCH", f"{path}/status", {"status": status}, _MERGE)


_MERGE = "application/merge-patch+json"


def _pod_status(pod: Object) -> dict[str, Any]:
    image = pod["spec"]["containers"][0]["image"]
    is_job = any(ref["kind"] == "Job" for ref in pod["metadata"].get("ownerReferences", ()))
    is_missing = image.endswith(":missing")
    waits = {"waiting": {"reason": "ImagePullBackOff", "message": f'no image "{image}"'}}
    state: dict[str, Any] = waits if is_missing else {"running": {}}
    if is_job:
        state = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    is_up = not is_missing and not is_job
    statuses = [
        {
            "name": container["name"],
            "image": image,
            "imageID": "",
            "ready": is_up,
            "restartCount": 0,
            "state": state,
        }
        for container in pod["spec"]["containers"]
    ]
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ready = {"type": "Ready", "status": str(is_up), "lastTransitionTime": now}
    others = [one for one in pod["status"].get("conditions", ()) if one["type"] != "Ready"]
    phase = "Succeeded" if is_job else "Pending" if is_missing else "Running"
    return {
        "phase": phase,
        "podIP": POD_ADDRESS,
        "podIPs": [{"ip": POD_ADDRESS}],
        "containerStatuses": statuses,
        "conditions": [*others, ready],
    }
