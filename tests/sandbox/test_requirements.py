"""What is lacking is told all at once, with the remedy."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from inventory.errors import HearthError
from sandbox import debian, network, requirements
from sandbox.plan import LabPlan, MachinePlan


def plan(name: str = "trial", machines: int = 2) -> LabPlan:
    """A lab that is never booted."""
    return LabPlan(
        name=name,
        network=IPv4Network("192.168.1.0/24"),
        router=IPv4Address("192.168.1.1"),
        operator=IPv4Address("192.168.1.250"),
        registry=IPv4Address("192.168.1.251"),
        registry_port=5000,
        machines=tuple(
            MachinePlan(f"m{number}", IPv4Address(f"192.168.1.{10 + number}"), 2**29, 0.5)
            for number in range(machines)
        ),
        forwards=(),
        authorized_key="ssh-ed25519 AAAA",
        login_user="debian",
        state=Path("/run/hearth/trial"),
        disks=Path("/var/lib/hearth/trial"),
    )


def test_a_lack_reads_as_subject_finding_and_remedy() -> None:
    lack = requirements.Lack("too little memory is free", "10 MiB", "free 300 MiB")

    assert str(lack) == "host: too little memory is free (10 MiB); free 300 MiB"


def test_everything_missing_is_told_in_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == "nc" else tool)
    monkeypatch.setattr(requirements, "raise_inotify", lambda _: None)
    monkeypatch.setattr(debian, "KEYRING", Path("/"))

    with pytest.raises(HearthError) as caught:
        requirements.require(plan())

    assert str(caught.value).splitlines() == [
        "host: root is needed (user id 1000); run the command with sudo",
        "host: programs are missing (nc); install them: apt-get install netcat-openbsd",
    ]


def test_maven_is_needed_where_an_image_is_made_of_jars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == "mvn" else tool)
    monkeypatch.setattr(debian, "KEYRING", Path("/"))

    assert requirements.missing_packages(replace(plan(), images=("hearth/redis:sandbox",))) == []
    with_kafka = replace(plan(), images=("hearth/redis:sandbox", "hearth/kafka:sandbox"))
    assert requirements.missing_packages(with_kafka) == ["maven"]


def test_too_few_inotify_instances_come_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "limit").write_text("70\n")
    monkeypatch.setattr(requirements, "INOTIFY", tmp_path / "limit")
    monkeypatch.setattr(requirements, "free_memory", lambda: 2**40)
    monkeypatch.setattr(requirements, "DISK_BYTES", 0)

    (lack,) = requirements.check_room(plan())

    assert str(lack) == (
        "host: too few inotify instances (70 of 82); "
        "allow more: sysctl fs.inotify.max_user_instances=1024"
    )


def test_inotify_is_raised_where_that_is_allowed(tmp_path: Path) -> None:
    limit = tmp_path / "limit"
    limit.write_text("128\n")

    requirements.raise_inotify(plan(), limit)

    assert limit.read_text() == "1024"


def test_a_generous_inotify_limit_is_left_alone(tmp_path: Path) -> None:
    limit = tmp_path / "limit"
    limit.write_text("8192\n")

    requirements.raise_inotify(plan(), limit)

    assert limit.read_text() == "8192\n"


@pytest.mark.parametrize(
    "sources",
    [
        "deb http://other.example/x bookworm-tools main\n"
        "deb [arch=amd64] http://m.example/d bookworm main",
        "Types: deb\nURIs: http://other.example/x\nSuites: nodistro\n\n"
        "Types: deb\nURIs: http://m.example/d\nSuites: bookworm bookworm-updates\n",
    ],
)
def test_the_mirror_is_the_one_of_the_hosts_own_release(sources: str) -> None:
    assert debian.mirror_in(sources, "bookworm") == "http://m.example/d"


def test_a_host_of_another_kind_has_no_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEARTH_DEBIAN_MIRROR", raising=False)
    (tmp_path / "os-release").write_text('ID=ubuntu\nVERSION_CODENAME="noble"\n')

    assert debian.mirror(tmp_path, tmp_path / "os-release") is None


def test_a_lab_is_not_mistaken_for_one_whose_name_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "NAMESPACES", tmp_path)
    for name in ("hearth.trial", "hearth.trial.m0", "hearth.trial-2", "hearth.trial-2.m0"):
        (tmp_path / name).touch()

    assert network.names(plan()) == ["hearth.trial.m0", "hearth.trial"]


def test_a_name_that_would_blur_labs_is_refused() -> None:
    with pytest.raises(HearthError, match=r"a name may not be written so \(trial\.m0\)"):
        plan("trial.m0")


def test_ports_have_names_that_fit_an_interface() -> None:
    assert {len(network.port(machine)) <= 15 for machine in plan().machines} == {True}
