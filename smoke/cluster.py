"""A cluster's own word, asked on its control plane's machine: what pods hold, what events exist."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from inventory.fixai import NAMESPACE
from smoke.shell import run_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inventory.model import Site
    from smoke.access import Access

KUBECTL = "sudo -n kubectl --kubeconfig /etc/kubernetes/admin.conf"


async def kubectl(access: Access, site: Site, arguments: str) -> tuple[str, str]:
    """What `kubectl` printed, and what went wrong, empty where nothing did."""
    return await run_on(access, site.control_plane, f"{KUBECTL} {arguments}")


async def pods(access: Access, site: Site, workload: str, namespace: str = NAMESPACE) -> list[str]:
    """The names of a workload's pods that run and are not about to end."""
    wanted = f"-n {namespace} get pods -l app.kubernetes.io/name={workload} -o json"
    said, _fault = await kubectl(access, site, wanted)
    found = json.loads(said)["items"] if said else []
    return [
        str(pod["metadata"]["name"])
        for pod in found
        if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
    ]


async def python(
    access: Access,
    site: Site,
    workload: str,
    script: str,
    arguments: Sequence[str] = (),
) -> tuple[Any, str]:
    """What a Python script printed as JSON in a pod of FixAI's image, and what went wrong."""
    found = await pods(access, site, workload)
    if not found:
        return None, f"{workload}: no pod of it runs"
    told = " ".join(map(shlex.quote, arguments))
    command = f"-n {NAMESPACE} exec -i {found[0]} -- python3 - {told} <<'end-of-script'"
    said, fault = await kubectl(access, site, f"{command}\n{script}\nend-of-script\n")
    if fault:
        return None, fault
    try:
        return json.loads(said), ""
    except ValueError:
        return None, f"{found[0]}: printed no JSON ({said[:80]!r})"
