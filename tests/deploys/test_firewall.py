"""The firewall admits what the site declares; new rules stay only if they let us in again."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from tests.deploys.record import Run

Runs = dict[str, Run]

NFTABLES, IPTABLES = "/etc/nftables.conf", "/usr/local/sbin/hearth-firewall"
PATHS = {"agx-r36": NFTABLES, "nano-r32": IPTABLES}
GUARD = "hearth-firewall-guard"
BEFORE = "/run/hearth-firewall.before"
SSH = 'tcp dport 22 ip saddr { 10.20.0.0/28, 10.9.0.7/32 } accept comment "ssh"'
STEPS = {
    NFTABLES: ("nft -cf {}", "nft list table inet hearth", f"nft -f {BEFORE}", "nft -f {}"),
    IPTABLES: (
        "sh -n {}",
        "iptables-save -t mangle; echo '#6'; ip6tables-save -t mangle",
        f"sed '/^#6$/,$d' {BEFORE} | iptables-restore; "
        f"sed '1,/^#6$/d' {BEFORE} | ip6tables-restore",
        "sh {}",
    ),
}


def program(path: Path, body: str) -> None:
    """Puts a program of that name there."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def opened(run: Run, host: str) -> list[str]:
    """The rules that admit somebody, and the one after them."""
    lines = [line.strip() for line in run.files(host)[NFTABLES].splitlines()]
    rules = [line for line in lines if line.startswith("tcp dport") and "accept" in line]
    return [*rules, lines[lines.index(rules[-1]) + 1]]


def test_a_gateway_is_open_to_all_and_its_own_redis_to_nobody(bare: Run) -> None:
    assert opened(bare, "pi5") == [
        SSH,
        'tcp dport 80 ip saddr { 0.0.0.0/0 } accept comment "nginx"',
        'tcp dport 443 ip saddr { 0.0.0.0/0 } accept comment "nginx"',
        'tcp dport 3000 ip saddr { 0.0.0.0/0 } accept comment "nginx"',
        "drop",
    ]


def test_a_service_is_open_to_its_clients_and_the_gateway_of_its_route(bare: Run) -> None:
    redis = 'tcp dport 6379 ip saddr { 10.20.0.20/32, 10.20.0.31/32 } accept comment "redis"'
    assert opened(bare, "pi5-trixie") == [SSH, redis, "drop"]
    ollama = 'tcp dport 11434 ip saddr { 10.20.0.20/32 } accept comment "ollama"'
    assert opened(bare, "agx-r36") == [SSH, ollama, "drop"]


def test_a_service_that_is_only_planned_opens_nothing(runs: dict[str, Run]) -> None:
    assert opened(runs["sandbox"], "nano-r32") == [SSH, "drop"]


def test_the_same_rules_are_told_to_an_older_kernel_in_its_words(bare: Run) -> None:
    ipv4, ipv6, _ = bare.files("nano-r32")[IPTABLES].split("RULES\n")
    admitted = [rule for rule in ipv4.splitlines() if "--comment" in rule or "DROP" in rule]
    ssh = "-A HEARTH -p tcp --dport 22"
    assert admitted[1:] == [
        f"{ssh} -m hashlimit --hashlimit-name hearth --hashlimit-mode srcip "
        "--hashlimit-above 20/second --hashlimit-burst 200 -j DROP",
        f'{ssh} -s 10.20.0.0/28 -m comment --comment "ssh" -j RETURN',
        f'{ssh} -s 10.9.0.7/32 -m comment --comment "ssh" -j RETURN',
        '-A HEARTH -p tcp --dport 11434 -s 10.20.0.20/32 -m comment --comment "ollama" -j RETURN',
        '-A HEARTH -p tcp --dport 11434 -s 10.20.0.31/32 -m comment --comment "ollama" -j RETURN',
        "-A HEARTH -j DROP",
    ]
    assert "--dport" not in ipv6


def test_dockers_rules_stay(bare: Run) -> None:
    rules = bare.files("pi5")[NFTABLES]
    assert "flush" not in rules
    assert [line for line in rules.splitlines() if line.startswith(("delete", "table"))] == [
        "table inet hearth",
        "delete table inet hearth",
        "table inet hearth {",
    ]
    older = bare.files("nano-r32")[IPTABLES]
    assert older.count("tables-restore --noflush") == older.count("tables-restore") == 2


@pytest.mark.parametrize(("board", "path"), PATHS.items())
def test_new_rules_are_guarded_until_a_new_connection_has_been_made(
    bare: Run, board: str, path: str
) -> None:
    new = f"{path}.hearth-new"
    check, save, restore, load = (step.format(new) for step in STEPS[path])
    stop, put, checked, saved, guard, loaded, ssh, kept = bare.commands(board, "Firewall rules")
    assert stop == f"systemctl stop {GUARD}.timer {GUARD}.service 2>/dev/null || true"
    assert put == f"put {new}"
    assert checked == f"chown root:root {new} && chmod 755 {new} && {check}"
    assert save in saved
    assert saved.endswith(f"}} >{BEFORE} || true")
    timer = f"systemd-run --quiet --unit={GUARD} --on-active=60 /bin/sh -c"
    assert shlex.split(guard) == [*timer.split(), f"{restore}; rm -f {new}"]
    assert loaded == load
    assert ssh == (
        "here: ssh -F .hearth/boards/ssh_config -o BatchMode=yes -o ControlPath=none "
        f"-o ConnectTimeout=10 -l pi {board} true"
    )
    assert kept == f"mv {new} {path} && systemctl stop {GUARD}.timer && rm -f {BEFORE}"


def test_the_guard_brings_back_what_each_of_an_older_kernels_tables_had(
    bare: Run, tmp_path: Path
) -> None:
    *_, saved, guard, _, _, _ = bare.commands("nano-r32", "Firewall rules")
    tables = ("iptables", "ip6tables")
    for table in tables:
        program(tmp_path / f"{table}-save", f"echo '# of {table}'; echo '*mangle'; echo COMMIT")
        program(tmp_path / f"{table}-restore", f"cat >{tmp_path}/{table}")
    for command in (saved, shlex.split(guard)[-1]):
        here = command.replace("/run/", f"{tmp_path}/").replace(IPTABLES, f"{tmp_path}/firewall")
        path = f"{tmp_path}:/usr/bin:/bin"
        subprocess.run(["sh", "-c", here], env={"PATH": path}, check=True)
    brought_back = [(tmp_path / table).read_text() for table in tables]
    assert brought_back == [f"# of {table}\n*mangle\nCOMMIT\n" for table in tables]


@pytest.mark.parametrize(("board", "path"), PATHS.items())
def test_rules_that_lock_us_out_are_not_kept(runs: Runs, board: str, path: str) -> None:
    *_, loaded, ssh = runs["firewall, locked out"].commands(board, "Firewall rules")
    assert loaded == STEPS[path][3].format(f"{path}.hearth-new")
    assert ssh.startswith("here: ssh ")
    assert (
        "Locked out: the new firewall rules refuse a new ssh connection from here; the old ones "
        "come back within 60 s. Is this machine's address in network.management?"
    ) in runs["firewall, locked out"].says(board)


@pytest.mark.parametrize(
    ("trouble", "steps"), [("bad rules", 3), ("no guard", 5), ("not loaded", 6), ("locked out", 7)]
)
def test_trouble_with_new_rules_ends_it_where_it_arises(
    runs: Runs, trouble: str, steps: int
) -> None:
    run = runs[f"firewall, {trouble}"]
    assert run.failed == ["agx-r36", "nano-r32"]
    for board in PATHS:
        assert len(run.commands(board)) == steps
        assert [command for command in run.commands(board) if command.startswith("mv ")] == []


def test_trouble_on_one_machine_is_no_trouble_on_another(runs: Runs) -> None:
    *_, kept = runs["firewall, locked out"].commands("pi4")
    assert kept.startswith(f"mv {NFTABLES}.hearth-new {NFTABLES} && ")


def test_rules_are_loaded_at_boot_from_the_file_that_was_kept(bare: Run) -> None:
    assert bare.commands("pi5", "Firewall at boot") == ["systemctl enable nftables.service"]
    at_boot = bare.commands("nano-r32", "Firewall at boot")
    assert at_boot == ["systemctl enable hearth-firewall.service"]
    unit = bare.files("nano-r32")["/etc/systemd/system/hearth-firewall.service"]
    assert f"ExecStart={IPTABLES}\n" in unit
