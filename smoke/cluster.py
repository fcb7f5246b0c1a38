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
    command = f"-n {NAMESPACE} exec -i {found[0]} -- {_given(script, arguments)}"
    return _read(found[0], *await kubectl(access, site, command))


async def python_on(
    access: Access, host: str, script: str, arguments: Sequence[str] = ()
) -> tuple[Any, str]:
    """What a Python script printed as JSON on a machine of the cluster, and what went wrong."""
    return _read(host, *await run_on(access, host, _given(script, arguments)))


def _given(script: str, arguments: Sequence[str]) -> str:
    """A line of shell that runs the script, which follows it."""
    told = " ".join(map(shlex.quote, arguments))
    return f"python3 - {told} <<'end-of-script'\n{script}\nend-of-script\n"


def _read(where: str, said: str, fault: str) -> tuple[Any, str]:
    if fault:
        return None, fault
    try:
        return json.loads(said), ""
    except ValueError:
        return None, f"{where}: printed no JSON ({said[:80]!r})"
