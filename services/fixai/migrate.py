"""The role `migrate`: makes the schema, the topics and the buckets, then ends.

It waits for Cassandra, Kafka and the object store, so it can be started with them. It may be run
again at any time, and by several at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import httpx
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from services.fixai import schema, settings
from services.fixai.database import Away, Database, Refused
from services.fixai.objects import Bucket
from services.fixai.settings import Settings, SettingsError

_WAIT_SECONDS = 2
_LOCK = "migrate"
_LOCK_SECONDS = 120
_DEFAULT_ACCOUNT = "cassandra"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_log = logging.getLogger(__name__)


async def role(told: Settings, stop: asyncio.Event) -> None:
    """Make what is not there yet."""
    for what, make in (("tables", tables), ("topics", topics), ("buckets", buckets)):
        while not stop.is_set():
            try:
                await make(told)
            except Away as error:
                _log.warning("%s; trying again", error)
                await asyncio.sleep(_WAIT_SECONDS)
            else:
                _log.info("the %s are there", what)
                break


async def tables(told: Settings) -> int:
    """Bring the keyspace to the last version; how many versions were applied.

    Raises:
        Away: the database does not answer, or somebody else migrates just now.
        SettingsError: it refuses the account.
    """
    user = told.secrets.read("cassandra", "user")
    password = told.secrets.read("cassandra", "password")
    database = await _connected(told.cassandra, user, password)
    try:
        return await migrate(database, told.cassandra)
    finally:
        await database.close()


async def migrate(
    database: Database,
    told: settings.Cassandra,
    versions: Sequence[Sequence[str]] = schema.VERSIONS,
) -> int:
    """Apply the versions that are not there; how many those were.

    Raises:
        Away: somebody else applies them just now, or the database does not answer.
    """
    names = {
        "keyspace": told.keyspace,
        "datacenter": told.datacenter,
        "replication": told.replication,
        "versions_id": _table_id(told.keyspace, "versions"),
        "lock_id": _table_id(told.keyspace, "lock"),
    }
    for statement in (schema.KEYSPACE, *schema.BOOKS):
        await database.plain(statement.format(**names))
    owner, lock = str(uuid.uuid4()), f"{told.keyspace}.schema_lock"
    if await database.claim(
        f"INSERT INTO {lock} (name, owner) VALUES (?, ?) IF NOT EXISTS USING TTL ?",
        _LOCK,
        owner,
        _LOCK_SECONDS,
    ):
        raise Away("another process migrates the schema")
    try:
        return await _apply(database, names, versions)
    finally:
        await database.claim(f"DELETE FROM {lock} WHERE name = ? IF owner = ?", _LOCK, owner)


def _table_id(keyspace: str, table: str) -> uuid.UUID:
    """An id of the form that the database gives, the same in every process."""
    digest = hashlib.sha256(f"{keyspace}.{table}".encode()).digest()
    return uuid.UUID(bytes=digest[:16], version=1)


async def _apply(
    database: Database, names: dict[str, object], versions: Sequence[Sequence[str]]
) -> int:
    book, applied = f"{names['keyspace']}.schema_versions", 0
    for version, statements in enumerate(versions, 1):
        if await database.first(f"SELECT version FROM {book} WHERE version = ?", version):
            continue
        for statement in statements:
            await database.plain(statement.format(**names))
        await database.write(
            f"INSERT INTO {book} (version, applied_at) VALUES (?, ?)", version, datetime.now(UTC)
        )
        _log.info("schema version %d applied", version)
        applied += 1
    return applied


async def _connected(told: settings.Cassandra, user: str, password: str) -> Database:
    """Connect as the account; on a new database make it first, and lock the one that it came with.

    Raises:
        Away: it does not answer.
        SettingsError: it refuses the account, and is not new.
    """
    try:
        return await Database.connect(told, user, password, keyspace=False)
    except Refused as refused:
        try:
            new = await Database.connect(told, _DEFAULT_ACCOUNT, _DEFAULT_ACCOUNT, keyspace=False)
        except Refused:
            raise SettingsError([f"{refused}; give both the same"]) from None
    try:
        if _NAME.fullmatch(user) is None:
            raise SettingsError(
                [f"secret cassandra: user {user!r} is no name; use small letters and digits"]
            )
        quoted = password.replace("'", "''")
        await new.plain(
            f"CREATE ROLE IF NOT EXISTS {user} "
            f"WITH PASSWORD = '{quoted}' AND LOGIN = true AND SUPERUSER = true"
        )
    finally:
        await new.close()
    made = await Database.connect(told, user, password, keyspace=False)
    await made.plain(f"ALTER ROLE {_DEFAULT_ACCOUNT} WITH SUPERUSER = false AND LOGIN = false")
    _log.info("the database's own account was replaced by ours")
    return made


async def topics(told: Settings) -> int:
    """Make the topics that are not there and add missing partitions; how many were made.

    Raises:
        Away: the broker does not answer, or refuses for now.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=told.kafka.servers, request_timeout_ms=20_000)
    try:
        await admin.start()
        return await _topics(admin, schema.topics(told.kafka))
    except (KafkaError, OSError) as error:
        raise Away(f"kafka did not make the topics ({type(error).__name__})") from None
    finally:
        await admin.close()


async def _topics(admin: AIOKafkaAdminClient, wanted: Sequence[schema.Topic]) -> int:
    there = {told["topic"]: len(told["partitions"]) for told in await admin.describe_topics()}
    missing = [topic for topic in wanted if topic.name not in there]
    if missing:
        answer = await admin.create_topics([_new(topic) for topic in missing])
        for name, code, *_ in answer.topic_errors:
            if code not in {0, TopicAlreadyExistsError.errno}:
                raise Away(f"kafka did not make {name} ({for_code(code).__name__})")
    short = {t.name: t.partitions for t in wanted if 0 < there.get(t.name, 0) < t.partitions}
    if short:
        await admin.create_partitions({n: NewPartitions(count) for n, count in short.items()})
    return len(missing)


def _new(topic: schema.Topic) -> NewTopic:
    hours = topic.retention_hours
    retention = "-1" if hours is None else str(hours * 3600 * 1000)
    return NewTopic(
        name=topic.name,
        num_partitions=topic.partitions,
        replication_factor=topic.replication,
        topic_configs={
            "retention.ms": retention,
            "min.insync.replicas": str(max(topic.replication - 1, 1)),
        },
    )


async def buckets(told: Settings) -> int:
    """Make the buckets that are not there; how many were made.

    Raises:
        Away: the object store does not answer, or does not let us in.
    """
    made = 0
    async with httpx.AsyncClient() as client:
        for name in schema.buckets(told.objects):
            made += await Bucket(client, told.objects, told.secrets, name).create()
    return made
