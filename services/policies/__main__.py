"""Hold this node's pods to the cluster's network policies: `python3 -m services.policies`."""

from __future__ import annotations

import argparse
import logging
import sys
from ipaddress import IPv4Network
from pathlib import Path

from services.policies.api import Api, Login
from services.policies.engine import Engine, Mirrors, run
from services.policies.kernel import KernelError


def main() -> int:
    """Runs until it is told to stop; the exit code."""
    parser = argparse.ArgumentParser(description="Holds a node's pods to network policies.")
    parser.add_argument("--own", type=IPv4Network, required=True, help="the node's share of pods")
    parser.add_argument("--server", required=True, help="the API: https://address:port")
    parser.add_argument("--authority", type=Path, required=True, help="who vouches for it")
    parser.add_argument("--credential", type=Path, required=True, help="the kubelet's")
    told = parser.parse_args()
    # The journal has the time.
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    try:
        run(Engine(told.own), Mirrors.of(Api(Login(told.server, told.authority, told.credential))))
    except KernelError as error:
        sys.stderr.write(f"hearth-policies: {error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
