"""A client that sends events at a steady rate and keeps book of every answer.

Every event has an id and a time of the client's own. What is refused, or not answered, is sent again with the
same id, to the next server, until it is acknowledged or the load gives up.
"""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import NamedTuple, Self

ANSWER_SECONDS = 30.0
RETRY_PAUSE = 0.1
SITES = ("example.com", "portfolio.example")


class Answer(NamedTuple):
    """One request's answer: when it was asked for (monotonic), how long it took, its status."""

    asked: float
    seconds: float
    status: int


def uuid7(time_ms: int) -> uuid.UUID:
    """A UUID version 7 (RFC 9562, 5.7) of a Unix time."""
    tail = secrets.randbits(74)
    return uuid.UUID(int=time_ms << 80 | 7 << 76 | (tail >> 62) << 64 | 2 << 62 | tail & (1 << 62) - 1)


class Balancer:
    """Which of the servers at `ports` are in service, as a load balancer before them knows it."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self._out: set[int] = set()
        self._busy: Counter[int] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def use(self, wanted: int) -> Iterator[int]:
        """For one request: the first port in service from `wanted` on."""
        with self._lock:
            first = self._ports.index(wanted)
            port = next(p for p in [*self._ports[first:], *self._ports[:first]] if p not in self._out)
            self._busy[port] += 1
        try:
            yield port
        finally:
            with self._lock:
                self._busy[port] -= 1

    def take_out(self, port: int, seconds: float = ANSWER_SECONDS) -> None:
        """No new request goes there; returns when none is under way."""
        with self._lock:
            self._out.add(port)
        end = time.monotonic() + seconds
        while self._busy[port]:
            assert time.monotonic() < end, f"{port} still answers after {seconds:.0f} s"
            time.sleep(0.01)

    def put_back(self, port: int) -> None:
        """It is in service again."""
        with self._lock:
            self._out.discard(port)


class Load:
    """Sends to `ports` in turn: `rate` events a second, by `streams` connections, `batch` events a request.

    `total`: stop after as many events; else go on until `stop`. `patience`: how many seconds an event is
    sent again.

    acknowledged: ids that were answered with success; given_up: ids that never were; answers: all answers;
    spooled: how many of the acknowledged were answered 202.
    """

    def __init__(
        self,
        ports: Sequence[int],
        *,
        rate: float,
        streams: int = 4,
        batch: int = 1,
        total: int | None = None,
        patience: float = 60.0,
    ) -> None:
        self.acknowledged: set[uuid.UUID] = set()
        self.given_up: set[uuid.UUID] = set()
        self.answers: list[Answer] = []
        self.unanswered = 0
        self.spooled = 0
        self.balancer = Balancer(ports)
        self._ports = ports
        self._pause = batch * streams / rate
        self._batch = batch
        self._patience = patience
        self._left = total
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._stream, args=(number, number * self._pause / streams), daemon=True)
            for number in range(streams)
        ]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._patience = 0.0
        self.stop()

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Begin nothing new, and wait for what is under way."""
        self._stop.set()
        self.join()

    def join(self) -> None:
        """Wait until `total` events were sent."""
        for thread in self._threads:
            thread.join()

    @property
    def statuses(self) -> Counter[int]:
        """How often each status was answered."""
        return Counter(answer.status for answer in list(self.answers))

    def grow(self, by: int, seconds: float = 60.0) -> None:
        """Wait until `by` more events are acknowledged."""
        wanted, end = len(self.acknowledged) + by, time.monotonic() + seconds
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < end, (
                f"{wanted - len(self.acknowledged)} of {by} are not acknowledged: {self.statuses}"
            )
            assert any(thread.is_alive() for thread in self._threads)
            time.sleep(0.02)

    def _take(self) -> int:
        """How many events the next request has."""
        with self._lock:
            if self._left is None:
                return self._batch
            taken = min(self._left, self._batch)
            self._left -= taken
            return taken

    def _stream(self, number: int, offset: float) -> None:
        connection = _Connection(self._ports, number, self.balancer)
        due = time.monotonic() + offset
        count = 0
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += self._pause
            size = self._take()
            if not size:
                break
            self._send(connection, [_event(number, count + place) for place in range(size)])
            count += size
        connection.close()

    def _send(self, connection: _Connection, events: list[dict[str, object]]) -> None:
        end = time.monotonic() + self._patience
        while events:
            asked = time.monotonic()
            try:
                status, answer = connection.post(events, batch=self._batch > 1)
            except (OSError, http.client.HTTPException):
                self.unanswered += 1
                connection.turn()
            else:
                self.answers.append(Answer(asked, time.monotonic() - asked, status))
                events = self._note(events, status, answer)
                if status == 503:
                    connection.turn()
            if events and time.monotonic() > end:
                self.given_up.update(uuid.UUID(str(event["event_id"])) for event in events)
                return
            if events:
                time.sleep(RETRY_PAUSE)

    def _note(self, events: list[dict[str, object]], status: int, answer: bytes) -> list[dict[str, object]]:
        """Keep book of an answer; what is to be sent again."""
        if status not in (201, 202, 207):
            assert status in (429, 503), (status, answer)
            return events
        decoded = json.loads(answer)
        results = decoded["results"] if self._batch > 1 else [decoded]
        left = []
        for event, result in zip(events, results, strict=True):
            if result["status"] == "success":
                assert result["event_id"] == event["event_id"]
                self.acknowledged.add(uuid.UUID(result["event_id"]))
                self.spooled += result["partition"] is None
            else:
                assert result["error"] == "log_unavailable", result
                left.append(event)
        return left


class _Connection:
    """One kept-alive connection to one server after the other."""

    def __init__(self, ports: Sequence[int], first: int, balancer: Balancer) -> None:
        self._ports = ports
        self._balancer = balancer
        self._port = ports[first % len(ports)]
        self._open: http.client.HTTPConnection | None = None

    def post(self, events: list[dict[str, object]], *, batch: bool) -> tuple[int, bytes]:
        """Send events. Raises OSError or HTTPException when there is no answer."""
        with self._balancer.use(self._port) as port:
            if port != self._port:
                self.close()
                self._port = port
            if self._open is None:
                self._open = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
                self._open.connect()
                self._open.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            path = "/api/analytics/batch" if batch else "/api/analytics"
            self._open.request("POST", path, json.dumps(events if batch else events[0]).encode())
            response = self._open.getresponse()
            return response.status, response.read()

    def turn(self) -> None:
        """Go to the next server."""
        self.close()
        self._port = self._ports[(self._ports.index(self._port) + 1) % len(self._ports)]

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def _event(stream: int, count: int) -> dict[str, object]:
    """The `count`th event of a stream: visitors come, look at some pages, click and go."""
    now = time.time_ns() // 1_000_000
    return {
        "event_id": str(uuid7(now)),
        "timestamp": datetime.fromtimestamp(now / 1000, UTC).isoformat(),
        "event_type": ("page_view", "page_view", "click", "time_spent")[count % 4],
        "page": f"/page/{count % 37}",
        "site": SITES[stream % 2],
        "session_id": f"session-{stream}-{count // 7 % 50}",
        "duration_ms": 1000 if count % 4 == 3 else None,
        "referrer": "https://www.google.com/" if count % 7 == 0 else None,
        "screen_width": 1920,
    }
