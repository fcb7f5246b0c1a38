"""What must be there before the others run: the keyspace and its tables, topics, buckets.

The role `migrate` makes all of it. It may run again, and twice at once: every statement names
the state that it leaves, and one run at a time applies a version.
A version that was released is never edited; a change is a new version.

Tables are made for one question each; `statement`s ask by whole partition keys only.

    accounts          by name               who is that, is this the password
    requests          by account and key    was this request acknowledged before (a day long)
    reports           by id                 one report, all that is known of it
    reports_by_place  by cell and day       what is near, newest first
    comments          by report             what was said, oldest first
    outbox            by bucket             what is to be published, in its order
    outbox_leases     by bucket             who publishes it
    members           by cell               the reports of a place and the problem of each
    statements        by problem            what reports and comments say of it
    problems          by id                 one problem, as it is judged
    deadlines         by day                the problems to look at again on that day
    effects           by consumer, event    was this event handled (a month long)
"""

from __future__ import annotations

from dataclasses import dataclass

from services.fixai import events
from services.fixai.settings import Kafka, Objects

PLACE_PRECISION = 5
"""Characters of the cell of `reports_by_place`: about 4.9 km by 4.9 km at the equator."""
REQUEST_SECONDS = 24 * 3600
"""An idempotency key is remembered this long."""
EFFECT_SECONDS = 30 * 24 * 3600
"""Longer than any topic keeps its events: a replay always finds the effect."""
MEMBER_SECONDS = 90 * 24 * 3600
"""The clustering forgets a report after this, many times its window: a cell must not grow."""
_QUEUE_GRACE_SECONDS = 600
"""Deleted rows of the outbox are gone after this: a queue must not drag its past along. A copy
that missed a deletion for longer brings its event back: it is published twice, which is allowed."""

KEYSPACE = (
    "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = "
    "{{'class': 'NetworkTopologyStrategy', '{datacenter}': {replication}}}"
)
BOOKS = (
    # Their ids follow from the keyspace, so that two first runs at once make the same tables.
    "CREATE TABLE IF NOT EXISTS {keyspace}.schema_versions "
    "(version int PRIMARY KEY, applied_at timestamp) "
    "WITH id = {versions_id}",
    "CREATE TABLE IF NOT EXISTS {keyspace}.schema_lock (name text PRIMARY KEY, owner text) "
    "WITH id = {lock_id}",
)
"""What tells the versions that were applied, and who applies one now."""

VERSIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE IF NOT EXISTS {keyspace}.accounts (
            name text PRIMARY KEY,
            id uuid,
            password text,
            created_at timestamp
        )
        """,
        f"""
        CREATE TABLE IF NOT EXISTS {{keyspace}}.requests (
            account uuid,
            key text,
            id uuid,
            digest text,
            at timestamp,
            PRIMARY KEY ((account, key))
        ) WITH default_time_to_live = {REQUEST_SECONDS}
        """,
        """
        CREATE TABLE IF NOT EXISTS {keyspace}.reports (
            id uuid PRIMARY KEY,
            author uuid,
            text text,
            category text,
            latitude double,
            longitude double,
            pictures list<text>,
            submitted_at timestamp,
            title text,
            description text,
            described_category text,
            severity int,
            described_at timestamp,
            problem_id uuid,
            clustered_at timestamp,
            verdict text,
            reason text,
            checked_at timestamp
        )
        """,
        """
        CREATE TABLE IF NOT EXISTS {keyspace}.reports_by_place (
            cell text,
            day date,
            submitted_at timestamp,
            id uuid,
            latitude double,
            longitude double,
            PRIMARY KEY ((cell, day), submitted_at, id)
        ) WITH CLUSTERING ORDER BY (submitted_at DESC, id DESC)
        """,
        """
        CREATE TABLE IF NOT EXISTS {keyspace}.comments (
            report_id uuid,
            at timestamp,
            id uuid,
            author uuid,
            author_name text,
            text text,
            says text,
            PRIMARY KEY ((report_id), at, id)
        )
        """,
        f"""
        CREATE TABLE IF NOT EXISTS {{keyspace}}.outbox (
            bucket int,
            seq timeuuid,
            topic text,
            key text,
            event blob,
            PRIMARY KEY ((bucket), seq)
        ) WITH gc_grace_seconds = {_QUEUE_GRACE_SECONDS}
        """,
        f"""
        CREATE TABLE IF NOT EXISTS {{keyspace}}.outbox_leases (
            bucket int PRIMARY KEY,
            owner text
        ) WITH gc_grace_seconds = {_QUEUE_GRACE_SECONDS}
        """,
        f"""
        CREATE TABLE IF NOT EXISTS {{keyspace}}.members (
            cell text,
            report_id uuid,
            at timestamp,
            author uuid,
            latitude double,
            longitude double,
            category text,
            severity int,
            title text,
            description text,
            embedding frozen<list<float>>,
            problem_id uuid,
            joined_at timestamp,
            PRIMARY KEY ((cell), report_id)
        ) WITH default_time_to_live = {MEMBER_SECONDS}
        """,
        """
        CREATE TABLE IF NOT EXISTS {keyspace}.statements (
            problem_id uuid,
            id uuid,
            report_id uuid,
            author uuid,
            at timestamp,
            severity int,
            spam boolean,
            gone boolean,
            reason text,
            PRIMARY KEY ((problem_id), id)
        )
        """,
        """
        CREATE TABLE IF NOT EXISTS {keyspace}.problems (
            id uuid PRIMARY KEY,
            category text,
            title text,
            description text,
            latitude double,
            longitude double,
            severity int,
            reports int,
            people int,
            level int,
            first_at timestamp,
            last_at timestamp,
            verdict text,
            reason text,
            checked_at timestamp
        )
        """,
        """
        CREATE TABLE IF NOT EXISTS {keyspace}.deadlines (
            day date,
            problem_id uuid,
            at timestamp,
            PRIMARY KEY ((day), problem_id)
        )
        """,
        f"""
        CREATE TABLE IF NOT EXISTS {{keyspace}}.effects (
            consumer text,
            event_id uuid,
            result blob,
            at timestamp,
            PRIMARY KEY ((consumer, event_id))
        ) WITH default_time_to_live = {EFFECT_SECONDS}
        """,
    ),
)


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is to be made.

    Attributes:
        retention_hours: None: what is in it is kept until somebody looks.
    """

    name: str
    partitions: int
    replication: int
    retention_hours: int | None


def retry_topic(topic: str, consumer: str) -> str:
    """Where a consumer's events of a topic wait for another attempt."""
    return f"{topic}.{consumer}.retry"


def dead_topic(topic: str, consumer: str) -> str:
    """Where a consumer's events of a topic lie that it cannot handle."""
    return f"{topic}.{consumer}.dead"


def topics(told: Kafka) -> tuple[Topic, ...]:
    """Every topic: of events, of retries, of dead letters."""
    hours, copies = told.retention_hours, told.replication
    made = [Topic(name, told.partitions, copies, hours) for name in events.TOPICS]
    for consumer, read in events.CONSUMERS.items():
        for name in read:
            made.append(Topic(retry_topic(name, consumer), 1, copies, hours))
            made.append(Topic(dead_topic(name, consumer), 1, copies, None))
    return tuple(made)


def buckets(told: Objects) -> tuple[str, ...]:
    """Every bucket."""
    return (told.pictures, told.backups)
