"""A service of the site as a container on its host: what every service's component builds on."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import pulumi
import pulumi_docker as docker

from components.homelab import programs
from components.homelab.secrets import Secrets
from inventory.model import Placement, Site
from inventory.services import SETTINGS, SETTINGS_ON_HOST, ContainerShape, HealthCheck
from inventory.units import MIB
from provider.resources import Files, Script

READY_TIMEOUT_SECONDS = 180
REPLACED_SECONDS = 60
"""For so long a container that is replaced may not be there."""
NOTHING_YET = 3
"""The exit code of services/keeper."""
LOG_OPTIONS = {"max-size": "10m", "max-file": "3", "tag": "{{.Name}}"}
"""Of json-file: the tag tells who wrote a line, as its files are named by the container's id."""


@dataclass(frozen=True, slots=True)
class ServiceArgs:
    """Where a service is, and what it shares with the others of its machine.

    Attributes:
        placement: which service, on which host.
        network: name of the host's Docker network; services find each other there by name.
        secrets: the site's.
        after: what has to be there before the container; images and settings do not wait.
        declared: the services before this one, on any machine, by `host.service`.
    """

    placement: Placement
    network: pulumi.Input[str]
    secrets: Secrets
    after: tuple[pulumi.Resource, ...] = ()
    declared: Mapping[str, Service] = field(default_factory=dict)

    @property
    def site(self) -> Site:
        """The whole site."""
        return self.placement.site

    def endpoint(self, kind_name: str) -> str | None:
        """Where the service of a kind that this one uses answers; None where the site has none."""
        used = self.placement.used(kind_name)
        if used is None or not used.provisioned:
            return None
        return used.endpoint_from(self.placement.host_name)

    def password(self, kind_name: str, account: str) -> pulumi.Output[str]:
        """The password of an account of the service of a kind that this one uses."""
        used = self.placement.used(kind_name)
        if used is None:
            raise KeyError(f"{self.placement.reference}: the site has no {kind_name}")
        return self.secrets.password(used, account)


@dataclass(frozen=True, slots=True)
class Extras:
    """What a service's component adds to the catalogue's container.

    Attributes:
        files: its settings, text by name; a secret output where it holds a secret.
        environment: variables; never secrets.
        command: in place of the catalogue's.
    """

    files: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()


class Service(pulumi.ComponentResource):
    """An image, its settings, the volumes that outlive it, and the container that runs it.

    A service with nothing of its own is this class; the others derive from it and say in
    `extras` what they add.
    """

    container: docker.Container
    image: docker.RemoteImage
    settings: Files | None

    def __init__(
        self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(f"hearth:homelab:{type(self).__name__}", name, None, opts)
        placement = args.placement
        shape = placement.kind.container
        if shape is None:
            raise pulumi.RunError(f"{placement.reference}: {placement.kind_name} is only planned")
        extras = self.extras(args)
        child = pulumi.ResourceOptions(parent=self)
        self.image = programs.image(name, placement, child)
        saved = _saved_before(name, placement, child)
        self.settings = _settings(name, placement, extras, child) if extras.files else None
        self.container = docker.Container(
            name,
            name=placement.name,
            image=self.image.image_id,
            command=list(extras.command or shape.command) or None,
            envs=[
                f"{key}={value}"
                for key, value in {**shape.environment, **extras.environment}.items()
            ],
            **_networking(args),
            mounts=_mounts(placement, self.settings is not None),
            volumes=_volumes(name, placement, child),
            labels=_labels(placement, self.settings),
            healthcheck=_health_check(shape.health_check) if shape.health_check else None,
            memory=placement.memory_bytes // MIB,
            # Equal to the memory limit: no swap, and nothing for Docker to default.
            memory_swap=placement.memory_bytes // MIB,
            **_confinement(shape),
            runtime=_runtime(placement),
            restart="unless-stopped",
            must_run=True,
            wait=shape.health_check is not None,
            wait_timeout=READY_TIMEOUT_SECONDS,
            log_driver="json-file",
            log_opts=LOG_OPTIONS,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[*args.after, *([self.settings] if self.settings else []), *saved],
                # The plugin says that it changes one in place, and leaves the container as it was.
                replace_on_changes=["healthcheck"],
                delete_before_replace=True,
            ),
        )
        self.register_outputs({})

    def extras(self, args: ServiceArgs) -> Extras:
        """What this service adds to the catalogue's container."""
        del args
        return Extras()

    def run_inside(
        self,
        what: str,
        args: ServiceArgs,
        accounts: Iterable[str],
        script: Callable[[str, dict[str, str]], str],
    ) -> None:
        """Runs a script on the machine once the container is there, and when the script changes.

        Args:
            what: the script's name, after the service's.
            args: the service's.
            accounts: whose passwords the script gets.
            script: makes it from the container's name and the passwords by account.
        """
        placement = args.placement
        passwords = {name: args.secrets.password(placement, name) for name in accounts}
        Script(
            f"{placement.reference}-{what}",
            host=placement.host_name,
            script=pulumi.Output.all(**passwords).apply(
                lambda found: script(placement.name, found)
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.container]),
        )


def _saved_before(name: str, placement: Placement, child: pulumi.ResourceOptions) -> list[Script]:
    """What has a backup made before another image takes over the data; an upgrade waits for it."""
    keeper = placement.kept_by
    if keeper is None:
        return []
    return [
        Script(
            f"{name}-backup",
            host=keeper.host_name,
            script=backup_script(keeper.name, placement.reference),
            triggers=[placement.image],
            when_new=False,
            opts=child,
        )
    ]


def backup_script(container: str, reference: str) -> str:
    """Shell that makes a backup, and fails where that does.

    Without the container, which may be about to be replaced and is waited for, nothing was ever
    backed up, or somebody wants it so: that is told, and no failure.

    Args:
        container: of the service that makes backups.
        reference: the service that is upgraded, `host.service`.
    """
    reason = shlex.quote(f"before an upgrade of {reference}")
    return f"""\
running() {{ [ "$(docker inspect -f '{{{{.State.Running}}}}' {container} 2>/dev/null)" = true ]; }}
for _ in $(seq {REPLACED_SECONDS}); do running && break; sleep 1; done
if ! docker inspect {container} >/dev/null 2>&1; then
    echo "no container {container}: {reference} is upgraded without a backup"
    exit 0
fi
docker exec {container} python3 -m services.keeper backup --reason {reason} </dev/null || {{
    code=$?
    # Its word for: there is nothing to back up yet.
    [ "$code" = {NOTHING_YET} ] || exit "$code"
}}
"""


def _settings(
    name: str, placement: Placement, extras: Extras, child: pulumi.ResourceOptions
) -> Files:
    """The files on the machine, which the container sees in its folder for settings."""
    shape = placement.kind.container
    reload = ""
    if shape and shape.reload:
        command = shlex.join(shape.reload)
        running = f"docker inspect -f '{{{{.State.Running}}}}' {placement.name} 2>/dev/null"
        # Not there yet, or stopped: it reads them when it starts.
        reload = (
            f'[ "$({running})" != true ] || docker exec {placement.name} {command} </dev/null >&2'
        )
    return Files(
        name,
        host=placement.host_name,
        folder=f"{SETTINGS_ON_HOST}/{placement.name}",
        files=extras.files,
        reload=reload,
        opts=child,
    )


def _networking(args: ServiceArgs) -> dict[str, object]:
    """Its machine's own network, or one with the services beside it and published ports."""
    placement, shape = args.placement, args.placement.kind.container
    if shape and shape.host_network:
        return {"network_mode": "host"}
    alias = docker.ContainerNetworksAdvancedArgs(name=args.network, aliases=[placement.name])
    ports = [
        docker.ContainerPortArgs(
            internal=placement.kind.ports[port],
            external=placement.ports[port],
            # On all of them the firewall admits by source.
            ip=str(placement.published_on),
            protocol=protocol,
        )
        for port in placement.published_ports
        for protocol in placement.kind.protocols_of(port)
    ]
    if shape and shape.tunnel:
        first = placement.first_port
        ports.append(
            docker.ContainerPortArgs(
                internal=placement.kind.ports[first],
                external=placement.ports[first],
                ip="127.0.0.1",
                protocol="tcp",
            )
        )
    return {
        "hostname": placement.name,
        "networks_advanced": [alias],
        # None where no other machine has a reason to connect.
        "ports": ports or None,
    }


def _confinement(shape: ContainerShape) -> dict[str, object]:
    """What keeps a container to itself."""
    return {
        "user": shape.user or None,
        "read_only": True,
        "tmpfs": dict.fromkeys(("/tmp", *shape.scratch), "rw,nosuid,nodev"),  # noqa: S108
        "capabilities": docker.ContainerCapabilitiesArgs(
            drops=["ALL"], adds=list(shape.capabilities) or None
        ),
        "security_opts": ["no-new-privileges:true"],
    }


def _mounts(placement: Placement, has_settings: bool) -> list[docker.ContainerMountArgs] | None:  # noqa: FBT001 - a fact about it
    """Folders of the machine, each to be read only."""
    shape = placement.kind.container
    paths = dict(shape.host_paths) if shape else {}
    if has_settings:
        paths[f"{SETTINGS_ON_HOST}/{placement.name}"] = SETTINGS
    return [
        docker.ContainerMountArgs(type="bind", source=source, target=target, read_only=True)
        for source, target in paths.items()
    ] or None


def _volumes(
    name: str, placement: Placement, child: pulumi.ResourceOptions
) -> list[docker.ContainerVolumeArgs] | None:
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
    ] or None


def _labels(placement: Placement, settings: Files | None) -> list[docker.ContainerLabelArgs]:
    """Whose container it is; its settings' digest, where only a new one would read them."""
    shape = placement.kind.container
    labels: dict[str, pulumi.Input[str]] = {"hearth.service": placement.reference}
    if settings is not None and shape and not shape.reload:
        labels["hearth.settings"] = settings.digest
    return [docker.ContainerLabelArgs(label=key, value=value) for key, value in labels.items()]


def _health_check(check: HealthCheck) -> docker.ContainerHealthcheckArgs:
    return docker.ContainerHealthcheckArgs(
        tests=["CMD", *check.command],
        interval=_as_docker_says(check.interval),
        timeout=_as_docker_says(check.timeout),
        retries=check.retries,
        start_period=_as_docker_says(check.start_period),
    )


def _as_docker_says(duration: timedelta) -> str:
    """`45s`, `1m30s`: in other words a refresh would find a difference each time."""
    minutes, seconds = divmod(duration.total_seconds(), 60)
    return f"{minutes:g}m{seconds:g}s" if minutes else f"{seconds:g}s"


def _runtime(placement: Placement) -> str | None:
    """NVIDIA's runtime where the service takes GPU memory; a sandbox has no GPU."""
    wants_gpu = placement.gpu_memory_bytes > 0 and placement.host.hardware.gpu is not None
    return "nvidia" if wants_gpu and placement.site.sandbox is None else None
