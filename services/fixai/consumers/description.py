"""Description: what a report shows, in words and figures that others can work with."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from typing import Annotated, Protocol

import httpx
from pydantic import BaseModel, Field

from services.fixai import roles
from services.fixai.bus import Handler, Poison
from services.fixai.consumers.effect import once
from services.fixai.events import Category, Event, ReportDescribed, ReportSubmitted, Severity, now
from services.fixai.health import Health
from services.fixai.llm import Llm, Usage
from services.fixai.objects import Bucket
from services.fixai.settings import Settings
from services.fixai.store import Store

NAME = "description"


class Described(BaseModel):
    """What the model is asked for."""

    title: Annotated[str, Field(min_length=1, max_length=120)]
    description: Annotated[str, Field(min_length=1, max_length=1000)]
    category: Category
    severity: Severity


class Pictures(Protocol):
    """Where pictures are: a bucket, or a test's."""

    async def get(self, key: str) -> tuple[bytes, str] | None:
        """A picture and its content type."""


class Description:
    """Titles, describes and rates a report, and places it among what others say.

    Args:
        store: keeps what was found.
        pictures: the citizens'.
        llm: describes.
    """

    def __init__(self, store: Store, pictures: Pictures, llm: Llm) -> None:
        self._store = store
        self._pictures = pictures
        self._llm = llm

    async def handle(self, event: Event) -> Sequence[Event]:
        """Work on a submitted report."""
        if not isinstance(event, ReportSubmitted):
            raise Poison(f"not for the description ({event.kind})")
        made = await once(self._store, NAME, event, ReportDescribed, lambda: self._described(event))
        await self._store.described(made)
        return [made]

    async def _described(self, event: ReportSubmitted) -> ReportDescribed:
        found = await asyncio.gather(*(self._pictures.get(key) for key in event.pictures))
        # A picture that is gone is no reason to leave the report undescribed.
        pictures = [picture for picture in found if picture is not None]
        told = {"text": event.text, "category": event.category.value}
        read = await self._llm.ask("describe", told, Described, pictures)
        embedding = await self._llm.embed(f"{read.title}\n{read.description}")
        return ReportDescribed(
            report_id=event.report_id,
            at=now(),
            submitted_at=event.submitted_at,
            author=event.author,
            latitude=event.latitude,
            longitude=event.longitude,
            title=read.title,
            description=read.description,
            category=read.category,
            severity=read.severity,
            embedding=embedding,
        )


def model(settings: Settings, health: Health) -> Llm:
    """The language model of a process."""
    return Llm(settings.llm, settings.secrets.read("llm", "api-key"), Usage(health.registry))


async def make(settings: Settings, store: Store, health: Health) -> Handler:
    """The consumer's handler."""
    bucket = Bucket(
        httpx.AsyncClient(), settings.objects, settings.secrets, settings.objects.pictures
    )
    return Description(store, bucket, model(settings, health)).handle


role = functools.partial(roles.consume, NAME, make)
