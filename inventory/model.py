"""The typed description of a site: what a site file may say.

A `Site` is immutable and complete. What can be derived from it (ports that are published,
flows that the firewall admits, resource budgets) is derived here or in a sibling module,
never written into a file a second time.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from inventory.errors import HearthError
from inventory.fixai import FixAI
from inventory.hardware import BOARDS, OS_RELEASES, SANDBOX_OS, Board, OsRelease
from inventory.kubernetes import CONTROL_PLANE, NODE, Kubernetes
from inventory.paths import PROJECT
from inventory.services import BUILT, KINDS, MODELS, LanguageModel, ServiceKind, Tier
from inventory.units import Bytes, Duration, Name, Port, Protocol

TIERS: tuple[Tier, ...] = ("data", "ai", "edge", "gateway", "monitoring", "utility")
"""In the order in which they come up: what answers first, what asks after it."""

LABEL = "[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
"""Of a domain's name, as RFC 1035 has it, in lower case."""
SMOKE_CLIENT = "smoke"
"""The client whose key the smoke suites ask with."""
KEY_HEADER = "apikey"
"""In which a client of the gateway sends its key."""

Percent = Annotated[int, Field(ge=1, le=100)]


def _is_image(value: str) -> str:
    """`registry/name:tag`, with or without `@sha256:...`; nothing moves to another registry."""
    if not re.fullmatch(r"[\w.-]+(:\d+)?(/[a-z0-9._-]+)+:[\w.-]+(@sha256:[0-9a-f]{64})?", value):
        raise ValueError("no image; write registry/name:tag, with or without @sha256:digest")
    return value


ImageName = Annotated[str, AfterValidator(_is_image)]


def known(value: str, catalogue: Collection[str], noun: str) -> str:
    """The value, if the catalogue has it; the error names the nearest and what else there is."""
    if value not in catalogue:
        raise ValueError(f"unknown {noun} {value}; {did_you_mean(value, catalogue)}")
    return value


def did_you_mean(value: str, catalogue: Collection[str]) -> str:
    """`did you mean ollama? known are ...`, without the question where nothing is near."""
    near = difflib.get_close_matches(value, catalogue, n=1)
    question = f"did you mean {near[0]}? " if near else ""
    return f"{question}known are {', '.join(sorted(catalogue))}"


class Model(BaseModel):
    """Frozen, and closed to unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Network(Model):
    """The network that the lab's machines share."""

    cidr: IPv4Network = Field(description="every host's address lies in it")
    router: IPv4Address = Field(description="the way out; no host may have its address")
    management: tuple[IPv4Network, ...] = Field(
        min_length=1, description="where administrators come from: ssh is admitted from here only"
    )
    time_servers: tuple[str, ...] = Field(
        default=("pool.ntp.org",), min_length=1, description="names or addresses of NTP servers"
    )
    domain: str = Field(
        default="lab",
        pattern=rf"^{LABEL}(\.{LABEL})*$",
        description="the lab's names end in it, where a service answers for them",
    )

    @field_validator("domain")
    @classmethod
    def _domain_is_not_multicast(cls, value: str) -> str:
        if value.rpartition(".")[2] == "local":
            raise ValueError(
                "belongs to multicast DNS, no name server is asked for it; take another, as `lab`"
            )
        return value


class Ssh(Model):
    """How the machines are reached."""

    login_user: Name = Field(description="the vendor's user: has the key and sudo from the start")
    admin_user: Name = Field(default="hearth", description="made by the bootstrap, runs the lab")
    identity_file: Path = Field(description="private key; its public half is beside it, .pub")

    @property
    def identity_path(self) -> Path:
        """The private key's absolute path; a relative one starts at the checkout."""
        return PROJECT / self.identity_file.expanduser()

    @property
    def public_key(self) -> str:
        """The public key's text; empty where there is none yet."""
        path = self.identity_path.with_name(self.identity_path.name + ".pub")
        return path.read_text().strip() if path.is_file() else ""

    def require_public_key(self) -> str:
        """The public key's text. Raises HearthError where there is none to admit."""
        if not self.public_key:
            raise HearthError(
                f"ssh.identity_file: no public key ({self.identity_path}.pub); make one with "
                "`ssh-keygen -t ed25519` and put it on the boards"
            )
        return self.public_key


class Registry(Model):
    """A container registry of the lab's own, in place of the public ones."""

    address: IPv4Address
    port: Port = 5000
    images: dict[Name, str] = Field(description="service kind to repository:tag in it")
    simulated: tuple[Name, ...] = Field(
        default=(), description="kinds whose image only speaks the protocol of the real program"
    )

    @property
    def endpoint(self) -> str:
        """`address:port`, as image names and the Docker engine write it."""
        return f"{self.address}:{self.port}"


class Service(Model):
    """A service as a site places it on a host."""

    kind: Name | None = Field(default=None, description="catalogue entry; the name, if left out")
    port: Port | None = Field(default=None, description="its first port, as seen on the host")
    memory: Bytes | None = Field(default=None, description="limit; the catalogue's, if left out")
    gpu_memory: Bytes | None = Field(default=None, description="the catalogue's, if left out")
    clients: tuple[Name, ...] = Field(
        default=(), description="hosts that may connect, beside the gateway of a route"
    )
    exposed: bool = Field(default=False, description="admit everybody; on the gateway only")
    models: tuple[str, ...] = Field(default=(), description="models to hold, most used first")

    @field_validator("kind")
    @classmethod
    def _kind_is_known(cls, value: str | None) -> str | None:
        return value if value is None else known(value, KINDS, "service")

    @field_validator("models")
    @classmethod
    def _models_are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(known(model, MODELS, "model") for model in value)


class DataDisk(Model):
    """A disk of its own for what services keep; Docker's data lives there too."""

    device: str = Field(
        pattern=r"^/dev/[A-Za-z0-9/._:-]+$",
        description="a stable name, as /dev/disk/by-id/...; formatted only while it is empty",
    )


class Host(Model):
    """A machine of the site."""

    board: str = Field(description="key of the hardware catalogue")
    os: str = Field(description="key of the catalogue of operating systems")
    address: IPv4Address
    tier: Tier
    storage: Bytes = Field(description="size of the disk that data lives on")
    data_disk: DataDisk | None = Field(default=None, description="the system's disk, if left out")
    services: dict[Name, Service] = Field(default_factory=dict)

    @field_validator("board")
    @classmethod
    def _board_is_known(cls, value: str) -> str:
        return known(value, BOARDS, "board")

    @field_validator("os")
    @classmethod
    def _os_is_known(cls, value: str) -> str:
        return known(value, OS_RELEASES, "operating system")

    @property
    def hardware(self) -> Board:
        """The board's entry in the catalogue."""
        return BOARDS[self.board]

    @property
    def os_release(self) -> OsRelease:
        """The operating system's entry in the catalogue."""
        return OS_RELEASES[self.os]


class Upstream(Model):
    """One of the services that answer a route."""

    service: str = Field(pattern=r"^[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*$", description="host.service")
    weight: Percent = Field(default=100, description="share of the requests; all add to 100")


class RateLimit(Model):
    """What one client may ask for in a second, minute or hour of the clock; more is answered 429.

    A client is the owner of an API key; an address, where the site has none.
    """

    requests: int = Field(ge=1)
    per: Literal["second", "minute", "hour"]

    @property
    def window_seconds(self) -> int:
        """The window's length."""
        return {"second": 1, "minute": 60, "hour": 3600}[self.per]


class HealthProbe(Model):
    """How the gateway tells that an upstream answers."""

    path: str = Field(pattern=r"^/")
    interval: Duration
    timeout: Duration
    healthy_after: int = Field(ge=1, description="successes in a row before it gets requests again")
    unhealthy_after: int = Field(ge=1, description="failures in a row before it gets no more")


class Range(Model):
    """What is expected, from a quiet to a busy time."""

    low: float = Field(gt=0)
    high: float = Field(gt=0)


class ServiceLevel(Model):
    """What a route promises; the smoke suites hold it to this."""

    requests_per_minute: Range
    first_byte_p95: Duration = Field(description="95 % of answers begin within it")
    success: float = Field(gt=0, le=1, description="share of requests answered in full")


class Route(Model):
    """A path of the gateway and what answers it."""

    path: str = Field(pattern=r"^/[a-z0-9/_-]+$")
    target: str | None = Field(
        default=None, pattern=r"^/", description="path on the upstream; the same, if left out"
    )
    model: str | None = Field(default=None, description="every upstream must hold this model")
    upstreams: tuple[Upstream, ...] = Field(min_length=1)
    fallback: str | None = Field(
        default=None, description="what answers while no upstream does, as `host.service`"
    )
    rate_limit: RateLimit
    health: HealthProbe
    response_timeout: Duration = Field(description="longest silence within an answer")
    service_level: ServiceLevel

    @property
    def upstream_path(self) -> str:
        """The path on the upstream."""
        return self.target or self.path

    @property
    def services(self) -> list[str]:
        """Everything that may answer it, as `host.service`."""
        return [up.service for up in self.upstreams] + ([self.fallback] if self.fallback else [])


class Retention(Model):
    """Of how many days, weeks and months the newest backup stays."""

    daily: int = Field(default=7, ge=1)
    weekly: int = Field(default=4, ge=0)
    monthly: int = Field(default=6, ge=0)


class Backups(Model):
    """When backups are made, and which stay."""

    at: str = Field(
        default="03:00",
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
        description="each day, UTC; quoted, as YAML takes it for a number",
    )
    keep: Retention = Retention()


class Sandbox(Model):
    """How one Linux machine plays the site's machines."""

    operator: IPv4Address = Field(description="this machine's address in the lab")
    memory_scale: float = Field(gt=0, le=1, description="a machine's share of its board's memory")
    memory_floor: Bytes = Field(description="no machine gets less")
    cpu_scale: float = Field(gt=0, le=1, description="a machine's share of its board's cores")
    cpu_floor: float = Field(gt=0, description="no machine gets less, in cores")
    forwards: dict[Port, Port] = Field(
        default_factory=dict, description="port on this machine's loopback to the gateway's"
    )


class Site(Model):
    """A whole lab."""

    name: Name
    network: Network
    ssh: Ssh
    hosts: dict[Name, Host] = Field(min_length=1)
    routes: dict[Name, Route] = Field(default_factory=dict)
    sessions: Range | None = Field(
        default=None, description="people at work at once; of a site with routes"
    )
    api_clients: tuple[Name, ...] = Field(
        default=(),
        description="who may use the routes, each with an API key; without any, they are open",
    )
    drift_interval: Duration = Field(
        default=timedelta(minutes=5),
        description="how often drift-check compares the machines with the site",
    )
    backup: Backups = Backups()
    registry: Registry | None = None
    images: dict[Name, ImageName] = Field(
        default_factory=dict,
        description="images by service kind, in place of the catalogue's; `hearth pin` writes them",
    )
    registry_mirror: str | None = Field(
        default=None,
        pattern=r"^https?://[^/]+$",
        description="a pull-through cache of Docker Hub's images, asked first",
    )
    sandbox: Sandbox | None = None
    kubernetes: Kubernetes | None = Field(
        default=None, description="the machines are a cluster: its pods in place of containers"
    )
    fixai: FixAI | None = Field(default=None, description="the application that the cluster runs")

    def __copy__(self) -> Site:
        """A copy without what was derived: with other fields, other things follow."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_construct(**fields)

    def placements(self) -> Iterator[Placement]:
        """Every service with its host, in the file's order."""
        for host_name, host in self.hosts.items():
            for service_name, service in host.services.items():
                yield Placement(self, host_name, host, service_name, service)

    def on_host(self, host_name: str) -> list[Placement]:
        """The services of one host."""
        host = self.hosts[host_name]
        return [Placement(self, host_name, host, name, s) for name, s in host.services.items()]

    def placement(self, reference: str) -> Placement:
        """The service that `host.service` names. Raises KeyError where there is none."""
        host_name, _, service_name = reference.partition(".")
        host = self.hosts[host_name]
        return Placement(self, host_name, host, service_name, host.services[service_name])

    @cached_property
    def routed(self) -> frozenset[str]:
        """The services that answer a route, as `host.service`."""
        return frozenset(name for route in self.routes.values() for name in route.services)

    def accounts(self) -> Iterator[str]:
        """What has a password or a key, as `Placement.account` and `api_key` call it."""
        for placement in self.placements():
            if placement.provisioned:
                yield from (placement.account(name) for name in placement.kind.accounts)
        yield from (self.api_key(client) for client in self.api_clients)
        if self.fixai is not None:
            yield from self.fixai.accounts

    def api_key(self, client: str) -> str:
        """What a client's API key is called in the stack's configuration."""
        # No account's name has a capital letter.
        return f"apiKey-{client}"

    @cached_property
    def clients(self) -> dict[tuple[str, str], frozenset[str]]:
        """Who connects: the hosts by service, as `host.service`, and name of its port.

        Stated clients may connect to every port, routes' gateways and services that use this one
        to the first, Prometheus to the one with metrics.
        """
        found: dict[tuple[str, str], set[str]] = {}
        scrapers = {
            p.host_name for p in self.placements() if p.kind_name == "prometheus" and p.provisioned
        }
        for placement in self.placements():
            for port in placement.kind.ports:
                found[placement.reference, port] = set(placement.service.clients)
            if placement.reference in self.routed:
                found[placement.reference, placement.first_port].add(self.gateway)
            if placement.kind.metrics:
                found[placement.reference, placement.kind.metrics.port] |= scrapers
            for kind in placement.kind.used_by:
                users = {user.host_name for user in self.by_kind.get(kind, ())}
                found[placement.reference, placement.first_port] |= users
        for placement in self.placements():
            for used in placement.uses if placement.provisioned else ():
                found[used.reference, used.first_port].add(placement.host_name)
        return {key: frozenset(hosts) for key, hosts in found.items()}

    @cached_property
    def nodes(self) -> list[str]:
        """The hosts that run a cluster's pods, in the file's order; none where there is none."""
        return [p.host_name for p in self.placements() if p.kind_name == NODE and p.provisioned]

    @cached_property
    def control_plane(self) -> str:
        """The host that runs a cluster's API. Raises StopIteration where there is no cluster."""
        return next(p.host_name for p in self.placements() if p.kind_name == CONTROL_PLANE)

    def pods_of(self, host_name: str) -> IPv4Network:
        """The share of the pods' network that a node has."""
        if self.kubernetes is None:
            raise ValueError(f"{self.name} is no cluster")
        return self.kubernetes.pods_of(self.nodes.index(host_name))

    @cached_property
    def time_hosts(self) -> list[str]:
        """The hosts that tell the network the time."""
        telling = (p.host_name for p in self.placements() if p.provisioned and p.kind.tells_time)
        return list(dict.fromkeys(telling))

    def time_sources(self, host_name: str) -> list[str]:
        """Whom a host asks for the time: the site's time servers, then the hosts that tell it.

        Those ask the outside alone: two that ask each other know no better.
        """
        told = [] if host_name in self.time_hosts else self.time_hosts
        within = (str(self.hosts[name].address) for name in told)
        return list(dict.fromkeys((*self.network.time_servers, *within)))

    @property
    def unpinned(self) -> set[str]:
        """The public images that are named by their tags alone, which may move."""
        if self.registry is not None:
            return set()
        pulled = (p.image for p in self.placements() if p.provisioned and p.pulled)
        return {image for image in pulled if "@" not in image}

    @property
    def served_routes(self) -> dict[str, Route]:
        """The routes whose upstreams are all provisioned; a planned service answers nothing."""
        return {
            name: route
            for name, route in self.routes.items()
            if all(self.placement(upstream.service).provisioned for upstream in route.upstreams)
        }

    @cached_property
    def by_kind(self) -> dict[str, list[Placement]]:
        """The services of each kind, in the order of tiers."""
        found: dict[str, list[Placement]] = {}
        for placement in sorted(self.placements(), key=lambda p: TIERS.index(p.host.tier)):
            found.setdefault(placement.kind_name, []).append(placement)
        return found

    @cached_property
    def gateway(self) -> str:
        """The name of the host that the world talks to."""
        return next(name for name, host in self.hosts.items() if host.tier == "gateway")


@dataclass(frozen=True, slots=True)
class Placement:
    """A service on a host, with the catalogue's defaults filled in."""

    site: Site
    host_name: str
    host: Host
    name: str
    service: Service

    @property
    def reference(self) -> str:
        """`host.service`, as routes name it."""
        return f"{self.host_name}.{self.name}"

    @property
    def kind_name(self) -> str:
        """Key of the service catalogue."""
        return self.service.kind or self.name

    @property
    def kind(self) -> ServiceKind:
        """The catalogue's entry."""
        return KINDS[self.kind_name]

    @property
    def os_release(self) -> OsRelease:
        """What its machine really runs: a sandboxed one is always the same."""
        return self.host.os_release if self.site.sandbox is None else OS_RELEASES[SANDBOX_OS]

    @property
    def memory_bytes(self) -> int:
        """The container's memory limit."""
        stated = self.service.memory
        return self.kind.memory_bytes if stated is None else stated

    @property
    def gpu_memory_bytes(self) -> int:
        """What it may take of the GPU's memory."""
        stated = self.service.gpu_memory
        return self.kind.gpu_memory_bytes if stated is None else stated

    @property
    def models(self) -> dict[str, LanguageModel]:
        """The models that it holds, most used first."""
        return {name: MODELS[name] for name in self.service.models}

    @property
    def answers_with(self) -> tuple[str, ...]:
        """The models that it answers with: its own, or those of the Ollama that it uses."""
        ollama = self.used("ollama")
        return (ollama or self).service.models

    @property
    def ports(self) -> dict[str, int]:
        """Its ports as seen on the host, by name; none for what the site does not provision."""
        ports = {
            name: port
            for name, port in self.kind.ports.items()
            if name not in self.kind.uses or ((u := self.used(name)) and u.provisioned)
        }
        if self.service.port is not None and ports:
            ports[next(iter(ports))] = self.service.port
        return ports

    @property
    def address(self) -> str:
        """`address:port` of its first port."""
        return f"{self.host.address}:{next(iter(self.ports.values()))}"

    @property
    def image(self) -> str:
        """The image to run: the lab's own registry's where it has one, else the site's."""
        registry = self.site.registry
        if registry is not None and self.kind_name in registry.images:
            return f"{registry.endpoint}/{registry.images[self.kind_name]}"
        return self.site.images.get(self.kind_name, self.kind.image)

    @property
    def pulled(self) -> bool:
        """Whether its image comes from a registry; Hearth's own programs are built in place."""
        return not self.image.startswith(BUILT)

    @property
    def first_port(self) -> str:
        """The name of the port that other services use."""
        return next(iter(self.kind.ports))

    @property
    def uses(self) -> list[Placement]:
        """The services that it connects to: beside it, else the first in the order of tiers."""
        kinds = (*self.kind.uses, *self.kind.uses_beside)
        return [used for kind in kinds if (used := self.used(kind)) is not None]

    def used(self, kind_name: str) -> Placement | None:
        """The service of a kind that it connects to; None where the site has none."""
        there = self.site.by_kind.get(kind_name, [])
        beside = [placement for placement in there if placement.host_name == self.host_name]
        anywhere = [] if kind_name in self.kind.uses_beside else there
        return next(iter(beside or anywhere), None)

    @property
    def kept_by(self) -> Placement | None:
        """The service that makes backups of what it holds; None where none does."""
        for placement in self.site.by_kind.get("backup", []):
            used = placement.used(self.kind_name) if placement.provisioned else None
            if self.kind_name in placement.kind.uses and used == self:
                return placement
        return None

    def clients_of(self, port: str) -> list[str]:
        """The names of the other hosts that may connect to a port of it."""
        return sorted(self.site.clients[self.reference, port] - {self.host_name})

    def endpoint_from(self, host_name: str, port: str = "") -> str:
        """`name:port` or `address:port`, as a container on a host reaches it.

        Args:
            host_name: where who asks is: beside it, containers know each other by name.
            port: the port's name; the first, if left out.
        """
        name = port or self.first_port
        shape = self.kind.container
        if host_name == self.host_name and not (shape and shape.host_network):
            return f"{self.name}:{self.kind.ports[name]}"
        return f"{self.host.address}:{self.ports[name]}"

    @property
    def published(self) -> bool:
        """Whether any other machine has a reason to reach it."""
        return bool(self.published_ports)

    @property
    def published_ports(self) -> list[str]:
        """The names of the ports that other machines have a reason to reach."""
        if self.service.exposed or self.kind.network_wide or self.kind.administered:
            return list(self.ports)
        return [port for port in self.ports if self.clients_of(port)]

    @property
    def openings(self) -> list[tuple[int, Protocol]]:
        """What those are on the host, once for each protocol."""
        return [
            (self.ports[port], protocol)
            for port in self.published_ports
            for protocol in self.kind.protocols_of(port)
        ]

    @property
    def published_on(self) -> IPv4Address:
        """Which of its machine's addresses has these ports; 0.0.0.0 is all of them."""
        return self.host.address if self.kind.network_wide else IPv4Address(0)

    def account(self, name: str) -> str:
        """What the password of one of its accounts is called in the stack's configuration."""
        return f"{self.host_name}-{self.name}-{name}"

    @property
    def simulated(self) -> bool:
        """Whether a stand-in runs in place of the real program."""
        registry = self.site.registry
        return registry is not None and self.kind_name in registry.simulated

    @property
    def provisioned(self) -> bool:
        """Whether it is run here, by a component or as part of a cluster, rather than planned."""
        if self.kind.in_cluster:
            return self.site.kubernetes is not None
        registry = self.site.registry
        served = registry is None or self.kind_name in registry.images
        return self.kind.container is not None and served
