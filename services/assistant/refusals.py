"""Why a request is not answered.

Refused      what a client reads instead of an answer: a status and `{"error": ...}`
"""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from services.assistant.circuit import Away

BODY_LIMIT_BYTES = 32 * 1024**2


class Refused(Exception):  # noqa: N818 - an answer, not a mistake
    """The request is not answered, for this reason."""

    def __init__(self, status: int, why: str, retry_after: int | None = None) -> None:
        self.status = status
        self.why = why
        self.retry_after = retry_after
        super().__init__(why)

    @classmethod
    def away(cls, error: Away) -> Refused:
        """Something that the answer needs is away."""
        return cls(503, f"{error}; try again later", error.retry_after)

    def response(self) -> JSONResponse:
        """As the client gets it, in Ollama's form of an error."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return JSONResponse({"error": self.why}, self.status, headers)


async def read_json(request: Request) -> tuple[bytes, dict[str, Any]]:
    """The body of a request, as it came and as an object.

    Raises:
        Refused: it is too large, or not a JSON object.
    """
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > BODY_LIMIT_BYTES:
            raise Refused(413, f"the body is larger than {BODY_LIMIT_BYTES} bytes; send less")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON; send one JSON object") from None
    if not isinstance(body, dict):
        raise Refused(400, "the body is not a JSON object; send one")
    return bytes(data), body
