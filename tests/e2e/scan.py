"""What a port scan finds, from any place in a lab's network."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tests.e2e.conftest import have, run

ALL_PORTS = "-"
# Everything here is one switch away: short waits, one try.
FAST = ("--min-rate", "60000", "--min-hostgroup", "16", "--max-retries", "0",
        "--initial-rtt-timeout", "50ms", "--max-rtt-timeout", "100ms")  # fmt: skip
CAREFUL = ("--max-retries", "5")


def open_ports(
    namespace: str, targets: Sequence[str], ports: str, *options: str
) -> set[tuple[str, int]]:
    """The addresses and TCP ports that answer.

    Args:
        namespace: the network namespace to scan from.
        targets: addresses.
        ports: as nmap writes them.
        options: more for nmap.
    """
    have("nmap")
    command = ["nsenter", f"--net=/run/netns/{namespace}", "nmap", "-sS", "-Pn", "-n", "-T5"]
    ran = run([*command, f"-p{ports}", *options, "-oG", "-", *targets], timeout=120)
    assert ran.code == 0, ran.output
    assert len(re.findall(r"Status: Up", ran.output)) == len(targets), ran.output
    return {
        (line.split()[1], int(port))
        for line in ran.output.splitlines()
        if "Ports:" in line
        for port in re.findall(r"(\d+)/open/tcp", line)
    }
