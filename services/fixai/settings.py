"""The settings file: one JSON document for every role; secrets are files in folders of their own.

`/run/secrets/fixai/<name>/<key>`, as the cluster mounts them; a role reads only what it uses.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

ENVIRONMENT = "FIXAI_SETTINGS"
DEFAULT_PATH = Path("/etc/fixai/settings.json")
_SHOWN_CHARACTERS = 60

Consistency = Literal["ONE", "LOCAL_ONE", "QUORUM", "LOCAL_QUORUM"]
Port = Annotated[int, Field(ge=1, le=65535)]
Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class SettingsError(Exception):
    """All that is wrong with the settings or a secret, one line each: where: what; what to do."""

    def __init__(self, errors: Sequence[str]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(self.errors))


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Listen(_Part):
    """Where a role serves its API, health and metrics."""

    host: Text = "0.0.0.0"  # noqa: S104 - the cluster's network policies admit who may ask
    port: Port = 8000


class Kafka(_Part):
    """The broker and the topics on it.

    Attributes:
        servers: `host:port`, several with commas.
        partitions: of each topic; those of retries and dead letters have one.
        replication: copies of each partition; one broker can hold one.
        retention_hours: how long events can be replayed.
    """

    servers: Text = "kafka:9092"
    partitions: Count = 6
    replication: Count = 1
    retention_hours: Count = 168


class Cassandra(_Part):
    """The database.

    Attributes:
        hosts: contact points.
        replication: copies of each row; one node can hold one.
        read: how many copies answer a read.
        write: how many copies acknowledge a write.
        timeout_seconds: of one statement.
    """

    hosts: tuple[Text, ...] = ("cassandra",)
    port: Port = 9042
    keyspace: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] = "fixai"
    datacenter: Text = "datacenter1"
    replication: Count = 1
    read: Consistency = "LOCAL_ONE"
    write: Consistency = "LOCAL_QUORUM"
    timeout_seconds: Seconds = 5


class Redis(_Part):
    """The cache and the rate limits' counters."""

    host: Text = "redis"
    port: Port = 6379
    timeout_seconds: Seconds = 0.5


class Objects(_Part):
    """The S3 store, addressed by path."""

    endpoint: Annotated[str, Field(pattern=r"^https?://[^/]+$")] = "http://minio:9000"
    region: Text = "us-east-1"
    pictures: Text = "pictures"
    backups: Text = "backups"


class Llm(_Part):
    """The language model and what it may cost.

    Attributes:
        base_url: of an API that speaks as Gemini's does.
        tokens_per_minute: a process asks no more than this.
        concurrency: requests at once of a process.
    """

    base_url: Annotated[str, Field(pattern=r"^https?://")] = "http://gemini:8000"
    model: Text = "gemini-2.5-flash"
    embedding_model: Text = "gemini-embedding-001"
    tokens_per_minute: Count = 1_000_000
    concurrency: Count = 8
    timeout_seconds: Seconds = 20


class Consumers(_Part):
    """How the consumers work through their topics.

    Attributes:
        concurrency: events that one process handles at once, each of another key.
        retry_seconds: before the second attempt, the third and so on; then it is a dead letter.
        drain_seconds: what is being handled at a shutdown has this long to end.
        silent_seconds: without a sign of life, others take a process's partitions over.
    """

    concurrency: Count = 8
    retry_seconds: tuple[Seconds, ...] = (5, 30, 120)
    drain_seconds: Seconds = 15
    silent_seconds: Seconds = 10


class Clustering(_Part):
    """When reports are of the same problem.

    Attributes:
        radius_metres: reports further apart are of two.
        window_hours: reports further apart in time are of two.
        similarity: of two texts (the cosine of their embeddings) that tells neither way. Fitted
            to the stand-in's embeddings; a real model's texts are all more alike: measure them.
        audit_seconds: from one audit to the next.
    """

    radius_metres: Seconds = 60
    window_hours: Seconds = 24 * 14
    similarity: Annotated[float, Field(gt=0, le=1)] = 0.3
    audit_seconds: Seconds = 300


class Outbox(_Part):
    """The publisher of what the backend acknowledged.

    Attributes:
        buckets: partitions of the outbox; a report is always in the same one. Never lower it.
        poll_seconds: between two looks at an empty bucket.
        lease_seconds: a publisher that is silent this long loses its buckets.
    """

    buckets: Annotated[int, Field(ge=1, le=256)] = 8
    poll_seconds: Seconds = 0.2
    lease_seconds: Annotated[int, Field(ge=2)] = 10


class Limits(_Part):
    """What one account and one address may do; more is answered with 429.

    Attributes:
        reports_per_hour: of an account.
        comments_per_hour: of an account.
        requests_per_minute: of an address, or of an account where there is a token.
        logins_per_minute: of an address, and attempts on one account's name.
        sockets_per_account: live connections at once on one process.
    """

    reports_per_hour: Count = 60
    comments_per_hour: Count = 120
    requests_per_minute: Count = 600
    logins_per_minute: Count = 20
    sockets_per_account: Count = 8


class Backend(_Part):
    """The API for citizens.

    Attributes:
        token_minutes: a token is good for this long.
        picture_bytes: of one picture at most.
        pictures: of one report at most.
        proxies: how many trusted proxies stand before the API: the client's address is this many
            entries from the end of `X-Forwarded-For`.
        cache_seconds: a report is kept in Redis for this long.
    """

    token_minutes: Count = 60
    picture_bytes: Count = 5 * 1024**2
    pictures: Count = 4
    proxies: Annotated[int, Field(ge=0)] = 1
    cache_seconds: Count = 60
    limits: Limits = Limits()


class Secrets(_Part):
    """The folder of folders that secrets are mounted in."""

    folder: Path = Path("/run/secrets/fixai")

    def read(self, name: str, key: str) -> str:
        """One secret, without the line break at its end.

        Raises:
            SettingsError: the file cannot be read, or is empty.
        """
        path = self.folder / name / key
        try:
            value = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            remedy = f"mount the key {key} of the secret {name} there"
            raise SettingsError([f"{path}: cannot be read ({error.strerror}); {remedy}"]) from None
        if not value:
            raise SettingsError([f"{path}: is empty; give the secret {name} a value for {key}"])
        return value


class Settings(_Part):
    """What every role is told; what is left out has the cluster's usual names and sizes."""

    listen: Listen = Listen()
    kafka: Kafka = Kafka()
    cassandra: Cassandra = Cassandra()
    redis: Redis = Redis()
    objects: Objects = Objects()
    llm: Llm = Llm()
    consumers: Consumers = Consumers()
    clustering: Clustering = Clustering()
    outbox: Outbox = Outbox()
    backend: Backend = Backend()
    secrets: Secrets = Secrets()


def path() -> Path:
    """Where the settings are."""
    return Path(os.environ.get(ENVIRONMENT, DEFAULT_PATH))


def load(file: Path) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: the file cannot be read, is not JSON, or says something wrong.
    """
    try:
        text = file.read_bytes()
    except OSError as error:
        remedy = f"write it, or name another in {ENVIRONMENT}"
        raise SettingsError([f"{file}: cannot be read ({error.strerror}); {remedy}"]) from None
    try:
        return Settings.model_validate_json(text)
    except ValidationError as error:
        raise SettingsError(
            [_line(file, fault) for fault in error.errors(include_url=False)]
        ) from None


def _line(file: Path, fault: Mapping[str, Any]) -> str:
    where = ".".join(str(step) for step in fault["loc"]) or "the document"
    if fault["type"] == "extra_forbidden":
        what = "is not a setting; remove it, or correct its name"
    elif fault["type"] == "json_invalid":
        what = f"is not JSON ({fault['msg']}); mend it"
    else:
        value = fault["input"]
        shown = f" ({str(value)[:_SHOWN_CHARACTERS]})" if isinstance(value, str | int) else ""
        what = f"is wrong{shown}; {fault['msg'][:1].lower()}{fault['msg'][1:]}"
    return f"{file}: {where}: {what}"
