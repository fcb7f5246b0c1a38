"""Kernel: settings that services need, memory cgroups on Raspberry Pis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pyinfra import host
from pyinfra.api import deploy, operation

from deploys.facts.boot import KernelCommandLine
from deploys.facts.machine import Machine
from deploys.files import config_file
from deploys.reboots import NEEDED

MEMORY_CGROUPS = ("cgroup_enable=memory", "cgroup_memory=1")
SYSCTLS = {
    "fs.inotify.max_user_instances": 1024,  # containers watch their files
    "net.core.somaxconn": 4096,
    "kernel.kptr_restrict": 1,
    "net.ipv4.conf.all.accept_redirects": 0,
    "net.ipv4.conf.all.send_redirects": 0,
    "net.ipv4.tcp_syncookies": 1,
}
# The kernel's own is far higher: setting ours would lower it. `hearth doctor` looks at it.
LEFT_ALONE = {"fs.file-max"}


def sysctls(needed: Iterable[Mapping[str, int]]) -> str:
    """The text of the settings: the lab's own and, of each that services need, the highest."""
    values = dict(SYSCTLS)
    for of_service in needed:
        for key, value in of_service.items():
            if key not in LEFT_ALONE:
                values[key] = max(value, values.get(key, value))
    return "".join(f"{key} = {value}\n" for key, value in sorted(values.items()))


@deploy("Kernel")
def kernel(machine: Machine, needed: Iterable[Mapping[str, int]]) -> None:
    """Sets what services need; a container has its host's kernel and leaves it alone."""
    if machine.container:
        return
    path = "/etc/sysctl.d/90-hearth.conf"
    config_file("Kernel settings", path, sysctls(needed), then=f"sysctl -qp {path}")
    if machine.raspberry_pi:
        _memory_cgroups(name="Memory limits work (cgroups)")


@operation()
def _memory_cgroups() -> Iterator[str]:
    """Adds what the Pi's firmware takes away, on the file's only line; needs a reboot."""
    line = host.get_fact(KernelCommandLine)
    if line is None:
        host.noop("the kernel command line is not where Raspberry Pi OS has it")
        return
    missing = [word for word in MEMORY_CGROUPS if word not in line.text.split()]
    if not missing:
        host.noop("the kernel command line enables memory cgroups")
        return
    yield f"cp -p {line.path} {line.path}.before-hearth"
    yield f"sed -i '1s/$/ {' '.join(missing)}/' {line.path}"
    yield f"echo 'kernel command line' >>{NEEDED}"
