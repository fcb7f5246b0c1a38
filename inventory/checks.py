"""The rules that a sound site keeps, beyond the types of its fields.

Each rule is a generator of (path, fault and remedy). The rules of STRUCTURE see that names
lead somewhere; the others rely on that.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator

from inventory.document import Document, Path_
from inventory.errors import SiteError
from inventory.fixai_checks import check_fixai
from inventory.flows import NTP_PORT, SSH_PORT
from inventory.kubernetes import CONTROL_PLANE, NODE, NODE_PREFIX, Kubernetes
from inventory.kubernetes import IMAGES as CLUSTER_IMAGES
from inventory.model import SMOKE_CLIENT, Placement, Range, Route, Site, did_you_mean
from inventory.services import BUILT, GATEWAY_ENGINES, KINDS
from inventory.units import Protocol, format_port, format_size

Finding = tuple[Path_, str]
Rule = Callable[[Site], Iterator[Finding]]


def check(site: Site, source: Document) -> list[SiteError]:
    """Everything that is wrong with a site whose fields are of the right types."""
    for rules in (STRUCTURE, RULES):
        if errors := [source.error(path, what) for rule in rules for path, what in rule(site)]:
            return errors
    return []


def _service_path(placement: Placement) -> Path_:
    return ("hosts", placement.host_name, "services", placement.name)


def _kinds(site: Site) -> Iterator[Finding]:
    """Every service is of a kind that the catalogue knows."""
    for placement in site.placements():
        if placement.kind_name not in KINDS:
            yield (
                _service_path(placement),
                f"unknown service {placement.kind_name} without a `kind`; "
                f"{did_you_mean(placement.kind_name, KINDS)}",
            )


def _addresses(site: Site) -> Iterator[Finding]:
    """Every address within the network, used once."""
    reserved = {site.network.router: "the router"}
    if site.sandbox is not None:
        reserved[site.sandbox.operator] = "the sandbox's operator"
    if site.registry is not None:
        reserved[site.registry.address] = "the registry"
    if site.network.router not in site.network.cidr:
        yield (
            ("network", "router"),
            f"is outside the network ({site.network.router} not in {site.network.cidr}); "
            "give an address within it",
        )
    seen = dict(reserved)
    for name, host in site.hosts.items():
        path: Path_ = ("hosts", name, "address")
        if host.address not in site.network.cidr:
            yield (
                path,
                f"is outside the network ({host.address} not in {site.network.cidr}); "
                "give an address within it",
            )
        elif host.address in (
            site.network.cidr.network_address,
            site.network.cidr.broadcast_address,
        ):
            yield path, f"is the network's own ({host.address}); give a host's address"
        if host.address in seen:
            yield (
                path,
                f"{host.address} is used by both {seen[host.address]} and {name}; "
                "give each an address of its own",
            )
        seen.setdefault(host.address, name)


def _ports(site: Site) -> Iterator[Finding]:
    """No two services of a host publish one port; ssh and time keep their own."""
    for host_name in site.hosts:
        users: dict[tuple[int, Protocol], str] = {(SSH_PORT, "tcp"): "ssh"}
        if host_name in site.time_hosts:
            users[NTP_PORT, "udp"] = "time"
        for placement in site.on_host(host_name):
            for opening in placement.openings:
                if opening in users:
                    yield (
                        _service_path(placement),
                        f"port {format_port(*opening)} is used by both {users[opening]} and "
                        f"{placement.name}; give one of them another `port`",
                    )
                users.setdefault(opening, placement.name)


def _amounts(parts: Iterable[tuple[str, int]]) -> str:
    """`comfyui 4 GiB, ollama 3 GiB`, largest first."""
    ordered = sorted(parts, key=lambda part: -part[1])
    return ", ".join(f"{name} {format_size(size)}" for name, size in ordered if size)


def _memory(site: Site) -> Iterator[Finding]:
    """Services fit into their board's memory; a shared GPU takes from the same memory."""
    for host_name, host in site.hosts.items():
        board, placements = host.hardware, site.on_host(host_name)
        shared = board.gpu is not None and board.gpu.memory_bytes is None
        needs = [
            (p.name, p.memory_bytes + (p.gpu_memory_bytes if shared else 0)) for p in placements
        ]
        needed = sum(size for _, size in needs)
        if needed > board.budget_bytes:
            yield (
                ("hosts", host_name, "services"),
                f"memory {format_size(needed)} of {format_size(board.budget_bytes)} "
                f"({_amounts(needs)}); move or shrink a service",
            )
        gpu_needs = [(p.name, p.gpu_memory_bytes) for p in placements]
        gpu_needed = sum(size for _, size in gpu_needs)
        if board.gpu is None:
            if gpu_needed:
                yield (
                    ("hosts", host_name, "services"),
                    f"GPU memory {format_size(gpu_needed)} on a board without a GPU "
                    f"({_amounts(gpu_needs)}); move the service to a board with one",
                )
        elif board.gpu.memory_bytes is not None and gpu_needed > board.gpu.memory_bytes:
            yield (
                ("hosts", host_name, "services"),
                f"GPU memory {format_size(gpu_needed)} of {format_size(board.gpu.memory_bytes)} "
                f"({_amounts(gpu_needs)}); move or shrink a service",
            )


def _fits_board(site: Site) -> Iterator[Finding]:
    """The board runs the system, and the system the service; one reason against is enough."""
    for name, host in site.hosts.items():
        if host.os not in host.hardware.os_releases:
            yield (
                ("hosts", name, "os"),
                f"{host.hardware.title} does not run it ({host.os}); "
                f"use {' or '.join(host.hardware.os_releases)}",
            )
    for placement in site.placements():
        path, kind, board = _service_path(placement), placement.kind, placement.host.hardware
        l4t = placement.host.os_release.l4t
        if board.architecture not in kind.architectures:
            yield (
                path,
                f"{placement.kind_name}'s image is for {', '.join(kind.architectures)} only "
                f"({board.title} is {board.architecture}); place it on another board",
            )
        elif board.page_size_bytes not in kind.page_sizes_bytes:
            yield (
                path,
                f"{placement.kind_name} does not run on {format_size(board.page_size_bytes)} pages "
                f"({board.title}); place it on another board",
            )
        elif kind.l4t_minimum is not None and (l4t is None or l4t < kind.l4t_minimum):
            found = "no L4T" if l4t is None else f"R{l4t}"
            yield (
                path,
                f"{placement.kind_name} needs L4T R{kind.l4t_minimum} or newer "
                f"({placement.host.os_release.title} has {found}); place it on a newer board",
            )


def _models(site: Site) -> Iterator[Finding]:
    """A model fits into the memory of the service that holds it, and its disk."""
    for placement in site.placements():
        path = (*_service_path(placement), "models")
        if placement.service.models and not placement.kind.holds_models:
            yield path, f"{placement.kind_name} holds no models; remove them"
            continue
        room = placement.memory_bytes + placement.gpu_memory_bytes
        for name, model in placement.models.items():
            if model.memory_bytes > room:
                yield (
                    path,
                    f"{name} needs {format_size(model.memory_bytes)} of {format_size(room)}; "
                    "give the service more memory or hold a smaller model",
                )
        on_disk = sum(model.size_bytes for model in placement.models.values())
        if on_disk > placement.host.storage:
            yield (
                ("hosts", placement.host_name, "storage"),
                f"{placement.name}'s models take {format_size(on_disk)} of "
                f"{format_size(placement.host.storage)} storage; hold fewer",
            )


def _clients(site: Site) -> Iterator[Finding]:
    """Clients are hosts of the site."""
    for placement in site.placements():
        for client in placement.service.clients:
            if client not in site.hosts:
                yield (
                    (*_service_path(placement), "clients"),
                    f"no such host ({client}); {did_you_mean(client, site.hosts)}",
                )


def _api_clients(site: Site) -> Iterator[Finding]:
    """A client of the routes is named once; the smoke suites are one."""
    for index, client in enumerate(site.api_clients):
        if client in site.api_clients[:index]:
            yield ("api_clients", index), f"{client} stands twice; remove one"
    if site.api_clients and SMOKE_CLIENT not in site.api_clients:
        yield (
            ("api_clients",),
            f"the smoke suites need a key of their own ({', '.join(site.api_clients)}); "
            f"add `{SMOKE_CLIENT}`",
        )


def _one_gateway(site: Site) -> Iterator[Finding]:
    """One host is the gateway."""
    gateways = [name for name, host in site.hosts.items() if host.tier == "gateway"]
    if len(gateways) != 1:
        found = ", ".join(gateways) or "none"
        yield ("hosts",), f"a site has one host of tier gateway ({found}); name exactly one"


def _exposure(site: Site) -> Iterator[Finding]:
    """Only the gateway is exposed."""
    for placement in site.placements():
        if placement.service.exposed and placement.host.tier != "gateway":
            yield (
                (*_service_path(placement), "exposed"),
                f"only the gateway may be exposed ({placement.host_name} is of tier "
                f"{placement.host.tier}); remove it and list its `clients`",
            )


def _tiers(site: Site) -> Iterator[Finding]:
    """A service stands where a component knows how to run it."""
    for placement in site.placements():
        if placement.provisioned and placement.host.tier not in placement.kind.tiers:
            yield (
                _service_path(placement),
                f"{placement.kind_name} runs on hosts of tier "
                f"{' or '.join(placement.kind.tiers)} ({placement.host_name} is of tier "
                f"{placement.host.tier}); place it on one of those",
            )


def _gateway(site: Site) -> Iterator[Finding]:
    """On the gateway: nginx before one engine, which counts in Redis; one of each."""
    kinds = Counter(p.kind_name for p in site.on_host(site.gateway))
    path: Path_ = ("hosts", site.gateway, "services")
    for kind, count in kinds.items():
        if count > 1:
            yield path, f"the gateway runs one {kind} ({count}); remove the others"
    if site.routes and not kinds["nginx"]:
        yield path, "routes need nginx on the gateway (none); place one"
    engines = [kind for kind in GATEWAY_ENGINES if kinds[kind]]
    if (site.routes or kinds["nginx"]) and len(engines) != 1:
        found = ", ".join(engines) or "none"
        yield path, f"nginx needs one engine of {', '.join(GATEWAY_ENGINES)} ({found}); place one"
    for engine in engines:
        if not kinds["redis"]:
            yield path, f"{engine} counts rate limits in a redis on the gateway (none); place one"


def _drift_check(site: Site) -> Iterator[Finding]:
    """The drift check compares what Prometheus knows."""
    for placement in site.by_kind.get("drift-check", ()):
        if placement.provisioned and not any(used.provisioned for used in placement.uses):
            yield _service_path(placement), "drift-check asks a prometheus (none); place one"


def _routes(site: Site) -> Iterator[Finding]:
    """Routes reach services that exist and hold the route's model; their weights add to 100."""
    paths: defaultdict[str, list[str]] = defaultdict(list)
    references = {p.reference: p for p in site.placements()}
    for name, route in site.routes.items():
        base: Path_ = ("routes", name)
        paths[route.path].append(name)
        if len(paths[route.path]) > 1:
            yield (
                (*base, "path"),
                f"{route.path} is used by both {paths[route.path][0]} and {name}; "
                "give each a path of its own",
            )
        total = sum(upstream.weight for upstream in route.upstreams)
        if total != 100:  # noqa: PLR2004 - weights are percentages
            yield (*base, "upstreams"), f"weights add to {total}; make them add to 100"
        for index, upstream in enumerate(route.upstreams):
            at = (*base, "upstreams", index)
            placement = references.get(upstream.service)
            if placement is None:
                yield at, f"no host runs it ({upstream.service}); place it, or name another"
            elif route.model is not None and route.model not in placement.answers_with:
                holder = placement.used("ollama") or placement
                yield (
                    at,
                    f"{holder.reference} does not hold the route's model ({route.model}); "
                    "add it to its `models`",
                )
        yield from _fallback(base, route, references)
        if route.health.timeout >= route.health.interval:
            yield (
                (*base, "health", "timeout"),
                f"must be shorter than the interval ({route.health.timeout.total_seconds():g}s of "
                f"{route.health.interval.total_seconds():g}s); shorten it",
            )
        yield from _range(
            (*base, "service_level", "requests_per_minute"), route.service_level.requests_per_minute
        )
    if site.sessions is not None:
        yield from _range(("sessions",), site.sessions)
    elif site.routes:
        yield ("sessions",), "missing; add how many people use the routes at once"


def _fallback(base: Path_, route: Route, references: dict[str, Placement]) -> Iterator[Finding]:
    """What answers while no upstream does is there, and is none of them."""
    if route.fallback is None:
        return
    at = (*base, "fallback")
    if route.fallback not in references:
        yield at, f"no host runs it ({route.fallback}); place it, or name another"
    elif route.fallback in {upstream.service for upstream in route.upstreams}:
        yield at, f"is one of the upstreams ({route.fallback}); name another service"


def _range(path: Path_, stated: Range) -> Iterator[Finding]:
    if stated.low > stated.high:
        yield path, f"low is above high ({stated.low:g} > {stated.high:g}); exchange them"


def _registry(site: Site) -> Iterator[Finding]:
    """A registry that replaces images serves kinds of the catalogue."""
    if site.registry is None:
        return
    known = KINDS if site.kubernetes is None else {*KINDS, *CLUSTER_IMAGES}
    for kind in site.registry.images:
        if kind not in known:
            yield (
                ("registry", "images", kind),
                f"unknown service {kind}; {did_you_mean(kind, known)}",
            )
    for index, kind in enumerate(site.registry.simulated):
        if kind not in site.registry.images:
            yield (
                ("registry", "simulated", index),
                f"it serves no image for {kind}; {did_you_mean(kind, site.registry.images)}",
            )


def _cluster(site: Site) -> Iterator[Finding]:
    """A cluster has one control plane and its nodes, and no containers of Docker's."""
    kinds = Counter(placement.kind_name for placement in site.placements())
    if site.kubernetes is None:
        for placement in site.placements():
            if placement.kind.in_cluster:
                yield (
                    _service_path(placement),
                    f"{placement.kind_name} is part of a cluster (none); add `kubernetes:`",
                )
        return
    if kinds[CONTROL_PLANE] != 1:
        yield (
            ("hosts",),
            f"a cluster has one {CONTROL_PLANE} ({kinds[CONTROL_PLANE]}); place exactly one",
        )
    if not kinds[NODE]:
        yield ("hosts",), f"a cluster needs a {NODE} to run pods (none); place one"
    for placement in site.placements():
        if not placement.kind.in_cluster:
            yield (
                _service_path(placement),
                f"{placement.kind_name} is a container of Docker's, which a cluster's machines do "
                "not have; remove it, the stack runs it as a pod",
            )
    for path, what in _cluster_networks(site, site.kubernetes):
        yield ("kubernetes", path), what


def _cluster_networks(site: Site, cluster: Kubernetes) -> Iterator[tuple[str, str]]:
    """The cluster's own networks overlap neither each other nor the site's."""
    used = {"the site's": site.network.cidr}
    for name, network in (("pods", cluster.pods), ("services", cluster.services)):
        for whose, other in used.items():
            if network.overlaps(other):
                yield name, f"overlaps {whose} network ({network} and {other}); take another"
        used[f"the {name}'"] = network
    room = 1 << max(0, NODE_PREFIX - cluster.pods.prefixlen)
    if len(site.nodes) > room or cluster.pods.prefixlen > NODE_PREFIX:
        yield (
            "pods",
            f"has no /{NODE_PREFIX} for each node ({cluster.pods}); take a larger network",
        )


def _images(site: Site) -> Iterator[Finding]:
    """Images of the site's own are for kinds of the catalogue that are pulled."""
    for kind in site.images:
        if kind not in KINDS:
            yield ("images", kind), f"unknown service {kind}; {did_you_mean(kind, KINDS)}"
        elif KINDS[kind].image.startswith(BUILT):
            yield ("images", kind), "is built on its machine, not pulled; remove it"


def _sandbox(site: Site) -> Iterator[Finding]:
    """A sandbox's own addresses lie in its network."""
    if site.sandbox is None:
        return
    if site.registry is None:
        yield ("sandbox",), "a sandbox needs a registry; add `registry:`"
    elif site.registry.address not in site.network.cidr:
        yield (
            ("registry", "address"),
            f"is outside the network ({site.registry.address} not in {site.network.cidr}); "
            "give an address within it",
        )
    if site.sandbox.operator not in site.network.cidr:
        yield (
            ("sandbox", "operator"),
            f"is outside the network ({site.sandbox.operator} not in {site.network.cidr}); "
            "give an address within it",
        )


STRUCTURE: tuple[Rule, ...] = (_kinds, _clients, _one_gateway)
RULES: tuple[Rule, ...] = (
    _addresses,
    _ports,
    _memory,
    _fits_board,
    _models,
    _exposure,
    _tiers,
    _gateway,
    _api_clients,
    _drift_check,
    _routes,
    _registry,
    _images,
    _cluster,
    check_fixai,
    _sandbox,
)
