"""The HTTP side, wired: one `HttpApp` a worker process, and the server that runs the workers."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import multiprocessing
import os
import resource
import signal
import socket
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import maxminddb
from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from portfolio_analytics import front
from portfolio_analytics.admin import docs
from portfolio_analytics.admin.routes import routes as administration
from portfolio_analytics.exporters.routes import routes as exports
from portfolio_analytics.interface import OPERATIONS
from portfolio_analytics.producer.address import Places, client_address, peer_address
from portfolio_analytics.producer.cors import SECURITY_HEADERS, Cors
from portfolio_analytics.producer.health import Health
from portfolio_analytics.producer.intake import Intake
from portfolio_analytics.producer.limits import Limits
from portfolio_analytics.producer.outlet import Outlet
from portfolio_analytics.producer.policy import Policy, in_networks
from portfolio_analytics.producer.publisher import Publisher
from portfolio_analytics.producer.recorder import Recorder
from portfolio_analytics.producer.salts import Salts
from portfolio_analytics.producer.sites import Sites
from portfolio_analytics.producer.tally import Tally
from portfolio_analytics.producer.upkeep import Upkeep
from portfolio_analytics.settings import Settings, journal_path
from portfolio_analytics.shared.access import Access
from portfolio_analytics.shared.context import Context, Pool
from portfolio_analytics.shared.deadlines import Deadlines
from portfolio_analytics.shared.errors import SettingsError
from portfolio_analytics.shared.http import ApiError, answer_error, error_body
from portfolio_analytics.shared.log.journal import JournalWriter
from portfolio_analytics.shared.log.protocol import LogWriter
from portfolio_analytics.shared.log.spool import Spool, SpoolFigures
from portfolio_analytics.shared.metrics import (
    BREAKER_OPEN,
    IN_FLIGHT,
    SPOOL_AGE,
    SPOOL_BYTES,
    SPOOL_DRAINED,
    SPOOL_RECORDS,
    Sheet,
    cell,
    exposition,
)
from portfolio_analytics.shared.rate_limit_headers import RateLimitHeaders
from portfolio_analytics.shared.ratelimit import limiter
from portfolio_analytics.shared.rsgi import AsgiBridge, BodyReader, Headers, HttpProtocol, Scope
from portfolio_analytics.stats.routes import routes as statistics
from portfolio_analytics.status import Status
from portfolio_analytics.storage.database import conninfo
from portfolio_analytics.storage.directory import StoredDirectory
from portfolio_analytics.supervisor import end_with_parent

Handler = Callable[[Scope, HttpProtocol], Awaitable[None]]

JOURNAL_PATIENCE = 10.0
KAFKA_PATIENCE = 10.0
SPOOL_PATIENCE = 1.5
"""Seconds for the log's acknowledgement; fewer where a spool can take the event instead."""

SPOOL_NAME = "spool.sqlite"

HEADER_MS = 30_000
"""For a request's head to arrive, and for how long a connection may idle between two requests."""

BACKLOG = 4096
CONNECTIONS = 16_384
IDLE_SECONDS = 2.0
"""How long the server may take to close idle connections before a worker ends without it."""

FINISH_SECONDS = 6.0
"""For answers that are under way when the server is asked to stop."""

CLOSE_SECONDS = 3.0
KILL_SECONDS = 18
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
        self._outlet = _outlet(settings)
        self._publisher = Publisher(self._outlet.log, self._outlet.spool, patience=_patience(settings))
        self._salts = Salts()
        sites = Sites(settings.sites, settings.max_sites)
        self._upkeep = Upkeep(self._pool, self._salts, sites)
        self._places = Places(settings.geoip_db)
        self._cors = Cors(settings.allowed_origins)
        self._tasks: list[asyncio.Task[None]] = []
        self._background: set[asyncio.Task[Any]] = set()
        self._ending: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._check_host = is_loopback(settings.host) and not settings.trusted_proxies

        of_tokens = limiter("token", settings.rate_limit_token)
        access = Access(settings.admin_token, StoredDirectory(self._pool), of_tokens)
        self._health = Health(self._pool, self._outlet.log.healthy)
        context = Context(settings, self._pool, access, self._outlet.log.healthy)
        bodies = BodyReader(self._deadlines)
        self._bridge = AsgiBridge(self._starlette(context), bodies, self._seen, self._extra_headers)
        policy = Policy(settings.consent == "required", settings.block_automation)
        limits = Limits(settings.rate_limit_address, settings.rate_limit_site)
        recorder = Recorder(
            self._tally.worker,
            policy,
            sites,
            self._salts,
            self._places,
            limits,
            settings.allowed_query_params,
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

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Connect; called before the first request."""
        loop.run_until_complete(self._open(loop))
        # What was made until now lives as long as the process: no garbage collection need look at it.
        gc.collect()
        gc.freeze()

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Finish; called after the last answer."""
        if self._ending is not None:
            self._ending.cancel()
        loop.run_until_complete(self._close_once(loop))

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
        self._background = asyncio.all_tasks()

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
        answering = asyncio.all_tasks() - self._background - {self._ending}
        if answering:
            await asyncio.wait(answering, timeout=FINISH_SECONDS)
        await asyncio.shield(self._close_once(loop))
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
        self._deadlines.stop()
        self._publisher.patience.stop()
        self._places.close()
        self._sheet.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._pool.close(), CLOSE_SECONDS)

    async def _gauge(self) -> None:
        """Show now and then what is not counted but read."""
        row = self._sheet.row
        while True:
            row[cell(IN_FLIGHT)] = len(self._deadlines) + self._publisher.patience.waiting()
            row[cell(BREAKER_OPEN)] = not self._publisher.breaker.closed
            await asyncio.sleep(GAUGE_SECONDS)

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
                self._may_store,
                self._metrics,
                is_loopback(context.settings.host),
            ).routes(),
            *front.routes(tracker_path=self._settings.tracker_path),
            *docs.routes(OPERATIONS),
            *administration(context),
            *statistics(context),
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

    def _metrics(self, spooled: SpoolFigures | None) -> bytes:
        if spooled is None:
            return exposition(self._sheet, {})
        return exposition(
            self._sheet,
            {
                SPOOL_RECORDS: spooled.records,
                SPOOL_BYTES: spooled.bytes,
                SPOOL_AGE: spooled.age_seconds,
                SPOOL_DRAINED: spooled.drained_per_second,
            },
        )

    def _may_store(self) -> bool:
        return self._salts.ready(time.time_ns() // 1_000_000)


def serve_http(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT: then answer what was asked, and end.

    Raises SettingsError when something that it names cannot be used.
    """
    end_with_parent()
    _check(settings)
    # The pool would say twice a second what upkeep says once.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    _raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="portfolio-analytics-") as folder:
        server = Granian(
            "portfolio_analytics.app",
            address=_address(settings.host),
            port=settings.port,
            interface=Interfaces.RSGI,
            workers=settings.workers,
            loop=Loops.uvloop,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=HEADER_MS),
            websockets=False,
            backlog=BACKLOG,
            backpressure=CONNECTIONS,
            log_level=LogLevels.warning,
            workers_kill_timeout=KILL_SECONDS,
            respawn_failed_workers=True,
        )
        logger.info("Listening at http://%s:%d.", settings.host, settings.port)
        server.serve(
            target_loader=partial(_load, settings, Path(folder) / "metrics"),
            wrap_loader=False,
        )


def _load(settings: Settings, sheet_path: Path) -> Any:
    """What a worker process serves."""
    return HttpApp(settings, sheet_path)


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


def _outlet(settings: Settings) -> Outlet:
    """Kafka where KAFKA_BROKER is set, with the spool in SPOOL_DIR; else the journal in DATA_DIR."""
    journal = journal_path(settings)
    if not settings.kafka_broker:
        return Outlet(JournalWriter(journal), None)
    spool = None
    if settings.spool_dir is not None:
        spool = Spool(settings.spool_dir / SPOOL_NAME, max_bytes=settings.spool_max_bytes)
    leftovers = [Spool(journal)] if journal.exists() else []
    return Outlet(_kafka_writer(settings), spool, leftovers)


def _kafka_writer(settings: Settings) -> LogWriter:
    # librdkafka is a few megabytes that a small server need not load.
    from portfolio_analytics.consume import kafka_settings  # noqa: PLC0415
    from portfolio_analytics.shared.log.kafka import KafkaWriter  # noqa: PLC0415

    return KafkaWriter(kafka_settings(settings), delivery_timeout=_patience(settings))


def _patience(settings: Settings) -> float:
    if not settings.kafka_broker:
        return JOURNAL_PATIENCE
    return KAFKA_PATIENCE if settings.spool_dir is None else SPOOL_PATIENCE


def end_well(loop: asyncio.AbstractEventLoop, drain: Callable[[], None]) -> None:
    """End streams when the server is asked to stop, and stop when the parent process is gone.

    The server has handlers for the signals in the loop, which go on being called: the loop hears of
    a signal by a file descriptor of its own.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: drain())
        signal.siginterrupt(number, False)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def end() -> None:
            loop.remove_reader(parent.sentinel)
            os.kill(os.getpid(), signal.SIGTERM)

        loop.add_reader(parent.sentinel, end)


def _check(settings: Settings) -> None:
    """Find out here what would fail in every worker. Raises SettingsError."""
    problems = []
    if settings.database_url is None:
        problems.append("DATABASE_URL: is needed here; 'portfolio-analytics run' brings its own")
    if settings.geoip_db is not None:
        try:
            Places(settings.geoip_db).close()
        except (OSError, maxminddb.InvalidDatabaseError) as error:
            problems.append(f"GEOIP_DB: {settings.geoip_db} cannot be used: {error}")
    folders = {"SPOOL_DIR": settings.spool_dir} if settings.kafka_broker else {"DATA_DIR": settings.data_dir}
    for name, folder in folders.items():
        try:
            if folder is not None:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            problems.append(f"{name}: {folder} cannot be used: {error.strerror}")
    problem = _port_problem(settings.host, settings.port)
    if problem is not None:
        problems.append(problem)
    if problems:
        raise SettingsError(problems)


def _port_problem(host: str, port: int) -> str | None:
    """The server's sockets share a port with whoever else shares it; a second server must not be one."""
    try:
        address = _address(host)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        return f"HOST, PORT: {host}:{port} cannot be had: {error.strerror}"
    return None


def _address(host: str) -> str:
    """The address of a host, IPv4 where there is one. Raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return str(min(found, key=lambda info: info[0] != socket.AF_INET)[4][0])


def _raise_file_limit() -> None:
    """A connection is a file: allow as many as the system does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


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
