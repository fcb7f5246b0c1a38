"""Why a request is not answered, as `application/problem+json` (RFC 9457).

Problem      a status, what is wrong, and what to do about it
"""

from __future__ import annotations

import json

from starlette.responses import Response

CONTENT_TYPE = "application/problem+json"
_TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported type",
    422: "Not valid",
    429: "Too many requests",
    500: "Failed",
    503: "Away",
}


class Problem(Exception):  # noqa: N818 - an answer, not a mistake
    """The request is not answered, for this reason.

    Args:
        status: of HTTP.
        detail: what is wrong and what to do; never what somebody wrote.
        retry_after: seconds after which the same may be asked again.
        fields: what is wrong with each field of the body.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        retry_after: int | None = None,
        fields: dict[str, str] | None = None,
    ) -> None:
        self.status = status
        self.detail = detail
        self.retry_after = retry_after
        self.fields = fields or {}
        super().__init__(detail)

    def response(self) -> Response:
        """As the client gets it."""
        told: dict[str, object] = {
            "type": "about:blank",
            "title": _TITLES.get(self.status, "Error"),
            "status": self.status,
            "detail": self.detail,
        }
        if self.fields:
            told["fields"] = self.fields
        headers = {"Cache-Control": "no-store"}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if self.status == 401:  # noqa: PLR2004 - RFC 9110: it names the way to sign in
            headers["WWW-Authenticate"] = "Bearer"
        return Response(json.dumps(told), self.status, headers, media_type=CONTENT_TYPE)
