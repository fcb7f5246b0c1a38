"""Exposure: what is open is held to the declared flows; probes tell open from closed."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import threading
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inventory.flows import flows_into
from smoke import dial
from smoke.access import Access
from smoke.probe import Sight, Target, from_host, from_outside, host_script, read_target
from smoke.suites import exposure
from smoke.verdict import overall

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from inventory.model import Site
    from smoke.verdict import Check

OPERATOR = IPv4Address("192.168.1.250")
STRANGER = IPv4Address("203.0.113.7")
LOOPBACK = IPv4Address("127.0.0.1")
DATA, AGX = IPv4Address("192.168.1.247"), IPv4Address("192.168.1.154")
GATEWAY = IPv4Address("192.168.1.147")


def as_declared(site: Site, source: IPv4Address) -> frozenset[Target]:
    return frozenset(
        Target(host.address, flow.port, flow.protocol)
        for name, host in site.hosts.items()
        for flow in flows_into(site, name)
        if any(source in network for network in flow.sources)
    )


def as_declared_inside(site: Site) -> dict[str, Sight]:
    return {
        name: Sight(as_declared(site, host.address) & set(exposure.inside_targets(site, name)))
        for name, host in site.hosts.items()
    }


def outside(site: Site, opened: frozenset[Target]) -> dict[str, Check]:
    checks = exposure.judge_outside(site, OPERATOR, Sight(opened))
    return {check.name.partition(":")[0]: check for check in checks}


def inside(site: Site, seen_by: Mapping[str, Sight], port: int, host: str = "pi52") -> Check:
    checks = exposure.judge_inside(site, seen_by)
    return next(c for c in checks if c.name.startswith(f"{host}: ") and f"({port})" in c.name)


def test_what_is_declared_and_no_more_passes(site: Site) -> None:
    checks = outside(site, as_declared(site, OPERATOR))
    assert checks["pi51"].figure == "22, 80, 443, 3000"
    assert {check.verdict for check in checks.values()} == {"pass"}
    assert overall(exposure.judge_inside(site, as_declared_inside(site))) == "pass"


@pytest.mark.parametrize("port", [2375, 5432, 8000])
def test_a_port_that_is_open_and_not_declared_fails(site: Site, port: int) -> None:
    checks = outside(site, as_declared(site, OPERATOR) | {Target(DATA, port)})
    assert checks["pi52"].verdict == "fail"
    assert checks["pi52"].detail == f"open but not declared: {port}"
    assert checks["pi51"].verdict == "pass"


def test_a_declared_port_that_is_closed_fails(site: Site) -> None:
    checks = outside(site, as_declared(site, OPERATOR) - {Target(GATEWAY, 443)})
    assert checks["pi51"].detail == "declared but closed: 443"


def test_ssh_is_open_to_management_only(site: Site) -> None:
    seen = Sight(as_declared(site, OPERATOR))
    verdicts = {c.verdict for c in exposure.judge_outside(site, STRANGER, seen)}
    assert verdicts == {"fail"}


@pytest.mark.parametrize("source", [OPERATOR, STRANGER])
def test_what_is_for_a_network_is_not_judged_from_an_unknown_address(
    site: Site, source: IPv4Address
) -> None:
    checks = exposure.judge_outside(site, None, Sight(as_declared(site, source)))
    assert {check.verdict for check in checks} == {"pass"}


def test_a_host_that_is_no_client_and_gets_in_fails(site: Site) -> None:
    seen = as_declared_inside(site)
    seen["pi41"] = Sight(seen["pi41"].opened | {Target(DATA, 5432)})
    check = inside(site, seen, 5432)
    assert (check.verdict, check.detail) == ("fail", "not a client, yet let in: pi41")


def test_a_client_that_is_shut_out_fails(site: Site) -> None:
    seen = as_declared_inside(site)
    seen["agx0"] = Sight(seen["agx0"].opened - {Target(DATA, 6379)})
    check = inside(site, seen, 6379)
    assert (check.verdict, check.detail) == ("fail", "a client, yet shut out: agx0")
    assert inside(site, seen, 5432).verdict == "pass"


def test_the_labs_api_answers_the_gateway_only(site: Site) -> None:
    seen = as_declared_inside(site)
    assert inside(site, seen, 8200, "agx0").target == "pi51"
    seen["pi31"] = Sight(frozenset({Target(AGX, 8200)}))
    assert inside(site, seen, 8200, "agx0").verdict == "fail"


def test_the_models_answer_no_other_machine(site: Site) -> None:
    assert Target(AGX, 11434) not in as_declared(site, GATEWAY)
    checks = exposure.judge_outside(site, GATEWAY, Sight(as_declared(site, GATEWAY)))
    assert {check.verdict for check in checks} == {"pass"}
    opened = as_declared(site, GATEWAY) | {Target(AGX, 11434)}
    failed = [c for c in exposure.judge_outside(site, GATEWAY, Sight(opened)) if c.detail]
    assert "open but not declared: 11434" in [check.detail for check in failed]


def test_a_host_that_cannot_be_asked_is_inconclusive(site: Site) -> None:
    seen = as_declared_inside(site) | {"agx0": Sight(fault="ssh: exit 255 (timed out)")}
    checks = exposure.judge_inside(site, seen)
    assert overall(checks) == "inconclusive"
    assert inside(site, seen, 5432).verdict == "inconclusive"
    assert inside(site, seen, 5432).detail == "not asked: agx0"
    assert checks[-1].detail == "ssh: exit 255 (timed out)"


def test_a_probe_that_does_not_run_is_inconclusive(site: Site) -> None:
    (check,) = exposure.judge_outside(site, OPERATOR, Sight(fault="nsenter: exit 1"))
    assert (check.verdict, check.detail) == ("inconclusive", "nsenter: exit 1")


def test_a_network_that_accepts_everything_proves_nothing(site: Site) -> None:
    (check,) = exposure.judge_outside(
        site, OPERATOR, Sight(frozenset(exposure.outside_targets(site)))
    )
    assert check.verdict == "inconclusive"
    assert check.detail == "something on the way accepts every connection, even to port 1"


def test_every_host_is_dialled_on_ports_that_tend_to_stand_open(site: Site) -> None:
    targets = exposure.outside_targets(site)
    for host in site.hosts.values():
        assert {
            Target(host.address, port) for port in (22, 2375, 5432, 6379, 11435, 9100)
        } <= targets


PI31 = IPv4Address("192.168.1.234")


def test_a_name_server_that_does_not_answer_fails(site: Site) -> None:
    names = Target(PI31, 53, "udp")
    checks = outside(site, as_declared(site, OPERATOR) - {names})
    assert checks["pi31"].detail == "declared but closed: 53/udp"
    seen = as_declared_inside(site)
    seen["agx0"] = Sight(seen["agx0"].opened - {names})
    check = next(c for c in exposure.judge_inside(site, seen) if "(53/udp)" in c.name)
    assert (check.verdict, check.detail) == ("fail", "a client, yet shut out: agx0")
    assert inside(site, seen, 53, "pi31").verdict == "pass"


def test_an_answer_over_udp_from_where_none_is_declared_fails(site: Site) -> None:
    checks = outside(site, as_declared(site, OPERATOR) | {Target(DATA, 123, "udp")})
    assert checks["pi52"].detail == "open but not declared: 123/udp"
    assert checks["pi31"].verdict == "pass"


def test_names_and_the_time_are_asked_of_every_host_and_no_other_port_of_udp(site: Site) -> None:
    asked = {target for target in exposure.outside_targets(site) if target.protocol == "udp"}
    hosts = site.hosts.values()
    assert asked == {Target(h.address, port, "udp") for h in hosts for port in (53, 123)}


def test_a_udp_port_for_which_no_question_is_known_is_not_judged(site: Site) -> None:
    host = site.hosts["pi31"]
    names = host.services["network-tools"].model_copy(update={"port": 5300})
    services = dict(host.services) | {"network-tools": names}
    moved = host.model_copy(update={"services": services})
    other = site.model_copy(update={"hosts": site.hosts | {"pi31": moved}})
    seen = as_declared_inside(other)
    check = next(c for c in exposure.judge_inside(other, seen) if "(5300/udp)" in c.name)
    assert check.verdict == "inconclusive"
    assert check.detail == "no question is known that a program at 5300/udp answers"
    assert inside(other, seen, 5300, "pi31").verdict == "pass"
    opened = as_declared(other, OPERATOR) & exposure.outside_targets(other)
    checks = exposure.judge_outside(other, OPERATOR, Sight(opened))
    assert next(c for c in checks if c.name.startswith("pi31")).figure == "22, 123/udp, 5300"


@pytest.mark.parametrize(
    ("port", "said", "is_one"),
    [
        (53, b"\x48\x54\x85\x80", True),
        (53, b"\x48\x54\x01\x00", False),
        (53, b"\x00\x54\x85\x80", False),
        (123, b"\x24\x0a\x00", True),
        (123, b"\x23\x00\x00", False),
        (123, b"", False),
    ],
)
def test_an_answer_is_told_from_other_packets(port: int, said: bytes, *, is_one: bool) -> None:
    assert dial.is_answer(port, said) is is_one


@contextmanager
def telling(said: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A UDP port that answers the question for the time with these bytes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        monkeypatch.setitem(dial.QUERIES, port, dial.QUERIES[123])

        def serve() -> None:
            while (got := server.recvfrom(512))[0] == dial.QUERIES[123]:
                server.sendto(said, got[1])

        thread = threading.Thread(target=serve)
        thread.start()
        yield port
        server.sendto(b"enough", server.getsockname())
        thread.join()


@pytest.mark.parametrize(("said", "opened"), [(b"\x24" + bytes(47), True), (bytes(48), False)])
def test_both_probes_tell_an_answer_over_udp(
    said: bytes, monkeypatch: pytest.MonkeyPatch, *, opened: bool
) -> None:
    with telling(said, monkeypatch) as port:
        assert asyncio.run(dial.dial([("127.0.0.1", port, "udp")])) == (
            [("127.0.0.1", port, "udp")] if opened else []
        )
    with telling(said, monkeypatch) as port:
        target = Target(LOOPBACK, port, "udp")
        done = subprocess.run(
            ["bash", "-s"], input=host_script([target]), capture_output=True, text=True, check=True
        )
        *lines, last = done.stdout.splitlines()
        assert last == "probed"
        assert {read_target(line) for line in lines} - {None} == ({target} if opened else set())


def test_a_silent_udp_port_is_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        monkeypatch.setitem(dial.QUERIES, port, dial.QUERIES[123])
        monkeypatch.setattr(dial, "TIMEOUT_S", 0.2)
        assert asyncio.run(dial.dial([("127.0.0.1", port, "udp")])) == []
    done = subprocess.run(
        ["bash", "-s"],
        input=host_script([Target(LOOPBACK, port, "udp")]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["probed"]


@contextmanager
def listening() -> Iterator[tuple[int, int]]:
    """A port that accepts and one that refuses."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        yield server.getsockname()[1], silent.getsockname()[1]


def test_the_outside_probe_tells_open_from_closed() -> None:
    with listening() as (opened, closed):
        access = Access("", Path("/dev/null"), connect_command=("env",))
        sight = asyncio.run(
            from_outside(access, [Target(LOOPBACK, opened), Target(LOOPBACK, closed)])
        )
    assert sight == Sight(frozenset({Target(LOOPBACK, opened)}))


def test_the_hosts_probe_tells_open_from_closed() -> None:
    with listening() as (opened, closed):
        script = host_script([Target(LOOPBACK, opened), Target(LOOPBACK, closed)])
        done = subprocess.run(
            ["bash", "-s"], input=script, capture_output=True, text=True, check=True
        )
    assert done.stdout.splitlines() == [f"127.0.0.1 {opened}", "probed"]


def test_a_host_that_ssh_does_not_reach_is_a_fault(tmp_path: Path) -> None:
    config = tmp_path / "ssh_config"
    config.write_text("Host *\n  HostName 127.0.0.1\n  Port 1\n")
    sight = asyncio.run(from_host(Access("", config), "pi51", [Target(LOOPBACK, 1)]))
    assert sight.fault.startswith("ssh: exit 255 (")


def test_a_prefix_that_does_not_exist_is_a_fault() -> None:
    access = Access("", Path("/dev/null"), connect_command=("no-such-program",))
    assert asyncio.run(from_outside(access, [])).fault.startswith("no-such-program: ")
