"""The container engine: which one, from where, and whether it answers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyinfra.api import FactBase

_CLIENT = re.compile(r"Docker version ([^,]+),")
_UPSTREAM = re.compile(r"(?:\d+:)?([\d.]+)")


@dataclass(frozen=True, slots=True)
class Docker:
    """A machine's Docker.

    Attributes:
        client: version of the command; empty where there is none.
        server: version of the engine that answers; empty where none does.
        min_api: the oldest API that the engine speaks, as `1.44`.
        packages: name to version, of those that are installed.
        candidate: version of docker.io that apt would install; empty where it knows none.
        snap: whether it came from the snap store.
    """

    client: str
    server: str
    min_api: str
    packages: dict[str, str]
    candidate: str
    snap: bool

    @property
    def version(self) -> str:
        """What runs, or what is installed; empty where nothing is."""
        return self.server or self.client


def upstream(version: str) -> str:
    """`28.2.2` of `28.2.2-0ubuntu1~22.04.1` and of `5:28.2.2-1`; empty where there is none."""
    match = _UPSTREAM.match(version)
    return match[1] if match else ""


def major(version: str) -> int:
    """28 of `28.2.2-0ubuntu1~22.04.1`; 0 where there is none."""
    return int(upstream(version).partition(".")[0] or 0)


class DockerFact(FactBase[Docker | None]):
    """Reads a `Docker`; None where nothing could be read."""

    def command(self) -> str:
        ask = "timeout 5 docker version --format '{{.Server.Version}} {{.Server.MinAPIVersion}}'"
        return (
            "if command -v docker >/dev/null; then docker --version 2>/dev/null; "
            # The socket is root's and its group's.
            f'server=$(sudo -n {ask} 2>/dev/null || {ask} 2>/dev/null) && echo "server=$server"; '
            "fi; dpkg-query -W -f 'package=${Package} ${Version} ${db:Status-Status}\\n' "
            "docker.io docker-ce moby-engine 2>/dev/null; "
            "LC_ALL=C apt-cache policy docker.io 2>/dev/null "
            "| sed -n 's/^ *Candidate: */candidate=/p'; "
            "if [ -e /snap/bin/docker ]; then echo snap=yes; fi"
        )

    def process(self, output: list[str]) -> Docker:
        client = _CLIENT.search("\n".join(output))
        lines = [line.partition("=")[::2] for line in output]
        said = dict(lines)
        server, _, min_api = said.get("server", "").partition(" ")
        installed = [value.split() for key, value in lines if key == "package"]
        return Docker(
            client=client[1] if client else "",
            server=server,
            min_api=min_api,
            packages={row[0]: row[1] for row in installed if row[-1] == "installed"},
            candidate=said.get("candidate", "").replace("(none)", ""),
            snap="snap" in said,
        )
