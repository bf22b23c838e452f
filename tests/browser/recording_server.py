"""A recording server in the place of the producer: it keeps what arrives and answers as the contract says.

It is a real HTTP server on a loopback port, and it can be told to refuse, to lose an answer, to go away and
to come back. What it does not do is count: repeated ids stay visible here, where the product would drop them.
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

Event = dict[str, Any]
Answer = tuple[int, dict[str, Any]]

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
TYPES: dict[str, type | tuple[type, ...]] = {
    "event_type": str,
    "page": str,
    "event_id": str,
    "timestamp": str,
    "referrer": str,
    "title": str,
    "screen_width": int,
    "screen_height": int,
    "duration_ms": int,
    "scroll_depth": int,
    "target": dict,
    "props": dict,
    "site": str,
    "consent": str,
    "session_id": str,
    "visitor_id": str,
}
REQUIRED = ("event_type", "page", "event_id", "timestamp")


@dataclass(frozen=True)
class Refusal:
    """One answer that is not a success; status 0 records the events and closes without an answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Delivery:
    """One POST: where to, what came, and how it was answered."""

    path: str
    headers: dict[str, str]
    events: list[Event]
    status: int
    at: float


def fault(event: Event) -> str | None:
    """The first field that the contract does not allow, or None."""
    for name in REQUIRED:
        if not event.get(name):
            return name
    for name, value in event.items():
        if name not in TYPES or not isinstance(value, TYPES[name]):
            return name
    if not UUID7.fullmatch(event["event_id"]) or not RFC3339.fullmatch(event["timestamp"]):
        return "event_id"
    made = uuid.UUID(event["event_id"]).int >> 80
    if made != round(datetime.fromisoformat(event["timestamp"]).timestamp() * 1000):
        return "timestamp"
    if not 0 <= event.get("scroll_depth", 0) <= 100:
        return "scroll_depth"
    return None


class RecordingServer:
    """The collecting side of the browser tests. Serves the built tracker from `dist` as well."""

    def __init__(self, dist: Path) -> None:
        self.dist = dist
        self.deliveries: list[Delivery] = []
        self.paths: list[str] = []
        self.refusals: deque[Refusal] = deque()
        self.reject: Callable[[Event], bool] = lambda _event: False
        self.offset = 0
        self._changed = threading.Condition()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._port = 0
        self.come_back()

    @property
    def origin(self) -> str:
        """What the pages name in their script tag."""
        return f"http://127.0.0.1:{self._port}"

    def come_back(self) -> None:
        """Listen, on the same port as before."""
        server = ThreadingHTTPServer(("127.0.0.1", self._port), _Handler)
        server.daemon_threads = True
        server.recorder = self  # type: ignore[attr-defined]
        self._port = server.server_port
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def go_away(self) -> None:
        """Close the port: connections are refused from here on."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._server = None

    def refuse(self, status: int, *, times: int = 1, **headers: str) -> None:
        """Answer the next POSTs with `status`; headers are named with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.refusals.extend(Refusal(status, named) for _ in range(times))

    # What arrived

    @property
    def events(self) -> list[Event]:
        """Every event that was accepted, each id once, in the order of first arrival."""
        with self._changed:
            accepted = [
                event
                for delivery in self.deliveries
                if delivery.status in (0, 201, 207)
                for event in delivery.events
                if not self.reject(event)
            ]
        return list({event["event_id"]: event for event in reversed(accepted)}.values())[::-1]

    @property
    def repeats(self) -> int:
        """How many accepted events came with an id that had been accepted before."""
        with self._changed:
            accepted = [e for d in self.deliveries if d.status in (0, 201, 207) for e in d.events]
        return len(accepted) - len({event["event_id"] for event in accepted})

    @property
    def faults(self) -> list[str]:
        """What the contract forbids in anything that arrived."""
        with self._changed:
            return [f"{name}: {e}" for d in self.deliveries for e in d.events if (name := fault(e))]

    def of(self, event_type: str) -> list[Event]:
        """The accepted events of one type."""
        return [event for event in self.events if event["event_type"] == event_type]

    def counts(self) -> dict[str, int]:
        """How many accepted events there are of each type."""
        return dict(Counter(event["event_type"] for event in self.events))

    def wait_for(self, met: Callable[[], bool], seconds: float = 30) -> None:
        """Wait until `met` holds; fails with what did arrive."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not met():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"not met in {seconds} s; arrived: {self.counts()}")
                self._changed.wait(min(left, 0.2))

    def wait(self, **counts: int) -> None:
        """Wait until at least so many events of each type have been accepted."""
        self.wait_for(lambda: all(self.counts().get(name, 0) >= least for name, least in counts.items()))

    def wait_for_deliveries(self, least: int) -> None:
        """Wait until so many POSTs have come, accepted or not."""
        self.wait_for(lambda: len(self.deliveries) >= least)

    def record(self, path: str, headers: dict[str, str], events: list[Event]) -> Refusal:
        """Keep one POST and decide its answer; status 201 stands for success."""
        with self._changed:
            answer = self.refusals.popleft() if self.refusals else Refusal(201)
            if answer.status == 201 and any(self.reject(event) for event in events):
                answer = Refusal(207 if path.endswith("/batch") else 422)
            self.deliveries.append(Delivery(path, headers, events, answer.status, time.monotonic()))
            self._changed.notify_all()
        return answer

    def result(self, event: Event) -> dict[str, Any]:
        """One event's own answer."""
        if self.reject(event):
            return {"status": "rejected", "error": "invalid", "message": "refused by the test"}
        self.offset += 1
        return {
            "status": "success",
            "message": "Event queued",
            "partition": 0,
            "offset": self.offset,
            "event_id": event["event_id"],
        }


class _Handler(BaseHTTPRequestHandler):
    PATHS: ClassVar[dict[str, bool]] = {"/api/analytics": False, "/api/analytics/batch": True}

    @property
    def recorder(self) -> RecordingServer:
        recorder: RecordingServer = self.server.recorder  # type: ignore[attr-defined]
        return recorder

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        # A prefix stands for a first-party path.
        path = self.path.removeprefix("/first-party")
        if path not in self.PATHS:
            self._answer(404, {"status": "error", "error": "not_found"})
            return
        batch = self.PATHS[path]
        events: list[Event] = body if batch else [body]
        answer = self.recorder.record(self.path, dict(self.headers.items()), events)
        if answer.status == 0:
            self.close_connection = True
            return
        if answer.status not in (201, 207):
            self._answer(answer.status, {"status": "error", "error": "refused"}, answer.headers)
            return
        results = [self.recorder.result(event) for event in events]
        self._answer(answer.status, {"status": "success", "results": results} if batch else results[0])

    def do_OPTIONS(self) -> None:
        self.recorder.paths.append(f"OPTIONS {self.path}")
        self._answer(200, {})

    def do_GET(self) -> None:
        self.recorder.paths.append(f"GET {self.path}")
        file = self.recorder.dist / self.path.removeprefix("/first-party").lstrip("/")
        if not file.is_file():
            self._answer(404, {"status": "error", "error": "not_found"})
            return
        self._send(200, file.read_bytes(), {"Content-Type": "text/javascript"})

    def _answer(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(body).encode(), {"Content-Type": "application/json"} | (headers or {}))

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        common = {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Expose-Headers": "Retry-After",
            "Content-Length": str(len(body)),
        }
        for name, value in (common | headers).items():
            self.send_header(name, value)
        # A page that has left does not wait for its answer.
        try:
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: the tests look at what was recorded."""
