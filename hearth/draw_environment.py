"""A picture of an environment on AWS, drawn from the resources that its stack declares.

What stands in which subnets, who connects to whom and who may read what follow from the resources:
from the subnets that they name, the security group rules between them, the roles' policies. The
settings add only what no resource says: how many nodes Karpenter may start.

From top to bottom: the names that clients ask, the subnets by tier with a column for each zone,
what is outside the network. Requests run down; the way out runs beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

from hearth.picture import (
    ARROW_HEAD,
    CAPITAL,
    CORNER,
    FONTS,
    Point,
    arrow_head,
    draw_path,
    draw_rect,
    draw_text,
    fit,
    new_picture,
    text_width,
    written,
)
from inventory.cloud.model import Environment
from policies.graph import Graph, NotYetKnownError, Resource

WIDTH = 900.0
MARGIN = 28.0
FRAME = 14.0
"""Between a frame and what is in it."""
SPACE = 14.0
HEADER = 64.0
TITLE_LINE, SUBTITLE_LINE = 34.0, 52.0
LABEL = 24.0
"""The height of a frame's name, and of a tier's subnets."""
GAP = 34.0
"""Between rows of cards that an arrow joins, with room for its label."""
PAD = 11.0
NAME_LINE, LINE = 14.0, 16.0
LEGEND = 34.0
SIGN = 26.0
LANE = 12.0
OUT = 0.9
"""Where the way out leaves the cluster: this share of its width, beside the load balancer."""

CLUSTER = "aws:eks/cluster:Cluster"
DATABASE = "aws:rds/instance:Instance"
CACHE = "aws:elasticache/replicationGroup:ReplicationGroup"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
DISTRIBUTION = "aws:cloudfront/distribution:Distribution"
NAT = "aws:ec2/natGateway:NatGateway"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
SUBNET = "aws:ec2/subnet:Subnet"
RECORD = "aws:route53/record:Record"
STANDBY = "aws:apigateway/restApi:RestApi"
BUCKET = "aws:s3/bucket:Bucket"
TIERS = ("public", "private", "isolated")


# --- what the resources say ----------------------------------------------------------------


@dataclass(frozen=True)
class Declared:
    """What a graph's resources say about each other."""

    graph: Graph

    @property
    def environment(self) -> Environment:
        """The settings that they come from."""
        if self.graph.environment is None:
            raise ValueError("a graph without settings cannot be drawn")
        return self.graph.environment

    def all(self, type_: str) -> list[Resource]:
        """Those of a type, by name."""
        return sorted(self.graph.of_type(type_), key=lambda resource: resource.name)

    def only(self, type_: str) -> Resource:
        """The one of a type."""
        (found,) = self.graph.of_type(type_)
        return found

    def meant(self, resource: Resource, name: str) -> list[Resource]:
        """Those from which a property comes."""
        urns = resource.references.get(name, frozenset())
        return [found for found in self.graph.resources if found.urn in urns]

    def tiers(self) -> dict[str, list[Resource]]:
        """Subnets by tier, in the order of their zones: by where their routes lead."""
        found: dict[str, list[Resource]] = {tier: [] for tier in TIERS}
        for subnet in sorted(self.all(SUBNET), key=lambda each: str(each.get("availabilityZone"))):
            found[self._tier(subnet)].append(subnet)
        return found

    def _tier(self, subnet: Resource) -> str:
        association = "aws:ec2/routeTableAssociation:RouteTableAssociation"
        for joined in self.graph.about(subnet, association, "subnetId"):
            for table in self.meant(joined, "routeTableId"):
                for route in self.graph.about(table, "aws:ec2/route:Route", "routeTableId"):
                    return "public" if route.has("gatewayId") else "private"
        return "isolated"

    def tier_of(self, resource: Resource) -> str:
        """The tier of the subnets that it names, itself or by a subnet group."""
        for name in resource.references:
            for meant in self.meant(resource, name):
                if meant.type == SUBNET:
                    return self._tier(meant)
                if meant.type.endswith(":SubnetGroup"):
                    return self.tier_of(meant)
        raise ValueError(f"{resource.name}: is in no subnet")

    def connections(self) -> list[tuple[str, str, int]]:
        """Client, server and port: types, as there is one of each.

        Of every rule between security groups, and of CloudFront's way into the network: its group
        is AWS's own.
        """
        found: dict[tuple[str, str, int], None] = {}
        for origin in self.all("aws:cloudfront/vpcOrigin:VpcOrigin"):
            port = int(origin.get("vpcOriginEndpointConfig.httpsPort"))
            for reached in self.meant(origin, "vpcOriginEndpointConfig"):
                if self.graph.about(origin, DISTRIBUTION, "origins"):
                    found[DISTRIBUTION, reached.type, port] = None
        for kind in ("SecurityGroupIngressRule", "SecurityGroupEgressRule"):
            for rule in self.all(f"aws:vpc/{kind[0].lower()}{kind[1:]}:{kind}"):
                sides = [
                    {owner.type for group in self.meant(rule, name) for owner in self._in(group)}
                    for name in ("referencedSecurityGroupId", "securityGroupId")
                ]
                clients, servers = sides if "Ingress" in kind else sides[::-1]
                for client, server in ((c, s) for c in clients for s in servers):
                    found[client, server, int(rule.get("toPort"))] = None
        return sorted(found)

    def _in(self, group: Resource) -> list[Resource]:
        """What has a security group; the cluster has made one of its own."""
        if group.type != "aws:ec2/securityGroup:SecurityGroup":
            return [group] if group.type == CLUSTER else []
        names = ("securityGroups", "securityGroupIds", "vpcSecurityGroupIds")
        members = (r for r in self.graph.resources if r.type in (BALANCER, DATABASE, CACHE))
        return [
            found
            for found in members
            if any(group.urn in found.references.get(name, frozenset()) for name in names)
        ]

    def users(self, resource: Resource) -> list[str]:
        """The workloads whose roles' policies name a resource, a bucket once it has its policy."""
        policy = "aws:s3/bucketPolicy:BucketPolicy"
        urns = {resource.urn, *(each.urn for each in self.graph.about(resource, policy, "bucket"))}
        found = []
        pods = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
        for association in self.all(pods):
            for role in self.meant(association, "roleArn"):
                policies = self.graph.about(role, "aws:iam/rolePolicy:RolePolicy", "role")
                if any(urns & each.references.get("policy", frozenset()) for each in policies):
                    found.append(str(association.get("serviceAccount")))
        return found


def _known(resource: Resource, path: str, otherwise: Any) -> Any:
    """A property, or something else where a plan does not know it."""
    try:
        return resource.get(path, otherwise)
    except NotYetKnownError:
        return otherwise


Room = tuple[float, float]
"""A stretch: from where to where, or from where and how long."""


# --- layout --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Card:
    """Something that is there, with what there is to say about it."""

    key: str
    title: str
    lines: tuple[str, ...]
    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """Half way across."""
        return self.x + self.width / 2

    @property
    def bottom(self) -> float:
        """Where it ends."""
        return self.y + self.height


@dataclass(frozen=True, slots=True)
class Frame:
    """What several cards are in.

    Attributes:
        style: of its fill.
        subnets: names of a tier's, with the place of each.
    """

    title: str
    x: float
    y: float
    width: float
    height: float
    style: str = "band"
    subnets: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Arrow:
    """A connection: its way, and what stands beside its end."""

    client: str
    server: str
    points: tuple[Point, ...]
    label: str = ""
    style: str = "route"


@dataclass
class Layout:
    """Where everything is."""

    cards: dict[str, Card] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    height: float = 0.0

    def row(
        self, y: float, left: float, width: float, *cards: tuple[str, str, Sequence[str], float]
    ) -> float:
        """Puts cards side by side, each with its share of the width; returns where they end."""
        height = max(_height(lines) for _, _, lines, _ in cards)
        room = width - SPACE * (len(cards) - 1)
        x = left
        for key, title, lines, share in cards:
            self.cards[key] = Card(key, title, tuple(lines), x, y, room * share, height)
            x += room * share + SPACE
        return y + height

    def down(self, client: str, server: str, label: str = "", style: str = "route") -> None:
        """An arrow straight down from one card to another."""
        above, below = self.cards[client], self.cards[server]
        left, right = max(above.x, below.x), min(above.x + above.width, below.x + below.width)
        reached = [each.points[-1][0] for each in self.arrows if each.server == client]
        x = self._clear((left, right), (above.bottom, below.y), reached)
        points = ((x, above.bottom), (x, below.y))
        self.arrows.append(Arrow(client, server, points, label, style))

    def _clear(self, across: Room, down: Room, wanted: Sequence[float]) -> float:
        """Where a line down crosses no card and no subnet's name.

        As wanted if it can be, else in the middle of the widest stretch.
        """
        (left, right), (top, bottom) = across, down
        taken = [
            (card.x, card.x + card.width)
            for card in self.cards.values()
            if card.y < bottom and card.bottom > top
        ]
        for frame in self.frames:
            if top < frame.y + LABEL and frame.y < bottom:
                font = FONTS["detail"]
                taken += [(x, x + text_width(name, font)) for x, name in frame.subnets]
        for x in wanted:
            if left < x < right and not any(a - SPACE < x < b + SPACE for a, b in taken):
                return x
        edges = sorted({left, right, *(e for span in taken for e in span if left < e < right)})
        free = [
            (b - a, (a + b) / 2)
            for a, b in pairwise(edges)
            if not any(start < (a + b) / 2 < end for start, end in taken)
        ]
        return max(free)[1] if free else (left + right) / 2


def _height(lines: Sequence[str]) -> float:
    return 2 * PAD + NAME_LINE + LINE * len(lines)


def layout(graph: Graph) -> Layout:
    """Everything's place."""
    declared, found = Declared(graph), Layout()
    left, width = MARGIN, WIDTH - 2 * MARGIN
    y = _names(declared, found, HEADER)
    region_top, vpc_top = y + GAP, y + GAP + LABEL
    inner, room = left + 2 * FRAME, width - 4 * FRAME
    tiers = declared.tiers()
    y = vpc_top + LABEL
    for tier, content in (("public", _public), ("private", _private), ("isolated", _isolated)):
        columns = _columns(tiers[tier], inner, room)
        frame_top = y
        bottom = content(declared, found, y + LABEL + FRAME, (inner + FRAME, room - 2 * FRAME))
        height = bottom + FRAME - frame_top
        found.frames.append(Frame(tier, inner, frame_top, room, height, "tier", columns))
        y = frame_top + height + GAP
    vpc_bottom = y - GAP + FRAME
    cidr = str(declared.only("aws:ec2/vpc:Vpc").get("cidrBlock"))
    vpc = Frame(
        f"VPC {cidr}", left + FRAME, vpc_top, width - 2 * FRAME, vpc_bottom - vpc_top, "vpc"
    )
    bottom = _services(declared, found, vpc_bottom + SPACE, (left + FRAME, width - 2 * FRAME))
    region = f"region {declared.environment.region}"
    height = bottom + FRAME - region_top
    found.frames = [Frame(region, left, region_top, width, height), vpc, *found.frames]
    _connect(declared, found)
    found.height = bottom + FRAME + LEGEND
    return found


def _columns(
    subnets: Sequence[Resource], left: float, width: float
) -> tuple[tuple[float, str], ...]:
    """The subnets of a tier, each at its zone's column."""
    names = (f"{each.get('availabilityZone')}  {each.get('cidrBlock')}" for each in subnets)
    each = (width - 2 * FRAME) / len(subnets)
    return tuple((left + FRAME + each * n, name) for n, name in enumerate(names))


def _names(declared: Declared, found: Layout, y: float) -> float:
    """What clients ask: the names, CloudFront, the page that stands in."""
    left, width = MARGIN, WIDTH - 2 * MARGIN
    domain = declared.environment.edge.domain
    distribution = declared.only(DISTRIBUTION)
    standby = declared.all(STANDBY)
    leads = "to CloudFront while its health check passes, else to the page" if standby else ""
    y = found.row(
        y, left, width, ("names", "Route 53", [f"{domain} {leads or 'to CloudFront'}"], 1.0)
    )
    rules = sum(len(acl.get("rules", ())) for acl in declared.all("aws:wafv2/webAcl:WebAcl"))
    tls = distribution.get("viewerCertificate.minimumProtocolVersion")
    lines = [f"{tls}, {distribution.get('httpVersion')}", f"firewall with {rules} rules"]
    cards: list[tuple[str, str, Sequence[str], float]] = [
        (DISTRIBUTION, "CloudFront", lines, 0.62 if standby else 1.0)
    ]
    if standby:
        region = _known(standby[0], "region", "")
        cards.append((STANDBY, "page while it is down", [f"API Gateway in {region}", "503"], 0.38))
    return found.row(y + GAP, left, width, *cards)


def _public(declared: Declared, found: Layout, y: float, room: Room) -> float:
    """NAT gateways, each in its zone's column."""
    left, width = room
    tiers, gateways = declared.tiers()["public"], declared.all(NAT)
    each = width / len(tiers)
    for gateway in gateways:
        (subnet,) = declared.meant(gateway, "subnetId")
        column = tiers.index(subnet)
        # Half a column: requests pass beside it.
        card = (gateway.urn, "NAT", (), 1.0)
        bottom = found.row(y, left + each * column, each * 0.5, card)
    return bottom


def _private(declared: Declared, found: Layout, y: float, room: Room) -> float:
    """The load balancer, the endpoints beside it, below them the cluster."""
    left, width = room
    listener = declared.only("aws:lb/listener:Listener")
    balancer = [f"internal, {listener.get('protocol')} {int(listener.get('port'))}"]
    cards: list[tuple[str, str, Sequence[str], float]] = [
        (BALANCER, "load balancer", balancer, 0.62)
    ]
    kinds = [str(each.get("vpcEndpointType")) for each in declared.all(ENDPOINT)]
    gateways, interfaces = kinds.count("Gateway"), kinds.count("Interface")
    counts = {"interface": interfaces, "gateway": gateways}
    lines = [", ".join(f"{n} {what}{'s' * (n != 1)}" for what, n in counts.items() if n)]
    cards.append((ENDPOINT, "endpoints of AWS", lines, 0.38))
    y = found.row(y, left, width * 0.86, *cards)
    return found.row(y + GAP, left, width, _cluster(declared))


def _cluster(declared: Declared) -> tuple[str, str, Sequence[str], float]:
    cluster = declared.only(CLUSTER)
    gpu = declared.environment.cluster.gpu
    lines = [
        f"{name}: {int(group.get('scalingConfig.desiredSize'))} of "
        f"{', '.join(group.get('instanceTypes'))}, on demand"
        for group in declared.all("aws:eks/nodeGroup:NodeGroup")
        for name in [str(group.get("labels.hearth/pool", group.name))]
    ]
    lines.append(
        f"Karpenter: up to {gpu.most - gpu.base} GPU nodes more, spot first, of "
        f"{len(gpu.instance_types)} types"
    )
    public = cluster.get("vpcConfig.publicAccessCidrs", ())
    api = f"API open to {', '.join(public)}" if public else "API private"
    return CLUSTER, f"Kubernetes {cluster.get('version')}, {api}", lines, 1.0


def _isolated(declared: Declared, found: Layout, y: float, room: Room) -> float:
    """The database and the cache."""
    left, width = room
    database, cache = declared.only(DATABASE), declared.only(CACHE)
    standby = "and a standby in another zone" if database.get("multiAz") else "without a standby"
    nodes = int(cache.get("numCacheClusters"))
    return found.row(
        y,
        left,
        width,
        (
            DATABASE,
            f"PostgreSQL {database.get('engineVersion')}",
            [f"{database.get('instanceClass')} {standby}"],
            0.5,
        ),
        (
            CACHE,
            f"{str(cache.get('engine')).capitalize()} {cache.get('engineVersion')}",
            [f"{nodes} of {cache.get('nodeType')}" + (", one a zone" if nodes > 1 else "")],
            0.5,
        ),
    )


def _services(declared: Declared, found: Layout, y: float, room: Room) -> float:
    """What is outside the network."""
    cards = list(_service_cards(declared))
    for at in range(0, len(cards), 3):
        row = cards[at : at + 3]
        y = found.row(y, *room, *((*card, 1 / 3) for card in row)) + SPACE
    return y - SPACE


def _service_cards(declared: Declared) -> Iterator[tuple[str, str, Sequence[str]]]:
    def count(type_: str) -> int:
        return len(declared.all(type_))

    yield BUCKET, "buckets", [_bucket(declared, bucket) for bucket in declared.all(BUCKET)]
    locks = declared.all("aws:backup/vaultLockConfiguration:VaultLockConfiguration")
    locked = [f"locked for {int(lock.get('minRetentionDays'))} days" for lock in locks]
    yield "vault", "backup vault", ["copies of the database", *(locked or ["not locked"])]
    images = [
        str(each.name).rpartition("-")[2] for each in declared.all("aws:ecr/repository:Repository")
    ]
    repository = declared.environment.identity.github_repository
    yield "images", "images", [", ".join(images), f"pushed by {repository}"]
    managed = sum(bool(each.get("manageMasterUserPassword")) for each in declared.all(DATABASE))
    secrets = declared.all("aws:secretsmanager/secret:Secret")
    users = sorted(
        {who for each in (*secrets, declared.only(DATABASE)) for who in declared.users(each)}
    )
    keys = declared.all("aws:kms/key:Key")
    purposes = dict.fromkeys(key.name.rpartition("-")[2] for key in keys)
    lines = [f"{len(keys)} keys for", ", ".join(purposes)]
    yield (
        "keys",
        "keys and secrets",
        [*lines, f"{len(secrets) + managed} secrets, for {', '.join(users)}"],
    )
    groups = count("aws:cloudwatch/logGroup:LogGroup")
    filters = count("aws:cloudwatch/logSubscriptionFilter:LogSubscriptionFilter")
    yield "logs", "logs", [f"{groups} groups", f"{filters} copied to the bucket"]
    alarms = count("aws:cloudwatch/metricAlarm:MetricAlarm")
    mails = declared.all("aws:sns/topicSubscription:TopicSubscription")
    told = [str(each.get("endpoint")) for each in mails]
    budget = declared.environment.observability.budget_usd
    yield "alarms", f"{alarms} alarms", [", ".join(told), f"budget of {budget:,.0f} USD a month"]


def _bucket(declared: Declared, bucket: Resource) -> str:
    """Its purpose, and which workloads use it."""
    users = declared.users(bucket)
    purpose = bucket.name.rpartition("-")[2]
    return f"{purpose}: {', '.join(users)}" if users else purpose


def _connect(declared: Declared, found: Layout) -> None:
    """Arrows for who connects to whom."""
    found.down("names", DISTRIBUTION)
    if STANDBY in found.cards:
        found.down("names", STANDBY, "else", "flow")
    for client, server, port in declared.connections():
        if {client, server} <= found.cards.keys():
            found.down(client, server, str(port))
    cluster, endpoints = found.cards[CLUSTER], found.cards[ENDPOINT]
    x = endpoints.middle
    up = ((x, cluster.y), (x, endpoints.bottom))
    found.arrows.append(Arrow(CLUSTER, ENDPOINT, up, "443", "flow"))
    _way_out(declared, found)


def _way_out(declared: Declared, found: Layout) -> None:
    """From the cluster's nodes up to the NAT gateways that the private routes name."""
    cluster = found.cards[CLUSTER]
    x = cluster.x + cluster.width * OUT
    routes = declared.all("aws:ec2/route:Route")
    gateways = {nat.urn for route in routes for nat in declared.meant(route, "natGatewayId")}
    for urn in sorted(gateways):
        nat = found.cards[urn]
        lane = nat.bottom + FRAME + GAP / 2
        points = ((x, cluster.y), (x, lane), (nat.middle, lane), (nat.middle, nat.bottom))
        found.arrows.append(Arrow(CLUSTER, urn, points, "", "flow"))


# --- drawing -------------------------------------------------------------------------------


def svg(graph: Graph) -> str:
    """The picture of an environment: an SVG file's text, the same for the same resources."""
    found, declared = layout(graph), Declared(graph)
    environment = declared.environment
    title = f"{environment.name}: networks, services, who connects to whom"
    root = new_picture((WIDTH, found.height), title, " ".join(_described(found)))
    count = sum(resource.type.startswith("aws:") for resource in graph.resources)
    draw_text(root, "title", (MARGIN, TITLE_LINE), environment.name)
    subtitle = f"{count} resources on AWS, {environment.network.zones} zones"
    draw_text(root, "detail", (MARGIN, SUBTITLE_LINE), subtitle)
    for frame in found.frames:
        _frame(root, frame)
    for arrow in sorted(found.arrows, key=lambda each: each.style):
        _arrow(root, arrow)
    for card in found.cards.values():
        _card(root, card)
    for arrow in found.arrows:
        _label(root, arrow)
    _legend(root, found.height - LEGEND / 2)
    return written(root)


def _described(found: Layout) -> Iterator[str]:
    """The picture in words."""
    for card in found.cards.values():
        yield f"{card.title}{': ' if card.lines else ''}{'; '.join(card.lines)}."
    for arrow in found.arrows:
        client, server = (found.cards[key].title for key in (arrow.client, arrow.server))
        yield f"{client} connects to {server}{f' ({arrow.label})' if arrow.label else ''}."


STYLES = {"band": "band", "vpc": "background background-edge", "tier": "band"}


def _frame(root: ET.Element, frame: Frame) -> None:
    size = (frame.width, frame.height)
    draw_rect(root, STYLES[frame.style], (frame.x, frame.y), size, CORNER)
    line = frame.y + LABEL * 0.7
    if frame.subnets:
        width = text_width(frame.title, FONTS["tier"])
        right = frame.x + frame.width - FRAME - width
        draw_text(root, "tier", (right, line), frame.title)
    else:
        draw_text(root, "tier", (frame.x + FRAME, line), frame.title)
    for x, name in frame.subnets:
        draw_text(root, "detail", (x, line), name)


def _card(root: ET.Element, card: Card) -> None:
    group = ET.SubElement(root, "g", id=f"card-{_id(card.key)}")
    draw_rect(group, "card card-edge", (card.x, card.y), (card.width, card.height), CORNER)
    room, x = card.width - 2 * PAD, card.x + PAD
    y = card.y + PAD + NAME_LINE * 0.8
    draw_text(group, "name", (x, y), fit(card.title, FONTS["name"], room))
    for number, line in enumerate(card.lines, start=1):
        at = (x, y + LINE * number + 1)
        draw_text(group, "detail", at, fit(line, FONTS["detail"], room))


def _id(key: str) -> str:
    return key.rpartition(":")[2].lower()


def _arrow(root: ET.Element, arrow: Arrow) -> None:
    (x, before), (_, end) = arrow.points[-2:]
    up = end < before
    short = end + ARROW_HEAD if up else end - ARROW_HEAD
    draw_path(root, arrow.style, (*arrow.points[:-1], (x, short)))
    arrow_head(root, f"{arrow.style}-head", (x, end), up=up)


def _label(root: ET.Element, arrow: Arrow) -> None:
    """What stands on an arrow, at its end."""
    if not arrow.label:
        return
    style = f"{arrow.style}-label"
    font = FONTS[style]
    (x, before), (_, end) = arrow.points[-2:]
    y = end + GAP * 0.55 if end < before else end - GAP * 0.6
    width, height = text_width(arrow.label, font) + PAD, font.size + 6
    edge = "answers-edge" if arrow.style == "route" else "card-edge"
    at = (x - width / 2, y - height / 2)
    draw_rect(root, f"label {edge}", at, (width, height), height / 2)
    draw_text(root, style, (x, y + font.size * CAPITAL), arrow.label, anchor="middle")


MEANINGS = {"route": "requests, with the port", "flow": "other ways: out, to AWS, to the page"}
"""Sign to what it means."""


def _legend(root: ET.Element, y: float) -> None:
    group = ET.SubElement(root, "g", id="legend")
    x = MARGIN
    for sign, meaning in MEANINGS.items():
        draw_path(group, sign, [(x, y), (x + SIGN, y)])
        draw_text(group, "detail", (x + SIGN + PAD, y + FONTS["detail"].size * CAPITAL), meaning)
        x += SIGN + 2 * PAD + text_width(meaning, FONTS["detail"]) + SPACE
