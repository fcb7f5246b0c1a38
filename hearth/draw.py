"""A picture of a site, drawn from the site alone: tiers from top to bottom, as a request goes.

First the layout: tiers stand on shelves, shelves have rows of cards, and every row has a gap
above it where connections run and their labels stand. Then the elements. Connections keep to
the gaps and to two rails beside the cards: requests to the left one, other clients to the right.

Other clients are those that the site states and those that follow from what uses what. Who
collects logs and metrics connects to every machine: those lines would hide the rest, and are
left out.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
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
    tooltip,
    written,
)
from inventory.flows import ANYWHERE, SSH_PORT, flows_into
from inventory.model import Placement, Site
from inventory.services import Tier
from inventory.units import format_size

ALONE: tuple[Tier, ...] = ("gateway", "ai", "data")
SIDE_BY_SIDE: tuple[Tier, ...] = ("monitoring", "edge", "utility")
MOST_COLUMNS = 3
MOST_SHARING = 2
"""Machines of a tier that shares its shelf; a larger tier gets a shelf of its own."""
MOST_LINES = 6
"""Lines of a label; what is more is counted."""
UNDRAWN = frozenset({"collector", "node-exporter", "prometheus"})
"""Kinds whose use of others, and others' use of them, makes no line."""

# All lengths are in units of the picture, pixels where it is shown at its own size.
WIDTH = 900.0
MARGIN = 28.0
RAIL = 12.0
SPACE = 12.0
BAND_PAD = 10.0
BAND_LABEL = 22.0
CARD_PAD = 12.0
CARD_WIDE = 500.0
IDENTITY_WIDTH = 250.0
IDENTITY_HEIGHT = 50.0
NAME_LINE, BOARD_LINE, MEMORY_LINE = 12.0, 29.0, 48.0
BAR_HEIGHT = 6.0
CHIP_HEIGHT = 22.0
CHIP_PAD = 9.0
CHIP_SPACE = 6.0
LABEL_LINE = 15.0
LABEL_PAD = 5.0
LANE = 12.0
ARROW = 14.0
JOIN = 12.0
EXIT = 0.85
"""Where a client's line leaves its card: this share of the width, clear of the arrow's middle."""
HEADER = 56.0
TITLE_LINE, SUBTITLE_LINE = 34.0, 52.0
LEGEND_LINE = 24.0
SYMBOL_WIDTH = 26.0


# --- what there is to draw -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a label: what it says, and in which style."""

    text: str
    style: str


@dataclass(frozen=True, slots=True)
class Chip:
    """A service on a card, at its place relative to the first chip."""

    placement: Placement
    name: str
    ports: str
    x: float
    y: float
    width: float


@dataclass(frozen=True, slots=True)
class Card:
    """A machine, at its place across the picture; its row says how far down."""

    host_name: str
    row: int
    x: float
    width: float
    chips: tuple[Chip, ...]
    lines: tuple[Line, ...]

    @property
    def middle(self) -> float:
        """Half way across."""
        return self.x + self.width / 2

    @property
    def wide(self) -> bool:
        """Whether its services stand beside its particulars, rather than below."""
        return self.width >= CARD_WIDE

    @property
    def identity_width(self) -> float:
        """What its particulars take."""
        return IDENTITY_WIDTH if self.wide else self.width - 2 * CARD_PAD

    @property
    def chips_height(self) -> float:
        """What its services take."""
        return max((chip.y + CHIP_HEIGHT for chip in self.chips), default=0.0)

    @property
    def height(self) -> float:
        """What it takes; its row may give it more."""
        below = CARD_PAD + self.chips_height if self.chips else 0.0
        inner = max(IDENTITY_HEIGHT, self.chips_height) if self.wide else IDENTITY_HEIGHT + below
        return inner + 2 * CARD_PAD

    @property
    def label_height(self) -> float:
        """What its label takes, above it."""
        return len(self.lines) * LABEL_LINE + 2 * LABEL_PAD if self.lines else 0.0


@dataclass(frozen=True, slots=True)
class Band:
    """A tier: its machines' background, over one row or more."""

    tier: Tier
    x: float
    width: float
    first_row: int
    rows: int


@dataclass(frozen=True, slots=True)
class Row:
    """How far down a row's cards and its gap's lanes are.

    Attributes:
        flow_lane: where lines of other clients run across.
        route_lane: where requests run across.
    """

    flow_lane: float
    route_lane: float
    top: float
    height: float

    @property
    def bottom(self) -> float:
        """Where its cards end."""
        return self.top + self.height


@dataclass(frozen=True)
class Layout:
    """Where everything is."""

    site: Site
    cards: dict[str, Card] = field(default_factory=dict)
    bands: list[Band] = field(default_factory=list)

    @cached_property
    def upstream_hosts(self) -> list[str]:
        """The hosts that requests go on to, beside the gateway itself."""
        hosts = {_host(reference) for reference in self.site.routed}
        return [name for name in self.cards if name in hosts - {self.site.gateway}]

    @cached_property
    def clients(self) -> dict[str, list[str]]:
        """The other machines that connect to a service, by its reference, in the site's order."""
        found = {p.reference: set(p.service.clients) for p in self.site.placements()}
        for placement in self.site.placements():
            for used in _uses(placement):
                found[used.reference].add(placement.host_name)
        return {
            reference: [name for name in self.site.hosts if name in hosts - {_host(reference)}]
            for reference, hosts in found.items()
        }

    @cached_property
    def client_pairs(self) -> list[tuple[str, str]]:
        """Client and server of every connection that is drawn, once."""
        pairs = ((name, _host(to)) for to, names in self.clients.items() for name in names)
        return list(dict.fromkeys(pairs))

    @cached_property
    def first_rows(self) -> set[int]:
        """The rows that begin a band."""
        return {band.first_row for band in self.bands}

    @cached_property
    def rows(self) -> list[Row]:
        """From top to bottom; the last has no cards, only the lanes below them."""
        rows: list[Row] = []
        y = HEADER
        for index in range(self._row_count + 1):
            row = self._row(index, y)
            rows.append(row)
            ends_band = index + 1 in self.first_rows | {self._row_count}
            y = row.bottom + (BAND_PAD if ends_band else 0.0)
        return rows

    def _row(self, index: int, y: float) -> Row:
        """A row whose gap begins at a height: lanes, labels, the band's name, cards."""
        cards = [card for card in self.cards.values() if card.row == index]
        flow_lane = y + LANE * (index in self._flow_lanes)
        route_lane = flow_lane + LANE * (index in self._route_lanes)
        top = route_lane + SPACE + max((card.label_height for card in cards), default=0.0)
        if index in self.first_rows:
            top += BAND_LABEL
        elif any(card.lines for card in cards):
            top += ARROW
        return Row(flow_lane, route_lane, top, max((card.height for card in cards), default=0.0))

    @cached_property
    def _flow_lanes(self) -> set[int]:
        return {row for pair in self.client_pairs for row in self._flow_rows(*pair)}

    @cached_property
    def _route_lanes(self) -> set[int]:
        """Requests leave the gateway by the gap below it."""
        below = {self.cards[self.site.gateway].row + 1} if self.upstream_hosts else set()
        return below | {self.cards[name].row for name in self.upstream_hosts}

    @property
    def _row_count(self) -> int:
        return max(card.row for card in self.cards.values()) + 1

    def _flow_rows(self, client: str, server: str) -> tuple[int, int]:
        """The gaps where the line leaves the client and reaches the server."""
        return self.cards[client].row + 1, self.cards[server].row

    def label_top(self, card: Card) -> float:
        """Where the card's label begins: it ends just above its band, or its card."""
        space = BAND_LABEL if card.row in self.first_rows else ARROW
        return self.rows[card.row].top - space - card.label_height

    def route_points(self, host_name: str) -> list[Point]:
        """The way from the gateway to the label of a host that answers requests."""
        source, target = self.cards[self.site.gateway], self.cards[host_name]
        first, last = self.rows[source.row + 1].route_lane, self.rows[target.row].route_lane
        joins = any(server == host_name for _, server in self.client_pairs)
        x = target.middle - (JOIN if joins else 0.0)
        start = (source.middle, self.rows[source.row].bottom)
        return _way(start, first, RAIL, last, (x, self.label_top(target)))

    def flow_points(self, client: str, server: str) -> list[Point]:
        """The way from a client to the label of the host that serves it."""
        source, target = self.cards[client], self.cards[server]
        leave, reach = (self.rows[row].flow_lane for row in self._flow_rows(client, server))
        joins = server in self.upstream_hosts or server == self.site.gateway
        x = target.middle + (JOIN if joins else 0.0)
        start = (source.x + source.width * EXIT, self.rows[source.row].bottom)
        return _way(start, leave, WIDTH - RAIL, reach, (x, self.label_top(target)))


def _way(start: Point, leave: float, rail: float, reach: float, end: Point) -> list[Point]:
    """Down to a lane, across, by the rail where the lanes differ, and down to the end."""
    detour = [] if leave == reach else [(rail, leave), (rail, reach)]
    points = [start, (start[0], leave), *detour, (end[0], reach), end]
    return [point for point, after in pairwise([*points, (-1.0, -1.0)]) if point != after]


def _host(reference: str) -> str:
    """The machine's name out of `host.service`."""
    return reference.partition(".")[0]


def _uses(placement: Placement) -> list[Placement]:
    """What a service connects to; what is planned connects to nothing yet."""
    if not placement.provisioned or placement.kind_name in UNDRAWN:
        return []
    return [used for used in placement.uses if used.kind_name not in UNDRAWN]


# --- layout --------------------------------------------------------------------------------


def layout(site: Site) -> Layout:
    """Everything's place."""
    found = Layout(site)
    first_row = 0
    for shelf in _shelves(site):
        counts = [len(_hosts_of(site, tier)) for tier in shelf]
        columns = _columns(counts)
        rows = max(math.ceil(n / c) for n, c in zip(counts, columns, strict=True))
        unit = _share(WIDTH - 2 * MARGIN, sum(columns))
        x = MARGIN
        for tier, count in zip(shelf, columns, strict=True):
            band = Band(tier, x, unit * count + SPACE * (count - 1), first_row, rows)
            found.bands.append(band)
            found.cards.update({card.host_name: card for card in _cards(found, band, count)})
            x += band.width + SPACE
        first_row += rows
    return found


def _share(width: float, count: int) -> float:
    """The width of each of `count` things side by side."""
    return (width - SPACE * (count - 1)) / count


def _hosts_of(site: Site, tier: Tier) -> list[str]:
    return [name for name, host in site.hosts.items() if host.tier == tier]


def _shelves(site: Site) -> list[list[Tier]]:
    """Tiers that stand side by side, from top to bottom."""
    present = [tier for tier in (*ALONE, *SIDE_BY_SIDE) if _hosts_of(site, tier)]
    shared = [
        tier
        for tier in present
        if tier in SIDE_BY_SIDE and len(_hosts_of(site, tier)) <= MOST_SHARING
    ]
    alone = [[tier] for tier in present if tier not in shared]
    at = sum(tier in ALONE for tier in present)
    return [*alone[:at], *([shared] if shared else []), *alone[at:]]


def _columns(counts: Sequence[int]) -> list[int]:
    """How many columns each tier of a shelf gets, for so many machines each."""
    columns = [1] * len(counts)
    while sum(columns) < MOST_COLUMNS:
        rows = [math.ceil(n / c) for n, c in zip(counts, columns, strict=True)]
        if max(rows) == 1:
            break
        columns[rows.index(max(rows))] += 1
    # Four machines stand better two by two than three and one.
    return [math.ceil(n / math.ceil(n / c)) for n, c in zip(counts, columns, strict=True)]


def _cards(found: Layout, band: Band, columns: int) -> Iterator[Card]:
    """A tier's machines, in rows."""
    width = _share(band.width - 2 * BAND_PAD, columns)
    for index, name in enumerate(_hosts_of(found.site, band.tier)):
        row, column = divmod(index, columns)
        yield Card(
            host_name=name,
            row=band.first_row + row,
            x=band.x + BAND_PAD + column * (width + SPACE),
            width=width,
            chips=tuple(_chips(found.site, name, width)),
            lines=tuple(_lines(found, name, width - 2 * CARD_PAD)),
        )


def _chips(site: Site, host_name: str, card_width: float) -> Iterator[Chip]:
    """A card's services, wrapped."""
    room = card_width - 2 * CARD_PAD
    room -= IDENTITY_WIDTH + 2 * CARD_PAD if card_width >= CARD_WIDE else 0.0
    x = y = 0.0
    for placement in site.on_host(host_name):
        ports = _ports(placement)
        font = FONTS["chip-name"]
        taken = text_width(ports, font) + 2 * CHIP_PAD
        name = fit(placement.name, font, room - taken)
        width = text_width(name, font) + taken
        if x and x + width > room:
            x, y = 0.0, y + CHIP_HEIGHT + CHIP_SPACE
        yield Chip(placement, name, ports, x, y, width)
        x += width + CHIP_SPACE


def _ports(placement: Placement) -> str:
    """` :80 :443` of what others may reach."""
    return "".join(f" :{placement.ports[name]}" for name in placement.published_ports)


def _lines(found: Layout, host_name: str, width: float) -> Iterator[Line]:
    """What a card's label says: who comes from outside, which requests, which other clients."""
    lines = [
        *_open_lines(found.site, host_name),
        *_route_lines(found.site, host_name),
        *_client_lines(found, host_name, width),
    ]
    shown = lines if len(lines) <= MOST_LINES else lines[: MOST_LINES - 1]
    for line in shown:
        yield Line(fit(line.text, FONTS[line.style], width), line.style)
    if len(shown) < len(lines):
        yield Line(f"and {len(lines) - len(shown)} more", "flow-dim")


def _open_lines(site: Site, host_name: str) -> Iterator[Line]:
    flows = [flow for flow in flows_into(site, host_name) if flow.port != SSH_PORT]
    for whom, network in (("anywhere", ANYWHERE), ("the network", site.network.cidr)):
        # One number of both protocols is said once.
        ports = dict.fromkeys(str(flow.port) for flow in flows if network in flow.sources)
        if ports:
            yield Line(f"{', '.join(ports)} from {whom}", "route-label")


def _route_lines(site: Site, host_name: str) -> Iterator[Line]:
    for name, route in site.routes.items():
        shares = [(upstream.service, f"{upstream.weight} %") for upstream in route.upstreams]
        if route.fallback:
            shares.append((route.fallback, "fallback"))
        for reference, share in shares:
            placement = site.placement(reference)
            if placement.host_name == host_name:
                style = "route-label" if placement.provisioned else "route-dim"
                yield Line(f"{name} {share} → {placement.name}", style)


def _client_lines(found: Layout, host_name: str, width: float) -> Iterator[Line]:
    """One for the services that have the same clients."""
    groups: defaultdict[tuple[tuple[str, ...], bool], list[str]] = defaultdict(list)
    for placement in found.site.on_host(host_name):
        if clients := found.clients[placement.reference]:
            groups[tuple(clients), placement.provisioned].append(placement.name)
    for (names, provisioned), services in groups.items():
        style = "flow-label" if provisioned else "flow-dim"
        text = f"{', '.join(names)} → {', '.join(services)}"
        if text_width(text, FONTS[style]) > width:
            text = f"{len(names)} machines → {', '.join(services)}"
        yield Line(text, style)


# --- drawing -------------------------------------------------------------------------------


def svg(site: Site) -> str:
    """The picture of a site: an SVG file's text, the same for the same site."""
    found = layout(site)
    bottom = found.rows[-1].top
    height = bottom + LEGEND_LINE + SPACE
    title = f"{site.name}: machines, services, routes"
    root = new_picture((WIDTH, height), title, _description(site))
    _header(root, site)
    _bands(root, found)
    _connections(root, found)
    for card in found.cards.values():
        _card(root, found, card)
        _label(root, found, card)
    _legend(root, bottom)
    return written(root)


def _description(site: Site) -> str:
    """The picture in words."""
    machines = [
        f"{name} ({host.tier}, {host.hardware.title}, {host.address}): "
        f"{', '.join(_named(p) for p in site.on_host(name)) or 'no services'}."
        for name, host in site.hosts.items()
    ]
    routes = [
        f"Route {name}, {route.path}: "
        + ", ".join(f"{up.weight} % to {up.service}" for up in route.upstreams)
        + (f"; {route.fallback} while none of them answers." if route.fallback else ".")
        for name, route in site.routes.items()
    ]
    return " ".join([*machines, *routes])


def _named(placement: Placement) -> str:
    return placement.name if placement.provisioned else f"{placement.name} (planned)"


def _header(root: ET.Element, site: Site) -> None:
    machines = f"{len(site.hosts)} machine{'s' if len(site.hosts) > 1 else ''}"
    management = ", ".join(str(network) for network in site.network.management)
    subtitle = f"{machines} on {site.network.cidr}, ssh only from {management}"
    draw_text(
        root, "title", (MARGIN, TITLE_LINE), fit(site.name, FONTS["title"], WIDTH - 2 * MARGIN)
    )
    shown = fit(subtitle, FONTS["detail"], WIDTH - 2 * MARGIN)
    draw_text(root, "detail", (MARGIN, SUBTITLE_LINE), shown)


def _bands(root: ET.Element, found: Layout) -> None:
    for band in found.bands:
        top = found.rows[band.first_row].top - BAND_LABEL
        bottom = found.rows[band.first_row + band.rows - 1].bottom + BAND_PAD
        draw_rect(root, "band", (band.x, top), (band.width, bottom - top), CORNER)
        draw_text(root, "tier", (band.x + BAND_PAD, top + BAND_LABEL * 0.7), band.tier)


def _connections(root: ET.Element, found: Layout) -> None:
    """Light lines first, so that requests lie above them."""
    for client, server in found.client_pairs:
        draw_path(root, "flow", found.flow_points(client, server))
    for name in found.upstream_hosts:
        draw_path(root, "route", found.route_points(name))


def _label(root: ET.Element, found: Layout, card: Card) -> None:
    """The label above a card and the arrow from it."""
    if not card.lines:
        return
    requests = any(line.style.startswith("route") for line in card.lines)
    style, edge = ("route", "answers-edge") if requests else ("flow", "card-edge")
    top, end = found.label_top(card), found.rows[card.row].top
    bottom = top + card.label_height
    draw_path(root, style, [(card.middle, bottom), (card.middle, end - ARROW_HEAD)])
    arrow_head(root, f"{style}-head", (card.middle, end))
    width = max(text_width(line.text, FONTS[line.style]) for line in card.lines) + 2 * CHIP_PAD
    corner = min(CORNER, card.label_height / 2)
    at = (card.middle - width / 2, top)
    draw_rect(root, f"label {edge}", at, (width, card.label_height), corner)
    for index, line in enumerate(card.lines):
        y = top + LABEL_PAD + LABEL_LINE * (index + 0.5) + FONTS[line.style].size * CAPITAL
        draw_text(root, line.style, (card.middle, y), line.text, anchor="middle")


def _card(root: ET.Element, found: Layout, card: Card) -> None:
    row = found.rows[card.row]
    group = ET.SubElement(root, "g", id=f"host-{card.host_name}")
    draw_rect(group, "card card-edge", (card.x, row.top), (card.width, row.height), CORNER)
    x, y = card.x + CARD_PAD, row.top + CARD_PAD
    if card.wide:
        _identity(group, found.site, card, (x, row.top + (row.height - IDENTITY_HEIGHT) / 2))
        x, y = x + IDENTITY_WIDTH + 2 * CARD_PAD, row.top + (row.height - card.chips_height) / 2
    else:
        _identity(group, found.site, card, (x, y))
        y += IDENTITY_HEIGHT + CARD_PAD
    for chip in card.chips:
        answers = chip.placement.reference in found.site.routed
        _chip(group, chip, (x + chip.x, y + chip.y), answers=answers)


def _identity(group: ET.Element, site: Site, card: Card, at: Point) -> None:
    """Name, address, board, memory."""
    host = site.hosts[card.host_name]
    (x, y), width = at, card.identity_width
    detail = FONTS["detail"]
    address = str(host.address)
    name = fit(card.host_name, FONTS["name"], width - text_width(address, detail) - SPACE)
    title = draw_text(group, "name", (x, y + NAME_LINE), name)
    if name != card.host_name:
        tooltip(title, card.host_name)
    draw_text(group, "detail", (x + width, y + NAME_LINE), address, anchor="end")
    draw_text(group, "detail", (x, y + BOARD_LINE), fit(host.hardware.title, detail, width))
    used, budget = _memory(site, card.host_name)
    memory = f"{format_size(used)} of {format_size(budget)}"
    draw_text(group, "detail", (x + width, y + MEMORY_LINE), memory, anchor="end")
    bar = width - text_width(memory, detail) - SPACE
    bar_at = (x, y + MEMORY_LINE - detail.size * CAPITAL - BAR_HEIGHT / 2)
    _bar(group, bar_at, bar, used / budget)


def _memory(site: Site, host_name: str) -> tuple[int, int]:
    """Bytes that the services are promised, and that they may be."""
    board, placements = site.hosts[host_name].hardware, site.on_host(host_name)
    shared = board.gpu is not None and board.gpu.memory_bytes is None
    used = sum(p.memory_bytes + (p.gpu_memory_bytes if shared else 0) for p in placements)
    return used, board.budget_bytes


def _bar(parent: ET.Element, at: Point, width: float, share: float) -> None:
    draw_rect(parent, "bar", at, (width, BAR_HEIGHT), BAR_HEIGHT / 2)
    draw_rect(parent, "used", at, (width * share, BAR_HEIGHT), BAR_HEIGHT / 2)


def _chip(group: ET.Element, chip: Chip, at: Point, *, answers: bool) -> None:
    placement = chip.placement
    fill = "planned" if not placement.provisioned else "answers" if answers else "chip"
    style = "chip-name" if placement.provisioned else "chip-dim"
    shape = draw_rect(group, f"{fill} {fill}-edge", at, (chip.width, CHIP_HEIGHT), CHIP_HEIGHT / 2)
    tooltip(shape, f"{placement.reference}: {placement.kind.title}")
    y = at[1] + CHIP_HEIGHT / 2 + FONTS[style].size * CAPITAL
    text = draw_text(group, style, (at[0] + chip.width / 2, y), chip.name, anchor="middle")
    if chip.ports:
        style = "port" if placement.provisioned else style
        ET.SubElement(text, "tspan", {"class": style}).text = chip.ports


MEANINGS = {
    "chip": "runs",
    "answers": "answers requests",
    "planned": "planned",
    "route": "requests",
    "flow": "other clients, without logs and metrics",
    "bar": "memory promised",
}
"""Sign to what it means."""
EXAMPLE_SHARE = 0.6


def _legend(root: ET.Element, top: float) -> None:
    """What the signs mean, in a line."""
    group = ET.SubElement(root, "g", id="legend")
    font = FONTS["detail"]
    x, y = MARGIN, top + LEGEND_LINE / 2
    for sign, meaning in MEANINGS.items():
        _sign(group, sign, (x, y))
        x += SYMBOL_WIDTH + CHIP_SPACE
        draw_text(group, "detail", (x, y + font.size * CAPITAL), meaning)
        x += text_width(meaning, font) + SPACE


def _sign(group: ET.Element, sign: str, at: Point) -> None:
    """A sign of the legend, its left end's middle at a point."""
    x, y = at
    if sign == "bar":
        _bar(group, (x, y - BAR_HEIGHT / 2), SYMBOL_WIDTH, EXAMPLE_SHARE)
    elif sign in {"route", "flow"}:
        draw_path(group, sign, [at, (x + SYMBOL_WIDTH, y)])
    else:
        height = CHIP_HEIGHT / 2
        box = (SYMBOL_WIDTH, height)
        draw_rect(group, f"{sign} {sign}-edge", (x, y - height / 2), box, height / 2)
