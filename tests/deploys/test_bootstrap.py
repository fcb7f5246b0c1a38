"""A bare machine becomes ready, a ready one is left alone, a changed file touches nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from inventory.paths import PROJECT

Report = dict[str, Any]


@pytest.fixture(scope="module")
def report() -> Report:
    """What `tests.deploys.machine` prints, from a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.deploys.machine"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    loaded: Report = json.loads(done.stdout)
    return loaded


def test_docker_keeps_containers_logs_and_clients_addresses(report: Report) -> None:
    assert json.loads(report["texts"]["daemon.json without a registry"]) == {
        "live-restore": True,
        "log-driver": "json-file",
        "log-opts": {"max-size": "10m", "max-file": "3"},
        "userland-proxy": False,
    }


def test_docker_trusts_the_labs_own_registry_and_no_other(report: Report) -> None:
    settings = json.loads(report["texts"]["daemon.json"])
    assert settings["insecure-registries"] == ["192.168.1.251:5000"]


def test_the_firewall_admits_the_flows_and_drops_the_rest(report: Report) -> None:
    rules = [line.strip() for line in report["texts"]["nftables.conf"].splitlines()]
    opened = [rule for rule in rules if "dport" in rule]
    assert opened == [
        'tcp dport 22 ip saddr { 192.168.1.0/24 } accept comment "ssh"',
        'tcp dport 443 ip saddr { 0.0.0.0/0 } accept comment "nginx"',
    ]
    assert rules[rules.index(opened[-1]) + 1] == "drop"


def test_the_firewall_replaces_its_own_table_only(report: Report) -> None:
    rules = report["texts"]["nftables.conf"]
    assert "flush" not in rules
    assert [line for line in rules.splitlines() if line.startswith(("delete", "table"))] == [
        "table inet hearth",
        "delete table inet hearth",
        "table inet hearth {",
    ]


def test_a_bare_machine_gets_everything_in_this_order(report: Report) -> None:
    assert list(report["bare"]) == [
        "Group docker",
        "User hearth",
        "Key of hearth",
        "sudo for hearth",
        "sshd settings",
        "sshd reads its settings",
        "Docker's settings folder",
        "Docker settings",
        "Docker engine",
        "Docker runs",
        "nftables",
        "Firewall rules",
        "Firewall rules are loaded",
        "Firewall at boot",
    ]


def test_the_administrator_has_one_key_sudo_and_docker(report: Report) -> None:
    bare = report["bare"]
    assert bare["User hearth"][0] == "useradd -d /home/hearth -s /bin/bash -G docker -m hearth"
    assert "chmod 600 /home/hearth/.ssh/authorized_keys" in bare["Key of hearth"]
    assert "chmod 440 /etc/sudoers.d/hearth" in bare["sudo for hearth"]
    assert report["files"]["/home/hearth/.ssh/authorized_keys"] == "ssh-ed25519 AAAA hearth\n"
    assert report["files"]["/etc/sudoers.d/hearth"] == "hearth ALL=(ALL) NOPASSWD: ALL\n"


def test_sshd_takes_keys_only(report: Report) -> None:
    settings = report["files"]["/etc/ssh/sshd_config.d/10-hearth.conf"].splitlines()
    assert {
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin no",
    } <= set(settings)


def test_docker_is_configured_before_its_first_start_and_not_restarted_after_it(
    report: Report,
) -> None:
    steps = list(report["bare"])
    assert steps.index("Docker settings") < steps.index("Docker engine")
    assert report["bare"]["Docker runs"] == [
        "systemctl start docker.service",
        "systemctl enable docker.service",
    ]
    assert "Docker reads its settings" not in steps


def test_a_ready_machine_is_left_alone(report: Report) -> None:
    assert report["ready"] == {}


def test_changed_docker_settings_restart_docker_and_nothing_else(report: Report) -> None:
    assert report["stale docker"] == {
        "Docker settings": ["put /etc/docker/daemon.json", "chmod 644 /etc/docker/daemon.json"],
        "Docker reads its settings": ["systemctl restart docker.service"],
    }


def test_changed_firewall_rules_are_loaded_without_a_restart(report: Report) -> None:
    assert report["stale firewall"] == {
        "Firewall rules": ["put /etc/nftables.conf", "chmod 755 /etc/nftables.conf"],
        "Firewall rules are loaded": ["nft -f /etc/nftables.conf"],
    }
