"""The settings file: one JSON document, read once, all its errors told at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    SecretStr,
    TypeAdapter,
    ValidationError,
)

ENVIRONMENT = "ASSISTANT_CONFIG"
DEFAULT_PATH = Path("/etc/assistant/assistant.json")
_SECRETS = frozenset({"password", "access_key", "secret_key"})
_SHOWN_CHARACTERS = 60


class SettingsError(Exception):
    """Everything that is wrong with one settings file, one line each: where: what; what to do."""

    def __init__(self, errors: Sequence[str]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(self.errors))


def _base(url: str) -> str:
    """The URL without a trailing slash, if it is one; paths are added to it."""
    TypeAdapter(HttpUrl).validate_python(url)
    return url.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_base)]
Port = Annotated[int, Field(ge=1, le=65535)]
Text = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Listen(_Part):
    """The address that the API is served on."""

    host: Text = "0.0.0.0"  # noqa: S104 - the board's firewall admits the gateway alone
    port: Port = 8200


class Ollama(_Part):
    """The Ollama that this program stands beside."""

    url: BaseUrl


class Models(_Part):
    """The models that answer where a request names none.

    Attributes:
        stand_in: whether they answer every request, whatever it names: this is a smaller
            machine, which helps out while the others are away.
    """

    chat: Text
    code: Text
    stand_in: bool = False


class Database(_Part):
    """PostgreSQL, as the role that may write messages."""

    host: Text
    port: Port = 5432
    name: Text
    user: Text
    password: SecretStr


class Redis(_Part):
    """Redis, for sessions and cached answers."""

    host: Text
    port: Port = 6379
    password: SecretStr | None = None


class Objects(_Part):
    """An S3 bucket, addressed by path (`endpoint/bucket/key`)."""

    endpoint: BaseUrl
    access_key: SecretStr
    secret_key: SecretStr
    bucket: Text
    region: Text = "us-east-1"


class Images(_Part):
    """ComfyUI."""

    url: BaseUrl


class Analysis(_Part):
    """SonarQube, with an account that may analyse."""

    url: BaseUrl
    user: Text
    password: SecretStr


class Settings(_Part):
    """What one assistant is told; a part that is null is not used.

    Attributes:
        name: as in `X-Served-By`, such as `agx0.assistant`.
        spool: a folder that outlives the container, for what is not in PostgreSQL yet.
    """

    name: Text
    listen: Listen = Listen()
    ollama: Ollama
    models: Models
    database: Database | None
    redis: Redis | None
    objects: Objects | None
    images: Images | None
    analysis: Analysis | None
    spool: Annotated[Path, Field(strict=False)]


def load(path: Path) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: the file cannot be read, is not JSON, or says something wrong.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        remedy = f"write it, or name another in {ENVIRONMENT}"
        raise SettingsError([f"{path}: cannot be read ({error.strerror}); {remedy}"]) from None
    except UnicodeDecodeError:
        raise SettingsError([f"{path}: is not UTF-8; save it as UTF-8"]) from None
    except json.JSONDecodeError as error:
        what = f"is not JSON ({error.msg}, column {error.colno}); mend the line"
        raise SettingsError([f"{path}:{error.lineno}: {what}"]) from None
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        raise SettingsError(
            # The input of an error may hold a secret, of a missing key all of them.
            [_line(path, fault) for fault in error.errors(include_url=False)]
        ) from None


def _line(path: Path, fault: Mapping[str, Any]) -> str:
    where = ".".join(str(step) for step in fault["loc"]) or "the document"
    kind = fault["type"]
    if kind == "missing":
        what = "is missing; add it (null where the part is not used)"
        if len(fault["loc"]) > 1 or where not in Settings.model_fields:
            what = "is missing; add it"
    elif kind == "extra_forbidden":
        what = "is not a setting; remove it, or correct its name"
    else:
        what = f"is wrong{_shown(where, fault['input'])}; {_lowered(fault['msg'])}"
    return f"{path}: {where}: {what}"


def _shown(where: str, value: object) -> str:
    secret = where.rpartition(".")[2] in _SECRETS
    if secret or not isinstance(value, str | int | float | bool):
        return ""
    return f" ({json.dumps(value, ensure_ascii=False)[:_SHOWN_CHARACTERS]})"


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]
