"""Who asks, and what every route reads of a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from services.assistant.records import clean
from services.assistant.refusals import Refused

CONSUMER_HEADER = "X-Consumer-Username"
ANONYMOUS = "anonymous"
_NAME_CHARACTERS = 128
WAIT_SECONDS = 1.0  # for a record to be on disk, before the answer's end is told


def consumer_of(request: Request) -> str:
    """The consumer that the gateway named."""
    name = clean(request.headers.get(CONSUMER_HEADER, "")).strip()
    return name[:_NAME_CHARACTERS] or ANONYMOUS


def model_of(body: Mapping[str, Any], default: str, *, stand_in: bool) -> str:
    """The model that answers a request: the one that it names, or the default.

    Args:
        body: the request's.
        default: for a request that names none.
        stand_in: whether the default answers all, whatever they name.

    Raises:
        Refused: it is not a name.
    """
    model = body.get("model") or default
    if not isinstance(model, str):
        raise Refused(400, "model is not a string; name a model, or leave it out")
    return default if stand_in else model


def streams(body: Mapping[str, Any]) -> bool:
    """Whether the answer comes in lines; as with Ollama, unless told otherwise."""
    return body.get("stream") is not False
