"""Kernel, clock and swap: what services and small boards need, and nothing of it in a container."""

from __future__ import annotations

import pytest

from inventory.loading import load
from inventory.paths import PROJECT
from tests.deploys.record import INSTALL, PLACED, Run

Runs = dict[str, Run]

BOARDS = sorted(load(str(PROJECT / "tests" / "sites" / "valid" / "boards.yaml")).hosts)
TELLS_TIME = "pi3"
NFTABLES = "/etc/nftables.conf"
PIS = ("pi3", "pi4", "pi4-trixie", "pi5", "pi5-trixie")
CGROUPS = "Memory limits work (cgroups)"
SYSCTL = "/etc/sysctl.d/90-hearth.conf"
ALWAYS = {
    "fs.inotify.max_user_instances": 1024,
    "kernel.kptr_restrict": 1,
    "net.core.somaxconn": 4096,
    "net.ipv4.conf.all.accept_redirects": 0,
    "net.ipv4.conf.all.send_redirects": 0,
    "net.ipv4.tcp_syncookies": 1,
}
REDIS = {"vm.overcommit_memory": 1}
SONARQUBE = {"vm.max_map_count": 524288}


def sysctls(run: Run, host: str) -> dict[str, int]:
    """The kernel settings of a machine."""
    lines = run.files(host)[SYSCTL].splitlines()
    return {name: int(value) for name, value in (line.split(" = ") for line in lines)}


@pytest.mark.parametrize("board", BOARDS)
def test_a_machine_has_the_settings_that_its_services_need_and_no_others(
    bare: Run, board: str
) -> None:
    services = {"pi5": REDIS, "pi5-trixie": REDIS, "agx-r36": SONARQUBE}
    assert sysctls(bare, board) == ALWAYS | services.get(board, {})
    assert bare.follow_up(board, "Kernel settings") == f"sysctl -qp {SYSCTL}"


def test_the_kernels_own_limit_of_open_files_is_never_lowered(bare: Run) -> None:
    # SonarQube asks for 131072 at least; kernels of today begin far above that.
    assert "fs.file-max" not in sysctls(bare, "agx-r36")


@pytest.mark.parametrize("board", PIS)
def test_memory_limits_of_containers_work_on_a_pi_after_a_reboot(bare: Run, board: str) -> None:
    file = "/boot/firmware/cmdline.txt"
    assert bare.commands(board, CGROUPS) == [
        f"cp -p {file} {file}.before-hearth",
        f"sed -i '1s/$/ cgroup_enable=memory cgroup_memory=1/' {file}",
        "echo 'kernel command line' >>/run/reboot-required.pkgs",
    ]
    (reboot,) = (said for said in bare.says(board) if said.startswith("Begins: reboot for "))
    assert "kernel command line" in reboot


@pytest.mark.parametrize("board", [board for board in BOARDS if board not in PIS])
def test_no_other_board_has_its_command_line_touched(bare: Run, board: str) -> None:
    assert CGROUPS not in bare.titles(board)
    assert [q for q in bare.asked[board] if "cmdline.txt" in q] == []


def test_an_older_pis_command_line_is_found_where_it_was(runs: Runs) -> None:
    _, edit, _ = runs["command line"].commands("pi5", CGROUPS)
    assert edit == "sed -i '1s/$/ cgroup_enable=memory cgroup_memory=1/' /boot/cmdline.txt"


def test_only_missing_words_are_added_to_a_command_line(runs: Runs) -> None:
    _, edit, _ = runs["command line"].commands("pi4", CGROUPS)
    assert edit == "sed -i '1s/$/ cgroup_enable=memory/' /boot/firmware/cmdline.txt"


def test_a_command_line_that_has_the_words_stays(runs: Runs) -> None:
    assert runs["command line"].commands("pi3") == []


def test_a_pi_without_the_file_of_its_command_line_is_left_alone(runs: Runs) -> None:
    run = runs["command line"]
    assert (run.error, run.failed) == ("", [])
    assert [q for q in run.asked["pi5-trixie"] if "cmdline.txt" in q]
    assert run.commands("pi5-trixie") == []


@pytest.mark.parametrize("place", ["pi5", "nano-r32"])
def test_a_container_leaves_kernel_clock_and_swap_to_its_host(runs: Runs, place: str) -> None:
    run = runs["sandbox"]
    assert set(run.titles(place)).isdisjoint(
        {"Kernel settings", CGROUPS, "Time is kept", "Swap settings", "Compressed swap", "Reboot"}
    )
    assert SYSCTL not in run.files(place)
    placed = {c: steps["then"] or "" for c in run.commands(place) if (steps := PLACED.fullmatch(c))}
    commands = [placed.get(command, command) for command in run.commands(place)]
    commands = [c for c in commands if not c.startswith(("put ", "mkdir ")) and INSTALL not in c]
    touching = ("sysctl ", "chrony", "zram", "swap", "cmdline", "reboot", "modprobe")
    # Where it does not run, it is not started.
    chrony = "systemctl try-restart chrony"
    assert [c for c in commands if any(word in c for word in touching)] == [chrony]


def test_the_machine_that_tells_the_time_does_so_in_a_container_as_well(runs: Runs) -> None:
    run = runs["sandbox"]
    told = run.files("pi3")["/etc/systemd/system/chrony.service.d/hearth.conf"].splitlines()
    # Debian's unit asks for a capability that containers lack.
    assert told[told.index("[Unit]") + 1] == "ConditionCapability="
    assert told[-2:] == ["ExecStart=", "ExecStart=!/usr/sbin/chronyd -x $DAEMON_OPTS"]
    read = "systemctl daemon-reload && systemctl try-restart chrony"
    assert run.follow_up("pi3", "Time without setting it") == read
    assert "systemctl start chrony.service" in run.commands("pi3")


@pytest.mark.parametrize("board", [board for board in BOARDS if board != TELLS_TIME])
def test_clocks_follow_the_sites_time_servers_and_the_labs_own_and_serve_nobody(
    bare: Run, board: str
) -> None:
    lines = bare.files(board)["/etc/chrony/chrony.conf"].splitlines()
    assert [line for line in lines if "iburst" in line] == [
        "server 10.20.0.1 iburst",
        "pool time.example.org iburst",
        "server 10.20.0.24 iburst",
    ]
    assert {"makestep 1.0 -1", "port 0", "cmdport 0"} <= set(lines)
    assert not [line for line in lines if line.startswith(("allow", "local"))]
    assert bare.follow_up(board, "Time servers") == "systemctl try-restart chrony"


def test_one_machine_tells_the_network_the_time_even_while_nobody_tells_it(bare: Run) -> None:
    lines = bare.files(TELLS_TIME)["/etc/chrony/chrony.conf"].splitlines()
    assert [line for line in lines if "iburst" in line] == [
        "server 10.20.0.1 iburst",
        "pool time.example.org iburst",
    ]
    assert {"allow 10.20.0.0/24", "local stratum 10", "cmdport 0"} <= set(lines)
    assert "port 0" not in lines
    rule = 'udp dport 123 ip saddr { 10.20.0.0/24 } accept comment "time"'
    assert rule in bare.files(TELLS_TIME)[NFTABLES]


@pytest.mark.parametrize("board", ["pi3", "pi4"])
def test_a_small_pi_swaps_to_compressed_memory_and_no_longer_to_its_card(
    bare: Run, board: str
) -> None:
    settings = bare.files(board)["/etc/systemd/zram-generator.conf"].splitlines()
    assert settings == ["[zram0]", "zram-size = ram / 2", "compression-algorithm = zstd"]
    reads = bare.follow_up(board, "Swap is compressed memory, not a file on the card")
    assert "systemctl disable --now dphys-swapfile" in reads
    assert reads.endswith("systemctl daemon-reload && systemctl restart systemd-zram-setup@zram0")


def test_a_small_pi_on_debian_13_uses_its_own_swap(bare: Run) -> None:
    settings = bare.files("pi4-trixie")["/etc/rpi/swap.conf.d/90-hearth.conf"]
    assert settings == "[Main]\nMechanism=zram\n"


def test_a_small_pi_on_debian_13_swaps_so_after_a_reboot(bare: Run) -> None:
    asks = "echo 'swap settings' >>/run/reboot-required.pkgs"
    assert bare.follow_up("pi4-trixie", "Swap settings") == asks
    assert "Begins: reboot for kernel command line, swap settings" in bare.says("pi4-trixie")


@pytest.mark.parametrize("board", [b for b in BOARDS if b not in {"pi3", "pi4", "pi4-trixie"}])
def test_a_jetson_has_swap_of_its_own_and_a_large_board_needs_none(bare: Run, board: str) -> None:
    assert [title for title in bare.titles(board) if "wap" in title] == []
    assert [path for path in bare.files(board) if "zram" in path or "swap" in path] == []
