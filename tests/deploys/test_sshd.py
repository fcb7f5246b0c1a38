"""sshd takes keys only, and is asked for nothing that its version does not know."""

from __future__ import annotations

import pytest

from inventory.loading import load
from inventory.paths import PROJECT
from tests.deploys.record import Run

Runs = dict[str, Run]

SITE = load(str(PROJECT / "tests" / "sites" / "valid" / "boards.yaml"))
DROP_IN = "/etc/ssh/sshd_config.d/10-hearth.conf"
WHOLE = "/etc/ssh/sshd_config"
SINCE = {
    "mlkem768x25519-sha256": (9, 9),
    "sntrup761x25519-sha512@openssh.com": (8, 5),
    "curve25519-sha256": (7, 4),
    "curve25519-sha256@libssh.org": (6, 5),
    "diffie-hellman-group16-sha512": (7, 3),
    "diffie-hellman-group18-sha512": (7, 3),
    "aes256-gcm@openssh.com": (6, 2),
    "aes128-gcm@openssh.com": (6, 2),
    "aes256-ctr": (3, 7),
    "aes192-ctr": (3, 7),
    "aes128-ctr": (3, 7),
    "hmac-sha2-512-etm@openssh.com": (6, 2),
    "hmac-sha2-256-etm@openssh.com": (6, 2),
    "ssh-ed25519": (6, 5),
    "rsa-sha2-512": (7, 2),
    "rsa-sha2-256": (7, 2),
}
"""OpenSSH's release notes: the first version that has the algorithm."""
LISTS = ("KexAlgorithms", "Ciphers", "MACs", "HostKeyAlgorithms")


def settings(run: Run, host: str) -> dict[str, str]:
    """What sshd is told, by keyword."""
    files = run.files(host)
    (path,) = {DROP_IN, WHOLE} & files.keys()
    lines = [line for line in files[path].splitlines() if not line.startswith("#")]
    return dict(line.split(maxsplit=1) for line in lines)


@pytest.mark.parametrize("board", SITE.hosts)
def test_keys_only(bare: Run, board: str) -> None:
    said = settings(bare, board)
    refused = ("PasswordAuthentication", "KbdInteractiveAuthentication", "PermitRootLogin")
    assert [said[keyword] for keyword in refused] == ["no", "no", "no"]
    # Before OpenSSH 8.7 passwords by keyboard have a switch of their own, that is on by itself.
    assert said["ChallengeResponseAuthentication"] == "no"


@pytest.mark.parametrize("board", SITE.hosts)
def test_no_algorithm_is_newer_than_the_server(bare: Run, board: str) -> None:
    said = settings(bare, board)
    asked = {name for keyword in LISTS for name in said[keyword].split(",")}
    server = SITE.hosts[board].os_release.openssh
    assert {name for name in asked if SINCE[name] > server} == set()


@pytest.mark.parametrize("board", SITE.hosts)
def test_the_newest_key_exchange_that_a_server_has_comes_first(bare: Run, board: str) -> None:
    server = SITE.hosts[board].os_release.openssh
    newest = next(name for name in SINCE if SINCE[name] <= server)
    assert settings(bare, board)["KexAlgorithms"].startswith(f"{newest},")


@pytest.mark.parametrize("board", SITE.hosts)
def test_only_a_server_without_a_folder_for_additions_gets_a_whole_file(
    bare: Run, board: str
) -> None:
    path = WHOLE if board == "nano-r32" else DROP_IN
    assert {DROP_IN, WHOLE} & bare.files(board).keys() == {path}
    assert ("Subsystem" in settings(bare, board)) == (path == WHOLE)


def test_a_whole_file_keeps_what_the_distributions_has(bare: Run) -> None:
    said = settings(bare, "nano-r32")
    assert said["UsePAM"] == "yes"
    assert said["Subsystem"] == "sftp /usr/lib/openssh/sftp-server"


@pytest.mark.parametrize("board", SITE.hosts)
def test_settings_that_the_server_refuses_never_get_into_place(bare: Run, board: str) -> None:
    *_, placed = bare.commands(board, "sshd settings")
    (path,) = {DROP_IN, WHOLE} & bare.files(board).keys()
    new = f"{path}.hearth-new"
    check = f" && sshd -tf {new} && "
    assert placed.index(check) < placed.index(f"mv {new} {path}")
    assert bare.follow_up(board, "sshd settings") == "systemctl reload ssh"
