"""Prints, as JSON, what the bootstrap does to machines in several states.

A program of its own: pyinfra's gevent and Pulumi's gRPC must not share a process. The
machines are pyinfra's fake ones: what a command answers is given, what is run is kept.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from pyinfra.api import Config, FileUploadCommand, Inventory, State
from pyinfra.api.connect import connect_all
from pyinfra.api.deploy import add_deploy
from pyinfra.api.operations import run_ops

from deploys.docker import daemon_settings, engine
from deploys.firewall import firewall, ruleset
from deploys.sshd import keys_only
from deploys.users import administrator
from inventory.flows import ANYWHERE, Flow

KEY = "ssh-ed25519 AAAA hearth"
REGISTRY = "192.168.1.251:5000"
FLOWS = [
    Flow(22, (IPv4Network("192.168.1.0/24"),), "ssh"),
    Flow(443, (ANYWHERE,), "nginx"),
]
BARE = {"uname -s": "Linux", "command -v useradd": "/usr/sbin/useradd", "echo ~": "/home/hearth"}
MODES = {
    "/etc": "drwxr-xr-x",
    "/etc/docker": "drwxr-xr-x",
    "/etc/docker/daemon.json": "-rw-r--r--",
    "/etc/nftables.conf": "-rwxr-xr-x",
    "/etc/ssh/sshd_config.d": "drwxr-xr-x",
    "/etc/ssh/sshd_config.d/10-hearth.conf": "-rw-r--r--",
    "/etc/sudoers.d": "drwxr-xr-x",
    "/etc/sudoers.d/hearth": "-r--r-----",
    "/home/hearth": "drwxr-xr-x",
    "/home/hearth/.ssh": "drwx------",
    "/home/hearth/.ssh/authorized_keys": "-rw-------",
    "/var/lib/apt/periodic/update-success-stamp": "-rw-r--r--",
}


@dataclass
class Visit:
    """What a run of the bootstrap did.

    Attributes:
        commands: those of each operation that did anything, by its name.
        files: texts that were put in place, by path.
    """

    commands: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def visit(answers: Mapping[str, str]) -> Visit:
    """Runs the bootstrap on a machine whose commands answer so; others answer nothing."""
    data = {"fake_responses": answers, "fake_delay": 0, "fake_delay_jitter": 0}
    state = State(Inventory((["@fake/machine"], data)), Config(SUDO=True))
    connect_all(state)
    add_deploy(state, administrator, "hearth", KEY)
    add_deploy(state, keys_only)
    add_deploy(state, engine, REGISTRY)
    add_deploy(state, firewall, FLOWS)
    run_ops(state)
    done = Visit()
    (host,) = state.inventory
    for operation in state.get_op_order():
        (name,) = state.get_op_meta(operation).names
        for command in state.get_op_data_for_host(host, operation).operation_meta._commands or ():
            text = str(command)
            if isinstance(command, FileUploadCommand):
                done.files[command.dest] = command.src.getvalue()
                text = f"put {command.dest}"
            done.commands.setdefault(name.rpartition(" | ")[2], []).append(text)
    return done


def ready(files: Mapping[str, str]) -> dict[str, str]:
    """The answers of a machine on which everything is in place, with these files."""
    now = int(time.time())
    answers = BARE | {
        "cat /etc/group": "docker:x:998:hearth",
        "cat /etc/passwd": "hearth:x:1001:1001::/home/hearth:/bin/bash|hearth|hearth docker||!",
        "cat /home/hearth/.ssh/authorized_keys": KEY,
        "dpkg -l": "ii  docker.io  26.1.5  amd64  engine\nii  nftables  1.1.3  amd64  firewall",
        "date +": time.strftime("%Y-%m-%dT%H:%M:%S+0000", time.gmtime(now)),
    }
    for unit in ("ssh", "docker", "nftables"):
        answers[f"SubState {unit}.service"] = f"Id={unit}.service\nSubState=running"
        answers[f"UnitFileState {unit}.service"] = f"Id={unit}.service\nUnitFileState=enabled"
    for path, mode in MODES.items():
        owner = "hearth" if path.startswith("/home") else "root"
        answers[f"%N' {path} 2>"] = (
            f"user={owner} group={owner} mode={mode} "
            f"atime={now} mtime={now} ctime={now} size=1 '{path}'"
        )
    for path, text in files.items():
        digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        answers[f"sha1sum {path}"] = f"{digest}  {path}"
    return answers


def main() -> None:
    """Visits a bare machine, a ready one, and two on which one file is out of date."""
    bare = visit(BARE)
    stale = {"docker": "/etc/docker/daemon.json", "firewall": "/etc/nftables.conf"}
    report = {
        "texts": {
            "daemon.json": daemon_settings(REGISTRY),
            "daemon.json without a registry": daemon_settings(None),
            "nftables.conf": ruleset(FLOWS),
        },
        "files": bare.files,
        "bare": bare.commands,
        "ready": visit(ready(bare.files)).commands,
    } | {
        f"stale {subject}": visit(ready(bare.files | {path: "old"})).commands
        for subject, path in stale.items()
    }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
