"""One call of the administration: who asks, for which site, with what body; and the way to the database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import psycopg
import psycopg_pool
from starlette.requests import Request

from portfolio_analytics.shared.access import ADMINISTRATOR, Principal, unavailable
from portfolio_analytics.shared.context import Context
from portfolio_analytics.shared.errors import ActRefused, NameTaken, UnknownName
from portfolio_analytics.shared.http import ApiError
from portfolio_analytics.storage.steps import Steps, run_async

T = TypeVar("T")

MAX_BODY = 64 << 10
_PLACE = re.compile(r"at `\$\.?([^`\[]*)")
_FIELD = re.compile(r"(?:field|contains unknown field) `(\w+)`")


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was let in. On a public path `principal` may do nothing at all."""

    context: Context
    request: Request
    principal: Principal

    @property
    def site(self) -> str:
        """The site that the path names."""
        return str(self.request.path_params["site"])

    @property
    def name(self) -> str:
        """The token, goal, funnel or link that the path names."""
        return str(self.request.path_params["name"])

    @property
    def actor(self) -> str:
        """Who the audit log will name."""
        return self.principal.name

    async def do(self, steps: Steps[T]) -> T:
        """Carry out `steps`. Raises ApiError: 404, 409 or 422 as they say; 503 while the database is away."""
        try:
            async with self.context.pool.connection() as connection:
                return await run_async(connection, steps)
        except ActRefused as error:
            raise ApiError(_status(error), error.code, error.message, error.field) from error
        except psycopg.DataError as error:  # a NUL in the address, which no name has
            raise ApiError(422, "invalid_field", "A name has a character that no name can have.") from error
        except (psycopg.OperationalError, psycopg_pool.PoolTimeout) as error:
            raise unavailable() from error

    async def body(self, kind: type[T]) -> T:
        """The request's JSON as a `kind`. Raises ApiError: 400 unparsable, 413 too large, 422 not valid."""
        content = b""
        async for piece in self.request.stream():
            content += piece
            if len(content) > MAX_BODY:
                raise ApiError(413, "too_large", f"The body is larger than {MAX_BODY} bytes.")
        try:
            return msgspec.json.decode(content, type=kind)
        except msgspec.ValidationError as error:
            raise invalid(error) from error
        except (ValueError, RecursionError) as error:
            raise ApiError(400, "invalid_json", "The body is not JSON.") from error

    def query(self, kind: type[T]) -> T:
        """The query's parameters as a `kind`. Raises ApiError 422."""
        try:
            return msgspec.convert(dict(self.request.query_params), kind, strict=False)
        except msgspec.ValidationError as error:
            raise invalid(error) from error


NOBODY = Principal("", frozenset())
"""The principal of a public path."""


def is_admin(principal: Principal) -> bool:
    """Whether this principal may administer some site."""
    return principal is ADMINISTRATOR or "admin" in principal.scopes


def invalid(error: msgspec.ValidationError) -> ApiError:
    """The 422 of what could be parsed and is not what was asked for."""
    text = str(error)
    found = _PLACE.search(text) or _FIELD.search(text)
    field = found[1] if found and found[1] else None
    return ApiError(422, "invalid_field", f"{text.partition(' - at ')[0]}.", field)


def _status(error: ActRefused) -> int:
    statuses: dict[type[Any], int] = {UnknownName: 404, NameTaken: 409}
    return statuses.get(type(error), 422)
