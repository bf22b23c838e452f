"""The HTTP server: checks what its workers need, then runs them until it is asked to stop."""

from __future__ import annotations

import contextlib
import logging
import resource
from functools import partial
from pathlib import Path
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels

from portfolio_analytics.app.cores import usable_cores
from portfolio_analytics.app.http import HttpApp
from portfolio_analytics.app.needs import address_of, missing
from portfolio_analytics.app.sheet import is_shared, sheet_path
from portfolio_analytics.app.supervisor import end_with_parent
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
    # `run` brings the consumer of its journal along.
    if not settings.kafka_broker and not is_shared():
        logger.warning(
            "KAFKA_BROKER is not set: events go to the journal in %s (DATA_DIR), and only a `consumer` or"
            " `run` with the same DATA_DIR counts them.",
            settings.data_dir,
        )
    # The pool would say twice a second what upkeep says once.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    _raise_file_limit()
    with sheet_path() as sheet:
        server = Granian(
            "portfolio_analytics.app.http",
            address=address_of(settings.host),
            port=settings.port,
            interface=Interfaces.RSGI,
            workers=settings.workers or usable_cores(),
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
        problems.append("DATABASE_URL: is needed here; `portfolio-analytics run` brings its own PostgreSQL")
    problems += missing(settings)
    if problems:
        raise SettingsError(problems)


def _raise_file_limit() -> None:
    """A connection is a file: allow as many as the system does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
