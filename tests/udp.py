"""Asks a server for names or for the time, by UDP.

A program of its own as well, so that it can be run in another network: `python -m tests.udp address
SERVER NAME`, `python -m tests.udp time SERVER`; it prints None where nobody answers.
"""

from __future__ import annotations

import socket
import struct
import sys
from ipaddress import IPv4Address

A, PTR = 1, 12
TIMEOUT_S = 2.0
UNIX_IN_NTP = 2_208_988_800
"""Seconds from NTP's epoch, 1900, to 1970."""


def ask(server: str, port: int, query: bytes) -> bytes | None:
    """What a server says within the time; None where it says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(TIMEOUT_S)
        asking.connect((server, port))
        try:
            asking.send(query)
            return asking.recv(4096)
        except OSError:
            return None


def resolve(server: str, name: str, kind: int = A, *, port: int = 53) -> list[str] | None:
    """The addresses of a name, or the names of a reverse one; None where nobody answers."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, 1)
    said = ask(server, port, query)
    if said is None:
        return None
    at, found = len(query), []
    for _ in range(int.from_bytes(said[6:8], "big")):
        _, at = _name(said, at)
        kind, _, _, length = struct.unpack_from("!2HIH", said, at)
        at += 10
        data = said[at : at + length]
        found.append(str(IPv4Address(data)) if kind == A else _name(said, at)[0])
        at += length
    return found


def names_of(server: str, address: str, *, port: int = 53) -> list[str] | None:
    """The names of an address; None where nobody answers."""
    return resolve(server, IPv4Address(address).reverse_pointer, PTR, port=port)


def time_of(server: str, *, port: int = 123) -> float | None:
    """Seconds since 1970, as a server tells them; None where nobody answers."""
    said = ask(server, port, b"\x23" + bytes(47))
    if said is None:
        return None
    seconds, fraction = struct.unpack_from("!2I", said, 40)
    return float(seconds - UNIX_IN_NTP + fraction / 2**32)


def _name(message: bytes, at: int) -> tuple[str, int]:
    """A name in a message, and where what follows it begins."""
    labels, after = [], 0
    while length := message[at]:
        if length >= 0xC0:  # the name goes on elsewhere
            after = after or at + 2
            at = int.from_bytes(message[at : at + 2], "big") & 0x3FFF
        else:
            labels.append(message[at + 1 : at + 1 + length].decode())
            at += 1 + length
    return ".".join(labels), after or at + 1


if __name__ == "__main__":
    what, server_, *rest = sys.argv[1:]
    said = resolve(server_, rest[0]) if what == "address" else time_of(server_)
    sys.stdout.write(f"{said}\n")
