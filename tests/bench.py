"""Times check, rendering and resource graph of 10, 100 and 1,000 hosts: `python -m tests.bench`.

Its figures go into build/bench.json. `ratio` compares the time per host with the tenfold
smaller site's: 1 is linear, more than that grows faster than the site.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from hearth.render import render_site
from inventory.loading import load
from tests import generate
from tests.components.recorder import record_site
from tests.figures import Figure, record

SIZES = (10, 100, 1000)
LIMITS = {"check 1000 hosts": 2.0, "graph 1000 hosts": 60.0}
"""In seconds; above it the run fails."""


def median_seconds(work: Callable[[], object], runs: int = 3) -> float:
    """How long the work takes."""
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def measure(hosts: int, folder: Path) -> dict[str, float]:
    """Seconds of each kind of work on a site of so many hosts, the gateway among them."""
    file = folder / f"{hosts}.yaml"
    file.write_text(yaml.safe_dump(generate.site(generate.machines(hosts - 1))))
    site = load(str(file))
    return {
        "check": median_seconds(lambda: load(str(file))),
        "render": median_seconds(lambda: render_site(site, folder / f"{hosts}")),
        "graph": median_seconds(lambda: record_site(site), runs=1 if hosts >= SIZES[-1] else 3),
    }


def figures(times: dict[int, dict[str, float]]) -> list[Figure]:
    """The times by kind of work and size, each beside the smaller site's."""
    found = []
    for work in times[SIZES[0]]:
        for smaller, hosts in zip((None, *SIZES), SIZES, strict=False):
            value = times[hosts][work]
            peer, ratio = None, None
            if smaller is not None:
                peer = f"{work} {smaller} hosts per host"
                ratio = round((value / hosts) / (times[smaller][work] / smaller), 2)
            found.append(Figure(f"{work} {hosts} hosts", round(value, 4), "s", peer, ratio))
    return found


def show(found: list[Figure], console: Console) -> None:
    """A row a figure."""
    table = Table(box=None, pad_edge=False)
    table.add_column("what")
    for heading in ("seconds", "per host, times the smaller site's"):
        table.add_column(heading, justify="right")
    for figure in found:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        table.add_row(figure.name, f"{figure.value:.3f}", ratio)
    console.print(table)


def main() -> int:
    """Measures, shows, records; 1 where a limit is not kept."""
    with tempfile.TemporaryDirectory() as folder:
        found = figures({hosts: measure(hosts, Path(folder)) for hosts in SIZES})
    console = Console(highlight=False)
    show(found, console)
    record(found)
    slow = [f for f in found if f.value > LIMITS.get(f.name, f.value)]
    for figure in slow:
        console.print(
            f"{figure.name}: {figure.value:.1f} s, over the limit ({LIMITS[figure.name]:g} s)"
        )
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
