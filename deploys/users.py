"""The administrator that runs the lab: key only, sudo without a password, may use Docker."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO

from pyinfra import host
from pyinfra.api import FileUploadCommand, deploy, operation

from deploys.facts.account import Account, UserAccount
from deploys.files import config_file

SHELL = "/bin/bash"
GROUP = "docker"


@deploy("Administrator")
def administrator(user: str, public_key: str) -> None:
    """Makes the user, admits the key and nothing else, lets it use sudo and Docker."""
    _account(name=f"User {user} and its key", user=user, public_key=public_key)
    config_file(
        f"sudo for {user}",
        f"/etc/sudoers.d/{user}",
        f"{user} ALL=(ALL) NOPASSWD: ALL\n",
        mode="440",
        validate="visudo -qcf {}",
    )


@operation()
def _account(user: str, public_key: str) -> Iterator[object]:
    """Makes the account what it is to be, wherever it starts from."""
    found: UserAccount = host.get_fact(Account, user=user, group=GROUP)
    if GROUP not in found.all_groups:
        # Docker's own package makes the same system group; it has to be there first.
        yield f"groupadd --system {GROUP}"
    if not found.shell:
        yield f"useradd --create-home --shell {SHELL} --groups {GROUP} {user}"
    elif found.shell != SHELL or GROUP not in found.groups:
        yield f"usermod --shell {SHELL} --append --groups {GROUP} {user}"
    if found.keys == (public_key,) and found.keys_guarded:
        host.noop(f"the key of {user} is admitted")
        return
    new = f"/run/hearth-key-of-{user}"
    yield FileUploadCommand(StringIO(f"{public_key}\n"), new)
    yield (
        f"install -d -m 700 -o {user} -g {user} ~{user}/.ssh && "
        f"install -m 600 -o {user} -g {user} {new} ~{user}/.ssh/authorized_keys.new && "
        f"mv ~{user}/.ssh/authorized_keys.new ~{user}/.ssh/authorized_keys && rm -f {new}"
    )
