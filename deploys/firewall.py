"""The firewall: what the site declares may be opened, nothing else, and nobody is locked out.

New rules are loaded beside a guard that brings the old ones back; only a new connection from
the person who runs this, made under the new rules, calls the guard off. A reboot loads the
rules that were confirmed last.
"""

from __future__ import annotations

import hashlib
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO

from pyinfra import host, logger
from pyinfra.api import FileUploadCommand, FunctionCommand, deploy, operation
from pyinfra.api.host import Host
from pyinfra.api.state import State

from deploys.facts.files import FileState
from deploys.facts.machine import Machine
from deploys.files import STATES, config_file
from deploys.units import running
from inventory.flows import SSH_PORT, flows_into, forwarded
from inventory.model import Site
from templates import render

GUARD = "hearth-firewall-guard"
GUARD_SECONDS = 60
BEFORE = "/run/hearth-firewall.before"
OLD_KERNEL_L4T = 32
"""JetPack 4's kernel has iptables only."""


@dataclass(frozen=True, slots=True)
class Backend:
    """How a kernel is told the rules.

    Attributes:
        path: the file that is loaded at boot.
        template: what it is rendered from.
        check: refuses a bad file; `{}` is the file.
        load: replaces our rules by the file's, at once.
        save: prints what brings today's rules back.
        restore: reads that.
    """

    path: str
    template: str
    check: str
    load: str
    save: str
    restore: str


NFTABLES = Backend(
    path="/etc/nftables.conf",
    template="nftables/nftables.conf.j2",
    check="nft -cf {}",
    # By the file, not by a restart of the service: that would flush Docker's rules too.
    load="nft -f {}",
    save=(
        "echo 'table inet hearth'; echo 'delete table inet hearth'; "
        "nft list table inet hearth 2>/dev/null"
    ),
    restore="nft -f {}",
)
IPTABLES = Backend(
    path="/usr/local/sbin/hearth-firewall",
    template="iptables/hearth-firewall.j2",
    check="sh -n {}",
    load="sh {}",
    save="iptables-save -t mangle; echo '#6'; ip6tables-save -t mangle",
    restore="sed '/^#6$/,$d' {0} | iptables-restore; sed '1,/^#6$/d' {0} | ip6tables-restore",
)


def backend(machine: Machine) -> Backend:
    """The one that the machine's kernel has."""
    return IPTABLES if machine.l4t_major == OLD_KERNEL_L4T else NFTABLES


def packages(machine: Machine) -> tuple[str, ...]:
    """What loads the rules."""
    return ("iptables",) if backend(machine) is IPTABLES else ("nftables",)


def ruleset(rules: Backend, site: Site, host_name: str) -> str:
    """The text of the file that admits a host's flows."""
    own_networks, own_sources = forwarded(site)
    return render(
        rules.template,
        flows=flows_into(site, host_name),
        ssh_port=SSH_PORT,
        own_networks=own_networks,
        own_sources=own_sources,
    )


@deploy("Firewall")
def firewall(machine: Machine, site: Site, host_name: str) -> None:
    """Loads the rules and has them loaded at boot; Docker's own rules are left alone."""
    rules = backend(machine)
    STATES.note(rules.path)
    _guarded(name="Firewall rules", rules=rules, text=ruleset(rules, site, host_name))
    if rules is NFTABLES:
        running("Firewall at boot", "nftables.service", start=False)
        return
    config_file(
        "Firewall's unit",
        "/etc/systemd/system/hearth-firewall.service",
        render("systemd/hearth-firewall.service.j2", program=rules.path),
        then="systemctl daemon-reload",
    )
    running("Firewall at boot", "hearth-firewall.service", start=False)


@operation()
def _guarded(rules: Backend, text: str) -> Iterator[object]:
    """Loads changed rules; keeps them only if this machine can still be reached."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    if STATES.state(rules.path) == FileState(digest, "755", "root:root"):
        host.noop("the firewall has the site's rules")
        return
    new = f"{rules.path}.hearth-new"
    restore = rules.restore.format(BEFORE)
    yield f"systemctl stop {GUARD}.timer {GUARD}.service 2>/dev/null || true"
    yield FileUploadCommand(StringIO(text), new)
    yield f"chown root:root {new} && chmod 755 {new} && {rules.check.format(new)}"
    yield f"{{ {rules.save}; }} >{BEFORE} || true"
    yield (
        f"systemd-run --quiet --unit={GUARD} --on-active={GUARD_SECONDS} "
        f"/bin/sh -c {shlex.quote(f'{restore}; rm -f {new}')}"
    )
    yield rules.load.format(new)
    yield FunctionCommand(_confirm, (), {})
    yield f"mv {new} {rules.path} && systemctl stop {GUARD}.timer && rm -f {BEFORE}"


def _confirm(state: State, host: Host) -> bool:
    """Whether a new connection can be made; if not, says so and lets the guard do its work."""
    del state
    if reaches(host.name, host.data.get("ssh_config_file"), host.data.get("ssh_user")):
        return True
    logger.error(
        f"{host.print_prefix}Locked out: the new firewall rules refuse a new ssh connection from "
        f"here; the old ones come back within {GUARD_SECONDS} s. Is this machine's address in "
        "network.management?"
    )
    return False


def reaches(name: str, ssh_config: str, user: str) -> bool:
    """Whether a new ssh connection to the host can be made from here."""
    options = ("-o", "BatchMode=yes", "-o", "ControlPath=none", "-o", "ConnectTimeout=10")
    command = ["ssh", "-F", ssh_config, *options, "-l", user, name, "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
