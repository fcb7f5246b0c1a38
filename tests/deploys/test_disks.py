"""A data disk is formatted only while it is empty, and is there before Docker writes."""

from __future__ import annotations

import pytest

from tests.deploys.record import Run

Runs = dict[str, Run]

HOST = "pi5-trixie"
DEVICE = "/dev/disk/by-id/nvme-hearth"
MKFS = f"mkfs.ext4 -q -L hearth-data {DEVICE}"
REFUSED = {
    "xfs": (
        f"{HOST}: {DEVICE} holds xfs, not ext4: it is left alone. If nothing on it is needed: "
        "`wipefs --all` it there, and run again"
    ),
    "partitions": (
        f"{HOST}: {DEVICE} holds partitions, not ext4: it is left alone. If nothing on it is "
        "needed: `wipefs --all` it there, and run again"
    ),
    "missing": (
        f"{HOST}: there is no disk {DEVICE}; see `lsblk -o NAME,SIZE,MODEL` there, and name it in "
        f"hosts.{HOST}.data_disk.device"
    ),
}


def test_an_empty_disk_is_formatted(runs: Runs) -> None:
    assert runs["disk, empty"].commands(HOST) == [MKFS]


def test_a_disk_with_a_file_system_of_ours_is_left_alone(runs: Runs) -> None:
    assert runs["ready"].commands(HOST) == []


@pytest.mark.parametrize("what", REFUSED)
def test_any_other_disk_is_refused_with_the_remedy(runs: Runs, what: str) -> None:
    assert runs[f"disk, {what}"].error == REFUSED[what]


@pytest.mark.parametrize("what", REFUSED)
def test_a_disk_is_refused_before_any_machine_is_touched(runs: Runs, what: str) -> None:
    assert runs[f"disk, {what}"].events == []


def test_a_disk_is_formatted_before_it_is_mounted(bare: Run) -> None:
    commands = bare.commands(HOST)
    assert commands.index(MKFS) < commands.index("systemctl start srv-hearth.mount")
    assert "systemctl enable srv-hearth.mount" in commands


def test_a_disk_is_mounted_by_its_own_name(bare: Run) -> None:
    unit = bare.files(HOST)["/etc/systemd/system/srv-hearth.mount"].splitlines()
    assert {f"What={DEVICE}", "Where=/srv/hearth", "Type=ext4"} <= set(unit)


def test_docker_never_starts_without_the_disk(bare: Run) -> None:
    wait = bare.files(HOST)["/etc/systemd/system/docker.service.d/data-disk.conf"]
    assert wait == "[Unit]\nRequiresMountsFor=/srv/hearth\n"


@pytest.mark.parametrize("later", ["Docker settings", "Packages are installed", "Docker runs"])
def test_the_disk_is_mounted_before_docker_writes_to_it(bare: Run, later: str) -> None:
    titles = bare.titles(HOST)
    assert titles.index("Data disk is mounted") < titles.index(later)


def test_systemd_knows_the_disk_before_it_is_mounted(bare: Run) -> None:
    assert bare.follow_up(HOST, "Data disk is known") == "systemctl daemon-reload"
    titles = bare.titles(HOST)
    assert titles.index("Data disk is known") < titles.index("Data disk is mounted")


def test_no_other_machine_has_a_disk_to_mount(bare: Run) -> None:
    with_disk = {event.host for event in bare.events if "srv-hearth" in event.command}
    assert with_disk == {HOST}
