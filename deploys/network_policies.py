"""Network policies: a program of Hearth's own holds each node's pods to them.

It is Python's standard library and nothing else, as it runs by the machine's own Python.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pyinfra.api import deploy

from deploys import kubernetes
from deploys.files import config_file
from deploys.units import running
from inventory.model import Site
from templates import render

PACKAGES = ("python3",)
UNIT = "hearth-policies.service"
MODULE, FOLDER = "services.policies", "/usr/local/lib/hearth"
SERVICES = Path(__file__).parent.parent / "services"
CREDENTIAL = "/var/lib/kubelet/pki/kubelet-client-current.pem"
"""The kubelet's own, which it renews; there once the machine has joined."""
RIGHTS = f"{kubernetes.FOLDER}/policies.yaml"
APPLIES_WITHIN_S = 60


def sources() -> dict[str, str]:
    """The program's files, by their place in its folder on a machine."""
    paths = [SERVICES / "__init__.py", *sorted((SERVICES / "policies").glob("*.py"))]
    return {str(path.relative_to(SERVICES.parent)): path.read_text() for path in paths}


@deploy("Network policies' program")
def program(site: Site, host_name: str) -> None:
    """Puts it in place; where it runs it is started anew once all of it is there."""
    files = sources()
    for path, text in files.items():
        config_file(f"Program {path}", f"{FOLDER}/{path}", text)
    config_file(
        "Network policies' unit",
        f"/etc/systemd/system/{UNIT}",
        render(
            f"systemd/{UNIT}.j2",
            digest=hashlib.sha256("".join(files.values()).encode()).hexdigest(),
            folder=FOLDER,
            module=MODULE,
            own=site.pods_of(host_name),
            server=kubernetes.server(site),
            authority=f"{kubernetes.PKI}/ca.crt",
            credential=CREDENTIAL,
        ),
        then=f"systemctl daemon-reload && systemctl try-restart {UNIT}",
    )


@deploy("Network policies")
def enforced(site: Site, host_name: str) -> None:
    """Lets nodes read what policies are about, and holds pods to them; there is a cluster."""
    if host_name == site.control_plane:
        config_file(
            "Nodes' rights to read policies",
            RIGHTS,
            render("kubernetes/policies.yaml.j2"),
            # The API server may have been started just now.
            then=f"timeout {APPLIES_WITHIN_S} sh -c 'until kubectl --kubeconfig {kubernetes.ADMIN} "
            f"apply -f {RIGHTS}; do sleep 1; done'",
        )
    running("Pods are held to policies", UNIT)
