"""The language models that a site places: which are there, and fetching those that are not."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import groupby

from rich.console import Console
from rich.table import Table

from hearth.processes import stream
from hearth.remote import ask_all, ssh
from inventory.errors import HearthError
from inventory.model import Placement, Site
from inventory.ssh import write_ssh_config
from inventory.units import format_size

PRESENT, MISSING, UNKNOWN = "present", "missing", "no answer"
_SHARE = re.compile(r"pulling (\w+).*?(\d+)%")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A model where the site places it.

    Attributes:
        service: `host.service`.
        model: as Ollama names it.
        size_bytes: on disk, about.
        state: `present`, `missing`, or `no answer` where Ollama does not run.
    """

    service: str
    model: str
    size_bytes: int
    state: str


def look(site: Site) -> list[ModelStatus]:
    """Asks every Ollama at once; in the order of the site, most used models first."""
    return [
        ModelStatus(placement.reference, name, model.size_bytes, _state(there, name))
        for placement, there in _held(site)
        for name, model in placement.models.items()
    ]


def pull(
    site: Site, missing: Collection[ModelStatus], progress: Callable[[str], None]
) -> list[ModelStatus]:
    """Has each Ollama fetch what it lacks, one model after the other, all machines side by side.

    What was fetched before a run that was cut off is not fetched again.

    Args:
        site: whose models they are.
        missing: what to fetch, in this order.
        progress: hears of each per cent.

    Raises:
        HearthError: with every model that could not be fetched, and why.
    """
    queues = [list(models) for _, models in groupby(missing, key=lambda model: model.service)]
    with ThreadPoolExecutor(max_workers=max(len(queues), 1)) as threads:
        faults = [*threads.map(lambda queue: _pull_each(site, queue, progress), queues)]
    if said := [line for lines in faults for line in lines]:
        shown = "\n".join(f"    {line}" for line in said)
        raise HearthError(
            f"models of {site.name}: {len(said)} could not be fetched\n{shown}\n"
            f"look at the machines' way to the internet, then run `hearth models {site.name} "
            "--pull`: it continues"
        )
    return list(missing)


def show(models: Collection[ModelStatus], out: Console) -> None:
    """Prints a table."""
    table = Table(box=None, pad_edge=False)
    for heading in ("service", "model", "size", "is"):
        table.add_column(heading)
    for model in models:
        state = model.state if model.state == PRESENT else f"[red]{model.state}[/red]"
        table.add_row(model.service, model.model, format_size(model.size_bytes), state)
    out.print(table)


def document(site: Site, models: Collection[ModelStatus]) -> dict[str, object]:
    """For scripts."""
    return {"site": site.name, "models": [asdict(model) for model in models]}


def _held(site: Site) -> Iterator[tuple[Placement, set[str] | None]]:
    """Each service that holds models, with what it has; None where it does not answer."""
    holders = [p for p in site.placements() if p.provisioned and p.models]
    config = write_ssh_config(site)
    by_name: dict[str, list[str]] = {}
    for placement in holders:
        by_name.setdefault(placement.name, []).append(placement.host_name)
    answers = {
        f"{host}.{name}": said
        for name, hosts in by_name.items()
        for host, said in ask_all(config, hosts, f"docker exec {name} ollama list").items()
    }
    for placement in holders:
        said = answers[placement.reference]
        yield placement, None if said is None else set(_listed(said))


def _listed(said: str) -> Iterator[str]:
    """The names in a table of `ollama list`."""
    for line in said.splitlines()[1:]:
        yield line.split()[0]


def _state(there: set[str] | None, name: str) -> str:
    if there is None:
        return UNKNOWN
    return PRESENT if (name if ":" in name else f"{name}:latest") in there else MISSING


def _pull_each(
    site: Site, queue: Collection[ModelStatus], progress: Callable[[str], None]
) -> list[str]:
    """Fetches a machine's models; what went wrong, by model."""
    faults = []
    for model in queue:
        host, _, service = model.service.partition(".")
        command = f"docker exec {service} ollama pull {model.model}"
        done = stream(
            ssh(write_ssh_config(site), host, command),
            {},
            _Percent(f"{host}: {model.model}", progress),
        )
        if done.code:
            fault = _fault(done.output) or f"exit code {done.code}"
            faults.append(f"{model.service}  {model.model}: {fault}")
    return faults


def _fault(said: str) -> str:
    """What Ollama says is wrong, among the bars that it draws."""
    lines = [line.strip() for line in _ANSI.sub("\n", said).splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("Error")), "") or "".join(lines[-1:])


@dataclass(slots=True)
class _Percent:
    """Hands on how far a download is, once for each per cent."""

    what: str
    progress: Callable[[str], None]
    said: str = ""

    def __call__(self, line: str) -> None:
        found = _SHARE.search(_ANSI.sub("", line))
        if found and found[0] != self.said:
            self.said = found[0]
            self.progress(f"{self.what} {found[2]} %")
