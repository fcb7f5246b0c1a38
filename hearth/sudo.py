"""Sudo without a password for the vendor's user: what provisioning needs, granted once.

The password goes through ssh's standard input, never through a command line or a file.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from inventory.errors import HearthError
from inventory.model import Site
from inventory.ssh import write_ssh_config

PASSWORD_VARIABLE = "HEARTH_SUDO_PASSWORD"  # noqa: S105 - the variable's name
TIMEOUT_SECONDS = 30
GRANT = (
    "umask 0227; echo '{user} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{user}.new && "
    "visudo -qcf /etc/sudoers.d/{user}.new && "
    "mv /etc/sudoers.d/{user}.new /etc/sudoers.d/hearth-{user}"
)


def grant_where_needed(site: Site, hosts: Iterable[str], ask: Callable[[str], str]) -> list[str]:
    """Sees that the vendor's user has sudo without a password; returns where it was granted.

    Machines that do not answer are left to the deploy, which says why.

    Args:
        site: whose machines.
        hosts: their names.
        ask: gets the password from the person, given a prompt, where the environment has none.

    Raises:
        HearthError: the password is missing or wrong, with the machines; nothing was changed there.
    """
    with ThreadPoolExecutor(max_workers=16) as threads:
        names = list(hosts)
        answers = threads.map(lambda name: _on(site, name, "sudo -n true"), names)
        needy = [
            name
            for name, (code, text) in zip(names, answers, strict=True)
            if code == 1 and "password" in text
        ]
        if not needy:
            return []
        where = ", ".join(needy)
        password = os.environ.get(PASSWORD_VARIABLE) or ask(
            f"sudo password of {site.ssh.login_user} on {where}"
        )
        command = f"sudo -k -S -p '' sh -c \"{GRANT.format(user=site.ssh.login_user)}\""
        answers = threads.map(lambda name: _on(site, name, command, f"{password}\n"), needy)
        refused = [name for name, (code, _) in zip(needy, answers, strict=True) if code]
    if refused:
        raise HearthError(
            f"the sudo password of {site.ssh.login_user} is wrong on {', '.join(refused)}; "
            "nothing was changed there"
        )
    return needy


def _on(site: Site, host: str, command: str, typed: str = "") -> tuple[int, str]:
    """Runs a command as the vendor's user; its exit code and what it said."""
    ssh = ["ssh", "-F", str(write_ssh_config(site)), "-o", "BatchMode=yes"]
    try:
        done = subprocess.run(
            [*ssh, "-l", site.ssh.login_user, host, command],
            input=typed,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 255, "no answer"
    return done.returncode, done.stderr
