"""What a machine is: the facts by which deploys choose how to prepare it."""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra.api import FactBase

from inventory.hardware import OS_RELEASES, Architecture, OsRelease
from inventory.units import KIB

_ARCHITECTURES: dict[str, Architecture] = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as it describes itself.

    Attributes:
        os: `debian-12`, as the catalogue of operating systems writes it.
        architecture: as Debian names it; the kernel's own word where it is none that we know.
        kernel: its release, as `uname -r` writes it.
        page_size_bytes: of the running kernel.
        memory_bytes: all that the kernel manages, a little less than the board carries.
        l4t: NVIDIA's Linux for Tegra, as `36.4.3`; empty elsewhere.
        model: the board's own name from its device tree; empty on a PC.
        container: whether it shares its kernel with another system, and so cannot change it.
    """

    os: str
    architecture: str
    kernel: str
    page_size_bytes: int
    memory_bytes: int
    l4t: str = ""
    model: str = ""
    container: bool = False

    @property
    def raspberry_pi(self) -> bool:
        """Whether the board is one."""
        return self.model.startswith("Raspberry Pi")

    @property
    def l4t_major(self) -> int | None:
        """36 for JetPack 6, 35 for JetPack 5, 32 for JetPack 4; None elsewhere."""
        return int(self.l4t.partition(".")[0]) if self.l4t else None

    @property
    def release(self) -> OsRelease | None:
        """The catalogue's entry of its operating system; None where there is none."""
        return OS_RELEASES.get(self.os)


class MachineFact(FactBase[Machine | None]):
    """Reads a `Machine`; None where nothing could be read."""

    def command(self) -> str:
        return (
            '. /etc/os-release; echo "os=$ID-$VERSION_ID"; echo "kernel=$(uname -r)"; '
            'echo "machine=$(uname -m)"; echo "page_size=$(getconf PAGESIZE)"; '
            "sed -n 's/^MemTotal: *\\([0-9]*\\) kB/memory_kib=\\1/p' /proc/meminfo; "
            'echo "virtualization=$(systemd-detect-virt --container)"; '
            "echo \"model=$(tr -d '\\0' < /proc/device-tree/model 2>/dev/null)\"; "
            # `# R36 (release), REVISION: 4.3, GCID: ...`
            "sed -n 's/^# R\\([0-9]*\\) (release), REVISION: \\([0-9.]*\\),.*/l4t=\\1.\\2/p' "
            "/etc/nv_tegra_release 2>/dev/null; true"
        )

    @staticmethod
    def default() -> None:
        return None

    def process(self, output: list[str]) -> Machine:
        said = dict(line.split("=", 1) for line in output if "=" in line)
        return Machine(
            os=said["os"],
            architecture=_ARCHITECTURES.get(said["machine"], said["machine"]),
            kernel=said["kernel"],
            page_size_bytes=int(said["page_size"]),
            memory_bytes=int(said["memory_kib"]) * KIB,
            l4t=said.get("l4t", ""),
            model=said["model"],
            container=said["virtualization"] not in {"none", ""},
        )
