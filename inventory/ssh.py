"""How ssh reaches a site's machines by their names: one file for ssh, Docker, pyinfra."""

from __future__ import annotations

from pathlib import Path

from inventory.model import Site
from inventory.paths import state_dir


def lab_namespace(site_name: str) -> str:
    """The network namespace in which a sandboxed site's machines are reached."""
    return f"hearth.{site_name}"


def ssh_config(site: Site) -> str:
    """The text that ssh reads: every host of the site by its name."""
    known_hosts = state_dir(site.name) / "known_hosts"
    common = [
        f"    User {site.ssh.admin_user}",
        f"    IdentityFile {site.ssh.identity_path}",
        "    IdentitiesOnly yes",
        f"    UserKnownHostsFile {known_hosts}",
        # The sandbox knows its machines' keys; a real board's is learnt at the first visit.
        f"    StrictHostKeyChecking {'yes' if site.sandbox else 'accept-new'}",
        "    PasswordAuthentication no",
        "    ConnectTimeout 10",
        "    ServerAliveInterval 10",
        "    LogLevel ERROR",
    ]
    if site.sandbox:
        namespace = lab_namespace(site.name)
        common.append(f"    ProxyCommand nsenter --net=/run/netns/{namespace} nc %h %p")
    lines = []
    for name, host in site.hosts.items():
        lines += [f"Host {name}", f"    HostName {host.address}", *common, ""]
    return "\n".join(lines)


def write_ssh_config(site: Site) -> Path:
    """Writes the site's ssh_config where it is not there already; returns its path."""
    path = state_dir(site.name) / "ssh_config"
    text = ssh_config(site)
    if not path.is_file() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return path
