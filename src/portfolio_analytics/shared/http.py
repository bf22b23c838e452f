"""What every HTTP face answers with: JSON, and errors of one shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from portfolio_analytics.shared.errors import AnalyticsError

_encode = msgspec.json.Encoder().encode


class ApiError(AnalyticsError):
    """An answer that is not a success: `{"status":"error","error":code,"message":...,"field":...}`."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.headers = dict(headers or {})


def error_body(code: str, message: str, field: str | None = None) -> bytes:
    """The JSON of an error."""
    body = {"status": "error", "error": code, "message": message}
    if field is not None:
        body["field"] = field
    return _encode(body)


def answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; `content` is anything msgspec encodes."""
    return Response(_encode(content), status, headers, media_type="application/json")


async def answer_error(_request: Request, error: Exception) -> Response:
    """Starlette's exception handler for ApiError."""
    assert isinstance(error, ApiError)
    return Response(
        error_body(error.code, error.message, error.field),
        error.status,
        error.headers,
        media_type="application/json",
    )
