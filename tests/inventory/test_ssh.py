"""One ssh_config serves ssh, Docker and pyinfra."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from inventory.loading import load
from inventory.ssh import ssh_config


def asked(config: Path, host: str) -> dict[str, str]:
    """What ssh itself makes of the file."""
    command = ["ssh", "-G", "-F", str(config), host]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(line.split(" ", 1) for line in printed.splitlines() if " " in line)


@pytest.fixture
def config(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "ssh_config"
    path.write_text(ssh_config(load(request.param)))
    return path


@pytest.mark.parametrize("config", ["sandbox"], indirect=True)
def test_a_sandboxed_machine_is_reached_through_the_labs_namespace(config: Path) -> None:
    found = asked(config, "agx0")
    assert found["hostname"] == "192.168.1.154"
    assert found["user"] == "hearth"
    assert found["proxycommand"] == "nsenter --net=/run/netns/hearth.sandbox nc %h %p"
    assert found["stricthostkeychecking"] == "true"


@pytest.mark.parametrize("config", ["homelab"], indirect=True)
def test_a_real_board_is_reached_directly_and_without_passwords(config: Path) -> None:
    found = asked(config, "pi52")
    assert found["hostname"] == "192.168.1.247"
    assert "proxycommand" not in found
    assert found["stricthostkeychecking"] == "accept-new"
    assert found["passwordauthentication"] == "no"
