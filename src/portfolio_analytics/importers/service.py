"""The running service as its clients see it: batches of events over HTTP, retried until they are stored."""

from __future__ import annotations

import http.client
import random
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

from portfolio_analytics.shared.errors import AnalyticsError
from portfolio_analytics.storage import admin_token

MAX_EVENTS = 1000
MAX_BYTES = 1_000_000  # the intake takes 1 MiB; the rest is the array's brackets and commas
TIMEOUT = 60.0
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0

_RETRIED = frozenset({408, 429, 500, 502, 503, 504})

Event = Mapping[str, Any]
Result = Mapping[str, Any]


class ServiceError(AnalyticsError):
    """The service refuses, or stayed away for longer than the caller's patience."""


class Service:
    """One service at a base address, over one connection that is kept open.

    `patience` is how many seconds a batch may wait for a service that is away or asks to wait. As a
    context manager it closes its connection.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        patience: float = 600.0,
        sleep: Callable[[float], None] = time.sleep,
        on_wait: Callable[[float, str], None] = lambda seconds, reason: None,
    ) -> None:
        """`on_wait` is told how many seconds it waits before a further try, and why. Raises ServiceError."""
        self._url = url
        self._connection, self._prefix = _connection(url)
        self._token = token
        self._patience = patience
        self._sleep = sleep
        self._on_wait = on_wait

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def send(self, events: Sequence[bytes]) -> list[Result]:
        """Have encoded events (at most MAX_EVENTS and MAX_BYTES) stored; one answer an event, in order.

        Waits and tries again while the service is away, asks to wait or answers a server's error: safe,
        since every event carries its id. Raises ServiceError.
        """
        body = b"[" + b",".join(events) + b"]"
        end = time.monotonic() + self._patience
        pause = FIRST_PAUSE
        while True:
            wanted, reason = self._attempt(body, len(events))
            if isinstance(wanted, list):
                return wanted
            wait = max(wanted, pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries, keeps no secret
            if time.monotonic() + wait > end:
                raise ServiceError(f"{self._url} did not take a batch in {self._patience:.0f} s: {reason}")
            self._on_wait(wait, reason)
            self._sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE)

    def get(self, path: str) -> Any:
        """The JSON that `GET path` answers. Raises ServiceError."""
        try:
            status, _, content = self._exchange("GET", path, None)
        except (OSError, http.client.HTTPException) as error:
            raise ServiceError(f"{self._url} cannot be reached: {error}") from None
        if status != 200:
            raise ServiceError(f"{self._url}{path} answered {status}: {_message(content)}")
        return msgspec.json.decode(content)

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _attempt(self, body: bytes, count: int) -> tuple[list[Result] | float, str]:
        """The results, or how many seconds the service asks to wait, with the reason."""
        try:
            status, headers, content = self._exchange("POST", "/api/analytics/batch", body)
        except ssl.SSLCertVerificationError as error:
            raise ServiceError(
                f"the certificate of {self._url} is not trusted: {error.verify_message}"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return 0.0, f"no answer from {self._url} ({_cause(error)}); is it running?"
        if status in (201, 202, 207):
            return _results(content, count), ""
        message = f"status {status}, {_message(content)}"
        if status in _RETRIED:
            return _retry_after(headers.get("Retry-After")), message
        raise ServiceError(f"{self._url} refuses a batch: {message}")

    def _exchange(
        self, method: str, path: str, body: bytes | None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        self._connection.request(method, self._prefix + path, body, headers)
        response = self._connection.getresponse()
        return response.status, response.headers, response.read()


def _cause(error: Exception) -> str:
    """What a person calls it: an OSError's own words without its number."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def encode_event(event: Event) -> bytes:
    """An event as the intake reads it."""
    return msgspec.json.encode(event)


def kind_of_answer(answer: Result) -> str:
    """What one event's answer counts as: "success", "ignored: <reason>" or "rejected: <error>"."""
    status = str(answer.get("status"))
    if status == "success":
        return status
    return f"{status}: {answer.get('reason') or answer.get('error') or 'unknown'}"


def find_token(given: str | None, environ: Mapping[str, str], data_dir: Path) -> str | None:
    """The token to use: the one given, else ADMIN_TOKEN, else the one that `run` keeps in `data_dir`."""
    token = given or environ.get("ADMIN_TOKEN", "").strip()
    if token:
        return token
    try:
        return (data_dir / admin_token.FILE_NAME).read_text("utf-8").strip() or None
    except OSError:
        return None


def _connection(url: str) -> tuple[http.client.HTTPConnection, str]:
    """A connection, not opened yet, to the host of `url`, and the path before the service's own."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ServiceError(f"{url!r} is not an address such as http://127.0.0.1:8080") from None
    if not host or parts.scheme not in ("http", "https"):
        raise ServiceError(f"{url!r} is not an address such as http://127.0.0.1:8080")
    prefix = parts.path.rstrip("/")
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT), prefix
    context = ssl.create_default_context()
    return http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context), prefix


def _results(content: bytes, count: int) -> list[Result]:
    try:
        results = msgspec.json.decode(content)["results"]
    except (ValueError, KeyError, TypeError):
        raise ServiceError("the answer is not one of this service's: is the address right?") from None
    if len(results) != count or not all(isinstance(result, dict) for result in results):
        raise ServiceError(f"the answers do not belong to the {count} events that were sent")
    return list(results)


def _message(content: bytes) -> str:
    try:
        return str(msgspec.json.decode(content)["message"])
    except (ValueError, KeyError, TypeError):
        return content[:200].decode("utf-8", "replace")


def _retry_after(value: str | None) -> float:
    """Seconds that a Retry-After header asks for; one that gives a date is left to the usual pauses."""
    if value is not None and value.strip().isdigit():
        return float(min(int(value), 3600))
    return 0.0
