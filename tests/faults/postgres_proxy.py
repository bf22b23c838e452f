"""A proxy before PostgreSQL that can cut, delay and deafen connections, and hold one at a statement.

It understands as much of the frontend's protocol (PostgreSQL documentation, chapter "Frontend/Backend
Protocol") as is needed to know which statement is about to be executed.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

CHUNK = 65_536
REMEMBERED = 10_000

Match = Callable[[str, str], bool]
"""Whether a connection of this application name is meant when it is about to execute this statement."""


CONSUMER = "portfolio-analytics consumer"


class AtStep:
    """Matches the `step`th statement of a transaction that advances a position; None: its COMMIT."""

    def __init__(self, step: int | None) -> None:
        self._step = step
        self._at = 0
        self._advances = False

    def __call__(self, application: str, statement: str) -> bool:
        if application != CONSUMER:
            return False
        if statement == "BEGIN":
            self._at, self._advances = 0, False
        else:
            self._at += 1
        self._advances |= statement.startswith("UPDATE log_positions")
        return self._advances and (statement == "COMMIT" if self._step is None else self._at == self._step)


class PostgresProxy:
    """Listens on a port of its own and passes everything on to the server of `url`.

    reached: set when a connection is held, or has lost its answer.
    statements: application name and text of what was executed last, for tests that count steps.
    """

    def __init__(self, url: str) -> None:
        given = conninfo_to_dict(url)
        self._host, self._upstream_port = "", 0
        self.lead_to(url)
        self.reached = threading.Event()
        self.statements: deque[tuple[str, str]] = deque(maxlen=REMEMBERED)
        self.delay = 0.0
        self._hearing = threading.Event()
        self._hearing.set()
        self._away = False
        self._hold: Match | None = None
        self._lose: Match | None = None
        self._connections: set[_Connection] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        # Each part of the product names its connections itself.
        given.pop("application_name", None)
        given |= {
            "host": "127.0.0.1",
            "port": self._listener.getsockname()[1],
            "sslmode": "disable",
            "gssencmode": "disable",
        }
        self.url = make_conninfo("", **given)
        threading.Thread(target=self._accept, name="postgres-proxy", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def lead_to(self, url: str) -> None:
        """From now on connect to the server of `url`, which was given another address."""
        given = conninfo_to_dict(url)
        self._host = str(given.get("host") or "127.0.0.1")
        self._upstream_port = int(given.get("port") or 5432)

    # --- hurting

    def cut(self) -> None:
        """Reset every connection, as a firewall that lost its state does."""
        for connection in list(self._connections):
            connection.reset()

    def go_away(self) -> None:
        """Cut every connection and accept no new one, until `come_back`."""
        self._away = True
        self.cut()

    def come_back(self) -> None:
        """Accept connections again."""
        self._away = False

    def deafen(self) -> None:
        """Pass nothing on any more, and close nothing, until `hear`."""
        self._hearing.clear()

    def hear(self) -> None:
        """Pass on what was held back, and all else."""
        self._hearing.set()

    def hold_at(self, match: Match) -> None:
        """Keep the first statement that matches from the server, and its connection silent ever after."""
        self.reached.clear()
        self._hold = match

    def lose_answer_of(self, match: Match) -> None:
        """Let the first statement that matches be executed, and cut the connection instead of its answer."""
        self.reached.clear()
        self._lose = match

    def close(self) -> None:
        """Stop; every connection is cut."""
        self._away = True
        self._hearing.set()
        # A blocked accept is ended by shutdown, not by close.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    # --- passing on

    def execute(self, connection: _Connection, statement: str) -> bool:
        """Called before a statement goes to the server: whether it may."""
        self.statements.append((connection.application, statement))
        if self._hold is not None and self._hold(connection.application, statement):
            self._hold = None
            self.reached.set()
            return False
        if self._lose is not None and self._lose(connection.application, statement):
            self._lose = None
            connection.loses_answer = True
        return True

    def pass_on(self) -> None:
        """Called before every piece in either direction: waits while the proxy is deaf or slow."""
        self._hearing.wait()
        if self.delay:
            time.sleep(self.delay)

    def forget(self, connection: _Connection) -> None:
        """Called when a connection has ended."""
        self._connections.discard(connection)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self._away:
                    raise ConnectionError
                server = self._connect()
            except OSError:
                client.close()
                continue
            connection = _Connection(self, client, server)
            self._connections.add(connection)
            connection.start()

    def _connect(self) -> socket.socket:
        if not self._host.startswith("/"):
            return socket.create_connection((self._host, self._upstream_port), timeout=None)
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(f"{self._host}/.s.PGSQL.{self._upstream_port}")
        except OSError:
            server.close()
            raise
        return server


class _Connection:
    """One client and its server."""

    def __init__(self, proxy: PostgresProxy, client: socket.socket, server: socket.socket) -> None:
        self.application = ""
        self.loses_answer = False
        self._proxy = proxy
        self._client = client
        self._server = server
        self._statements: dict[bytes, str] = {}
        self._bound = ""

    def start(self) -> None:
        for target in (self._forward, self._answer):
            threading.Thread(target=target, name="postgres-proxy-pump", daemon=True).start()

    def reset(self) -> None:
        """End both sides; the client sees a reset, not an orderly end."""
        with suppress(OSError):
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for side in (self._client, self._server):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()
        self._proxy.forget(self)

    def _forward(self) -> None:
        """From the client to the server, message by message."""
        try:
            self._server.sendall(self._startup())
            pending = b""
            while piece := self._client.recv(CHUNK):
                self._proxy.pass_on()
                pending += piece
                whole, held = self._whole_messages(pending)
                self._server.sendall(pending[:whole])
                pending = pending[whole:]
                if held:
                    self._wait_for_the_end()
                    break
        except OSError:
            pass
        self.reset()

    def _wait_for_the_end(self) -> None:
        """Pass nothing on until the client is gone; its server then hears of that."""
        while self._client.recv(CHUNK):
            pass

    def _answer(self) -> None:
        """From the server to the client."""
        try:
            while piece := self._server.recv(CHUNK):
                self._proxy.pass_on()
                if self.loses_answer:
                    self._proxy.reached.set()
                    break
                self._client.sendall(piece)
        except OSError:
            pass
        self.reset()

    def _startup(self) -> bytes:
        """The first message, which has no type and names the application."""
        head = self._exactly(4)
        body = self._exactly(struct.unpack("!I", head)[0] - 4)
        parts = body[4:].split(b"\0")
        settings = dict(zip(parts[::2], parts[1::2], strict=False))
        self.application = settings.get(b"application_name", b"").decode()
        return head + body

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            piece = self._client.recv(size - len(found))
            if not piece:
                raise ConnectionError
            found += piece
        return found

    def _whole_messages(self, pending: bytes) -> tuple[int, bool]:
        """How many bytes may go on, and whether the connection is held after them."""
        at = 0
        while len(pending) - at >= 5:
            size = 1 + struct.unpack_from("!I", pending, at + 1)[0]
            if len(pending) - at < size:
                break
            statement = self._statement(pending[at : at + 1], pending[at + 5 : at + size])
            if statement is not None and not self._proxy.execute(self, statement):
                return at, True
            at += size
        return at, False

    def _statement(self, kind: bytes, body: bytes) -> str | None:
        """The statement that a message executes, if it executes one."""
        if kind == b"Q":
            return body.rstrip(b"\0").decode("utf-8", "replace")
        if kind == b"P":
            name, text, _ = body.split(b"\0", 2)
            self._statements[name] = text.decode("utf-8", "replace")
        elif kind == b"B":
            _, name, _ = body.split(b"\0", 2)
            self._bound = self._statements.get(name, "")
        elif kind == b"E":
            return self._bound
        return None
