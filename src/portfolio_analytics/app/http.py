"""The HTTP side of one worker process, wired."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import time
from collections.abc import Awaitable, Sequence
from functools import lru_cache
from pathlib import Path

from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from portfolio_analytics.admin import docs
from portfolio_analytics.admin.routes import routes as administration
from portfolio_analytics.app import front
from portfolio_analytics.app.interface import OPERATIONS
from portfolio_analytics.app.log import log_outlet, log_patience
from portfolio_analytics.app.log_ends import log_ends
from portfolio_analytics.app.log_records import log_look
from portfolio_analytics.app.status import Status
from portfolio_analytics.app.supervisor import end_well
from portfolio_analytics.app.watch import Watch
from portfolio_analytics.exporters.routes import routes as exports
from portfolio_analytics.producer.address import Places, client_address, peer_address
from portfolio_analytics.producer.cors import SECURITY_HEADERS, Cors
from portfolio_analytics.producer.health import Health
from portfolio_analytics.producer.intake import Intake
from portfolio_analytics.producer.limits import Limits
from portfolio_analytics.producer.policy import Policy, in_networks
from portfolio_analytics.producer.publisher import Publisher
from portfolio_analytics.producer.recorder import Recorder
from portfolio_analytics.producer.salts import Salts
from portfolio_analytics.producer.sites import Sites
from portfolio_analytics.producer.tally import Tally
from portfolio_analytics.producer.upkeep import Upkeep
from portfolio_analytics.settings import Settings
from portfolio_analytics.shared.access import Access
from portfolio_analytics.shared.context import Context, Pool
from portfolio_analytics.shared.deadlines import Deadlines
from portfolio_analytics.shared.errors import SettingsError
from portfolio_analytics.shared.http import ApiError, answer_error, error_body
from portfolio_analytics.shared.log.spool import SpoolFigures
from portfolio_analytics.shared.metrics import (
    BREAKER_OPEN,
    IN_FLIGHT,
    SPOOL_AGE,
    SPOOL_BYTES,
    SPOOL_DRAINED,
    SPOOL_RECORDS,
    Gauges,
    Sheet,
    cell,
    exposition,
)
from portfolio_analytics.shared.rate_limit_headers import RateLimitHeaders
from portfolio_analytics.shared.ratelimit import limiter
from portfolio_analytics.shared.rsgi import AsgiBridge, BodyReader, Headers, HttpProtocol, Scope
from portfolio_analytics.shared.tracing import Handler, tracing
from portfolio_analytics.stats.routes import routes as statistics
from portfolio_analytics.storage.database import conninfo
from portfolio_analytics.storage.directory import StoredDirectory

IDLE_SECONDS = 2.0
"""How long the server may take to close idle connections before a worker ends without it."""

FINISH_SECONDS = 6.0
"""For answers that are under way when the server is asked to stop."""

LOOK_SECONDS = 0.05
"""Between two looks at whether any are."""

CLOSE_SECONDS = 3.0

END_SECONDS = 8.0
"""For closing all that a worker holds, after which it ends whatever is still open."""

GAUGE_SECONDS = 1.0
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

logger = logging.getLogger(__name__)


class HttpApp:
    """One worker process: intake as raw handlers, everything else through Starlette."""

    def __init__(self, settings: Settings, sheet_path: Path) -> None:
        self._settings = settings
        self._deadlines = Deadlines()
        self._sheet = Sheet(sheet_path)
        self._tally = Tally(self._sheet)
        self._pool = _pool(settings)
        self._outlet = log_outlet(settings)
        self._publisher = Publisher(self._outlet.log, self._outlet.spool, patience=log_patience(settings))
        self._tracing = tracing("producer", os.environ)
        self._salts = Salts()
        sites = Sites(settings.sites, settings.max_sites)
        self._upkeep = Upkeep(self._pool, self._salts, sites)
        self._places = Places(settings.geoip_db)
        self._cors = Cors(settings.allowed_origins)
        self._tasks: list[asyncio.Task[None]] = []
        self._ending: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._check_host = is_loopback(settings.host) and not settings.trusted_proxies

        of_tokens = limiter("token", settings.rate_limit_token)
        access = Access(settings.admin_token, StoredDirectory(self._pool), of_tokens)
        self._watch = Watch(self._pool, log_ends(settings))
        self._look = log_look(settings)
        self._health = Health(self._pool, self._outlet.log.healthy)
        context = Context(settings, self._pool, access, self._outlet.log.healthy)
        bodies = BodyReader(self._deadlines)
        self._bridge = AsgiBridge(self._starlette(context), bodies, self._seen, self._extra_headers)
        policy = Policy(settings.consent == "required", settings.block_automation)
        limits = Limits(settings.rate_limit_address, settings.rate_limit_site, settings.rate_limit_visitor)
        recorder = Recorder(
            self._tally.worker,
            policy,
            sites,
            self._salts,
            self._places,
            limits,
            settings.allowed_query_params,
            self._tracing.current if self._tracing else None,
        )
        intake = Intake(
            recorder,
            self._publisher,
            policy,
            access,
            self._cors,
            limits,
            self._tally,
            bodies,
            settings.trusted_proxies,
        )
        self._handlers: dict[str, Handler] = {
            "/api/analytics": intake.event,
            "/api/analytics/batch": intake.batch,
            "/pixel.gif": intake.pixel,
        }
        if self._tracing is not None:
            self._handlers = {path: self._tracing.traced(handler) for path, handler in self._handlers.items()}

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Connect; called before the first request."""
        loop.run_until_complete(self._open(loop))
        # What was made until now lives as long as the process: no garbage collection need look at it.
        # What a request makes ends with it, so that looking for cycles finds nothing; measured: a sixteenth
        # of the CPU an event, with 256 requests under way.
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 10, 10)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Finish; called after the last answer."""
        if self._ending is not None:
            self._ending.cancel()
        loop.run_until_complete(self._exit(loop))

    def __rsgi__(self, scope: Scope, proto: HttpProtocol) -> Awaitable[None]:
        """Answer one request."""
        if self._check_host and not is_loopback_host(scope.headers.get("host")):
            return self._misdirected(proto)
        return self._handlers.get(scope.path, self._other)(scope, proto)

    async def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        end_well(loop, lambda: self._begin_to_end(loop))
        self._deadlines.start()
        self._publisher.patience.start()
        await self._pool.open(wait=False)
        await self._outlet.open()
        await self._upkeep.refresh()
        self._tasks = [
            loop.create_task(self._upkeep.run()),
            loop.create_task(self._tally.attest_forever(self._publisher.publish)),
            loop.create_task(self._gauge()),
        ]

    def _begin_to_end(self, loop: asyncio.AbstractEventLoop) -> None:
        """The server was asked to stop."""
        self._bridge.drain()
        if self._ending is None:
            self._ending = loop.create_task(self._end(loop))

    async def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        """End the process where the server does not: it waits for connections that never send a request.

        Answers that are under way are waited for; what is then stored is attested.
        """
        await asyncio.sleep(IDLE_SECONDS)
        for _ in range(int(FINISH_SECONDS / LOOK_SECONDS)):
            if not self._under_way() and not self._bridge.answering:
                break
            await asyncio.sleep(LOOK_SECONDS)
        await self._exit(loop)

    async def _exit(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close in time and end: neither a failure nor a thread that hangs may hold up the end."""
        try:
            await asyncio.wait_for(asyncio.shield(self._close_once(loop)), END_SECONDS)
        except TimeoutError:
            logger.warning("Not everything was closed in time; what was acknowledged is kept.")
        except Exception:
            logger.exception("closing failed; what was acknowledged is kept")
        logging.shutdown()
        os._exit(0)

    def _close_once(self, loop: asyncio.AbstractEventLoop) -> asyncio.Task[None]:
        if self._closing is None:
            self._closing = loop.create_task(self._close())
        return self._closing

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._tally.attest_last(self._publisher.publish, CLOSE_SECONDS)
        await self._outlet.close()
        self._watch.close()
        self._look.close()
        self._deadlines.stop()
        self._publisher.patience.stop()
        self._places.close()
        self._sheet.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._pool.close(), CLOSE_SECONDS)
        if self._tracing is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.to_thread(self._tracing.close), CLOSE_SECONDS)

    async def _gauge(self) -> None:
        """Show now and then what is not counted but read."""
        row = self._sheet.row
        while True:
            row[cell(IN_FLIGHT)] = self._under_way()
            row[cell(BREAKER_OPEN)] = not self._publisher.breaker.closed
            await asyncio.sleep(GAUGE_SECONDS)

    def _under_way(self) -> int:
        """How many requests are being read or wait for their acknowledgement."""
        return len(self._deadlines) + self._publisher.patience.waiting()

    async def _other(self, scope: Scope, proto: HttpProtocol) -> None:
        if scope.method == "OPTIONS" and self._is_shared(scope.path):
            origin = scope.headers.get("origin")
            headers = [("allow", "GET, HEAD, OPTIONS"), *self._cors.preflight(origin, "GET, HEAD, OPTIONS")]
            proto.response_bytes(200, headers, b"")
            return
        await self._bridge(scope, proto)

    async def _misdirected(self, proto: HttpProtocol) -> None:
        """A name that does not belong to loopback leads here: a page elsewhere had it resolve to us."""
        message = "This server is bound to loopback and answers to localhost alone."
        body = error_body("misdirected", message)
        proto.response_bytes(421, [("content-type", "application/json"), *SECURITY_HEADERS], body)

    def _is_shared(self, path: str) -> bool:
        """Whether pages of allowed origins may read what is at `path`."""
        return path.startswith("/api/health") or (path == "/api/stats" and self._settings.public_stats)

    def _extra_headers(self, path: str, origin: str | None) -> Sequence[tuple[str, str]]:
        if self._is_shared(path):
            return [*SECURITY_HEADERS, *self._cors.grant(origin)]
        return SECURITY_HEADERS

    def _seen(self, scope: Scope, headers: Headers) -> tuple[str, str]:
        """The client's address and the scheme that it used, as trusted proxies tell them."""
        peer = peer_address(scope.client)
        trusted = self._settings.trusted_proxies
        if not trusted or not in_networks(peer, trusted):
            return peer, scope.scheme
        scheme = headers.get("x-forwarded-proto")
        address = client_address(peer, headers.get_all("x-forwarded-for"), trusted)
        return address, scheme if scheme in ("http", "https") else scope.scheme

    def _starlette(self, context: Context) -> Starlette:
        routes: list[BaseRoute] = [
            *Status(
                context,
                self._health,
                self._outlet,
                self._watch,
                self._may_store,
                self._metrics,
            ).routes(),
            *front.routes(tracker_path=self._settings.tracker_path),
            *docs.routes(OPERATIONS),
            *administration(context),
            *statistics(context, self._look),
            *exports(context),
        ]
        return Starlette(
            routes=routes,
            middleware=[Middleware(RateLimitHeaders)],
            exception_handlers={
                ApiError: answer_error,
                HTTPException: _answer_http_exception,
                Exception: _answer_mistake,
            },
        )

    def _metrics(self, spooled: SpoolFigures | None, gauges: Gauges) -> bytes:
        if spooled is None:
            return exposition(self._sheet, gauges)
        return exposition(
            self._sheet,
            {
                **gauges,
                SPOOL_RECORDS: spooled.records,
                SPOOL_BYTES: spooled.bytes,
                SPOOL_AGE: spooled.age_seconds,
                SPOOL_DRAINED: spooled.drained_per_second,
            },
        )

    def _may_store(self) -> bool:
        return self._upkeep.has_schema and self._salts.ready(time.time_ns() // 1_000_000)


def is_loopback(host: str) -> bool:
    """Whether a server that is bound to `host` is reached from this machine alone."""
    return host in ("localhost", "::1") or host.startswith("127.")


@lru_cache(maxsize=64)
def is_loopback_host(host: str | None) -> bool:
    """Whether a Host header names this machine: localhost, 127.0.0.1 or [::1], with any port."""
    if host is None:
        return False
    name, separator, port = host.rpartition(":")
    if separator and port.isdigit():
        return name.lower() in LOOPBACK_NAMES
    return host.lower() in LOOPBACK_NAMES


def _pool(settings: Settings) -> Pool:
    if settings.database_url is None:
        raise SettingsError(["DATABASE_URL: is needed here"])
    return AsyncConnectionPool(
        conninfo(settings.database_url.reveal(), "portfolio-analytics producer"),
        min_size=1,
        max_size=8,
        timeout=5.0,
        reconnect_timeout=3.0,
        open=False,
        check=AsyncConnectionPool.check_connection,
        kwargs={"autocommit": True},
        name="producer",
    )


async def _answer_http_exception(_request: Request, error: Exception) -> Response:
    """Starlette's own errors (404, 405) in the shape of all others."""
    if not isinstance(error, HTTPException):
        raise error
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    body = error_body(code, str(error.detail))
    return Response(body, error.status_code, dict(error.headers or {}), media_type="application/json")


async def _answer_mistake(_request: Request, _error: Exception) -> Response:
    body = error_body("internal", "The server made a mistake; its log says more.")
    return Response(body, 500, media_type="application/json")
