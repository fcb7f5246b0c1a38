"""The boards and operating systems that Hearth knows.

Sources: the makers' data sheets for cores, memory and CUDA cores; the page size is that of
the kernel which the vendor's image of today boots (Raspberry Pi OS boots a 16 KiB kernel on
the Pi 5); `reserved_bytes` is what system, Docker engine and page cache need before any
service runs, our own estimate, generous on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from inventory.units import GIB, KIB, MIB

Architecture = Literal["amd64", "arm64"]


@dataclass(frozen=True, slots=True)
class Gpu:
    """A board's GPU.

    Attributes:
        cuda_cores: how many.
        memory_bytes: memory of its own; None where it shares the board's memory.
    """

    cuda_cores: int
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Board:
    """A kind of machine.

    Attributes:
        title: the name that its maker gives it.
        cpu_cores: physical cores.
        memory_bytes: all memory, the GPU's share included where it is shared.
        reserved_bytes: memory that no service may be promised.
        page_size_bytes: of the kernel that the vendor's image boots.
        os_releases: keys of OS_RELEASES that the vendor supports on it.
    """

    title: str
    architecture: Architecture
    cpu_cores: int
    memory_bytes: int
    reserved_bytes: int
    page_size_bytes: int
    os_releases: tuple[str, ...]
    gpu: Gpu | None = None

    @property
    def budget_bytes(self) -> int:
        """Memory that services may be promised."""
        return self.memory_bytes - self.reserved_bytes


@dataclass(frozen=True, slots=True)
class DockerSource:
    """Where an operating system's Docker engine comes from.

    Attributes:
        packages: the engine and its command line client.
        version: pinned, as apt writes it; the distribution's own where it is empty.
        suite: of Docker's apt repository; empty where the distribution has the packages.
        api_version: that it speaks, and its clients are told to.
    """

    packages: tuple[str, ...]
    version: str = ""
    suite: str = ""
    api_version: str = "1.44"


@dataclass(frozen=True, slots=True)
class OsRelease:
    """An operating system release.

    Attributes:
        title: as its maker writes it.
        glibc: the C library's version; programs built for a newer one do not start.
        openssh: its server's version: what it may be asked for.
        docker: where its Docker engine comes from.
        l4t: the major release of NVIDIA's Linux for Tegra, None elsewhere.
        gpu_packages: what lets containers use the GPU, from the vendor's repository.
    """

    title: str
    glibc: str
    openssh: tuple[int, int]
    docker: DockerSource
    l4t: int | None = None
    gpu_packages: tuple[str, ...] = ()


def _pinned_docker(ubuntu: str, suite: str) -> DockerSource:
    """The last engine that publishes ports on L4T's kernels, which lack CONFIG_IP_NF_RAW."""
    version = f"5:27.5.1-1~ubuntu.{ubuntu}~{suite}"
    return DockerSource(("docker-ce", "docker-ce-cli"), version, suite)


OS_RELEASES: dict[str, OsRelease] = {
    "debian-12": OsRelease(
        "Debian 12",
        glibc="2.36",
        openssh=(9, 2),
        docker=DockerSource(("docker.io",), api_version="1.41"),
    ),
    # Debian 13 has the command line client in a package of its own.
    "debian-13": OsRelease(
        "Debian 13", glibc="2.41", openssh=(10, 0), docker=DockerSource(("docker.io", "docker-cli"))
    ),
    # Docker has packaged nothing for it since 2023: the distribution's engine stays.
    "ubuntu-18.04": OsRelease(
        "Ubuntu 18.04 (JetPack 4)",
        glibc="2.27",
        openssh=(7, 6),
        docker=DockerSource(("docker.io",), api_version="1.41"),
        l4t=32,
        gpu_packages=("nvidia-container-runtime",),
    ),
    "ubuntu-20.04": OsRelease(
        "Ubuntu 20.04 (JetPack 5)",
        glibc="2.31",
        openssh=(8, 2),
        docker=_pinned_docker("20.04", "focal"),
        l4t=35,
        gpu_packages=("nvidia-container",),
    ),
    "ubuntu-22.04": OsRelease(
        "Ubuntu 22.04 (JetPack 6)",
        glibc="2.35",
        openssh=(8, 9),
        docker=_pinned_docker("22.04", "jammy"),
        l4t=36,
        gpu_packages=("nvidia-container",),
    ),
}

SANDBOX_OS = "debian-12"
"""What every machine of a sandbox runs, whatever its board would."""

_PI_OS = ("debian-12", "debian-13")
_ORIN_OS = ("ubuntu-20.04", "ubuntu-22.04")

BOARDS: dict[str, Board] = {
    "raspberry-pi-5-8gb": Board(
        title="Raspberry Pi 5 (8 GB)",
        architecture="arm64",
        cpu_cores=4,
        memory_bytes=8 * GIB,
        reserved_bytes=768 * MIB,
        page_size_bytes=16 * KIB,
        os_releases=_PI_OS,
    ),
    "raspberry-pi-4-2gb": Board(
        title="Raspberry Pi 4 (2 GB)",
        architecture="arm64",
        cpu_cores=4,
        memory_bytes=2 * GIB,
        reserved_bytes=384 * MIB,
        page_size_bytes=4 * KIB,
        os_releases=_PI_OS,
    ),
    "raspberry-pi-3-1gb": Board(
        title="Raspberry Pi 3 (1 GB)",
        architecture="arm64",
        cpu_cores=4,
        memory_bytes=1 * GIB,
        reserved_bytes=320 * MIB,
        page_size_bytes=4 * KIB,
        os_releases=_PI_OS,
    ),
    "mini-pc-16gb": Board(
        title="mini PC (16 GB)",
        architecture="amd64",
        cpu_cores=4,
        memory_bytes=16 * GIB,
        reserved_bytes=1 * GIB,
        page_size_bytes=4 * KIB,
        os_releases=("debian-12", "debian-13"),
    ),
    "vm": Board(
        title="virtual machine (8 GB)",
        architecture="amd64",
        cpu_cores=4,
        memory_bytes=8 * GIB,
        reserved_bytes=512 * MIB,
        page_size_bytes=4 * KIB,
        os_releases=("debian-12", "debian-13"),
    ),
    "jetson-orin-agx-64gb": Board(
        title="NVIDIA Jetson Orin AGX (64 GB)",
        architecture="arm64",
        cpu_cores=12,
        memory_bytes=64 * GIB,
        reserved_bytes=3 * GIB,
        page_size_bytes=4 * KIB,
        os_releases=_ORIN_OS,
        gpu=Gpu(cuda_cores=2048),
    ),
    "jetson-orin-nano-8gb": Board(
        title="NVIDIA Jetson Orin Nano (8 GB)",
        architecture="arm64",
        cpu_cores=6,
        memory_bytes=8 * GIB,
        reserved_bytes=1 * GIB,
        page_size_bytes=4 * KIB,
        os_releases=_ORIN_OS,
        gpu=Gpu(cuda_cores=1024),
    ),
    "jetson-nano-2gb": Board(
        title="NVIDIA Jetson Nano (2 GB)",
        architecture="arm64",
        cpu_cores=4,
        memory_bytes=2 * GIB,
        reserved_bytes=512 * MIB,
        page_size_bytes=4 * KIB,
        os_releases=("ubuntu-18.04",),
        gpu=Gpu(cuda_cores=128),
    ),
}
