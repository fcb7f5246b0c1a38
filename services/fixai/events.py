"""The events of the topics: what a stage of the pipeline found out about a report.

An event's id is made from what it is about, so the same event has the same id however often it
is made: who has seen the id has seen the event. `version` is the form's; a reader refuses forms
that it does not know, and their events wait as dead letters for a reader that does.

    reports.submitted   ReportSubmitted   key: report     the outbox     -> description
    reports.described   ReportDescribed   key: grid cell  description    -> clustering
    reports.clustered   ReportClustered   key: report     clustering     -> incidents
    reports.checked     ReportChecked     key: report     incidents      -> live updates
    reports.commented   ReportCommented   key: report     the outbox     -> incidents, live updates
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID, uuid5

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from services.fixai import geo

NAMESPACE = UUID("6f6d0c8e-6a53-5e0f-9f3c-0c1f6d7f1a10")
"""Of every id that FixAI derives."""
CELL_PRECISION = 6
"""Characters of the grid cell that keys the clustering: about 1.2 km by 0.6 km."""
Severity = Annotated[int, Field(ge=1, le=5)]


class Category(StrEnum):
    """What a problem is about."""

    ROAD = "road"
    LIGHTING = "lighting"
    WASTE = "waste"
    WATER = "water"
    GREEN = "green"
    GRAFFITI = "graffiti"
    TRAFFIC = "traffic"
    NOISE = "noise"
    OTHER = "other"


class Verdict(StrEnum):
    """What the check of a report found."""

    OPEN = "open"
    DUPLICATE = "duplicate"
    SPAM = "spam"
    RESOLVED = "resolved"
    ESCALATED = "escalated"


class Says(StrEnum):
    """What a comment tells of the problem."""

    STILL_THERE = "still-there"
    RESOLVED = "resolved"


class EventError(Exception):
    """The bytes are no event that this program knows; the text names no content."""


def identify(*parts: object) -> UUID:
    """The id of what these parts name."""
    return uuid5(NAMESPACE, "\x1f".join(str(part) for part in parts))


class Event(BaseModel):
    """What all events have.

    Attributes:
        id: derived, never given.
        report_id: of the report that it is about.
        at: when it was made.
        submitted_at: when the report was, for the time from end to end.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    topic: ClassVar[str]

    kind: str
    version: int
    id: UUID = UUID(int=0)
    report_id: UUID
    at: AwareDatetime
    submitted_at: AwareDatetime

    @property
    def key(self) -> str:
        """Events of one key are handled in their order."""
        return str(self.report_id)

    @property
    def names(self) -> tuple[object, ...]:
        """What makes the event this one, beside its kind and version."""
        return (self.report_id,)

    @model_validator(mode="before")
    @classmethod
    def _without_id(cls, told: Any) -> Any:
        if isinstance(told, dict):
            return {name: value for name, value in told.items() if name != "id"}
        return told

    def model_post_init(self, _context: Any) -> None:
        """Derive the id."""
        object.__setattr__(self, "id", identify(*self.names, self.kind, self.version))

    def encode(self) -> bytes:
        """As JSON."""
        return self.model_dump_json().encode()


class Placed(Event):
    """An event that tells where.

    Attributes:
        author: the account's id.
        latitude: WGS 84, degrees.
        longitude: WGS 84, degrees.
    """

    author: UUID
    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]

    @property
    def cell(self) -> str:
        """The grid cell that it is in."""
        return geo.encode(self.latitude, self.longitude, CELL_PRECISION)


class ReportSubmitted(Placed):
    """A citizen reported something; the report is stored.

    Attributes:
        text: as it was written.
        category: what the citizen took it for.
        pictures: their keys in the bucket of pictures.
    """

    topic: ClassVar[str] = "reports.submitted"
    kind: Literal["report-submitted"] = "report-submitted"
    version: Literal[1] = 1
    text: str
    category: Category
    pictures: tuple[str, ...] = ()


class ReportDescribed(Placed):
    """The report was read and its pictures looked at.

    Attributes:
        embedding: of title and description; reports of the same problem are near each other.
    """

    topic: ClassVar[str] = "reports.described"
    kind: Literal["report-described"] = "report-described"
    version: Literal[1] = 1
    title: str
    description: str
    category: Category
    severity: Severity
    embedding: tuple[float, ...] = ()

    @property
    def key(self) -> str:
        """The cell: problems of one place are joined one after another."""
        return self.cell


class ReportClustered(Placed):
    """The report was joined to a problem, or moved to another by an audit.

    Attributes:
        problem_id: which.
        before: the problem that it was moved from.
        opened: whether the report is the problem's first.
        similarity: to the problem, 1 for its first report.
    """

    topic: ClassVar[str] = "reports.clustered"
    kind: Literal["report-clustered"] = "report-clustered"
    version: Literal[1] = 1
    problem_id: UUID
    before: UUID | None = None
    opened: bool
    similarity: float
    title: str
    description: str
    category: Category
    severity: Severity

    @property
    def names(self) -> tuple[object, ...]:
        """A report is joined once, but may be moved more often, and back."""
        return (self.report_id,) if self.before is None else (self.report_id, self.before, self.at)


class ReportChecked(Placed):
    """The report was checked; the end of the pipeline.

    Attributes:
        verdict: what was found.
        reason: why, for the citizen.
    """

    topic: ClassVar[str] = "reports.checked"
    kind: Literal["report-checked"] = "report-checked"
    version: Literal[1] = 1
    problem_id: UUID
    verdict: Verdict
    reason: str
    category: Category
    severity: Severity

    @property
    def names(self) -> tuple[object, ...]:
        """A report is checked again when it was moved, was commented, or its problem got old."""
        return (self.report_id, self.problem_id, self.verdict, self.at)


class ReportCommented(Placed):
    """Somebody commented a report; the comment is stored.

    Attributes:
        author: the comment's.
    """

    topic: ClassVar[str] = "reports.commented"
    kind: Literal["report-commented"] = "report-commented"
    version: Literal[1] = 1
    comment_id: UUID
    text: str
    says: Says | None = None

    @property
    def names(self) -> tuple[object, ...]:
        """A report has many comments."""
        return (self.report_id, self.comment_id)


Known = Annotated[
    ReportSubmitted | ReportDescribed | ReportClustered | ReportChecked | ReportCommented,
    Field(discriminator="kind"),
]
_KNOWN: TypeAdapter[
    ReportSubmitted | ReportDescribed | ReportClustered | ReportChecked | ReportCommented
] = TypeAdapter(Known)
EVENTS: tuple[type[Event], ...] = (
    ReportSubmitted,
    ReportDescribed,
    ReportClustered,
    ReportChecked,
    ReportCommented,
)
TOPICS = tuple(event.topic for event in EVENTS)
CONSUMERS = {
    "description": (ReportSubmitted.topic,),
    "clustering": (ReportDescribed.topic,),
    "incidents": (ReportClustered.topic, ReportCommented.topic),
}
"""The consumer groups and what they read."""


def decode(data: bytes) -> Event:
    """An event from its bytes.

    Raises:
        EventError: they are none, or one of a form that this program does not know.
    """
    try:
        return _KNOWN.validate_json(data)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        told = "; ".join(
            f"{'.'.join(str(step) for step in fault['loc']) or 'the event'}: {fault['type']}"
            for fault in faults[:3]
        )
        raise EventError(f"not an event of a known form ({told})") from None


def now() -> datetime:
    """The present, to the millisecond: what Cassandra keeps."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
