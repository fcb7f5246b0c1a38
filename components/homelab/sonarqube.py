"""SonarQube: judges the code that models write, for the assistant beside it."""

from __future__ import annotations

import pulumi

from components.homelab.service import Extras, Service, ServiceArgs
from inventory.services import SETTINGS
from inventory.units import MIB

ADMIN, SCANNER = "admin", "assistant"
_PROGRAMS = ("SEARCH", "WEB", "CE")


class SonarQube(Service):
    """A server with its own database: it holds no more than the last snippet of each assistant."""

    def __init__(
        self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, args, opts)
        self.run_inside("accounts", args, [SCANNER], accounts_script)

    def extras(self, args: ServiceArgs) -> Extras:
        """The administrator's password, and heaps by the memory that it has."""
        # Three programs; as much again is outside their heaps.
        heap = args.placement.memory_bytes // MIB // (2 * len(_PROGRAMS))
        return Extras(
            files={ADMIN: args.secrets.password(args.placement, ADMIN)},
            environment={
                f"SONAR_{program}_JAVAOPTS": f"-Xms{heap // 2}m -Xmx{heap}m"
                for program in _PROGRAMS
            },
        )


def accounts_script(container: str, passwords: dict[str, str]) -> str:
    """Shell that gives the first account its password, then makes who may scan.

    Everybody with an account may scan and make tokens of their own: the assistant does.
    Passwords go through standard input: a command line is everybody's to read.

    Args:
        container: SonarQube's.
        passwords: by user; of letters, digits, `-` and `_`.
    """
    lines = [
        "set -eu",
        f"IFS= read -r admin <{SETTINGS}/{ADMIN}",
        # Arguments: a path, who asks as `name:password`, then the fields of a form.
        "ask() {",
        "    path=$1 asker=$2",
        "    shift 2",
        "    {",
        """        printf 'user = "%s"\\n' "$asker" """.rstrip(),
        """        for field; do printf 'data = "%s"\\n' "$field"; done""",
        '    } | curl -sS --fail-with-body -K - "http://127.0.0.1:9000/api/$path"',
        "}",
        f'if ! ask authentication/validate "{ADMIN}:$admin" | grep -q true; then',
        f"    ask users/change_password {ADMIN}:{ADMIN} login={ADMIN} previousPassword={ADMIN}"
        ' "password=$admin" || {',
        f"        echo \"{container}: {ADMIN} has neither this site's password nor the first one;"
        " give it the site's on its page, or remove its volume\" >&2",
        "        exit 1",
        "    }",
        "fi",
    ]
    for user, password in sorted(passwords.items()):
        who = f'"{ADMIN}:$admin" login={user} password={password}'
        lines.append(
            f"ask users/change_password {who} >/dev/null 2>&1 || ask users/create {who} name={user}"
        )
    inner = "\n".join(lines)
    return f"docker exec -i {container} sh -s >&2 <<'end-of-script'\n{inner}\nend-of-script\n"
