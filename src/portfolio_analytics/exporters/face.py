"""`GET /api/export`: a site's events as a file, streamed."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import re
from collections.abc import AsyncIterator
from typing import Final

import psycopg
from psycopg_pool import PoolTimeout
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from portfolio_analytics.exporters.events import (
    COUNT,
    CURSOR,
    EVENTS,
    FETCH,
    SITE,
    SNAPSHOT,
    Span,
    site_params,
)
from portfolio_analytics.exporters.formats import (
    MEDIA_TYPES,
    Format,
    ParquetUnavailable,
    make_format,
)
from portfolio_analytics.shared.access import Access, unavailable
from portfolio_analytics.shared.context import Pool
from portfolio_analytics.shared.http import ApiError

AT_ONCE: Final = 2
"""Exports of one process at the same time: each holds one of the pool's connections."""

PATIENCE: Final = 60.0
"""Seconds for a client to take the next piece."""

logger = logging.getLogger(__name__)


class ExportFace:
    """Answers with a site's events, to who may read the site. A public link may not: it shows sums."""

    def __init__(self, pool: Pool, access: Access, patience: float = PATIENCE) -> None:
        self._pool = pool
        self._access = access
        self._patience = patience
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def answer(self, request: Request) -> Response:
        """The events of `site` from the local day `from` to the local day `to`, both included.

        X-Total-Count says how many they are: an answer that broke off has fewer. Raises ApiError.
        """
        wanted = request.query_params
        kind = wanted.get("format", "csv")
        try:
            name = _site(wanted.get("site", ""))
            first, last = (_day(wanted.get(key), key) for key in ("from", "to"))
            written = _format(kind)
        except ApiError:
            await self._access.known(request)  # a stranger is not told what is wrong with the question
            raise
        try:
            span = await self._allowed(request, name, first, last)
            async with contextlib.AsyncExitStack() as opening:
                cursor, total = await self._open(opening, span)
                open_until_sent = opening.pop_all()
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise unavailable() from error
        headers = {
            "Content-Disposition": f'attachment; filename="{_file_name(span.name, kind)}"',
            "Cache-Control": "no-store",
            "X-Total-Count": str(total),
        }
        pieces = _pieces(cursor, written, total if request.method == "GET" else 0)
        return _Stream(pieces, headers, MEDIA_TYPES[kind], open_until_sent, self._patience)

    async def _allowed(
        self, request: Request, name: str, first: datetime.date | None, last: datetime.date | None
    ) -> Span:
        """The wanted part of a site that the request may read, told only to who may know of it."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(SITE, site_params(name, first, last))
            row = await cursor.fetchone()
        span = None if row is None else Span(*row)
        principal = await self._access.require(request, "read", span.name if span else name)
        if principal.site is not None and principal.token_id is None:
            raise ApiError(403, "forbidden", "A public link shows statistics, not single events.")
        if span is None:
            raise ApiError(400, "unknown_site", f"There is no site {name!r}.", "site")
        return span

    async def _open(
        self, stack: contextlib.AsyncExitStack, span: Span
    ) -> tuple[psycopg.AsyncServerCursor[tuple[object, ...]], int]:
        """A cursor over the events, and how many they are, in one view of the database that `stack` ends.

        Raises ApiError 503 where there are too many exports.
        """
        if self._turn.locked():
            message = "Other exports are under way; try again."
            raise ApiError(503, "busy", message, headers={"Retry-After": "30"})
        await stack.enter_async_context(self._turn)
        connection = await stack.enter_async_context(self._pool.connection())
        await stack.enter_async_context(connection.transaction())
        await connection.execute(SNAPSHOT)
        counting = await connection.execute(COUNT, span.params)
        counted = await counting.fetchone()
        cursor = await stack.enter_async_context(connection.cursor(CURSOR))
        await cursor.execute(EVENTS, span.params)
        return cursor, counted[0] if counted else 0


class _Stream(StreamingResponse):
    """An answer that lets go of what it holds however it ends, and does not wait for ever for its client."""

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        headers: dict[str, str],
        media_type: str,
        stack: contextlib.AsyncExitStack,
        patience: float,
    ) -> None:
        super().__init__(pieces, headers=headers, media_type=media_type)
        self._stack = stack
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(self._patience):
                await send(message)

        async with self._stack:
            await super().__call__(scope, receive, send_in_time)


async def _pieces(
    cursor: psycopg.AsyncServerCursor[tuple[object, ...]], written: Format, total: int
) -> AsyncIterator[bytes]:
    yield written.begin()
    for _ in range(0, total, FETCH):
        rows = await cursor.fetchmany(FETCH)
        # Intake in this process must not wait while rows become text.
        yield await asyncio.to_thread(written.rows, rows)
    yield written.end()


def _site(name: str) -> str:
    """A site's name as it can be looked up. Raises ApiError 400."""
    if not name or not name.isprintable() or len(name) > 253:
        raise ApiError(400, "invalid_query", "Say which site.", "site")
    return name


def _day(text: str | None, field: str) -> datetime.date | None:
    if not text:
        return None
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise ApiError(400, "invalid_query", "This is a day such as 2026-11-20.", field) from None


def _format(name: str) -> Format:
    if name not in MEDIA_TYPES:
        raise ApiError(400, "invalid_query", "A format is csv, ndjson or parquet.", "format")
    try:
        return make_format(name)
    except ParquetUnavailable:
        raise ApiError(400, "unavailable_format", "This server has no pyarrow for it.", "format") from None


def _file_name(site: str, suffix: str) -> str:
    """A name that needs no quoting, whatever the site is called."""
    return f"{re.sub(r'[^A-Za-z0-9.-]', '_', site)}.{suffix}"
