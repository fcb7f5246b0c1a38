"""Each thing that is in the way is found, with its remedy; a board that is well has nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.deploys.conftest import Visitor

MENDED = "the bootstrap mends this: hearth bootstrap homelab"
SMALL = """\
Filesystem     1024-blocks     Used Available Capacity Mounted on
/dev/mmcblk0p2    30371904 29633096    {left}      98% /
{data}"""


def told(visitor: Visitor, board: str, host: str, subject: str, **options: Any) -> list[str]:
    """What is found on one subject: `level: what | remedy`."""
    return [
        f"{found['level']}: {found['what']} | {found['remedy']}"
        for found in visitor(board, host, **options)["findings"]
        if found["subject"] == subject
    ]


def services(**placed: dict[str, Any]) -> dict[str, Any]:
    """A change of a host in its site: these services, and no others."""
    return {"services": placed}


def changed(visitor: Visitor, fact: str, text: str, board: str = "pi5-memory-on") -> list[str]:
    """Levels and subjects that a changed answer of a board that is well leads to."""
    found = visitor(board, changes={fact: text})["findings"]
    return [f"{finding['level']} {finding['subject']}" for finding in found]


@pytest.mark.parametrize(
    ("board", "host", "site"),
    [("pi5-memory-on", "pi51", "homelab"), ("sandbox", "pi51", "sandbox")],
)
def test_a_board_that_is_well_has_nothing(
    visitor: Visitor, board: str, host: str, site: str
) -> None:
    assert visitor(board, host, site)["findings"] == []


@pytest.mark.parametrize("board", ["pi5", "pi4", "pi3"])
def test_what_the_bootstrap_mends_is_a_note_that_says_so(visitor: Visitor, board: str) -> None:
    host = {"pi5": "pi51", "pi4": "pi41", "pi3": "pi31"}[board]
    notes = told(visitor, board, host, "cgroups") + told(visitor, board, host, "docker")
    assert notes == [
        "note: the kernel keeps no memory limits: containers may take everything | "
        f"{MENDED}; needs a reboot",
        f"note: Docker is not there; docker.io 20.10.24 will be | {MENDED}",
    ]


def test_the_worst_comes_first(visitor: Visitor) -> None:
    place = services(ollama={"port": 11435, "clients": ["pi51"]})
    found = visitor("orin-nano-r36", "orin0", place=place)["findings"]
    assert [finding["level"] for finding in found] == ["error", "error", "note"]


@pytest.mark.parametrize(
    ("reason", "what", "remedy"),
    [
        ("refused", "192.168.1.147 refuses ssh on port 22", "start sshd on it"),
        ("timed out", "192.168.1.147 does not answer", "see that it is on"),
        ("no route", "no way to 192.168.1.147", "see that it is on"),
        ("host key", "has another host key", "-R 192.168.1.147"),
        ("other", "ssh to 192.168.1.147 broke off (what ssh said)", "`ssh -v pi@192.168.1.147`"),
    ],
)
def test_a_machine_that_cannot_be_reached_is_one_error(
    visitor: Visitor, reason: str, what: str, remedy: str
) -> None:
    (line,) = told(visitor, "pi5", "pi51", "reachable", unreachable=reason)
    assert line.startswith("error: ")
    assert what in line
    assert remedy in line


def test_who_is_not_admitted_hears_which_user_and_key_were_tried(visitor: Visitor) -> None:
    key = Path("~/.ssh/id_ed25519").expanduser()
    (line,) = told(visitor, "pi5", "pi51", "reachable", unreachable="authentication")
    if key.is_file():
        assert f"does not admit user pi with the key {key}" in line
        assert f"`ssh-copy-id -i {key}.pub pi@192.168.1.147`" in line
    else:
        assert f"there is no key to log in with ({key})" in line
        assert f"`ssh-keygen -t ed25519 -f {key}`" in line


def test_a_sandbox_that_is_off_is_booted(visitor: Visitor) -> None:
    assert told(visitor, "sandbox", "pi51", "reachable", site="sandbox", unreachable="other") == [
        "error: the machine that plays it does not answer at 192.168.1.147 | "
        "`hearth sandbox status sandbox`, then `hearth up sandbox`"
    ]


def test_what_could_not_be_read_is_a_warning(visitor: Visitor) -> None:
    (line,) = told(visitor, "pi5", "pi51", "facts", changes={"memory": "odd", "ports": ""})
    assert line.startswith("warning: could not be told: memory, ports | ")


def test_sudo_that_asks_for_a_password_is_mended(visitor: Visitor) -> None:
    assert told(visitor, "pi3", "pi31", "sudo") == [
        "note: sudo asks user pi for a password | "
        "the bootstrap asks you for it, once: hearth bootstrap homelab"
    ]
    assert told(visitor, "pi4", "pi41", "sudo") == []


def test_sudo_has_to_be_there(visitor: Visitor) -> None:
    assert told(visitor, "pi3", "pi31", "sudo", changes={"access": "user=pi\nsudo=absent"}) == [
        "error: sudo is not installed | as root there: `apt-get install sudo`"
    ]


def test_another_system_than_the_sites_is_written_down_or_flashed(visitor: Visitor) -> None:
    assert told(visitor, "agx-r35", "agx0", "os") == [
        "error: runs ubuntu-20.04, not ubuntu-22.04 | write `os: ubuntu-20.04` at hosts.agx0, "
        "or flash it with Ubuntu 22.04 (JetPack 6)"
    ]
    assert told(visitor, "agx-r35", "pi51", "os") == [
        "error: runs ubuntu-20.04, not debian-12 | flash it with Debian 12"
    ]
    assert told(visitor, "agx-r35", "agx0", "os", place={"os": "ubuntu-20.04"}) == []
    assert told(visitor, "agx-r36", "agx0", "os") == []


def machine(board: str, **values: str) -> dict[str, str]:
    """A change of a recorded machine's own description."""
    kept = {
        "os": "debian-12",
        "kernel": "6.12.34+rpt-rpi-2712",
        "machine": "aarch64",
        "page_size": "16384",
        "memory_kib": "8256416",
        "virtualization": "none",
        "model": f"Raspberry Pi {board}",
    }
    return {"machine": "\n".join(f"{key}={value}" for key, value in (kept | values).items())}


def test_a_32_bit_system_is_an_error(visitor: Visitor) -> None:
    changes = machine("5", machine="armv7l")
    (line,) = told(visitor, "pi5", "pi51", "architecture", changes=changes)
    assert line.startswith("error: is armv7l, a Raspberry Pi 5 (8 GB) is arm64 | flash it with")
    assert told(visitor, "pi5", "pi51", "architecture") == []


def test_l4t_is_that_of_the_sites_jetpack(visitor: Visitor) -> None:
    changes = machine("-", os="ubuntu-22.04", l4t="35.6.0", page_size="4096")
    (line,) = told(visitor, "agx-r36", "agx0", "l4t", changes=changes)
    assert line.startswith("error: Linux for Tegra is 35.6.0, Ubuntu 22.04 (JetPack 6) has R36 | ")
    without = machine("-", os="ubuntu-22.04", page_size="4096")
    (line,) = told(visitor, "agx-r36", "agx0", "l4t", changes=without)
    assert line.startswith("error: Linux for Tegra is not there, ")
    assert told(visitor, "agx-r36", "agx0", "l4t") == []
    assert told(visitor, "nano-r32", "nano", "l4t") == []


def test_pages_that_a_service_cannot_run_on_are_an_error(visitor: Visitor) -> None:
    changes = machine("-", os="ubuntu-22.04", l4t="36.4.3")
    (line,) = told(visitor, "orin-nano-r36", "orin0", "page size", changes=changes)
    assert line.startswith("error: the kernel has pages of 16 KiB: comfyui cannot start | ")
    assert "kernel=kernel8.img" in line


def test_other_pages_that_every_service_runs_on_are_a_note(visitor: Visitor) -> None:
    changes = machine("5", page_size="4096")
    (line,) = told(visitor, "pi5", "pi51", "page size", changes=changes)
    assert line.startswith("note: the kernel has pages of 4 KiB, not 16 KiB | nothing to do")
    assert told(visitor, "pi5", "pi51", "page size") == []


def memory(total_kib: int) -> dict[str, str]:
    """A change of a recorded machine's memory."""
    left = "MemAvailable: 1024 kB\nSwapTotal: 0 kB"
    return {"memory": f"MemTotal: {total_kib} kB\n{left}"}


def test_half_of_the_boards_memory_is_another_board(visitor: Visitor) -> None:
    (line,) = told(visitor, "pi5", "pi51", "memory", changes=memory(4_128_208))
    assert line.startswith("error: has 3.9 GiB, not 8 GiB | correct hosts.pi51.board")


@pytest.mark.parametrize(
    ("board", "host"), [("pi3", "pi31"), ("pi4", "pi41"), ("agx-r36", "agx0"), ("nano-r32", "nano")]
)
def test_what_firmware_keeps_for_itself_is_no_finding(
    visitor: Visitor, board: str, host: str
) -> None:
    assert told(visitor, board, host, "memory") == []


def test_services_that_may_take_more_than_a_jetson_leaves_are_a_warning(visitor: Visitor) -> None:
    place = services(ollama={"memory": "2GiB", "gpu_memory": "4864MiB"})
    (line,) = told(visitor, "orin-nano-r35", "orin0", "memory", place=place)
    assert line.startswith("warning: services may take 6.8 GiB, the machine has 6.3 GiB | lower")
    assert told(visitor, "orin-nano-r36", "orin0", "memory") == []


def test_a_sandboxs_machine_has_its_share_of_the_boards_memory(visitor: Visitor) -> None:
    # pi51 is played with 2 GiB, agx0 with 16.
    assert told(visitor, "sandbox", "pi51", "memory", site="sandbox") == []
    (line,) = told(visitor, "sandbox", "agx0", "memory", site="sandbox")
    assert line.startswith("error: has 2 GiB, not 16 GiB")


def test_a_sandboxs_machine_is_debian_whatever_the_board(visitor: Visitor) -> None:
    for subject in ("os", "architecture", "l4t", "page size", "disk", "clock"):
        assert told(visitor, "sandbox", "agx0", subject, site="sandbox") == []
    (line,) = told(
        visitor, "pi5", "pi51", "os", site="sandbox", changes=machine("5", os="debian-13")
    )
    assert line.startswith("error: runs debian-13, not debian-12 | ")


def space(left: int, data: str = "/dev/mmcblk0p2    30371904 29633096    700000      98% /") -> Any:
    """A change: what is left on the system's disk, and df's line of the data's."""
    return {"space": SMALL.format(left=left, data=data)}


def test_a_full_disk_has_no_room_for_packages(visitor: Visitor) -> None:
    lines = told(visitor, "pi3", "pi31", "disk", changes=space(600_000), place=services())
    assert lines == [
        "error: 585.9 MiB free at /, packages need 1 GiB | "
        "make room: `sudo apt-get clean`, `sudo journalctl --vacuum-size=50M`"
    ]
    assert told(visitor, "pi3", "pi31", "disk") == []


def test_images_and_models_have_to_fit(visitor: Visitor) -> None:
    data = "/dev/nvme0n1p1  1921802432 1900000000 21802432  99% /var/lib/docker"
    changes = space(20_000_000, data)
    (line,) = told(visitor, "agx-r36", "agx0", "disk", changes=changes)
    assert line.startswith("error: 20.8 GiB free at /var/lib/docker, images and models take about")
    assert "hosts.agx0.data_disk" in line
    assert told(visitor, "agx-r36", "agx0", "disk") == []


def test_images_and_models_may_be_there_where_docker_runs(visitor: Visitor) -> None:
    models = ["codellama:34b", "gpt-oss", "mistral-small"]
    place = services(ollama={"gpu_memory": "40GiB", "models": models}, **{"node-exporter": {}})
    line, _ = told(visitor, "agx-r35", "agx0", "disk", place=place)
    assert line.startswith("warning: 37.3 GiB free at /, images and models take about 48.9 GiB | ")


def test_a_large_disk_that_docker_does_not_use_is_a_warning(visitor: Visitor) -> None:
    _, line = told(visitor, "agx-r35", "agx0", "disk")
    assert line.startswith(
        "warning: Docker's data is on a disk of 57 GiB, the site says 1862.6 GiB"
    )


def test_a_data_disk_that_the_bootstrap_will_mount_is_no_finding(visitor: Visitor) -> None:
    place = {"data_disk": {"device": "/dev/disk/by-id/nvme-one"}}
    assert told(visitor, "agx-r35", "agx0", "disk", place=place) == []


def test_memory_limits_that_nobody_mends_are_an_error(visitor: Visitor) -> None:
    off = "v2=cpuset cpu io pids\ncmdline=quiet {}"
    changes = {"cgroups": off.format("cgroup_disable=memory")}
    (line,) = told(visitor, "agx-r36", "agx0", "cgroups", changes=changes)
    assert "| take cgroup_disable=memory off the kernel's command line" in line
    (line,) = told(visitor, "agx-r36", "agx0", "cgroups", changes={"cgroups": off.format("")})
    assert line.startswith("error: ")
    assert line.endswith("| boot a kernel with CONFIG_MEMCG")
    assert told(visitor, "agx-r36", "agx0", "cgroups") == []


def test_kernel_features_that_are_not_there_are_an_error(visitor: Visitor) -> None:
    changes = {"kernel": "CONFIG_NET=y\nready overlay\nready bridge\nready nf_tables\nready veth"}
    (line,) = told(visitor, "pi5", "pi51", "kernel", changes=changes)
    assert line.startswith("error: lacks br_netfilter, nf_nat: Docker or the firewall cannot start")
    assert told(visitor, "pi5", "pi51", "kernel") == []


def test_jetpack_4_has_its_own_firewall_and_needs_no_nftables(visitor: Visitor) -> None:
    assert told(visitor, "nano-r32", "nano", "kernel") == []


def test_an_upgraded_kernel_asks_for_a_reboot(visitor: Visitor) -> None:
    ready = "ready overlay\nready bridge\nready br_netfilter\nready nf_nat\nready nf_tables"
    changes = {"kernel": f"CONFIG_NET=y\nCONFIG_VETH=m\n{ready}"}
    assert told(visitor, "pi5", "pi51", "kernel", changes=changes) == [
        "error: modules are not on the disk: veth | "
        "reboot: the kernel was upgraded since the machine started"
    ]
    (line,) = told(visitor, "sandbox", "pi51", "kernel", site="sandbox", changes=changes)
    assert line.endswith("| `sudo modprobe -a veth` on the computer that it shares its kernel with")


def test_a_kernel_that_tells_nothing_is_a_note(visitor: Visitor) -> None:
    assert changed(visitor, "kernel", "ready overlay") == ["note kernel"]


@pytest.mark.parametrize(("ahead", "said"), [(37.5, "is 37 s ahead"), (-3600, "is 3600 s behind")])
def test_a_clock_that_is_off_is_an_error(visitor: Visitor, ahead: float, said: str) -> None:
    (line,) = told(visitor, "pi5", "pi51", "clock", ahead=ahead)
    assert line.startswith(f"error: {said} of this computer's: apt and TLS refuse")


def test_a_clock_that_is_a_little_off_is_none(visitor: Visitor) -> None:
    assert told(visitor, "pi5", "pi51", "clock", ahead=4) == []


def test_a_clock_that_nobody_keeps_is_mended(visitor: Visitor) -> None:
    assert told(visitor, "pi3", "pi31", "clock") == [f"note: follows no time server | {MENDED}"]


def test_docker_from_the_snap_store_is_an_error(visitor: Visitor) -> None:
    text = "Docker version 28.4.0, build d8eb465\nsnap=yes"
    assert changed(visitor, "docker", text) == ["error docker"]


def test_dockers_other_package_is_a_warning(visitor: Visitor) -> None:
    (line,) = told(visitor, "orin-nano-r35", "orin0", "docker")
    assert line.startswith(
        "warning: Docker is the package docker.io; the bootstrap installs docker-ce"
    )


def test_docker_that_does_not_answer_is_started(visitor: Visitor) -> None:
    text = "Docker version 20.10.24+dfsg1, build 297e128\npackage=docker.io 20.10.24 installed"
    assert told(visitor, "pi5", "pi51", "docker", changes={"docker": text}) == [
        f"note: Docker 20.10.24+dfsg1 does not answer | {MENDED}"
    ]


def test_docker_28_cannot_publish_ports_on_a_jetson(visitor: Visitor) -> None:
    line, _ = told(visitor, "orin-nano-r36", "orin0", "docker")
    assert line == (
        "error: Docker 29.1.3 needs the kernel's IP_NF_RAW, which L4T 36.4.3 lacks: published "
        "ports fail | `sudo apt-get remove docker-ce`, then hearth bootstrap homelab installs "
        "27.5.1"
    )


def test_docker_that_the_bootstrap_pins_can(visitor: Visitor) -> None:
    assert told(visitor, "agx-r36", "agx0", "docker") == [
        f"note: Docker is not there; docker-ce 27.5.1 will be | {MENDED}"
    ]


def test_docker_28_without_a_pin_is_an_error_before_it_is_installed(visitor: Visitor) -> None:
    changes = {"docker": "candidate=28.2.2-0ubuntu1~18.04.1"}
    line, _ = told(visitor, "nano-r32", "nano", "docker", changes=changes)
    assert line.startswith("error: Docker 28.2.2 needs the kernel's IP_NF_RAW, which L4T 32.7.4")
    assert "pin 27.5.1" in line
    assert told(visitor, "nano-r32", "nano", "docker") == []


def test_docker_28_is_fine_where_the_kernel_has_the_table(visitor: Visitor) -> None:
    text = "Docker version 28.5.1, build 1\nserver=28.5.1 1.24\npackage=docker.io 28.5.1 installed"
    assert changed(visitor, "docker", text) == []


def test_docker_29_speaks_to_newer_clients_only(visitor: Visitor) -> None:
    text = "Docker version 29.1.3, build 1\nserver=29.1.3 1.44\npackage=docker.io 29.1.3 installed"
    (line,) = told(visitor, "pi5", "pi51", "docker", changes={"docker": text})
    assert line.startswith("note: Docker 29.1.3 speaks to no client older than API 1.44 | ")


def test_settings_that_services_need_are_mended(visitor: Visitor) -> None:
    assert told(visitor, "agx-r36", "agx0", "sysctl") == [
        f"note: vm.max_map_count is 65530, sonarqube needs 524288 | {MENDED}"
    ]
    assert told(visitor, "pi5-memory-on", "pi51", "sysctl") == []
    assert told(visitor, "nano-r32", "nano", "sysctl") == []


def test_a_setting_that_the_bootstrap_leaves_alone_is_a_warning(visitor: Visitor) -> None:
    low = "fs.file-max=65536\nvm.max_map_count=524288"
    assert told(visitor, "agx-r36", "agx0", "sysctl", changes={"sysctls": low}) == [
        "warning: fs.file-max is 65536, sonarqube needs 131072 | "
        "`sudo sysctl -w fs.file-max=131072`, and a file in /etc/sysctl.d"
    ]


def test_a_containers_settings_are_another_computers(visitor: Visitor) -> None:
    (line,) = told(visitor, "sandbox", "agx0", "sysctl", site="sandbox")
    assert line.startswith("note: vm.max_map_count is 65530, sonarqube needs 524288 | ")
    assert line.endswith("on the computer that it shares its kernel with")


def test_a_port_that_another_program_holds_is_an_error(visitor: Visitor) -> None:
    # An Ollama that was there before ours, where other machines are to reach ours.
    place = services(ollama={"port": 11435, "clients": ["pi51"]})
    assert told(visitor, "orin-nano-r36", "orin0", "ports", place=place) == [
        "error: port 11435 of ollama is taken by ollama | look there with "
        "`sudo ss -ltnp 'sport = :11435'`; stop it, or give ollama another port in the site"
    ]


@pytest.mark.parametrize("process", ["dockerd", "docker-proxy"])
def test_a_port_that_docker_holds_is_our_own(visitor: Visitor, process: str) -> None:
    row = f'tcp LISTEN 0 4096 0.0.0.0:443 0.0.0.0:* users:(("{process}",pid=1,fd=3))'
    assert changed(visitor, "ports", row) == []


def test_a_port_that_a_container_holds_on_its_machines_network_is_our_own(
    visitor: Visitor,
) -> None:
    row = 'tcp LISTEN 0 4096 192.168.1.147:9100 0.0.0.0:* users:(("node_exporter",pid=17,fd=3))'
    assert changed(visitor, "ports", f"{row}\ncontainer=17") == []
    assert changed(visitor, "ports", f"{row}\ncontainer=18") == ["error ports"]


def test_a_port_that_no_other_machine_uses_may_be_taken(visitor: Visitor) -> None:
    # The site's own Ollama there is used by the assistant beside it alone.
    assert told(visitor, "orin-nano-r36", "orin0", "ports") == []
    row = 'tcp LISTEN 0 4096 127.0.0.1:6379 0.0.0.0:* users:(("redis-server",pid=1,fd=3))'
    assert changed(visitor, "ports", row) == []


def test_a_holder_that_only_root_can_see_is_a_warning(visitor: Visitor) -> None:
    row = "tcp LISTEN 0 4096 0.0.0.0:443 0.0.0.0:*"
    assert changed(visitor, "ports", row) == ["warning ports"]


def test_a_port_of_one_protocol_may_be_taken_for_the_other(visitor: Visitor) -> None:
    assert changed(visitor, "ports", "udp UNCONN 0 0 0.0.0.0:443 0.0.0.0:*") == []


NAMES = services(**{"network-tools": {}})


def test_another_name_server_is_an_error_for_each_protocol(visitor: Visitor) -> None:
    holder = 'users:(("named",pid=1,fd=3))'
    rows = f"tcp LISTEN 0 10 *:53 *:* {holder}\nudp UNCONN 0 0 192.168.1.234:53 *:* {holder}"
    lines = told(visitor, "pi3", "pi31", "ports", place=NAMES, changes={"ports": rows})
    assert [line.partition(";")[0] for line in lines] == [
        "error: port 53 of network-tools is taken by named | "
        "look there with `sudo ss -ltnp 'sport = :53'`",
        "error: port 53/udp of network-tools is taken by named | "
        "look there with `sudo ss -lunp 'sport = :53'`",
    ]


def test_ubuntus_own_resolver_is_not_in_the_way_of_the_labs(visitor: Visitor) -> None:
    # It has port 53 of an address of the loopback; ours is published on the machine's own.
    assert told(visitor, "agx-r36", "agx0", "ports", place=NAMES) == []
    everywhere = services(redis={"port": 53, "clients": ["pi51"]})
    (line,) = told(visitor, "agx-r36", "agx0", "ports", place=everywhere)
    assert line.startswith("error: port 53 of redis is taken by systemd-resolve | ")


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("zone=cpu-thermal 79900\nthrottled=0x0", []),
        ("zone=cpu-thermal 80100\nthrottled=0x0", ["warning temperature"]),
        ("zone=cpu-thermal 60000\nthrottled=0x50005", ["error power"]),
        ("zone=cpu-thermal 60000\nthrottled=0x50000", ["warning power"]),
        ("zone=cpu-thermal 60000\nthrottled=0x80008", ["warning power"]),
        ("zone=cpu-thermal 60000\nthrottled=0xe0000", []),
    ],
)
def test_heat_and_power_are_what_the_board_says(
    visitor: Visitor, said: str, found: list[str]
) -> None:
    assert changed(visitor, "board", said) == found


def test_a_clusters_own_programs_have_its_ports_and_others_do_not(visitor: Visitor) -> None:
    listens = 'tcp   LISTEN 0 4096 *:6443 *:* users:(("{}",pid=7,fd=3))'
    found = {
        process: told(
            visitor,
            "sandbox",
            "master01",
            "ports",
            site="fixai",
            changes={"ports": listens.format(process)},
        )
        for process in ("kube-apiserver", "nginx")
    }
    assert found["kube-apiserver"] == []
    assert found["nginx"][0].startswith("error: port 6443 of control-plane is taken by nginx")


def test_docker_on_a_clusters_machine_is_a_warning_and_none_is_no_finding(visitor: Visitor) -> None:
    (line,) = told(visitor, "sandbox", "master01", "docker", site="fixai")
    assert line.startswith("warning: Docker is there: it drops packets")
    assert "`sudo apt-get remove docker.io`" in line
    absent = {"docker": "candidate=20.10.24+dfsg1-1"}
    assert told(visitor, "sandbox", "master01", "docker", site="fixai", changes=absent) == []
