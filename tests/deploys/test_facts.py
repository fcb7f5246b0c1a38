"""What boards print is understood: `recorded/` has what the facts' commands print on each.

The sandbox's is its own; the boards' have the values of published boards in their true forms.
"""

from __future__ import annotations

import pytest

from inventory.units import GIB, KIB, MIB
from tests.deploys.conftest import Answer, Visitor

BOARDS = {
    "pi5": "pi51",
    "pi5-memory-on": "pi51",
    "pi4": "pi41",
    "pi3": "pi31",
    "agx-r36": "agx0",
    "agx-r35": "agx0",
    "orin-nano-r36": "orin0",
    "orin-nano-r35": "orin0",
    "nano-r32": "nano",
    "sandbox": "pi51",
}


def facts(visitor: Visitor, board: str, /, **changes: str) -> Answer:
    """What is read from a board, with some of its answers changed."""
    read: Answer = visitor(board, BOARDS[board], changes=changes)["facts"]
    return read


def listener(port: int, address: str, process: str, protocol: str = "tcp") -> Answer:
    """A program that waits for somebody; no address is all of them."""
    return {
        "port": port,
        "protocol": protocol,
        "address": address,
        "process": process,
        "contained": False,
    }


@pytest.mark.parametrize("board", BOARDS)
def test_every_fact_of_every_board_can_be_read(visitor: Visitor, board: str) -> None:
    read = facts(visitor, board)
    assert read.pop("unreachable") is None
    assert [name for name, value in read.items() if value is None] == []


@pytest.mark.parametrize(
    ("board", "version", "memory", "switched_off"),
    [
        ("pi5", 2, False, True),
        ("pi5-memory-on", 2, True, False),
        ("pi4", 2, False, True),
        ("agx-r36", 2, True, False),
        ("agx-r35", 1, True, False),
        ("nano-r32", 1, True, False),
        ("sandbox", 1, True, False),
    ],
)
def test_memory_limits_work_or_not_in_both_versions(
    visitor: Visitor, *, board: str, version: int, memory: bool, switched_off: bool
) -> None:
    expected = {"version": version, "memory": memory, "switched_off": switched_off}
    assert facts(visitor, board)["cgroups"] == expected


def test_memory_is_the_kernels_or_a_containers_share_of_it(visitor: Visitor) -> None:
    assert facts(visitor, "sandbox")["memory"]["total_bytes"] == 2 * GIB
    assert facts(visitor, "sandbox")["memory"]["available_bytes"] == 2 * GIB
    assert facts(visitor, "nano-r32")["memory"] == {
        "total_bytes": 2_027_284 * KIB,
        "available_bytes": 1_402_904 * KIB,
        "swap_bytes": 1_013_632 * KIB,
    }
    unlimited = "MemTotal: 1024 kB\nMemAvailable: 512 kB\nSwapTotal: 0 kB\nlimit: max"
    assert facts(visitor, "sandbox", memory=unlimited)["memory"]["total_bytes"] == MIB


def test_space_is_that_of_the_system_and_of_dockers_data(visitor: Visitor) -> None:
    space = facts(visitor, "sandbox")["space"]
    assert space["root"]["mount"] == "/"
    assert space["data"] == {
        "mount": "/var/lib/docker",
        "size_bytes": 264_212_084 * KIB,
        "available_bytes": 72_799_676 * KIB,
    }


def test_kernel_features_are_built_in_loaded_or_can_be_loaded(visitor: Visitor) -> None:
    assert set(facts(visitor, "sandbox")["kernel"]["features"].values()) == {"ready"}
    assert set(facts(visitor, "pi5")["kernel"]["features"].values()) == {"module"}
    loaded = facts(visitor, "pi5-memory-on")["kernel"]["features"]
    assert loaded["overlay"] == "ready"
    assert loaded["iptable_raw"] == "module"


def test_jetson_kernels_lack_what_they_lack(visitor: Visitor) -> None:
    orin = facts(visitor, "agx-r36")["kernel"]["features"]
    assert [name for name, is_ in orin.items() if is_ == "absent"] == ["iptable_raw"]
    nano = facts(visitor, "nano-r32")["kernel"]["features"]
    assert [name for name, is_ in nano.items() if is_ == "absent"] == ["iptable_raw", "nf_tables"]


def test_a_kernel_whose_modules_are_gone_has_lost_them(visitor: Visitor) -> None:
    features = facts(visitor, "pi5", kernel="CONFIG_NET=y\nCONFIG_VETH=m")["kernel"]["features"]
    assert (features["veth"], features["bridge"]) == ("lost", "absent")


def test_a_kernel_that_tells_nothing_is_unknown_but_for_what_runs(visitor: Visitor) -> None:
    features = facts(visitor, "pi5", kernel="ready overlay\nready veth")["kernel"]["features"]
    assert (features["overlay"], features["veth"], features["bridge"]) == (
        "ready",
        "ready",
        "unknown",
    )


def test_modules_tell_where_no_configuration_can_be_read(visitor: Visitor) -> None:
    text = "ready bridge\nindexed\nmodule veth"
    features = facts(visitor, "pi5", kernel=text)["kernel"]["features"]
    assert (features["bridge"], features["veth"], features["nf_nat"]) == (
        "ready",
        "module",
        "absent",
    )


@pytest.mark.parametrize(
    ("told", "synchronized"),
    [
        ("epoch=1\ntimedatectl=yes", True),
        ("epoch=1\ntimedatectl=no", False),
        ("epoch=1\ntimedatectl=no\nchrony=Normal", True),
        ("epoch=1\nchrony=Not synchronised", False),
        ("epoch=1", None),
    ],
)
def test_the_clock_is_kept_by_whoever_says_so(
    visitor: Visitor, *, told: str, synchronized: bool | None
) -> None:
    assert facts(visitor, "pi5", clock=told)["clock"]["synchronized"] is synchronized


@pytest.mark.parametrize(
    ("asked", "told", "answered", "skew"),
    [(10, 10.5, 11, 0), (10, 10, 10, 0), (10, 17, 11, 6), (10, 4, 11, -6)],
)
def test_a_clock_is_off_by_what_the_visits_length_cannot_explain(
    visitor: Visitor, asked: float, told: float, answered: float, skew: float
) -> None:
    assert visitor.ask(call="skew", times=[asked, told, answered]) == skew


def test_docker_is_a_client_a_server_and_a_package(visitor: Visitor) -> None:
    assert facts(visitor, "orin-nano-r36")["docker"] == {
        "client": "29.1.3",
        "server": "29.1.3",
        "min_api": "1.44",
        "packages": {"docker-ce": "5:29.1.3-1~ubuntu.22.04~jammy"},
        "candidate": "28.2.2-0ubuntu1~22.04.1",
        "snap": False,
    }
    assert facts(visitor, "sandbox")["docker"]["packages"] == {
        "docker.io": "20.10.24+dfsg1-1+deb12u1+b6"
    }


def test_a_machine_without_docker_has_a_candidate_or_none(visitor: Visitor) -> None:
    docker = facts(visitor, "pi5")["docker"]
    assert (docker["client"], docker["server"], docker["packages"]) == ("", "", {})
    assert docker["candidate"].startswith("20.10.24")
    assert facts(visitor, "pi5", docker="candidate=(none)")["docker"]["candidate"] == ""


def test_dockers_snap_is_seen(visitor: Visitor) -> None:
    text = "Docker version 28.4.0, build d8eb465\nsnap=yes"
    docker = facts(visitor, "agx-r36", docker=text)["docker"]
    assert (docker["snap"], docker["client"]) == (True, "28.4.0")


def test_ports_have_their_processes_where_root_looked(visitor: Visitor) -> None:
    assert facts(visitor, "pi5")["ports"] == [
        listener(22, "", "sshd"),
        listener(631, "127.0.0.1", "cupsd"),
    ]
    assert facts(visitor, "pi3")["ports"] == [listener(22, "", "")]
    assert facts(visitor, "orin-nano-r36")["ports"][1:] == [
        listener(53, "127.0.0.53", "systemd-resolve"),
        listener(53, "127.0.0.53", "systemd-resolve", "udp"),
        listener(11435, "", "ollama"),
    ]


def test_ports_are_read_from_the_kernel_where_there_is_no_ss(visitor: Visitor) -> None:
    table = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17230 1
   1: 9301A8C0:0016 FA01A8C0:C4B2 01 00000000:00000000 02:000A9D4B 00000000     0        0 18121 2
  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
  614: 3500007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 17003 2
  615: EA01A8C0:A1B2 0101A8C0:007B 01 00000000:00000000 00:00000000 00000000   101        0 17009 2
  sl  local_address                         remote_address                        st tx_queue
  616: 00000000000000000000000001000000:14E9 00000000000000000000000000000000:0000 07 00000000"""
    assert facts(visitor, "pi5", ports=table)["ports"] == [
        listener(22, "", ""),
        listener(53, "127.0.0.53", "", "udp"),
        listener(5353, "00000000000000000000000001000000", "", "udp"),
        listener(8080, "127.0.0.1", ""),
    ]


@pytest.mark.parametrize(
    ("flags", "now", "since_boot"),
    [
        ("0x0", [], []),
        ("0x1", ["undervoltage"], []),
        ("0x50000", [], ["undervoltage", "throttled"]),
        ("0x50005", ["undervoltage", "throttled"], ["undervoltage", "throttled"]),
        ("0x80008", ["soft temperature limit"], ["soft temperature limit"]),
        ("0x20002", ["frequency capped"], ["frequency capped"]),
    ],
)
def test_a_raspberry_pis_complaints_have_names(
    visitor: Visitor, flags: str, now: list[str], since_boot: list[str]
) -> None:
    board = facts(visitor, "pi5", board=f"zone=cpu-thermal 47850\nthrottled={flags}")["board"]
    assert board == {"celsius": 47.85, "now": now, "since_boot": since_boot}


def test_the_temperature_is_the_processors_and_no_dead_sensors(visitor: Visitor) -> None:
    assert facts(visitor, "nano-r32")["board"]["celsius"] == 36.0
    assert facts(visitor, "agx-r36")["board"]["celsius"] == 48.281
    assert facts(visitor, "sandbox")["board"]["celsius"] is None


def test_what_cannot_be_read_is_none_and_the_rest_is_there(visitor: Visitor) -> None:
    read = facts(visitor, "pi5", memory="odd", space="odd")
    assert (read["memory"], read["space"]) == (None, None)
    assert read["access"] == {"user": "pi", "sudo": "yes"}


def test_errors_of_ssh_have_a_reason(visitor: Visitor) -> None:
    assert visitor.ask(call="reasons") == {
        "refused": "refused",
        "no route": "no route",
        "network": "no route",
        "timed out": "timed out",
        "authentication": "authentication",
        "host key": "host key",
        "banner": "other",
    }
