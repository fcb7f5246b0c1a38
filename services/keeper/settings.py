"""The settings file, and the files with passwords beside it."""

from __future__ import annotations

import json
from datetime import time
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.keeper.errors import KeeperError

FILE = "keeper.json"
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Keep(_Part):
    """How many days, weeks and months keep their newest backup."""

    daily: Annotated[int, Field(ge=1)]
    weekly: Count
    monthly: Count


class Postgres(_Part):
    """PostgreSQL, as a role that may read everything and change nothing.

    Attributes:
        service: `host.service`, as metrics name it.
    """

    service: str
    host: str
    port: int
    database: str
    user: str


class Minio(_Part):
    """The object store.

    Attributes:
        buckets: whose objects are kept.
        copies: the bucket that gets a copy of every backup.
    """

    service: str
    endpoint: str
    region: str
    user: str
    buckets: tuple[str, ...]
    copies: str


class Grafana(_Part):
    """Grafana, as an account that may see and make dashboards."""

    service: str
    url: str
    user: str


class Settings(_Part):
    """What the program is told; a part that is null is not there.

    Attributes:
        at: when a backup is made each day, UTC.
        secrets: the folder of the password files, `PART-password`.
        backups: the folder that holds them.
    """

    site: str
    at: time
    keep: Keep
    postgres: Postgres | None
    minio: Minio | None
    grafana: Grafana | None
    secrets: Path
    backups: Path = Path("/backups")
    port: int = 8210

    def password(self, part: str) -> str:
        """The password of a part's account.

        Raises:
            KeeperError: there is no such file.
        """
        path = self.secrets / f"{part}-password"
        try:
            return path.read_text().strip()
        except OSError as error:
            raise KeeperError(
                f"{path}: cannot be read ({error.strerror}); provision anew"
            ) from None


def load(path: Path) -> Settings:
    """Read the settings.

    Raises:
        KeeperError: the file cannot be read, or says something wrong.
    """
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise KeeperError(f"{path}: cannot be read ({error}); provision anew") from None
    try:
        return Settings.model_validate({"secrets": path.parent, **document})
    except ValidationError as error:
        faults = (
            f"{path}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_url=False)
        )
        raise KeeperError("\n".join(faults)) from None
