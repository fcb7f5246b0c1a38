"""The firewall of kernels without nftables, loaded for real in a network of two namespaces."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from inventory.flows import ANYWHERE, SSH_PORT, Flow
from templates import render
from tests.e2e.conftest import have, run

pytestmark = pytest.mark.e2e

INSIDE, OUTSIDE = "hearth-test-in", "hearth-test-out"
FRIEND, STRANGER, SERVER = "10.77.0.1", "10.77.0.2", "10.77.0.10"
PORTS = (SSH_PORT, 443, 5432, 9999)
FLOWS = [
    Flow(SSH_PORT, (IPv4Network(f"{FRIEND}/32"),), "ssh"),
    Flow(443, (ANYWHERE,), "nginx"),
    Flow(5432, (IPv4Network(f"{FRIEND}/32"),), "postgres"),
]
LISTEN = (
    "import select, socket\n"
    f"sockets = [socket.create_server(('', port)) for port in {PORTS}]\n"
    "print('ready', flush=True)\n"
    "while True:\n"
    "    for s in select.select(sockets, [], [])[0]: s.accept()[0].close()\n"
)
DIAL = (
    "import socket, sys\n"
    f"for port in {PORTS}:\n"
    "    s = socket.socket(); s.settimeout(0.5); s.bind((sys.argv[1], 0))\n"
    f"    if s.connect_ex(('{SERVER}', port)) == 0: print(port)\n"
)


def ip(command: str) -> None:
    """Runs `ip`."""
    ran = run(["ip", *command.split()], timeout=10)
    assert ran.code == 0, ran.output


@pytest.fixture
def network() -> Iterator[None]:
    """Two namespaces, a cable between them, and a server on four ports in one."""
    have("iptables")
    for name in (INSIDE, OUTSIDE):
        ip(f"netns add {name}")
    try:
        ip(f"-n {INSIDE} link add eth0 type veth peer name eth0 netns {OUTSIDE}")
        for name, addresses in ((INSIDE, [SERVER]), (OUTSIDE, [FRIEND, STRANGER])):
            for address in addresses:
                ip(f"-n {name} address add {address}/24 dev eth0")
            ip(f"-n {name} link set eth0 up")
        command = ["ip", "netns", "exec", INSIDE, sys.executable, "-c", LISTEN]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            yield
            server.terminate()
    finally:
        for name in (INSIDE, OUTSIDE):
            ip(f"netns delete {name}")


def reached_from(address: str) -> set[int]:
    """The ports that can be opened from an address."""
    command = ["ip", "netns", "exec", OUTSIDE, sys.executable, "-c", DIAL, address]
    return {int(port) for port in run(command, timeout=30).output.split()}


def test_an_older_kernel_opens_what_is_declared_and_nothing_else(
    network: None, tmp_path: Path
) -> None:
    del network
    assert reached_from(STRANGER) == set(PORTS)
    rules = tmp_path / "hearth-firewall"
    rules.write_text(render("iptables/hearth-firewall.j2", flows=FLOWS, ssh_port=SSH_PORT))
    for _ in range(2):  # a second time nothing is doubled
        ran = run(["ip", "netns", "exec", INSIDE, "sh", str(rules)], timeout=30)
        assert ran.code == 0, ran.output
        assert reached_from(FRIEND) == {SSH_PORT, 443, 5432}
        assert reached_from(STRANGER) == {443}
    shown = run(["ip", "netns", "exec", INSIDE, "iptables-save", "-t", "mangle"], timeout=10)
    assert shown.output.count("-A PREROUTING -j HEARTH") == 1
