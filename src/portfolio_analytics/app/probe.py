"""A consumer's own HTTP address: /metrics, /live and /ready. Off unless METRICS_PORT is set."""

from __future__ import annotations

import json
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

import psycopg

from portfolio_analytics.app.log_ends import LogEnds
from portfolio_analytics.app.status import METRICS_TYPE
from portfolio_analytics.app.watch import FRESH_S, look
from portfolio_analytics.shared.errors import LogError, SettingsError, StorageUnavailable
from portfolio_analytics.shared.metrics import Gauges, Sheet, exposition
from portfolio_analytics.storage.database import connect

logger = logging.getLogger(__name__)

REQUEST_S = 10.0
"""For one request to arrive."""

Answer = tuple[int, str, bytes]


class Condition(Protocol):
    """How a consumer is."""

    def problem(self) -> str | None:
        """Why it does not count now, in one sentence without secrets; None where all is well."""

    def hung(self) -> bool:
        """Whether it is to be ended and started again."""


class Probe:
    """What the address answers. Asked by a thread a request."""

    def __init__(self, condition: Condition, sheet: Sheet, url: str, ends: LogEnds) -> None:
        self._condition = condition
        self._sheet = sheet
        self._url = url
        self._ends = ends
        self._turn = threading.Lock()
        self._looked = float("-inf")
        self._gauges: Gauges = {}

    def answer(self, path: str) -> Answer:
        """Status, media type and body for a GET of `path`."""
        if path == "/metrics":
            return 200, METRICS_TYPE, exposition(self._sheet, self._read())
        if path == "/live":
            hung = self._condition.hung()
            return _state("the loop has not come round for minutes" if hung else None, "live")
        if path == "/ready":
            return _state(self._condition.problem(), "ready")
        return 404, "application/json", b'{"error":"not_found"}'

    def _read(self) -> Gauges:
        """The gauges of the log and the database; none while one of them is away."""
        with self._turn:
            if time.monotonic() - self._looked >= FRESH_S:
                try:
                    with connect(self._url, "portfolio-analytics probe") as connection:
                        self._gauges = look(connection, self._ends)[1]
                except (StorageUnavailable, psycopg.Error, LogError):
                    self._gauges = {}
                self._looked = time.monotonic()
            return self._gauges


@contextmanager
def serving(host: str, port: int, answer: Callable[[str], Answer]) -> Iterator[int]:
    """Answer GET requests at `host` and `port` meanwhile; gives the port. Raises SettingsError."""
    try:
        server = (_Server6 if ":" in host else _Server)((host, port), _handler(answer))
    except OSError as error:
        problem = f"METRICS_HOST, METRICS_PORT: {host}:{port} cannot be had: {error.strerror}"
        raise SettingsError([problem]) from error
    thread = threading.Thread(target=server.serve_forever, name="probe", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no event; the base class prints its address besides."""
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            logger.error("An answer of the probe failed.", exc_info=error)


class _Server6(_Server):
    address_family = socket.AF_INET6


def _handler(answer: Callable[[str], Answer]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_S

        def do_GET(self) -> None:
            status, media_type, body = answer(self.path.partition("?")[0])
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def version_string(self) -> str:
            return "portfolio-analytics"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the overridden
            """Requests are not logged: a line would hold an address."""

    return Handler


def _state(problem: str | None, name: str) -> Answer:
    content: Mapping[str, str] = (
        {"status": name} if problem is None else {"status": f"not {name}", "error": problem}
    )
    status = HTTPStatus.OK if problem is None else HTTPStatus.SERVICE_UNAVAILABLE
    return status, "application/json", json.dumps(content).encode()
