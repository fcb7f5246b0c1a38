"""A user's account: asked about by name, as listing all users takes a second."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from pyinfra.api import FactBase


@dataclass(frozen=True, slots=True)
class UserAccount:
    """A user as a machine has it.

    Attributes:
        shell: its login shell; empty where there is no such user.
        groups: those that it is in.
        all_groups: those that the machine has, of the ones asked about.
        keys: the lines of its authorized_keys.
        keys_guarded: whether nobody else can read or write that file and its folder.
    """

    shell: str = ""
    groups: frozenset[str] = frozenset()
    all_groups: frozenset[str] = frozenset()
    keys: tuple[str, ...] = ()
    keys_guarded: bool = False


class Account(FactBase[UserAccount]):
    """Reads a user's account, and whether a group is there."""

    def command(self, user: str, group: str) -> str:
        name = shlex.quote(user)
        return (
            f"getent group {shlex.quote(group)} | sed 's/^/group=/; s/:.*//'; "
            f"getent passwd {name} | sed 's/.*:/shell=/'; "
            f'echo "in=$(id -nG {name} 2>/dev/null)"; '
            f"cd ~{name}/.ssh 2>/dev/null || exit 0; "
            "sed 's/^/key=/' authorized_keys 2>/dev/null; "
            f'echo "guard=$(stat -c %a:%U . authorized_keys 2>/dev/null | tr \'\\n\' " ")"; '
            f"echo user={name}"
        )

    default = UserAccount

    def process(self, output: list[str]) -> UserAccount:
        said = [line.split("=", 1) for line in output if "=" in line]
        told = dict(said)
        user = told.get("user", "")
        return UserAccount(
            shell=told.get("shell", ""),
            groups=frozenset(told.get("in", "").split()),
            all_groups=frozenset(value for key, value in said if key == "group"),
            keys=tuple(value for key, value in said if key == "key" and value.strip()),
            keys_guarded=told.get("guard", "").split() == [f"700:{user}", f"600:{user}"],
        )
