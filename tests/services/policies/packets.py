"""Reads a table as the kernel does: what becomes of a packet that opens a connection.

Only what a table of ours is made of is understood; anything else is an error.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, summarize_address_range

_BLOCK = re.compile(r"    (set|map|chain) (\S+) \{\n(.*?)\n    \}", re.DOTALL)
_ELEMENTS = re.compile(r"elements = \{ (.*) \}")
_ADDRESS = re.compile(r"ip (saddr|daddr) (!= )?(@\w+|\{ [^}]+ \}|[\d./]+) ")
_VMAP = re.compile(r"ip (saddr|daddr) vmap @(\w+)")
_PORTS = re.compile(r"(tcp|udp|sctp) dport \{ ([^}]+) \} ")
_PROTOCOL = re.compile(r"meta l4proto (\w+) ")
_VERDICT = re.compile(r'(counter )?(accept|drop|return)( comment "[^"]{1,128}")?')
_NOT_OURS = (
    "type filter hook",
    "ct state established",  # it is not
    'iifname "lo"',  # it comes by a wire
    'iifname "veth*"',  # in its own name
)


class Filter:
    """A table's rules."""

    def __init__(self, text: str) -> None:
        self._sets: dict[str, list[str]] = {}
        self._chains: dict[str, list[str]] = {}
        for kind, name, body in _BLOCK.findall(text):
            if kind == "chain":
                self._chains[name] = [line.strip() for line in body.splitlines()]
            else:
                found = _ELEMENTS.search(body)
                self._sets[name] = found[1].split(", ") if found else []

    def passes(
        self, source: str, target: str, protocol: str = "tcp", port: int = 80, *, hook: str = ""
    ) -> bool:
        """Whether a packet passes: on its way to another machine or a pod, or into this one."""
        packet = {"saddr": source, "daddr": target}
        return self._judge(hook or "forward", packet, protocol, port) != "drop"

    def _judge(self, chain: str, packet: dict[str, str], protocol: str, port: int) -> str:
        for rule in self._chains[chain]:
            if rule.startswith(_NOT_OURS):
                continue
            if found := _VMAP.fullmatch(rule):
                jumps = dict(element.split(" : jump ") for element in self._sets[found[2]])
                to = jumps.get(packet[found[1]])
                said = "" if to is None else self._judge(to, packet, protocol, port)
            else:
                said = self._verdict(rule, packet, protocol, port)
            if said == "return":
                return ""
            if said:
                return said
        return ""

    def _verdict(self, rule: str, packet: dict[str, str], protocol: str, port: int) -> str:
        """What a rule says of a packet; nothing where it is not about it."""
        fits = True
        while True:
            if found := _ADDRESS.match(rule):
                among = self._sets[found[3][1:]] if found[3][0] == "@" else found[3].strip("{} ")
                listed = among if isinstance(among, list) else among.split(", ")
                fits &= _within(packet[found[1]], listed) is not bool(found[2])
            elif found := _PORTS.match(rule):
                ranges = [_range(text) for text in found[2].split(", ")]
                fits &= found[1] == protocol and any(a <= port <= b for a, b in ranges)
            elif found := _PROTOCOL.match(rule):
                fits &= found[1] == protocol
            else:
                break
            rule = rule[found.end() :]
        verdict = _VERDICT.fullmatch(rule)
        assert verdict, rule
        return verdict[2] if fits else ""


def _within(address: str, listed: list[str]) -> bool:
    return any(IPv4Address(address) in network for text in listed for network in _networks(text))


def _networks(text: str) -> list[IPv4Network]:
    first, _, last = text.partition("-")
    if not last:
        return [IPv4Network(text)]
    return list(summarize_address_range(IPv4Address(first), IPv4Address(last)))


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)
