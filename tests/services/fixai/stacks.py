"""Settings for the servers of the tests, and events as the backend makes them."""

from __future__ import annotations

import json
import secrets
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from services.fixai import events
from services.fixai.events import Category
from services.fixai.settings import Settings
from tests.ports import free_port

TOKEN_KEY = "a key of the tests that is long enough"  # noqa: S105 - it signs for tests alone
JPEG = b"\xff\xd8\xff\xe0" + b"0" * 64
PRAGUE = (50.0755, 14.4378)


def write_secrets(folder: Path, values: dict[str, dict[str, str]]) -> Path:
    """Secrets as the cluster mounts them."""
    for name, keys in values.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for key, value in keys.items():
            (folder / name / key).write_text(value + "\n")
    return folder


def told(folder: Path, **parts: Any) -> Settings:
    """Settings with secrets in a folder; parts as the file has them."""
    kept = write_secrets(
        folder / "secrets",
        {
            "cassandra": {"user": "cassandra", "password": "cassandra"},
            "redis": {"password": "redis-secret"},
            "minio": {"access-key": "fixai", "secret-key": "minio-secret"},
            "backend": {"token-key": TOKEN_KEY},
        },
    )
    document = {
        "listen": {"host": "127.0.0.1", "port": free_port()},
        "secrets": {"folder": str(kept)},
    }
    return Settings.model_validate_json(json.dumps({**document, **parts}))


def keyspace() -> str:
    """A name that no other test has."""
    return f"t{secrets.token_hex(6)}"


def submitted(
    report_id: UUID | None = None,
    *,
    at: datetime | None = None,
    place: tuple[float, float] = PRAGUE,
    text: str = "a deep hole in the road",
) -> events.ReportSubmitted:
    """A report's event."""
    moment = at or events.now()
    return events.ReportSubmitted(
        report_id=report_id or uuid4(),
        at=moment,
        submitted_at=moment,
        author=uuid4(),
        latitude=place[0],
        longitude=place[1],
        text=text,
        category=Category.ROAD,
    )
