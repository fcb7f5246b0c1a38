"""Which of the kernel's features that containers and the firewall need are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pyinfra.api import FactBase

Presence = Literal["ready", "module", "lost", "absent", "unknown"]

FEATURES = {
    "overlay": "OVERLAY_FS",
    "bridge": "BRIDGE",
    "veth": "VETH",
    "br_netfilter": "BRIDGE_NETFILTER",
    "nf_nat": "NF_NAT",
    "iptable_raw": "IP_NF_RAW",
    "nf_tables": "NF_TABLES",
}
"""Name of the module to the option that it is built by."""

_MODULES, _OPTIONS = "|".join(FEATURES), "|".join(FEATURES.values())


@dataclass(frozen=True, slots=True)
class Kernel:
    """The running kernel.

    Attributes:
        features: name of the module to `ready` (built in or loaded), `module` (can be loaded),
            `lost` (built as a module that is not on the disk), `absent`, or `unknown`.
    """

    features: dict[str, Presence]


class KernelFact(FactBase[Kernel | None]):
    """Reads a `Kernel`; None where nothing could be read."""

    def command(self) -> str:
        pick = f"grep -xE '{_MODULES}'"
        return (
            "release=$(uname -r); modules=/lib/modules/$release; "
            '{ zcat /proc/config.gz || cat "/boot/config-$release"; } 2>/dev/null '
            # NET is everywhere: with it the configuration was readable.
            f"| grep -E '^CONFIG_(NET|{_OPTIONS})=[ym]$'; "
            "{ sed 's/^.*[[:space:]]//' /proc/filesystems; cut -d' ' -f1 /proc/modules; "
            "sed 's|.*/||; s|[.]ko.*||' \"$modules/modules.builtin\"; } 2>/dev/null "
            f"| {pick} | sed 's/^/ready /'; "
            'if [ -r "$modules/modules.dep" ]; then echo indexed; '
            "sed 's|:.*||; s|.*/||; s|[.]ko.*||' \"$modules/modules.dep\" "
            f"| {pick} | sed 's/^/module /'; fi; true"
        )

    def process(self, output: list[str]) -> Kernel:
        said = set(output)
        return Kernel({name: _presence(said, name) for name in FEATURES})


def _presence(said: set[str], name: str) -> Presence:
    option = f"CONFIG_{FEATURES[name]}"
    if said & {f"{option}=y", f"ready {name}"}:
        return "ready"
    if f"module {name}" in said:
        return "module"
    if f"{option}=m" in said:
        return "lost"
    return "absent" if said & {"CONFIG_NET=y", "indexed"} else "unknown"
