"""What a machine tells about itself: a timer has it written to node exporter's textfile folder.

A script of sh, as no machine needs Python. It runs as root, reads Docker, the services' settings
and the board's sensors, and can write to its own folder only.
"""

from __future__ import annotations

from pathlib import Path

from pyinfra.api import deploy

from deploys.files import config_file
from deploys.units import running
from inventory.services import METRICS_ON_HOST
from templates import render

PROGRAM = "/usr/local/sbin/hearth-metrics"
SCRIPT = Path(__file__).parent / "scripts" / "hearth-metrics.sh"
SERVICE, TIMER = "hearth-metrics.service", "hearth-metrics.timer"
INTERVAL_SECONDS = 30


@deploy("Metrics")
def metrics(host_name: str) -> None:
    """Has the machine's metrics written every half a minute.

    Args:
        host_name: what the site calls the machine.
    """
    config_file("Metrics' script", PROGRAM, SCRIPT.read_text(), mode="755", validate="sh -n {}")
    config_file(
        "Metrics' unit",
        f"/etc/systemd/system/{SERVICE}",
        render(
            f"systemd/{SERVICE}.j2",
            program=PROGRAM,
            host=host_name,
            state=METRICS_ON_HOST.removeprefix("/var/lib/"),
        ),
        # The first run makes the folder, before a container looks into it.
        then=f"systemctl daemon-reload && systemctl start {SERVICE}",
    )
    config_file(
        "Metrics' timer",
        f"/etc/systemd/system/{TIMER}",
        render(f"systemd/{TIMER}.j2", seconds=INTERVAL_SECONDS),
        then=f"systemctl daemon-reload && systemctl try-restart {TIMER}",
    )
    running("Metrics are written", TIMER)
