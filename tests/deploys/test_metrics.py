"""What a machine tells about itself: the script, run for real on a machine made of files."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from inventory.paths import PROJECT

SCRIPT = PROJECT / "deploys" / "scripts" / "hearth-metrics.sh"
IMAGE = f"sha256:{'5' * 64}"
LISTED = f"""\
pi51.nginx {IMAGE} running healthy
pi51.redis {IMAGE} running unhealthy
pi51.collector {IMAGE} running
pi51.engine {IMAGE} exited healthy
pi51.prometheus {IMAGE} running starting
"""


@dataclass(frozen=True, slots=True)
class Board:
    """A machine made of files.

    Attributes:
        root: what the script takes for /.
        programs: those that it finds beside the shell's own.
        shell: the command line's beginning.
        path: where the shell finds its own.
    """

    root: Path
    programs: Path
    shell: tuple[str, ...]
    path: str

    def file(self, path: str, text: str) -> None:
        """Puts a file on it."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def program(self, name: str, text: str) -> None:
        """Gives it a program."""
        place = self.programs / name
        place.write_text(f"#!/bin/sh\n{text}\n")
        place.chmod(0o755)

    def docker(self, listed: str = LISTED) -> Path:
        """Gives it a Docker with these containers; the file in which its calls are noted."""
        self.file("docker.said", listed)
        calls = self.root / "docker.calls"
        self.program(
            "docker",
            f'echo "$1" >>{calls}\n'
            f"case $1 in ps) [ ! -s {self.root}/docker.said ] || echo one two three;;\n"
            f"inspect) cat {self.root}/docker.said;; esac",
        )
        return calls

    @property
    def written(self) -> Path:
        """What node exporter reads."""
        return self.root / "var/lib/hearth/metrics/hearth.prom"

    def tell(self) -> dict[str, str]:
        """Runs the script; the samples that it wrote, by name and labels."""
        done = subprocess.run(
            [*self.shell, str(SCRIPT), "pi51"],
            env={"PATH": f"{self.programs}:{self.path}", "HEARTH_ROOT": str(self.root)},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        lines = self.written.read_text().splitlines()
        return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


@pytest.fixture(params=["sh", "dash", "busybox"])
def board(request: pytest.FixtureRequest, tmp_path: Path) -> Board:
    """A bare machine with one of the shells that boards have."""
    shell = shutil.which(request.param)
    if shell is None:
        pytest.skip(f"no {request.param} on PATH to run it")
    root, programs, path = tmp_path / "root", tmp_path / "programs", "/usr/bin:/bin"
    (root / "var/lib/hearth/metrics").mkdir(parents=True)
    programs.mkdir()
    command: tuple[str, ...] = (shell,)
    if request.param == "busybox":
        applets = tmp_path / "applets"
        applets.mkdir()
        subprocess.run([shell, "--install", "-s", str(applets)], check=True)
        path, command = str(applets), (str(applets / "sh"),)
    made = Board(root, programs, command, path)
    # This computer's own are not the board's.
    made.program("docker", "exit 127")
    made.program("vcgencmd", "exit 127")
    return made


def test_a_bare_machine_has_nothing_to_tell(board: Board) -> None:
    assert board.tell() == {}


def test_a_container_with_a_health_check_is_well_only_while_it_runs_and_passes(
    board: Board,
) -> None:
    board.docker()
    told = board.tell()
    healthy = {key: value for key, value in told.items() if key.startswith("hearth_container_h")}
    assert healthy == {
        'hearth_container_healthy{service="pi51.nginx"}': "1",
        'hearth_container_healthy{service="pi51.redis"}': "0",
        'hearth_container_healthy{service="pi51.engine"}': "0",
        'hearth_container_healthy{service="pi51.prometheus"}': "0",
    }


def test_the_image_of_what_runs_is_told(board: Board) -> None:
    board.docker()
    images = [key for key in board.tell() if key.startswith("hearth_container_image")]
    assert images == [
        f'hearth_container_image{{service="pi51.{name}",image="{IMAGE}"}}'
        for name in ("nginx", "redis", "collector", "prometheus")
    ]


def test_docker_is_asked_twice_whatever_it_runs(board: Board) -> None:
    calls = board.docker()
    board.tell()
    assert calls.read_text().split() == ["ps", "inspect"]
    calls.unlink()
    board.docker("")
    assert board.tell() == {}
    assert calls.read_text().split() == ["ps"]


def test_settings_are_told_by_one_digest_a_service(board: Board) -> None:
    files = {"nginx.conf": "events {}\n", "certificates/tls.crt": "a certificate\n"}
    for path, text in files.items():
        board.file(f"etc/hearth/services/nginx/{path}", text)
    lines = sorted(f"{hashlib.sha256(text.encode()).hexdigest()}  {p}" for p, text in files.items())
    digest = hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
    wanted = f'hearth_settings_digest{{service="pi51.nginx",digest="{digest}"}}'
    assert board.tell() == {wanted: "1"}

    board.file("etc/hearth/services/nginx/nginx.conf", "events { }\n")
    assert wanted not in board.tell()


def test_settings_on_their_way_are_not_a_services(board: Board) -> None:
    for name in ("nginx", "nginx.new", "nginx.old"):
        board.file(f"etc/hearth/services/{name}/nginx.conf", name)
    (told,) = board.tell()
    assert told.startswith('hearth_settings_digest{service="pi51.nginx",')


def test_without_docker_the_rest_is_told(board: Board) -> None:
    board.file("etc/hearth/services/nginx/nginx.conf", "events {}\n")
    (told,) = board.tell()
    assert told.startswith("hearth_settings_digest")


@pytest.mark.parametrize(("said", "weak"), [("0x50005", "1"), ("0x50000", "0"), ("0x0", "0")])
def test_a_raspberry_pi_tells_of_a_weak_supply_of_this_moment(
    board: Board, said: str, weak: str
) -> None:
    board.program("vcgencmd", f'[ "$1" = get_throttled ] && echo throttled={said}')
    assert board.tell() == {"hearth_undervoltage": weak}


def test_the_kernels_own_sensor_of_the_supply_comes_first(board: Board) -> None:
    board.program("vcgencmd", "echo throttled=0x0")
    board.file("sys/class/hwmon/hwmon0/name", "cpu_thermal\n")
    board.file("sys/class/hwmon/hwmon1/name", "rpi_volt\n")
    board.file("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")
    assert board.tell() == {"hearth_undervoltage": "1"}


def test_a_jetson_tells_about_its_gpu(board: Board) -> None:
    board.file("sys/class/devfreq/13e10000.host1x/device/of_node/name", "host1x\0")
    board.file("sys/class/devfreq/17000000.gpu/device/of_node/name", "gpu\0")
    board.file("sys/class/devfreq/17000000.gpu/device/load", "345\n")
    board.file("sys/class/devfreq/17000000.gpu/cur_freq", "1300500000\n")
    board.file("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
    board.file("sys/class/thermal/thermal_zone0/temp", "50000\n")
    board.file("sys/class/thermal/thermal_zone1/type", "gpu-thermal\n")
    board.file("sys/class/thermal/thermal_zone1/temp", "47562\n")
    for number, rail, millivolts, milliamperes in (
        (1, "VDD_GPU_SOC", 19832, 240),
        (2, "VDD_CPU_CV", 19800, 100),
    ):
        board.file(f"sys/class/hwmon/hwmon3/in{number}_label", f"{rail}\n")
        board.file(f"sys/class/hwmon/hwmon3/in{number}_input", f"{millivolts}\n")
        board.file(f"sys/class/hwmon/hwmon3/curr{number}_input", f"{milliamperes}\n")
    assert board.tell() == {
        "jetson_gpu_load_ratio": "0.345",
        "jetson_gpu_frequency_hertz": "1300500000",
        "jetson_gpu_temperature_celsius": "47.562",
        "jetson_gpu_power_watts": "4.75968",
    }


def test_jetpack_4_names_its_sensors_otherwise(board: Board) -> None:
    sensors = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    board.file("sys/class/devfreq/57000000.gpu/device/of_node/name", "gpu\0")
    board.file("sys/class/devfreq/57000000.gpu/device/load", "0\n")
    board.file("sys/class/thermal/thermal_zone2/type", "GPU-therm\n")
    board.file("sys/class/thermal/thermal_zone2/temp", "31500\n")
    for number, rail, milliwatts in ((0, "POM_5V_IN", 2000), (1, "POM_5V_GPU", 120)):
        board.file(f"{sensors}/rail_name_{number}", f"{rail}\n")
        board.file(f"{sensors}/in_power{number}_input", f"{milliwatts}\n")
    assert board.tell() == {
        "jetson_gpu_load_ratio": "0",
        "jetson_gpu_temperature_celsius": "31.5",
        "jetson_gpu_power_watts": "0.12",
    }


def test_a_sensor_that_sleeps_is_left_out(board: Board) -> None:
    board.file("sys/class/devfreq/17000000.gpu/device/of_node/name", "ga10b\0")
    board.file("sys/class/devfreq/17000000.gpu/cur_freq", "306000000\n")
    board.file("sys/class/thermal/thermal_zone1/type", "GPU-therm\n")
    # A folder in its place: it is there, and cannot be read.
    (board.root / "sys/class/thermal/thermal_zone1/temp").mkdir()
    assert board.tell() == {"jetson_gpu_frequency_hertz": "306000000"}


def test_everybody_can_read_it_and_nothing_is_left_beside_it(board: Board) -> None:
    left_behind = board.written.with_name("hearth.prom.Zk3d0s")
    left_behind.write_text("half")
    before = os.umask(0o077)
    try:
        board.tell()
    finally:
        os.umask(before)
    assert board.written.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in board.written.parent.iterdir()] == ["hearth.prom"]
    assert not left_behind.exists()


def test_every_metric_says_what_it_is(board: Board) -> None:
    board.docker()
    board.file("etc/hearth/services/nginx/nginx.conf", "events {}\n")
    names = {key.partition("{")[0] for key in board.tell()}
    lines = board.written.read_text().splitlines()
    assert {line.split()[2] for line in lines if line.startswith("# HELP ")} == names
    assert {line for line in lines if line.startswith("# TYPE ")} == {
        f"# TYPE {name} gauge" for name in names
    }
