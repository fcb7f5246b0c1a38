"""A service of the site as a container on its host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_docker as docker

from inventory.model import Placement
from inventory.services import HealthCheck
from inventory.units import MIB

READY_TIMEOUT_SECONDS = 180


@dataclass(frozen=True, slots=True)
class File:
    """A file inside a container.

    Attributes:
        content: its text; make it a secret output when it holds one.
        permissions: octal, as chmod takes it.
    """

    path: str
    content: pulumi.Input[str]
    permissions: str = "0644"


@dataclass(frozen=True, slots=True)
class ServiceArgs:
    """What a service needs beside its place in the site.

    Attributes:
        placement: which service, on which host.
        network: name of the host's Docker network; services find each other there by name.
        files: configuration and secrets, put in place before the first start.
        environment: settings beside the catalogue's; never secrets.
        command: arguments in place of the catalogue's.
    """

    placement: Placement
    network: pulumi.Input[str]
    files: tuple[File, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()


class Service(pulumi.ComponentResource):
    """An image, the volumes that outlive it, and the container that runs it."""

    container_id: pulumi.Output[str]

    def __init__(
        self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hearth:homelab:Service", name, None, opts)
        placement = args.placement
        shape = placement.kind.container
        if shape is None:
            raise pulumi.RunError(f"{placement.reference}: {placement.kind_name} is only planned")
        child = pulumi.ResourceOptions(parent=self)
        image = docker.RemoteImage(name, name=placement.image, keep_locally=True, opts=child)
        container = docker.Container(
            name,
            name=placement.name,
            image=image.image_id,
            command=list(args.command or shape.command) or None,
            envs=[
                f"{key}={value}" for key, value in {**shape.environment, **args.environment}.items()
            ],
            hostname=placement.name,
            networks_advanced=[
                docker.ContainerNetworksAdvancedArgs(name=args.network, aliases=[placement.name])
            ],
            ports=_ports(placement),
            uploads=[
                docker.ContainerUploadArgs(
                    file=file.path, content=file.content, permissions=file.permissions
                )
                for file in args.files
            ],
            volumes=_volumes(name, placement, child),
            healthcheck=_health_check(shape.health_check),
            memory=placement.memory_bytes // MIB,
            # Equal to the memory limit: no swap, and nothing for Docker to default.
            memory_swap=placement.memory_bytes // MIB,
            runtime=_runtime(placement),
            restart="unless-stopped",
            must_run=True,
            wait=True,
            wait_timeout=READY_TIMEOUT_SECONDS,
            log_driver="json-file",
            log_opts={"max-size": "10m", "max-file": "3"},
            security_opts=["no-new-privileges:true"],
            opts=child,
        )
        self.container_id = container.id
        self.register_outputs({"container_id": container.id})


def _ports(placement: Placement) -> list[docker.ContainerPortArgs] | None:
    """Published ports; none where no other machine has a reason to connect."""
    if not placement.published:
        return None
    pairs = zip(placement.kind.ports.values(), placement.ports.values(), strict=True)
    return [
        docker.ContainerPortArgs(internal=inside, external=outside, ip="0.0.0.0", protocol="tcp")  # noqa: S104 - the firewall admits by source
        for inside, outside in pairs
    ]


def _volumes(
    name: str, placement: Placement, child: pulumi.ResourceOptions
) -> list[docker.ContainerVolumeArgs]:
    """Named volumes; they stay when the container, or the stack, goes."""
    shape = placement.kind.container
    keep = pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(retain_on_delete=True))
    return [
        docker.ContainerVolumeArgs(
            container_path=path,
            volume_name=docker.Volume(
                f"{name}-{volume}", name=f"{placement.name}-{volume}", opts=keep
            ).name,
        )
        for volume, path in (shape.volumes.items() if shape else ())
    ]


def _health_check(check: HealthCheck) -> docker.ContainerHealthcheckArgs:
    return docker.ContainerHealthcheckArgs(
        tests=["CMD", *check.command],
        interval=f"{check.interval.total_seconds():g}s",
        timeout=f"{check.timeout.total_seconds():g}s",
        retries=check.retries,
        start_period=f"{check.start_period.total_seconds():g}s",
    )


def _runtime(placement: Placement) -> str | None:
    """NVIDIA's runtime where the service takes GPU memory; a sandbox has no GPU."""
    wants_gpu = placement.gpu_memory_bytes > 0 and placement.host.hardware.gpu is not None
    return "nvidia" if wants_gpu and placement.site.sandbox is None else None
