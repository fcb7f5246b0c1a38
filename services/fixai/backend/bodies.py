"""The bodies of requests and answers."""

from __future__ import annotations

import base64
import binascii
import json
import struct
from datetime import UTC, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.fixai import store
from services.fixai.backend.problems import Problem
from services.fixai.events import Category, Says

_CURSOR = struct.Struct(">q16s")

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9._-]{2,31}$")]
Password = Annotated[str, Field(min_length=10, max_length=200)]
Prose = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=4000)]
Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Credentials(_Body):
    """A name and its password."""

    name: Name
    password: Password


class Registered(_Body):
    """A new account."""

    id: UUID
    name: str


class Token(_Body):
    """Sent as `Authorization: Bearer TOKEN`, until its time is over."""

    token: str
    until: datetime


class NewReport(_Body):
    """What a citizen reports."""

    text: Prose
    category: Category = Category.OTHER
    latitude: Latitude
    longitude: Longitude


class Accepted(_Body):
    """A report that is kept: it will be described, joined to a problem and checked."""

    id: UUID
    status: str
    submitted_at: datetime


class Report(_Body):
    """A report and what is known of it."""

    id: UUID
    status: str
    text: str
    category: Category
    latitude: float
    longitude: float
    pictures: tuple[str, ...]
    submitted_at: datetime
    title: str | None
    description: str | None
    described_category: Category | None
    severity: int | None
    described_at: datetime | None
    problem_id: UUID | None
    clustered_at: datetime | None
    reason: str | None
    checked_at: datetime | None

    @classmethod
    def of(cls, kept: store.Report) -> Self:
        """As everybody may see it: without its author."""
        return cls(
            id=kept.id,
            status=kept.status,
            text=kept.text,
            category=kept.category,
            latitude=kept.latitude,
            longitude=kept.longitude,
            pictures=tuple(
                f"/reports/{kept.id}/pictures/{number}" for number in range(len(kept.pictures))
            ),
            submitted_at=kept.submitted_at,
            title=kept.title,
            description=kept.description,
            described_category=kept.described_category,
            severity=kept.severity,
            described_at=kept.described_at,
            problem_id=kept.problem_id,
            clustered_at=kept.clustered_at,
            reason=kept.reason,
            checked_at=kept.checked_at,
        )


class Status(_Body):
    """How far a report is."""

    id: UUID
    status: str
    reason: str | None
    problem_id: UUID | None
    changed_at: datetime

    @classmethod
    def of(cls, report: Report) -> Self:
        """Of a report."""
        stages = (report.checked_at, report.clustered_at, report.described_at)
        changed = next((at for at in stages if at is not None), report.submitted_at)
        return cls(
            id=report.id,
            status=report.status,
            reason=report.reason,
            problem_id=report.problem_id,
            changed_at=changed,
        )


class Reports(_Body):
    """A page; `next` goes into `cursor` for the one behind it, and is null at the end."""

    reports: list[Report]
    next: str | None


class NewComment(_Body):
    """What somebody says of a report, and whether the problem is still there."""

    text: Prose
    says: Says | None = None


class Comment(_Body):
    """A comment."""

    id: UUID
    at: datetime
    author: str
    text: str
    says: Says | None


class Comments(_Body):
    """A page, oldest first."""

    comments: list[Comment]
    next: str | None


def cursor(at: datetime, item: UUID) -> str:
    """Where a page ended."""
    packed = _CURSOR.pack(round(at.timestamp() * 1000), item.bytes)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def position(text: str | None) -> tuple[datetime, UUID] | None:
    """What a cursor says.

    Raises:
        Problem: it is none of ours.
    """
    if text is None:
        return None
    try:
        packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        stamp, item = _CURSOR.unpack(packed)
        return datetime.fromtimestamp(stamp / 1000, UTC), UUID(bytes=item)
    except (binascii.Error, struct.error, ValueError, OverflowError, OSError):
        raise Problem(400, "cursor is not one that a page named as `next`; leave it out") from None


def form_values(values: dict[str, str]) -> dict[str, Any]:
    """A form's fields as a JSON body would have them."""
    told: dict[str, Any] = dict(values)
    for name in ("latitude", "longitude"):
        if name in told:
            try:
                told[name] = json.loads(told[name])
            except ValueError:
                continue  # the model says what is wrong with it
    return told
