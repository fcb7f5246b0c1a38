"""Names: what the lab's name server is told, and what dnsmasq answers when it is told so."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.homelab.network import aliases, dnsmasq_files
from inventory.loading import load
from inventory.model import Site
from inventory.services import KINDS, SETTINGS
from tests import generate, udp
from tests.components.recorder import record_site
from tests.generate import Machine
from tests.ports import free_port

SERVER = "127.0.0.1"
SECONDS = 30


def test_the_gateway_and_what_only_one_machine_offers_have_names_of_their_own() -> None:
    found = aliases(load("homelab"))
    assert found["gateway"] == "pi51"
    assert found["postgres"] == "pi52"
    # Both have one, but nobody else reaches the gateway's.
    assert found["redis"] == "pi52"
    # Every machine has one, and which is meant nobody could tell.
    assert "collector" not in found
    assert "assistant" not in found
    # Nobody else reaches it.
    assert "pgadmin" not in found


def test_what_the_gateway_hands_on_is_found_there() -> None:
    site = load("homelab")
    assert site.placement("pi41.grafana").published
    assert aliases(site)["grafana"] == "pi51"


def test_a_hosts_own_name_is_never_anothers() -> None:
    document = generate.site(
        [Machine("data", {"data2": {"kind": "redis", "clients": ["gateway"]}})]
    )
    document["hosts"]["data2"] = document["hosts"]["data1"] | {"address": "10.0.1.9"}
    found = aliases(Site.model_validate(document | {"routes": {}}))
    assert "data2" not in found
    assert "gateway" not in found


def test_a_planned_service_has_no_name() -> None:
    assert "sonarqube" not in aliases(load("homelab"))


def test_both_files_follow_the_sites_domain_and_router() -> None:
    site = load("homelab")
    network = site.network.model_copy(update={"domain": "home.arpa"})
    files = dnsmasq_files(site.model_copy(update={"network": network}))
    assert "192.168.1.154 agx0.home.arpa agx0\n" in files["hosts"]
    assert files["servers"].splitlines()[1:] == ["server=/home.arpa/", "server=192.168.1.1"]


def test_a_changed_name_is_a_signal_and_no_new_container() -> None:
    shape = KINDS["network-tools"].container
    assert shape is not None
    assert "kill -HUP 1" in shape.reload[-1]
    recording = record_site(load("homelab"))
    container = recording.of_type("Container")["pi31.network-tools"].inputs
    assert [label["label"] for label in container["labels"]] == ["hearth.service"]
    assert "kill -HUP 1" in recording.of_type("Files")["pi31.network-tools"].inputs["reload"]


def test_it_runs_as_nobody_and_may_do_nothing_special() -> None:
    container = record_site(load("homelab")).of_type("Container")["pi31.network-tools"].inputs
    assert container["user"] == "65534:65534"
    assert "adds" not in container["capabilities"]


@dataclass(frozen=True, slots=True)
class Running:
    """dnsmasq with the catalogue's own command, on a port of the loopback."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    def write(self, files: dict[str, str]) -> None:
        """Replaces its files."""
        for name, text in files.items():
            (self.folder / name).write_text(text)

    def address(self, name: str) -> list[str] | None:
        """What it says of a name."""
        return udp.resolve(SERVER, name, port=self.port)


def wait(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def dnsmasq(tmp_path: Path) -> Iterator[Running]:
    shape = KINDS["network-tools"].container
    if shape is None or shutil.which("dnsmasq") is None:
        pytest.skip("no dnsmasq on PATH to ask")
    port = free_port()
    for name, text in dnsmasq_files(load("homelab")).items():
        (tmp_path / name).write_text(text)
    command = ["dnsmasq", *(part.replace(SETTINGS, str(tmp_path)) for part in shape.command)]
    subprocess.run([*command, "--test"], check=True, capture_output=True)
    command += ["--keep-in-foreground", "--log-facility=-", f"--port={port}"]
    command += [f"--listen-address={SERVER}", "--bind-interfaces"]
    command += [f"--user={pwd.getpwuid(os.getuid()).pw_name}", "--group="]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        running = Running(tmp_path, port, process)
        wait(lambda: running.address("localhost") is not None)
        yield running
        process.terminate()


def test_it_answers_for_hosts_and_services_with_the_domain_and_without(dnsmasq: Running) -> None:
    for name, host in load("homelab").hosts.items():
        assert dnsmasq.address(f"{name}.lab") == dnsmasq.address(name) == [str(host.address)]
    assert dnsmasq.address("gateway.lab") == dnsmasq.address("grafana.lab") == ["192.168.1.147"]
    assert dnsmasq.address("postgres.lab") == ["192.168.1.247"]


def test_an_address_is_called_after_its_machine(dnsmasq: Running) -> None:
    assert udp.names_of(SERVER, "192.168.1.147", port=dnsmasq.port) == ["pi51.lab"]
    # And nobody is asked about one of a private network that it does not know.
    assert udp.names_of(SERVER, "192.168.1.99", port=dnsmasq.port) == []


def test_names_of_the_lab_are_asked_of_nobody_and_others_of_the_router(dnsmasq: Running) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as router:
        router.bind((SERVER, 0))
        router.settimeout(0.1)
        servers = dnsmasq_files(load("homelab"))["servers"]
        here = f"server={SERVER}#{router.getsockname()[1]}"
        dnsmasq.write({"servers": servers.replace("server=192.168.1.1", here)})
        dnsmasq.process.send_signal(signal.SIGHUP)
        # The signal takes effect a moment later: until then another router is asked.
        wait(lambda: dnsmasq.address("example.org") is None and "example" in _asked(router))
        # Nobody answers there: where it were asked about the lab, this would be None.
        assert dnsmasq.address("nothing.lab") == []


def _asked(router: socket.socket) -> str:
    """What a router was asked about; empty where it was not."""
    try:
        return router.recv(512).decode("latin-1")
    except TimeoutError:
        return ""


def test_a_changed_name_is_known_after_the_signal(dnsmasq: Running) -> None:
    site = load("homelab")
    moved = site.hosts["agx0"].model_copy(update={"address": "192.168.1.155"})
    changed = site.model_copy(update={"hosts": site.hosts | {"agx0": moved}})
    dnsmasq.write(dnsmasq_files(changed))
    dnsmasq.process.send_signal(signal.SIGHUP)
    wait(lambda: dnsmasq.address("agx0.lab") == ["192.168.1.155"])


def test_the_health_check_fails_where_nobody_answers(dnsmasq: Running) -> None:
    shape = KINDS["network-tools"].container
    if shutil.which("busybox") is None:
        pytest.skip("no busybox on PATH to ask with")
    assert shape is not None
    assert shape.health_check is not None
    command = list(shape.health_check.command)
    command.insert(2, f"-port={dnsmasq.port}")
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    dnsmasq.process.terminate()
    dnsmasq.process.wait()
    # Docker gives it no more time than this.
    limit = ["timeout", f"{shape.health_check.timeout.total_seconds():g}"]
    assert subprocess.run([*limit, *command], capture_output=True, check=False).returncode != 0
