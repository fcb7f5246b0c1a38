"""Groups on version 1 and 2, against a tree of plain files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from inventory.errors import HearthError
from sandbox import cgroup
from sandbox.cgroup import Group, Usage

if TYPE_CHECKING:
    from pathlib import Path

LAB = "hearth.trial"
OWN_V1 = "4:memory:/session\n3:cpuset:/\n2:cpu,cpuacct:/\n9:name=systemd:/\n0::/\n"


@pytest.fixture
def first(tmp_path: Path) -> Group:
    """A group on a version 1 tree in which this process's own memory group is nested."""
    root = tmp_path / "cgroup"
    for name in ("memory/session", "cpuset", "cpu,cpuacct", "systemd", "unified"):
        (root / name).mkdir(parents=True)
    for name, value in {"cpuset.cpus": "0-1", "cpuset.mems": "0"}.items():
        (root / "cpuset" / name).write_text(f"{value}\n")
    (tmp_path / "own").write_text(OWN_V1)
    return Group(LAB, "pi51", root, tmp_path / "own")


@pytest.fixture
def second(tmp_path: Path) -> Group:
    """A group on a version 2 tree."""
    root = tmp_path / "cgroup"
    root.mkdir()
    (root / "cgroup.controllers").write_text("cpu io memory pids rdma\n")
    (tmp_path / "own").write_text("0::/user.slice/session-1.scope\n")
    return Group(LAB, "pi51", root, tmp_path / "own")


def fake_cpuset(first: Group) -> None:
    for folder in (first.root / "cpuset" / LAB, first.root / "cpuset" / LAB / "pi51"):
        folder.mkdir()
        (folder / "cpuset.cpus").write_text("\n")
        (folder / "cpuset.mems").write_text("\n")


def test_version_1_groups_lie_beneath_this_process_in_every_hierarchy(first: Group) -> None:
    fake_cpuset(first)

    made = {str(folder.relative_to(first.root)) for folder in first.create()}

    assert made == {
        "memory/session/hearth.trial/pi51",
        "cpuset/hearth.trial/pi51",
        "cpu,cpuacct/hearth.trial/pi51",
        "systemd/hearth.trial/pi51",
        "unified/hearth.trial/pi51",
    }


def test_version_1_hands_processors_down_so_that_a_process_may_join(first: Group) -> None:
    fake_cpuset(first)

    folder = next(made for made in first.create() if "cpuset" in made.parts)

    assert (folder / "cpuset.cpus").read_text() == "0-1\n"
    assert (folder / "cgroup.clone_children").read_text() == "1"


def test_version_1_limits_memory_and_cpu(first: Group) -> None:
    fake_cpuset(first)
    first.create()
    memory = first.root / "memory/session" / LAB / "pi51/memory.limit_in_bytes"
    quota = first.root / "cpu,cpuacct" / LAB / "pi51/cpu.cfs_quota_us"
    for file in (memory, quota):
        file.write_text("-1")

    first.limit(512 * 2**20, 0.5)

    assert memory.read_text() == "536870912"
    assert quota.read_text() == "50000"
    assert quota.with_name("cpu.cfs_period_us").read_text() == "100000"


def test_version_2_has_one_group_at_the_top_and_processes_within_it(second: Group) -> None:
    assert second.create() == [second.root / LAB / "pi51" / cgroup.FIRST]
    assert second.folders() == [second.root / LAB / "pi51"]


def test_version_2_hands_controllers_down_to_the_machine(second: Group) -> None:
    (joined,) = second.create()

    for folder in (second.root, second.root / LAB, second.root / LAB / "pi51"):
        assert (folder / "cgroup.subtree_control").read_text() == "+cpu +io +memory +pids"
    assert not (joined / "cgroup.subtree_control").exists()


def test_version_2_limits_memory_and_cpu(second: Group) -> None:
    second.create()
    folder = second.root / LAB / "pi51"

    second.limit(2**30, 1.5)

    assert (folder / "memory.max").read_text() == "1073741824"
    assert (folder / "cpu.max").read_text() == "150000 100000"


def test_version_2_counts_memory_without_idle_file_pages(second: Group) -> None:
    second.create()
    folder = second.root / LAB / "pi51"
    (folder / "memory.current").write_text("100\n")
    (folder / "memory.stat").write_text("anon 60\ninactive_file 30\n")
    (folder / "memory.max").write_text("max\n")

    assert second.usage() == Usage(used=70, limit=0)


def test_a_version_2_refusal_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(HearthError, match=r"cannot hand on the controllers \+cpu .* run on the"):
        cgroup.delegate(tmp_path / "absent", frozenset({"cpu"}))


def test_labs_are_found_wherever_an_earlier_run_made_them(first: Group) -> None:
    elsewhere = first.root / "memory/other-session" / LAB / "pi52"
    elsewhere.mkdir(parents=True)

    assert cgroup.groups(LAB, first.root) == {"pi52"}
    assert cgroup.groups("hearth.other", first.root) == set()


def test_processes_of_nested_groups_count_as_the_machines(second: Group) -> None:
    (first,) = second.create()
    nested = first.parent / "machine/payload/docker"
    nested.mkdir(parents=True)
    (first / "cgroup.procs").write_text("10\n")
    (nested / "cgroup.procs").write_text("11\n12\n")

    assert second.pids() == {10, 11, 12}


def test_removing_takes_nested_groups_first(tmp_path: Path) -> None:
    (tmp_path / "lab/pi51/payload").mkdir(parents=True)

    cgroup.remove_groups(tmp_path / "lab")

    assert not (tmp_path / "lab").exists()
