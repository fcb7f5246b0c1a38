"""How a suite reaches the lab that it judges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Address
    from pathlib import Path


@dataclass(frozen=True)
class Access:
    """The ways into a lab.

    Args:
        gateway_url: Scheme, host and port of the gateway, such as `https://127.0.0.1:8443`.
        ssh_config: `ssh -F` of this file reaches each host by its name, as the admin user.
        ca_file: What signed the gateway's certificate; None for the system's authorities.
        connect_command: Prefix under which a program dials from outside the lab's hosts;
            empty where this machine is outside already.
        outside_address: The address that those dials come from. None where it is not known:
            then ssh is not judged from outside.
        api_key: What the gateway knows this client by; empty where the routes are open.
    """

    gateway_url: str
    ssh_config: Path
    ca_file: Path | None = None
    connect_command: tuple[str, ...] = ()
    outside_address: IPv4Address | None = None
    api_key: str = field(default="", repr=False)
