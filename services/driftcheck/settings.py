"""What should be: one JSON document, written by the site's stack, read again before each round."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

ENVIRONMENT = "DRIFT_CHECK_CONFIG"
DEFAULT_PATH = Path("/settings/drift-check.json")

Text = Annotated[str, Field(min_length=1)]
Port = Annotated[int, Field(ge=1, le=65535)]


class SettingsError(Exception):
    """The settings cannot be used; says where, what, and what to do."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Machine(_Part):
    """What Prometheus calls a machine, beside its name."""

    tier: Text
    board: Text


class Service(_Part):
    """What a service should be.

    Attributes:
        image: the id of its image.
        settings: SHA-256 over its files, as its machine tells it; None where it has none.
    """

    image: Text
    settings: Text | None


class Certificate(_Part):
    """Where a certificate is served.

    Attributes:
        service: whose it is, as `host.service`.
    """

    service: Text
    address: Text
    port: Port


class Settings(_Part):
    """What the drift check is told.

    Attributes:
        name: its own, as `host.service`: what it is itself, it does not judge.
        prometheus: its URL.
        every_seconds: from the end of a round to the next.
        machines: those that tell about themselves, by name.
        services: by `host.service`.
        authority: PEM of who signs the certificates.
    """

    name: Text
    port: Port
    prometheus: Text
    every_seconds: Annotated[float, Field(gt=0)]
    machines: dict[str, Machine]
    services: dict[str, Service]
    certificates: list[Certificate]
    authority: Text

    def on(self, host: str) -> dict[str, Service]:
        """The services of a machine, by `host.service`."""
        return {name: s for name, s in self.services.items() if name.partition(".")[0] == host}


def load(path: Path) -> Settings:
    """Reads the settings.

    Raises:
        SettingsError: the file cannot be read, or says something wrong.
    """
    remedy = "run `hearth provision`"
    try:
        return Settings.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()
        )
        raise SettingsError(f"{path}: is not what it should be ({faults}); {remedy}") from None
