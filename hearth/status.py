"""How a site's services are: what its machines' Docker engines say, beside what the site asks."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from hearth.remote import ask_all
from inventory.model import Placement, Site
from inventory.ssh import write_ssh_config
from inventory.units import format_port

_ASK = "docker ps --all --no-trunc --format '{{json .}}'"
PLANNED, MISSING, UNREACHABLE = "planned", "missing", "machine does not answer"
_GOOD = {"healthy", "running", PLANNED}
"""`running` is all that is known of a container without a health check."""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A service, as the site asks for it and as its machine says that it is.

    Attributes:
        service: `host.service`.
        ports: as other machines reach them, of UDP as `53/udp`; none where none has a reason to.
        reality: `real`; `simulated`, where a stand-in speaks its protocol; or `planned`.
        state: Docker's word for its health or state; `planned`, `missing`, or that its machine
            does not answer.
    """

    service: str
    machine: str
    ports: tuple[str, ...]
    reality: str
    state: str

    @property
    def good(self) -> bool:
        """Whether it is as it should be."""
        return self.state in _GOOD


@dataclass(frozen=True, slots=True)
class SiteStatus:
    """All services of a site, in its order."""

    site: str
    services: tuple[ServiceStatus, ...]

    @property
    def exit_code(self) -> int:
        """0 where every service that is provisioned is healthy, else 1."""
        return int(not all(service.good for service in self.services))

    @property
    def counts(self) -> dict[str, int]:
        """How many services are real, simulated and planned."""
        kinds = [service.reality for service in self.services]
        return {kind: kinds.count(kind) for kind in ("real", "simulated", PLANNED)}

    @property
    def document(self) -> dict[str, object]:
        """For scripts."""
        return {
            "site": self.site,
            "counts": self.counts,
            "services": [{**asdict(s), "good": s.good} for s in self.services],
        }

    def show(self, out: Console) -> None:
        """Prints a table, and the counts below it."""
        table = Table(box=None, pad_edge=False)
        for heading in ("service", "machine", "port", "is", "health"):
            table.add_column(heading)
        for service in self.services:
            ports = " ".join(service.ports) or "-"
            state = service.state if service.good else f"[red]{service.state}[/red]"
            shown = "-" if service.state == PLANNED else state
            table.add_row(
                service.service.partition(".")[2], service.machine, ports, service.reality, shown
            )
        out.print(table)
        out.print("\n" + ", ".join(f"{count} {kind}" for kind, count in self.counts.items()))


def look(site: Site) -> SiteStatus:
    """Asks every machine at once."""
    answers = ask_all(write_ssh_config(site), site.hosts, _ASK)
    found = {host: None if said is None else _containers(said) for host, said in answers.items()}
    return SiteStatus(site.name, tuple(_status(p, found[p.host_name]) for p in site.placements()))


def _containers(said: str) -> dict[str, str]:
    """A machine's containers: health, or state where there is none, by name."""
    rows = [json.loads(line) for line in said.splitlines()]
    return {row["Names"]: state_of(row) for row in rows}


def state_of(row: dict[str, str]) -> str:
    """`healthy`, `unhealthy`, `starting`, or Docker's state: a line of `docker ps` has both."""
    said = row["Status"]
    for word, state in (
        ("(healthy)", "healthy"),
        ("(unhealthy)", "unhealthy"),
        ("(health: starting)", "starting"),
    ):
        if word in said:
            return state
    return row["State"]


def _status(placement: Placement, containers: dict[str, str] | None) -> ServiceStatus:
    if not placement.provisioned:
        state = PLANNED
    elif containers is None:
        state = UNREACHABLE
    else:
        state = containers.get(placement.name, MISSING)
    return ServiceStatus(
        placement.reference,
        placement.host_name,
        tuple(format_port(*opening) for opening in placement.openings),
        PLANNED if state == PLANNED else "simulated" if placement.simulated else "real",
        state,
    )
