"""The HTTP server: checks what its workers need, then runs them until it is asked to stop."""

from __future__ import annotations

import contextlib
import logging
import resource
import socket
from functools import partial
from pathlib import Path
from typing import Any

import maxminddb
from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels

from portfolio_analytics.app.http import HttpApp
from portfolio_analytics.app.sheet import sheet_path
from portfolio_analytics.app.supervisor import end_with_parent
from portfolio_analytics.producer.address import Places
from portfolio_analytics.settings import Settings
from portfolio_analytics.shared import logs
from portfolio_analytics.shared.errors import SettingsError

HEADER_MS = 30_000
"""For a request's head to arrive, and for how long a connection may idle between two requests."""

BACKLOG = 4096
CONNECTIONS = 16_384

KILL_SECONDS = 18

logger = logging.getLogger(__name__)


def serve_http(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT: then answer what was asked, and end.

    Raises SettingsError when something that it names cannot be used.
    """
    end_with_parent()
    _check(settings)
    # The pool would say twice a second what upkeep says once.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    _raise_file_limit()
    with sheet_path() as sheet:
        server = Granian(
            "portfolio_analytics.app.http",
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
            log_dictconfig=logs.SERVER,
            workers_kill_timeout=KILL_SECONDS,
            respawn_failed_workers=True,
        )
        logger.info("Listening at http://%s:%d.", settings.host, settings.port)
        server.serve(
            target_loader=partial(_load, settings, sheet),
            wrap_loader=False,
        )


def _load(settings: Settings, sheet_path: Path) -> Any:
    """What a worker process serves."""
    return HttpApp(settings, sheet_path)


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
