"""A reader that asks for statistics without pause, and keeps every answer."""

from __future__ import annotations

import http.client
import json
import threading
import time
from datetime import UTC, date, datetime, timedelta
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.faults.load import ANSWER_SECONDS, SITES, Balancer
from tests.faults.pipeline import ADMIN_TOKEN

PAUSE = 0.05
METRICS = ("visits", "pageviews", "events")


class Seen(NamedTuple):
    """What one reading said: the totals of all sites, and of one site what its rollups say."""

    total: int
    by_type: dict[str, int]
    visits: int
    pageviews: int
    events: int


class Reader:
    """Asks `GET /api/stats` and `POST /api/v2/query` at a port of `balancer`, from `port` on, in turn.

    seen: what was answered, in order; failures: what was not, as sentences.
    """

    def __init__(self, balancer: Balancer, port: int) -> None:
        self.seen: list[Seen] = []
        self.failures: list[str] = []
        self._balancer = balancer
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="reader", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def read_more(self, seconds: float = 60.0) -> None:
        """Wait until it has asked again, all of it, after now."""
        wanted, end = len(self.seen) + 2, time.monotonic() + seconds
        while len(self.seen) < wanted:
            assert time.monotonic() < end, f"nothing was read: {self.failures[-3:]}"
            time.sleep(0.02)

    def _read(self) -> None:
        while not self._stop.wait(PAUSE):
            with self._balancer.use(self._port) as port:
                self._ask(port)

    def _ask(self, port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
        try:
            stats = _answer(connection, "GET", "/api/stats")
            results = _answer(connection, "POST", "/api/v2/query", _query(datetime.now(UTC).date()))[
                "results"
            ]
        except (OSError, http.client.HTTPException, AssertionError) as error:
            self.failures.append(f"{type(error).__name__}: {error}")
            return
        finally:
            connection.close()
        metrics = results[0]["metrics"] if results else [0] * len(METRICS)
        self.seen.append(Seen(stats["total_events"], stats["events_by_type"], *metrics))


def _query(today: date) -> bytes:
    day = timedelta(days=1)
    return json.dumps(
        {
            "site_id": SITES[0],
            "metrics": METRICS,
            "date_range": [(today - day).isoformat(), (today + day).isoformat()],
        }
    ).encode()


def _answer(connection: http.client.HTTPConnection, method: str, path: str, body: bytes = b"") -> Any:
    connection.request(method, path, body, {"Authorization": f"Bearer {ADMIN_TOKEN}"})
    response = connection.getresponse()
    text = response.read()
    assert response.status == 200, f"{path}: {response.status} {text[:300]!r}"
    return json.loads(text)
