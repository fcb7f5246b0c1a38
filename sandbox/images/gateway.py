"""Images of the gateway: what takes requests, and the names that machines go by."""

from __future__ import annotations

from sandbox.images.recipe import Recipe, package_version, settings
from sandbox.rootfs import Layer


def nginx() -> Recipe:
    """The web server, its logs on the container's output."""
    layer = Layer(
        "nginx",
        packages=("nginx-light",),
        script="ln -sf /dev/stdout /var/log/nginx/access.log\n"
        "ln -sf /dev/stderr /var/log/nginx/error.log",
    )
    command = ["nginx", "-g", "daemon off;"]
    return Recipe(
        "nginx",
        layer,
        settings(command, 80, StopSignal="SIGQUIT"),
        package_version("nginx-light"),
    )


def haproxy() -> Recipe:
    """The load balancer; its configuration is the user's to bring."""
    layer = Layer("haproxy", packages=("haproxy", "wget"), script="mkdir -p /run/haproxy")
    command = ["haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
    return Recipe(
        "haproxy",
        layer,
        settings(command, 8404, StopSignal="SIGUSR1"),
        package_version("haproxy"),
    )


def dnsmasq() -> Recipe:
    """The name server, in the foreground; busybox asks after its health."""
    layer = Layer("dnsmasq", packages=("dnsmasq-base", "busybox"))
    return Recipe(
        "dnsmasq",
        layer,
        settings(
            [],
            53,
            "53/udp",
            Entrypoint=["dnsmasq", "--keep-in-foreground", "--log-facility=-"],
        ),
        package_version("dnsmasq-base"),
    )
