"""Cassandra, awaited: the driver's callbacks as coroutines, prepared statements, its errors as one.

Away     no answer, or none in time; whether a write arrived is not known
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cassandra import (
    AuthenticationFailed,
    ConsistencyLevel,
    DriverException,
    InvalidRequest,
    OperationTimedOut,
    Unauthorized,
)
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import (
    EXEC_PROFILE_DEFAULT,
    Cluster,
    ExecutionProfile,
    NoHostAvailable,
    ResponseFuture,
    Session,
)
from cassandra.connection import ConnectionException, DefaultEndPoint
from cassandra.policies import (
    ConstantReconnectionPolicy,
    ConstantSpeculativeExecutionPolicy,
    DCAwareRoundRobinPolicy,
    TokenAwarePolicy,
)
from cassandra.query import BatchStatement, BatchType, BoundStatement, PreparedStatement

from services.fixai.settings import Cassandra

_RECONNECT_SECONDS = 2
_WAIT_SECONDS = 2
_log = logging.getLogger(__name__)

Row = Any
"""A named tuple, its fields the columns that were asked for."""


class Away(Exception):  # noqa: N818 - a state of the world, not a mistake
    """A dependency does not answer; the same may work later."""


class Refused(Exception):  # noqa: N818 - an answer
    """The database does not let this account in."""


@dataclass(frozen=True, slots=True)
class Write:
    """A statement of a batch, with its values."""

    statement: str
    values: Sequence[object]


class Database:
    """A session of the cluster. Statements are constants of the program: each is prepared once."""

    def __init__(self, cluster: Cluster, session: Session, told: Cassandra) -> None:
        self._cluster = cluster
        self._session = session
        self._write = ConsistencyLevel.name_to_value[told.write]
        self._prepared: dict[str, asyncio.Future[PreparedStatement]] = {}

    @classmethod
    async def connect(
        cls, told: Cassandra, user: str, password: str, *, keyspace: bool = True
    ) -> Database:
        """Connect once.

        Args:
            told: where.
            user: an account of the database.
            password: its.
            keyspace: whether statements may leave out the keyspace; it must be there then.

        Raises:
            Refused: user and password are not accepted.
            Away: it does not answer, or the keyspace is not there yet.
        """
        cluster = _cluster(told, user, password)
        try:
            session = await asyncio.to_thread(cluster.connect, told.keyspace if keyspace else None)
        except (NoHostAvailable, DriverException, InvalidRequest, OSError) as error:
            await asyncio.to_thread(cluster.shutdown)
            if _refused(error):
                remedy = f"the secret cassandra has another password than the account {user}"
                raise Refused(f"cassandra refuses the account {user}; {remedy}") from None
            raise Away(f"cassandra does not answer ({type(error).__name__})") from None
        return cls(cluster, session, told)

    @classmethod
    async def wait(cls, told: Cassandra, user: str, password: str) -> Database:
        """Connect, as soon as it and the keyspace are there."""
        while True:
            try:
                return await cls.connect(told, user, password)
            except (Away, Refused) as error:
                _log.warning("%s; trying again", error)
                await asyncio.sleep(_WAIT_SECONDS)

    async def close(self) -> None:
        """Disconnect."""
        await asyncio.to_thread(self._cluster.shutdown)

    async def read(self, statement: str, *values: object) -> list[Row]:
        """The rows of a question, all pages of them.

        Raises:
            Away: no answer in time.
        """
        return await self._run(await self._bound(statement, values))

    async def first(self, statement: str, *values: object) -> Row | None:
        """The first row of a question; None where there is none."""
        rows = await self.read(statement, *values)
        return rows[0] if rows else None

    async def write(self, statement: str, *values: object) -> None:
        """Write one row.

        Raises:
            Away: not acknowledged; it may be there all the same.
        """
        bound = await self._bound(statement, values)
        bound.consistency_level = self._write
        await self._run(bound)

    async def claim(self, statement: str, *values: object) -> Row | None:
        """Write on a condition (`IF ...`); None where it was met, else the row that is there.

        Raises:
            Away: no answer; whether it was met is not known.
        """
        bound = await self._bound(statement, values)
        bound.consistency_level = self._write
        bound.serial_consistency_level = ConsistencyLevel.LOCAL_SERIAL
        bound.is_idempotent = False
        rows = await self._run(bound)
        return None if rows[0].applied else rows[0]

    async def batch(self, writes: Sequence[Write]) -> None:
        """Write rows of several partitions: all of them, sooner or later, or none.

        Raises:
            Away: not acknowledged; it may be written all the same.
        """
        together = BatchStatement(BatchType.LOGGED, consistency_level=self._write)
        together.is_idempotent = True
        for write in writes:
            together.add(await self._bound(write.statement, write.values))
        await self._run(together)

    async def plain(self, statement: str) -> list[Row]:
        """Run a statement that cannot be prepared, such as one on the schema."""
        return await self._future(lambda: self._session.execute_async(statement, timeout=60))

    async def _bound(self, statement: str, values: Sequence[object]) -> BoundStatement:
        prepared = self._prepared.get(statement)
        if prepared is None:
            prepared = self._prepared[statement] = asyncio.ensure_future(
                asyncio.to_thread(self._prepare, statement)
            )
        try:
            bound = (await asyncio.shield(prepared)).bind(values)
        except (NoHostAvailable, DriverException) as error:
            self._prepared.pop(statement, None)
            raise _away(error) from None
        bound.is_idempotent = True
        return bound

    def _prepare(self, statement: str) -> PreparedStatement:
        return self._session.prepare(statement)

    async def _run(self, statement: BoundStatement | BatchStatement) -> list[Row]:
        return await self._future(lambda: self._session.execute_async(statement))

    async def _future(self, ask: Callable[[], ResponseFuture]) -> list[Row]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Row]] = loop.create_future()
        rows: list[Row] = []

        def settle(error: Exception | None) -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(rows)
            else:
                answer.set_exception(error)

        def tell(error: Exception | None) -> None:
            with suppress(RuntimeError):  # the loop ended before the answer came
                loop.call_soon_threadsafe(settle, error)

        try:
            response = ask()
        except (NoHostAvailable, DriverException) as error:
            raise _away(error) from None

        def page(found: Sequence[Row] | None) -> None:
            rows.extend(found or ())
            if response.has_more_pages:
                response.start_fetching_next_page()
            else:
                tell(None)

        response.add_callbacks(page, tell)
        try:
            return await answer
        except (NoHostAvailable, DriverException) as error:
            raise _away(error) from None


def _cluster(told: Cassandra, user: str, password: str) -> Cluster:
    balancing = TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc=told.datacenter))
    profile = ExecutionProfile(
        load_balancing_policy=balancing,
        consistency_level=ConsistencyLevel.name_to_value[told.read],
        serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
        request_timeout=told.timeout_seconds,
        # Asks another copy where one is slow; with one copy there is none to ask.
        speculative_execution_policy=ConstantSpeculativeExecutionPolicy(
            told.timeout_seconds / 4, 1
        ),
    )
    return Cluster(
        # By name: resolved at every connection, for a pod comes back with another address.
        contact_points=[DefaultEndPoint(host, told.port) for host in told.hosts],
        port=told.port,
        auth_provider=PlainTextAuthProvider(user, password),
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        reconnection_policy=ConstantReconnectionPolicy(_RECONNECT_SECONDS, max_attempts=None),
        connect_timeout=told.timeout_seconds,
        control_connection_timeout=told.timeout_seconds,
        protocol_version=5,
        idle_heartbeat_interval=10,
        idle_heartbeat_timeout=10,
    )


def _refused(error: BaseException) -> bool:
    if isinstance(error, AuthenticationFailed):
        return True
    causes = error.errors.values() if isinstance(error, NoHostAvailable) else ()
    return any(isinstance(cause, AuthenticationFailed) for cause in causes)


def _away(error: Exception) -> Exception:
    """The error as callers see it: what may pass is `Away`, a mistake of the program stays."""
    kept: Exception = error  # to the checker the driver has no types
    if isinstance(error, InvalidRequest | Unauthorized):
        return kept
    if isinstance(error, NoHostAvailable | OperationTimedOut | ConnectionException):
        return Away(f"cassandra does not answer ({type(error).__name__})")
    return Away(f"cassandra did not acknowledge ({type(error).__name__})")


def write_time(moment: datetime) -> int:
    """The write time of what happened then: microseconds since 1970."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def aware(moment: datetime) -> datetime:
    """A time that was read: the driver tells UTC without saying so."""
    return moment.replace(tzinfo=UTC)
