"""sshd: keys only, modern algorithms, room for tools that open many sessions."""

from __future__ import annotations

from pyinfra.api import deploy

from deploys.files import config_file
from inventory.hardware import OsRelease
from templates import render

DROP_INS = (8, 2)
POST_QUANTUM = ((9, 9, "mlkem768x25519-sha256"), (8, 5, "sntrup761x25519-sha512@openssh.com"))
KEY_EXCHANGES = (
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
)


def settings(release: OsRelease) -> str:
    """The settings that a release's server takes; an unknown name would keep it from starting."""
    newer = [name for *since, name in POST_QUANTUM if release.openssh >= tuple(since)]
    return render(
        "sshd/hearth.conf.j2",
        key_exchanges=[*newer, *KEY_EXCHANGES],
        drop_in=release.openssh >= DROP_INS,
    )


@deploy("sshd")
def keys_only(release: OsRelease) -> None:
    """Puts the settings in place; sessions that are open stay open."""
    # Before OpenSSH 8.2 there is no folder for additions: the file is replaced.
    drop_in = "/etc/ssh/sshd_config.d/10-hearth.conf"
    path = drop_in if release.openssh >= DROP_INS else "/etc/ssh/sshd_config"
    config_file(
        "sshd settings",
        path,
        settings(release),
        validate="mkdir -p /run/sshd && sshd -tf {}",
        then="systemctl reload ssh",
    )
