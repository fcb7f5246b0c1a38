"""What a backup is: a folder of files that its manifest describes, and objects by their digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from services.keeper.errors import KeeperError

MANIFEST, DUMP, DASHBOARDS = "manifest.json", "postgres.dump", "grafana.json"
FILES = (MANIFEST, DUMP, DASHBOARDS)
_CHUNK_BYTES = 1 << 20
_ID = "%Y%m%dT%H%M%SZ"

Id = Annotated[str, Field(pattern=r"^\d{8}T\d{6}Z$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Postgres(_Part):
    """A dump of the database, and what was in it at that moment.

    Attributes:
        tables: rows by `schema.table`.
        migrations: SHA-256 of the steps of the schema that were applied, by name.
        server: its version.
        client: the version of pg_dump.
    """

    service: str
    file: Literal["postgres.dump"] = "postgres.dump"
    bytes: Size
    sha256: Sha256
    database: str
    tables: dict[str, Size]
    migrations: dict[str, Sha256]
    server: str
    client: str


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Object:
    """An object of a bucket; there may be many: no more than a dataclass.

    Attributes:
        etag: the store's own digest, which tells that it is still the same.
    """

    key: str
    bytes: Size
    sha256: Sha256
    etag: str
    content_type: str


class Minio(_Part):
    """The objects by bucket; their content lies beside all backups, once."""

    service: str
    buckets: dict[str, tuple[Object, ...]]

    @property
    def objects(self) -> Iterator[Object]:
        """All of them."""
        return (found for objects in self.buckets.values() for found in objects)


class Grafana(_Part):
    """What people made in Grafana."""

    service: str
    file: Literal["grafana.json"] = "grafana.json"
    bytes: Size
    sha256: Sha256
    folders: Size
    dashboards: Size


class Manifest(_Part):
    """What a backup holds; a part that is null was not there.

    Attributes:
        version: of this form.
        site: whose it is.
        reason: why it was made, for people.
        time: when it was begun.
        seconds: how long it took.
    """

    version: Literal[1] = 1
    id: Id
    site: str
    reason: str
    time: datetime
    seconds: float
    postgres: Postgres | None
    minio: Minio | None
    grafana: Grafana | None

    @property
    def parts(self) -> list[Postgres | Grafana]:
        """Those that are a file."""
        return [part for part in (self.postgres, self.grafana) if part is not None]

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes by the service that they are of."""
        found = {part.service: part.bytes for part in self.parts}
        if self.minio is not None:
            found[self.minio.service] = sum(o.bytes for o in self.minio.objects)
        return found

    @property
    def digests(self) -> dict[str, int]:
        """The objects that it needs: bytes by digest."""
        return {o.sha256: o.bytes for o in self.minio.objects} if self.minio else {}


def id_of(moment: datetime) -> str:
    """What a backup that was begun at a moment is called."""
    return moment.astimezone(UTC).strftime(_ID)


def time_of(snapshot_id: str) -> datetime:
    """When a backup was begun."""
    return datetime.strptime(snapshot_id, _ID).replace(tzinfo=UTC)


def read(data: bytes, where: str) -> Manifest:
    """A manifest out of its file.

    Raises:
        KeeperError: it is none, or of another version.
    """
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise KeeperError(
            f"{where}: is not a manifest of this version ({place}: {fault['msg']}); "
            "use the Hearth that wrote it"
        ) from None


def digest(path: Path) -> tuple[str, int]:
    """A file's SHA-256 and size."""
    found, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            found.update(chunk)
            size += len(chunk)
    return found.hexdigest(), size


def fault(path: Path, sha256: str, size: int) -> str | None:
    """What is wrong with a file; None where it is as it was written."""
    if not path.is_file():
        return f"{path.name}: is missing"
    found = digest(path)
    if found != (sha256, size):
        return f"{path.name}: is not what was written ({found[1]} bytes of {size})"
    return None
