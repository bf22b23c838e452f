"""`GET /api/realtime`: what goes on now, as server-sent events.

However many listen, one site costs one query a second: a poller per site runs while anyone listens. No
listener has a queue: one that is slow is told the newest state when it is ready for it. A stream ends when
its token, session or link does.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from portfolio_analytics.shared.access import Access
from portfolio_analytics.shared.http import ApiError
from portfolio_analytics.stats.engine import Clock, Engine
from portfolio_analytics.stats.live import LATEST, Feed, Reading
from portfolio_analytics.stats.query import site_name
from portfolio_analytics.stats.reader import Reader, fetch
from portfolio_analytics.stats.site import Site
from portfolio_analytics.stats.site_access import for_readers, readable_site
from portfolio_analytics.storage.sql import statement

EVERY: Final = 1.0
HEARTBEAT: Final = 10.0
CHECK_EVERY: Final = 5.0
"""A listener's access is looked at again before a message, so within 15 seconds whatever happens."""

MAX_LISTENERS: Final = 5_000
WHOLE: Final = datetime.timedelta(minutes=30)
BRIEF: Final = datetime.timedelta(minutes=6)
WHOLE_EVERY: Final = 30
"""Every so many looks all minutes are read anew, for events that came late; else only the last ones."""

DAYS: Final = datetime.timedelta(days=8)
"""How far an event's identity day may lie from its time."""

HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

logger = logging.getLogger(__name__)


class Channel:
    """One site's feed, polled while someone listens. `site_id` None: all sites."""

    def __init__(self, reader: Reader, clock: Clock, site_id: int | None) -> None:
        self._reader = reader
        self._clock = clock
        self._site_id = site_id
        self._feed = Feed(secrets.token_hex(6))
        self._changed = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None
        self.listeners = 0

    async def listen(self, last_event_id: str | None) -> AsyncGenerator[bytes, None]:
        """Server-sent events until the listener goes; a comment now and then where nothing happens."""
        self.listeners += 1
        if self._poller is None:
            self._poller = asyncio.create_task(self._poll())
        try:
            heard = self._feed.heard(last_event_id)
            while True:
                changed = self._changed
                if self._feed.number and heard != self._feed.number:
                    message, heard = self._feed.message(heard), self._feed.number
                    yield message
                    continue
                try:
                    async with asyncio.timeout(HEARTBEAT):
                        await changed.wait()
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            self.listeners -= 1
            if self.listeners == 0 and self._poller is not None:
                self._poller.cancel()
                self._poller = None

    async def _poll(self) -> None:
        looks = 0
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await self._look(whole=looks % WHOLE_EVERY == 0)
                looks += 1
            except ApiError as error:
                logger.warning("the live view waits: %s", error.message)
            passed = asyncio.get_running_loop().time() - started
            await asyncio.sleep(max(EVERY - passed, EVERY / 10))

    async def _look(self, *, whole: bool) -> None:
        now = self._clock()
        since = (now - (WHOLE if whole else BRIEF)).replace(second=0, microsecond=0)
        params = {
            "site_id": self._site_id,
            "now": now,
            "since": since,
            "first_day": (now - DAYS).date(),
            "last_day": (now + DAYS).date(),
            "latest": LATEST,
        }
        async with self._reader.reading() as cursor:
            rows = await fetch(cursor, statement("stats_live"), params)
        if self._feed.take(Reading.of(rows[0]), now):
            self._changed.set()
            self._changed = asyncio.Event()


class RealtimeFace:
    """Lets listeners in, one channel a site."""

    def __init__(self, reader: Reader, access: Access, engine: Engine, clock: Clock) -> None:
        self._reader = reader
        self._access = access
        self._engine = engine
        self._clock = clock
        self._channels: dict[int | None, Channel] = {}

    async def answer(self, request: Request) -> Response:
        """A stream about `site`, else about all sites. Raises ApiError, also 503 `too_many_listeners`."""
        name = request.query_params.get("site")
        site = None
        if name:
            async with for_readers(request, self._access):
                name = site_name(name, "site")
            site = await readable_site(request, self._access, self._engine, name, "site")
        else:
            await self._access.require(request, "read")
        if sum(channel.listeners for channel in self._channels.values()) >= MAX_LISTENERS:
            message = f"{MAX_LISTENERS} listen already."
            raise ApiError(503, "too_many_listeners", message, headers={"Retry-After": "60"})
        if request.method == "HEAD":
            return Response(media_type="text/event-stream", headers=HEADERS)
        stream = self._stream(request, site)
        return StreamingResponse(stream, media_type="text/event-stream", headers=HEADERS)

    async def _stream(self, request: Request, site: Site | None) -> AsyncIterator[bytes]:
        site_id, name = (site.site_id, site.name) if site else (None, None)
        clock = asyncio.get_running_loop().time
        checked = clock()
        channel = self._channels.get(site_id)
        if channel is None:
            channel = self._channels[site_id] = Channel(self._reader, self._clock, site_id)
        last_event_id = request.headers.get("last-event-id")
        async with contextlib.aclosing(channel.listen(last_event_id)) as messages:
            async for message in messages:
                if clock() - checked >= CHECK_EVERY:
                    if not await self._may_still(request, name):
                        return
                    checked = clock()
                yield message

    async def _may_still(self, request: Request, name: str | None) -> bool:
        """Whether who listens may go on; while the database is away nobody can tell, and nothing is told."""
        try:
            principal = await self._access.identify(request)
        except ApiError as error:
            return error.status == 503
        return principal is not None and principal.may("read", name)
