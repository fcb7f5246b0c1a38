"""Each board gets the packages that it can run, and what was left half done is finished first."""

from __future__ import annotations

import pytest

from tests.deploys.record import Run

Runs = dict[str, Run]

ALWAYS = ["unattended-upgrades", "chrony"]
ORINS = {
    "agx-r35": "5:27.5.1-1~ubuntu.20.04~focal",
    "orin-nano-r35": "5:27.5.1-1~ubuntu.20.04~focal",
    "agx-r36": "5:27.5.1-1~ubuntu.22.04~jammy",
    "orin-nano-r36": "5:27.5.1-1~ubuntu.22.04~jammy",
}
OTHERS = {
    "pi5": ["docker.io", "nftables"],
    "pi5-trixie": ["docker.io", "docker-cli", "nftables"],
    "pi4": ["docker.io", "nftables", "systemd-zram-generator"],
    "pi4-trixie": ["docker.io", "docker-cli", "nftables"],
    "pi3": ["docker.io", "nftables", "systemd-zram-generator"],
    "nano-r32": ["docker.io", "iptables", "nvidia-container-runtime"],
}
FIRST = "dpkg --force-confdef --force-confold --configure -a"


@pytest.mark.parametrize("board", OTHERS)
def test_a_board_gets_its_distributions_docker(bare: Run, board: str) -> None:
    assert bare.packages(board) == ALWAYS + OTHERS[board]


@pytest.mark.parametrize(("board", "version"), ORINS.items())
def test_an_orin_gets_the_last_docker_that_its_kernel_can_run(
    bare: Run, board: str, version: str
) -> None:
    engine = [f"docker-ce={version}", f"docker-ce-cli={version}"]
    assert bare.packages(board) == [*ALWAYS, *engine, "nftables", "nvidia-container"]


def test_the_sandboxs_machines_get_the_same_whatever_they_play(runs: Runs) -> None:
    for place in ("pi5", "nano-r32"):
        assert runs["sandbox"].packages(place) == [*ALWAYS, "docker.io", "nftables"]


@pytest.mark.parametrize(("board", "version"), ORINS.items())
def test_an_orins_docker_is_pinned(bare: Run, board: str, version: str) -> None:
    assert bare.files(board)["/etc/apt/preferences.d/hearth-docker"].splitlines()[1:] == [
        "Package: docker-ce docker-ce-cli",
        f"Pin: version {version}",
        "Pin-Priority: 1001",
    ]


@pytest.mark.parametrize(("board", "version"), ORINS.items())
def test_an_orins_docker_comes_from_dockers_repository(bare: Run, board: str, version: str) -> None:
    suite = version.rpartition("~")[2]
    assert bare.files(board)["/etc/apt/sources.list.d/docker.list"] == (
        "deb [signed-by=/etc/apt/keyrings/docker.asc] "
        f"https://download.docker.com/linux/ubuntu {suite} stable\n"
    )


@pytest.mark.parametrize("board", ORINS)
def test_dockers_key_is_compared_before_its_packages_are_trusted(bare: Run, board: str) -> None:
    *_, comparison = bare.commands(board, "Key of Docker's repository")
    assert "sha256sum /etc/apt/keyrings/docker.asc" in comparison
    assert comparison.endswith("( echo 'SHA256 did not match!' && exit 1 )")
    titles = bare.titles(board)
    assert titles.index("Key of Docker's repository") < titles.index("Docker's repository")
    assert titles.index("Docker's package list") < titles.index("Packages are installed")


@pytest.mark.parametrize("board", ORINS)
def test_dockers_key_finds_its_folder(bare: Run, board: str) -> None:
    # Ubuntu 20.04 has none.
    commands = bare.commands(board)
    (put,) = (c for c in commands if c.startswith("mv ") and c.endswith("/keyrings/docker.asc"))
    before = commands[: commands.index(put)]
    assert any(c.startswith(("mkdir", "install -d")) and "/etc/apt/keyrings" in c for c in before)


@pytest.mark.parametrize("board", OTHERS)
def test_no_other_board_has_a_repository_or_a_pin_of_ours(bare: Run, board: str) -> None:
    assert [path for path in bare.files(board) if "docker.list" in path or "pref" in path] == []
    assert "Key of Docker's repository" not in bare.titles(board)


def test_packages_come_without_what_they_only_recommend_and_keep_settings(bare: Run) -> None:
    *_, command = bare.commands("pi5", "Packages are installed")
    assert command.startswith("DEBIAN_FRONTEND=noninteractive apt-get -y ")
    assert '--force-confdef" -o Dpkg::Options::="--force-confold" install --no-install' in command


def test_an_installation_that_was_cut_off_is_finished_first(runs: Runs) -> None:
    assert runs["touched"].commands("pi4") == [
        FIRST,
        "DEBIAN_FRONTEND=noninteractive apt-get install --fix-broken -y",
    ]


def test_apt_waits_for_others_and_tries_again(bare: Run) -> None:
    settings = bare.files("pi5")["/etc/apt/apt.conf.d/52hearth"].splitlines()
    assert {'DPkg::Lock::Timeout "60";', 'Acquire::Retries "3";'} <= set(settings)


def test_security_upgrades_come_daily_and_never_reboot_or_move_the_engine(bare: Run) -> None:
    daily = bare.files("pi5")["/etc/apt/apt.conf.d/20auto-upgrades"]
    assert daily == (
        'APT::Periodic::Update-Package-Lists "1";\nAPT::Periodic::Unattended-Upgrade "1";\n'
    )
    settings = bare.files("pi5")["/etc/apt/apt.conf.d/52hearth"].splitlines()
    assert {
        'Unattended-Upgrade::Automatic-Reboot "false";',
        'Unattended-Upgrade::Package-Blacklist { "docker"; "containerd"; "nvidia-"; };',
    } <= set(settings)
