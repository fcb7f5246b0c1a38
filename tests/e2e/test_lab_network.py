"""Names and the time, by UDP: every machine of the lab is answered, who is outside is not."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from inventory.ssh import lab_namespace
from tests.e2e.conftest import SITE_FILE, Lab, Ran, run

pytestmark = pytest.mark.e2e

Up = tuple[Lab, Ran, dict[str, Any]]
SECONDS = 90
STRANGER = "10.99.0.2"
"""An address outside of the lab's network."""


def told(namespace: str, *question: str) -> str:
    """What `tests.udp` is told, asked from a network namespace."""
    command = ["nsenter", f"--net=/run/netns/{namespace}", sys.executable, "-m", "tests.udp"]
    ran = run([*command, *question], timeout=30)
    assert ran.code == 0, ran.output
    return ran.output.strip()


def test_every_machine_is_told_the_labs_names_and_the_time(lab: Up) -> None:
    site = lab[0].site
    switch, server = lab_namespace(site.name), str(site.hosts["pi31"].address)
    for name in site.hosts:
        asking = f"{switch}.{name}"
        address = str(site.hosts["agx0"].address)
        assert told(asking, "address", server, "agx0.lab") == f"['{address}']", name
        assert abs(float(told(asking, "time", server)) - time.time()) < 5, name
    gateway = str(site.hosts[site.gateway].address)
    assert told(switch, "address", server, "grafana.lab") == f"['{gateway}']"


def test_no_machine_sets_the_clock_of_this_computer(lab: Up) -> None:
    it = lab[0]
    for name in it.site.hosts:
        assert "Operation not permitted" in it.ssh(name, 'sudo date -s "$(date)" 2>&1 || true'), (
            name
        )
        keepers = it.ssh(name, "ps -C chronyd -o args= || true")
        assert ("chronyd -x" in keepers) == (name in it.site.time_hosts), name
        assert keepers.count("chronyd") == keepers.count("chronyd -x"), name


def test_who_is_not_of_the_network_is_told_nothing(lab: Up) -> None:
    site = lab[0].site
    switch, server = lab_namespace(site.name), str(site.hosts["pi31"].address)
    run(["ip", "-n", switch, "address", "add", f"{STRANGER}/32", "dev", "lo"], timeout=10)
    route = ["ip", "-n", switch, "route"]
    run([*route, "replace", f"{server}/32", "dev", "lan", "src", STRANGER], timeout=10)
    try:
        assert told(switch, "address", server, "agx0.lab") == "None"
        assert told(switch, "time", server) == "None"
    finally:
        run([*route, "del", f"{server}/32"], timeout=10)
    assert told(switch, "address", server, "agx0.lab") != "None"


def test_a_new_name_is_known_without_a_new_container(lab: Up, tmp_path: Path) -> None:
    it = lab[0]
    server = str(it.site.hosts["pi31"].address)
    files = "/etc/hearth/services/network-tools/hosts"
    before = it.ssh("pi31", "docker inspect -f '{{.Id}}' network-tools")
    other = tmp_path / "e2e.yaml"
    other.write_text(
        yaml.safe_dump(
            {
                "extends": str(SITE_FILE.with_suffix("")),
                "name": "e2e",
                "network": {"domain": "home.arpa"},
            }
        )
    )
    switch = lab_namespace(it.site.name)
    try:
        ran = it.hearth("provision", str(other))
        assert ran.code == 0, ran.output
        assert "agx0.home.arpa" in it.ssh("pi31", f"sudo cat {files}")
        known = f"['{it.site.hosts['agx0'].address}']"
        assert told(switch, "address", server, "agx0.home.arpa") == known
        assert told(switch, "address", server, "agx0.lab") != known
        assert it.ssh("pi31", "docker inspect -f '{{.Id}}' network-tools") == before
    finally:
        assert it.hearth("provision", str(SITE_FILE)).code == 0


def test_a_name_server_that_does_not_answer_is_not_healthy(lab: Up) -> None:
    it = lab[0]
    pid = "$(docker inspect -f '{{.State.Pid}}' network-tools)"
    it.ssh("pi31", f"sudo kill -STOP {pid}")
    try:
        wait_for(it, "unhealthy")
    finally:
        it.ssh("pi31", f"sudo kill -CONT {pid}")
    wait_for(it, "healthy")


def wait_for(it: Lab, health: str) -> None:
    """Waits until Docker says so of the name server."""
    ask = "docker inspect -f '{{.State.Health.Status}}' network-tools"
    deadline = time.monotonic() + SECONDS
    while (said := it.ssh("pi31", ask)) != health:
        assert time.monotonic() < deadline, f"{said}, waited {SECONDS} s for {health}"
        time.sleep(1)
