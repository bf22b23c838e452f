"""The producer as its own process, on a free port, over a journal and a real database."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec

from portfolio_analytics.shared.log.journal import JournalReader
from portfolio_analytics.shared.record import AttestRecord, EventRecord, decode_record

ADMIN_TOKEN = "the-admin-token-of-these-tests"
START_SECONDS = 60.0
STOP_SECONDS = 30.0


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class IntakeServer:
    """`portfolio-analytics producer`; ended by its process id."""

    def __init__(self, database_url: str, folder: Path, port: int, **environment: str) -> None:
        self.folder = folder
        self.port = port
        self.output_path = folder / "producer.log"
        self.environment = {
            "DATABASE_URL": database_url,
            "DATA_DIR": str(folder),
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "WORKERS": "1",
            "ADMIN_TOKEN": ADMIN_TOKEN,
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, *, wait_for: str = "/api/health/ready") -> None:
        """Start it and wait until `wait_for` answers 200."""
        process = self.launch()
        end = time.monotonic() + START_SECONDS
        while not self._answers(wait_for):
            assert process.poll() is None, self.output()
            assert time.monotonic() < end, self.output()
            time.sleep(0.05)

    def launch(self) -> subprocess.Popen[bytes]:
        """Start it without waiting."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("KAFKA", "SPOOL"))
        }
        with self.output_path.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "portfolio_analytics", "producer"],
                env=environment | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self.process

    def stop(self) -> int | None:
        """SIGTERM, then the exit status."""
        process, self.process = self.process, None
        if process is None:
            return None
        process.send_signal(signal.SIGTERM)
        return process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """kill -9, workers included."""
        process, self.process = self.process, None
        assert process is not None
        for child in self.workers(process):
            os.kill(child, signal.SIGKILL)
        process.kill()
        process.wait(STOP_SECONDS)

    def workers(self, process: subprocess.Popen[bytes] | None = None) -> list[int]:
        """The process ids of the workers."""
        parent = process or self.process
        assert parent is not None
        return [
            int(child)
            for task in Path(f"/proc/{parent.pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]

    def request(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def metrics(self) -> str:
        """What a Prometheus server would be told."""
        answer = self.request("GET", "/metrics", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
        assert answer.status == 200, answer.body
        return answer.body.decode()

    def post(
        self, event: object = None, headers: Mapping[str, str] | None = None, **fields: object
    ) -> Answer:
        """POST /api/analytics: bytes as they are, or an event with these fields."""
        if not isinstance(event, bytes | str):
            given = event if isinstance(event, dict) else {}
            event = msgspec.json.encode({"event_type": "page_view", "page": "/", **given, **fields})
        return self.request("POST", "/api/analytics", event, headers)

    def batch(self, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """POST /api/analytics/batch."""
        return self.request("POST", "/api/analytics/batch", body, headers)

    def raw(self, data: bytes, timeout: float = 20.0) -> bytes:
        """Send bytes, and read until the server closes or `timeout` seconds pass without any."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            connection.sendall(data)
            return read_all(connection)

    def records(self) -> list[EventRecord]:
        """The events in the journal."""
        return [record for record in self.journal() if isinstance(record, EventRecord)]

    def journal(self) -> list[EventRecord | AttestRecord]:
        """All that is in the journal."""
        reader = JournalReader(self.folder / "journal.sqlite")
        reader.open()
        try:
            found = []
            while records := reader.poll(1000, 0):
                found += [decode_record(record.value) for record in records if record.value is not None]
            return found
        finally:
            reader.close()

    def output(self) -> str:
        """All that it has printed."""
        return self.output_path.read_text("utf-8", "replace")

    def _answers(self, path: str) -> bool:
        try:
            return self.request("GET", path).status == 200
        except OSError:
            return False


def read_all(connection: socket.socket) -> bytes:
    """What comes until the other side closes, or says nothing for the socket's timeout."""
    pieces = []
    try:
        while piece := connection.recv(65_536):
            pieces.append(piece)
    except (TimeoutError, ConnectionResetError):
        pass
    return b"".join(pieces)
