"""What the API does, whatever asks: the parts of the backend put together."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid4

from services.fixai import events, store
from services.fixai.backend import bodies
from services.fixai.backend.accounts import Citizen, Passwords, Tokens
from services.fixai.backend.live import Hub
from services.fixai.backend.memory import Memory, Rate
from services.fixai.backend.pictures import Picture
from services.fixai.backend.problems import Problem
from services.fixai.bus import Hooks
from services.fixai.objects import Bucket
from services.fixai.settings import Backend, Limits
from services.fixai.store import days_back

_MINUTE, _HOUR = 60.0, 3600.0


class Kept(Protocol):
    """The part of the store that the backend uses; each raises `Away`."""

    async def add_account(self, account: store.Account) -> bool:
        """Whether the name was free."""

    async def account(self, name: str) -> store.Account | None:
        """An account by its name."""

    async def request(self, account: UUID, key: str, wanted: store.Request) -> store.Request:
        """The request that this key names."""

    async def submit(self, event: events.ReportSubmitted) -> None:
        """Keep a report and what is to be published of it."""

    async def report(self, report_id: UUID) -> store.Report | None:
        """A report by its id."""

    async def near(  # noqa: PLR0913, PLR0917 - what a page of a search is
        self,
        latitude: float,
        longitude: float,
        radius: float,
        days: Sequence[date],
        limit: int,
        after: tuple[datetime, UUID] | None = None,
    ) -> store.Held:
        """The reports around a point."""

    async def comment(self, comment: store.Comment, event: events.ReportCommented) -> None:
        """Keep a comment and what is to be published of it."""

    async def comments(
        self, report_id: UUID, limit: int, after: tuple[datetime, UUID] | None = None
    ) -> list[store.Comment]:
        """A report's comments."""


@dataclass(frozen=True, slots=True)
class Area:
    """A circle on the map."""

    latitude: float
    longitude: float
    radius: float


class Service:
    """The backend's work; errors are `Problem`, and `Away` where a dependency is.

    Args:
        told: the settings.
        kept: the database.
        memory: the cache and the limits.
        pictures: their bucket.
        tokens: who is who.
        hub: live updates.
        hooks: of tests.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the parts that it is made of
        self,
        told: Backend,
        kept: Kept,
        memory: Memory,
        pictures: Bucket,
        tokens: Tokens,
        hub: Hub,
        hooks: Hooks | None = None,
    ) -> None:
        self.told = told
        self.tokens = tokens
        self.hub = hub
        self._kept = kept
        self._memory = memory
        self._pictures = pictures
        self._passwords = Passwords()
        self._hooks = hooks or Hooks()

    # Limits

    async def limit_request(self, who: str) -> None:
        """Count a request.

        Raises:
            Problem: there were too many.
        """
        limits = self.told.limits
        await self._limit("requests", who, Rate(limits.requests_per_minute, _MINUTE))

    async def _limit(self, limit: str, who: str, rate: Rate) -> None:
        seconds = await self._memory.wait(limit, who, rate)
        if seconds:
            span = "minute" if rate.seconds == _MINUTE else "hour"
            told = f"{rate.count} {limit} a {span}; try again in {seconds} seconds"
            raise Problem(429, f"more than {told}", retry_after=seconds)

    # Accounts

    async def register(self, told: bodies.Credentials, address: str) -> bodies.Registered:
        """Make an account."""
        await self._limit_logins(address)
        password = await self._passwords.hashed(told.password)
        account = store.Account(uuid4(), told.name, password, events.now())
        if not await self._kept.add_account(account):
            raise Problem(409, "the name is taken; choose another, or sign in at /tokens")
        return bodies.Registered(id=account.id, name=account.name)

    async def sign_in(self, told: bodies.Credentials, address: str) -> bodies.Token:
        """Give a token for a password."""
        await self._limit_logins(address)
        await self._limit_logins(f"name:{told.name}")
        account = await self._kept.account(told.name)
        if not await self._passwords.match(told.password, account) or account is None:
            raise Problem(401, "name or password is wrong; correct them, or register at /accounts")
        token, until = self.tokens.give(account)
        return bodies.Token(token=token, until=until)

    async def _limit_logins(self, who: str) -> None:
        await self._limit("logins", who, Rate(self.told.limits.logins_per_minute, _MINUTE))

    # Reports

    async def submit(
        self, citizen: Citizen, told: bodies.NewReport, pictures: Sequence[Picture], key: str | None
    ) -> tuple[bodies.Accepted, bool]:
        """Keep a report; and whether it is new.

        Once this returns, the report and its event are in the database. With a key it may be
        asked again after an answer that got lost: it is the same report.
        """
        wanted = store.Request(uuid4(), _digest(told, pictures), events.now())
        request, known = wanted, False
        if key is not None:
            request = await self._kept.request(citizen.id, key, wanted)
            if request.digest != wanted.digest:
                detail = "Idempotency-Key was used for another report; choose a new one"
                raise Problem(422, detail)
            known = request is not wanted and await self._kept.report(request.id) is not None
        if not known:  # a repetition is not counted, one of a request that was limited is
            limits: Limits = self.told.limits
            await self._limit("reports", str(citizen.id), Rate(limits.reports_per_hour, _HOUR))
        await self._hooks.at("claimed")
        await asyncio.gather(*(self._pictures.put(p.key, p.data, p.content_type) for p in pictures))
        await self._hooks.at("pictured")
        event = events.ReportSubmitted(
            report_id=request.id,
            at=request.at,
            submitted_at=request.at,
            author=citizen.id,
            latitude=told.latitude,
            longitude=told.longitude,
            text=told.text,
            category=told.category,
            pictures=tuple(picture.key for picture in pictures),
        )
        await self._kept.submit(event)
        await self._hooks.at("kept")
        accepted = bodies.Accepted(id=request.id, status="submitted", submitted_at=request.at)
        return accepted, not known

    async def report(self, report_id: UUID) -> bodies.Report:
        """A report, at most the cache's seconds old."""
        cached = await self._memory.report(report_id)
        if cached is not None:
            return bodies.Report.model_validate_json(cached)
        kept = await self._kept_report(report_id)
        report = bodies.Report.of(kept)
        await self._memory.keep_report(report_id, report.model_dump_json().encode())
        return report

    async def _kept_report(self, report_id: UUID) -> store.Report:
        kept = await self._kept.report(report_id)
        if kept is None:
            raise Problem(404, "there is no such report; see /reports?near=LATITUDE,LONGITUDE")
        return kept

    async def picture(self, report_id: UUID, number: int) -> tuple[bytes, str]:
        """A report's picture and its type."""
        kept = await self._kept_report(report_id)
        found = None
        if 0 <= number < len(kept.pictures):
            found = await self._pictures.get(kept.pictures[number])
        if found is None:
            raise Problem(404, "the report has no such picture; its `pictures` names them")
        return found

    async def near(self, area: Area, days: int, limit: int, cursor: str | None) -> bodies.Reports:
        """The reports around a point, newest first."""
        after = bodies.position(cursor)
        newest = events.now().date() + timedelta(days=1)  # another process's clock may be ahead
        held = await self._kept.near(
            area.latitude, area.longitude, area.radius, days_back(newest, days + 1), limit, after
        )
        found = await asyncio.gather(
            *(self.report(spot.id) for spot in held.spots), return_exceptions=True
        )
        reports = []
        for report in found:
            if isinstance(report, bodies.Report):
                reports.append(report)
            # Of a batch that is being written the place may be there before the report.
            elif not isinstance(report, Problem):
                raise report
        return bodies.Reports(reports=reports, next=held.after and bodies.cursor(*held.after))

    # Comments

    async def comment(
        self, citizen: Citizen, report_id: UUID, told: bodies.NewComment
    ) -> bodies.Comment:
        """Keep a comment."""
        report = await self._kept_report(report_id)
        rate = Rate(self.told.limits.comments_per_hour, _HOUR)
        await self._limit("comments", str(citizen.id), rate)
        at = events.now()
        comment = store.Comment(
            uuid4(), report_id, at, citizen.id, citizen.name, told.text, told.says
        )
        event = events.ReportCommented(
            report_id=report_id,
            at=at,
            submitted_at=at,
            author=citizen.id,
            latitude=report.latitude,
            longitude=report.longitude,
            comment_id=comment.id,
            text=told.text,
            says=told.says,
        )
        await self._kept.comment(comment, event)
        await self._hooks.at("commented")
        return _shown(comment)

    async def comments(self, report_id: UUID, limit: int, cursor: str | None) -> bodies.Comments:
        """A report's comments, oldest first."""
        await self.report(report_id)
        found = await self._kept.comments(report_id, limit + 1, bodies.position(cursor))
        page, more = found[:limit], len(found) > limit
        after = bodies.cursor(page[-1].at, page[-1].id) if more else None
        return bodies.Comments(comments=[_shown(comment) for comment in page], next=after)

    # Live updates

    async def happened(self, event: events.Event) -> None:
        """Take an event of the pipeline: what was cached is old, and who watches is told."""
        await self._memory.changed(event.report_id)
        self.hub.tell(event)


def _shown(comment: store.Comment) -> bodies.Comment:
    return bodies.Comment(
        id=comment.id,
        at=comment.at,
        author=comment.author_name,
        text=comment.text,
        says=comment.says,
    )


def _digest(told: bodies.NewReport, pictures: Sequence[Picture]) -> str:
    """What a request asks for, to tell a repetition from another one with its key."""
    named = "\x1f".join([told.model_dump_json(), *(picture.key for picture in pictures)])
    return hashlib.sha256(named.encode()).hexdigest()
