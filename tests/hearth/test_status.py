"""What is told of a site's services is what their machines say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from hearth.status import SiteStatus, look, state_of
from inventory.loading import load

# `docker ps --format '{{json .}}'`, shortened to what is read.
ROWS = {
    "nginx": {"Names": "nginx", "State": "running", "Status": "Up 2 minutes (healthy)"},
    "engine": {"Names": "engine", "State": "running", "Status": "Up 2 minutes (unhealthy)"},
    "redis": {"Names": "redis", "State": "exited", "Status": "Exited (137) 5 seconds ago"},
}
FAKE_SSH = """#!/bin/sh
case " $* " in
    *" pi51 "*) cat {rows} ;;
    *" pi52 "*) exit 0 ;;
    *) echo "No route to host" >&2; exit 255 ;;
esac
"""


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SiteStatus:
    rows = tmp_path / "rows"
    rows.write_text("".join(json.dumps(row) + "\n" for row in ROWS.values()))
    (tmp_path / "ssh").write_text(FAKE_SSH.replace("{rows}", str(rows)))
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return look(load("sandbox"))


def states(found: SiteStatus) -> dict[str, str]:
    return {service.service: service.state for service in found.services}


def test_every_service_of_the_site_is_told_of(found: SiteStatus) -> None:
    assert list(states(found)) == [p.reference for p in load("sandbox").placements()]


@pytest.mark.parametrize(
    ("service", "state"),
    [
        ("pi51.nginx", "healthy"),
        ("pi51.engine", "unhealthy"),
        ("pi51.redis", "exited"),
        ("pi52.postgres", "missing"),
        ("agx0.ollama", "machine does not answer"),
    ],
)
def test_a_service_is_what_its_machine_says(found: SiteStatus, service: str, state: str) -> None:
    assert states(found)[service] == state


def test_one_that_is_not_well_is_an_exit_code(found: SiteStatus) -> None:
    assert found.exit_code == 1
    well = tuple(s for s in found.services if s.good)
    assert well
    assert SiteStatus("lab", well).exit_code == 0


def test_a_stand_in_is_never_called_real() -> None:
    site = load("sandbox")
    assert site.registry is not None
    registry = site.registry.model_copy(update={"simulated": ("nginx",)})
    simulated = site.model_copy(update={"registry": registry}).placement("pi51.nginx")
    assert simulated.simulated
    assert not site.placement("pi51.nginx").simulated


def test_the_counts_are_of_all_services(found: SiteStatus) -> None:
    assert sum(found.counts.values()) == len(found.services)
    assert found.document["counts"] == found.counts


def test_the_table_names_what_is_not_well(found: SiteStatus) -> None:
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    found.show(console)
    (line,) = [line for line in console.export_text().splitlines() if line.startswith("engine")]
    assert line.split() == ["engine", "pi51", "-", "real", "unhealthy"]


def test_a_port_of_udp_says_so(found: SiteStatus) -> None:
    ports = {service.service: service.ports for service in found.services}
    assert ports["pi31.network-tools"] == ("53", "53/udp")
    assert ports["pi51.nginx"] == ("80", "443", "3000")


def test_a_starting_container_is_not_well_yet() -> None:
    row = {"Status": "Up 3 seconds (health: starting)", "State": "running"}
    assert state_of(row) == "starting"
