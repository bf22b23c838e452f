"""Load over HTTP: a closed loop over many connections for rates, an open one for latencies."""

from __future__ import annotations

import asyncio
import re
import select
import socket
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import NamedTuple, cast

import uvloop

PEOPLE = 5_000
"""How many people's events `event_body` makes."""

CONNECTIONS = 64
"""How many connections an open loop begins with; it opens more when all of them wait."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PLACE = re.compile(rb'"partition":(\d+),"offset":(\d+)')


class Answered(NamedTuple):
    """An answer of an open loop: ms after it was due, when it came (`perf_counter`), where its event is."""

    latency: float
    at: float
    partition: int
    offset: int


def event_body(person: int | None = None) -> bytes:
    """One event with an id and a time, as the tracker sends it; of any of PEOPLE unless it says of which."""
    now = time.time()
    ms = int(now * 1000)
    random = uuid.uuid4().int
    whose = random % PEOPLE if person is None else person
    identity = uuid.UUID(
        int=ms << 80 | 0x7 << 76 | (random >> 64 & 0xFFF) << 64 | 0x2 << 62 | random & (1 << 62) - 1
    )
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{ms % 1000:03d}Z"
    return (
        f'{{"event_type":"page_view","page":"/blog/{random % 200}","event_id":"{identity}",'
        f'"timestamp":"{moment}",'
        f'"site":"bench.example","screen_width":1920,"screen_height":1080,"session_id":"s{whose}"}}'
    ).encode()


def batch_body(size: int = 100) -> bytes:
    """An array of `size` events."""
    return b"[" + b",".join(event_body() for _ in range(size)) + b"]"


def request(path: str, body: bytes, sender: str | None = None) -> bytes:
    """The bytes of a POST; `sender` is the address for which a proxy before the service passes it on."""
    forwarded = "" if sender is None else f"X-Forwarded-For: {sender}\r\n"
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{forwarded}"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/126.0\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def closed_loop(port: int, requests: Sequence[bytes], *, connections: int, seconds: float) -> float:
    """Answers a second when each connection asks again as soon as it has its answer. All must be 2xx.

    What is under way when the time is over is waited for and counted. The requests are sent in turn, and
    again from the first when there are too few. Without an event loop, which takes a sixth more: the load
    shares the processor with what it measures.
    """
    with ExitStack() as stack, select.epoll() as poll:
        asking: dict[int, socket.socket] = {}
        for _ in range(connections):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            asking[connection.fileno()] = connection
            poll.register(connection, select.EPOLLIN)
        began = time.perf_counter()
        end = began + seconds
        for number, connection in enumerate(asking.values()):
            connection.sendall(requests[-number % len(requests)])
        done = 0
        parts: dict[int, bytes] = {}
        while asking:
            for number, _ in poll.poll():
                connection = asking[number]
                data = parts.pop(number, b"") + _receive(connection)
                if not _is_whole(data):
                    parts[number] = data
                    continue
                _check(data)
                done += 1
                if time.perf_counter() < end:
                    connection.sendall(requests[done % len(requests)])
                else:
                    poll.unregister(connection)
                    del asking[number]
        return done / (time.perf_counter() - began)


def open_loop(port: int, ask: Callable[[], bytes], *, rate: float, seconds: float) -> list[Answered]:
    """Answers to requests that are due at a constant rate, whether earlier ones were answered or not.

    `ask` makes each of them.
    """
    return uvloop.run(_open_loop(port, ask, rate, seconds))


class _Connection(asyncio.Protocol):
    """One request at a time; answers are told apart by Content-Length.

    `answered` is called with the whole answer. A status other than 2xx ends the connection with an error.
    """

    def __init__(self, answered: Callable[[_Connection, bytes], None]) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answered = answered
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        if not _is_whole(data):
            self._buffer = data
            return
        self._buffer = b""
        try:
            _check(data)
        except RuntimeError as error:
            self._end(error)
            return
        self._answered(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionError("closed by the server"))

    def ask(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def close(self) -> None:
        self._end(None)
        if self._transport is not None:
            self._transport.close()

    def _end(self, error: Exception | None) -> None:
        if self.ended.done():
            return
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)


def _receive(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 16)
    if not data:
        raise ConnectionError("closed by the server")
    return data


def _is_whole(data: bytes) -> bool:
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return False
    found = _LENGTH.search(data, 0, end)
    return found is None or len(data) - end - 4 >= int(found[1])


def _check(answer: bytes) -> None:
    if answer[9:10] != b"2":
        raise RuntimeError(f"the service answered {answer[-300:]!r}")


async def _connect(port: int, answered: Callable[[_Connection, bytes], None]) -> _Connection:
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(lambda: _Connection(answered), "127.0.0.1", port)
    return protocol


async def _open_loop(port: int, ask: Callable[[], bytes], rate: float, seconds: float) -> list[Answered]:
    answers: list[Answered] = []
    idle: deque[_Connection] = deque()
    due: dict[_Connection, float] = {}

    def answered(connection: _Connection, data: bytes) -> None:
        now = time.perf_counter()
        place = _PLACE.search(data)
        partition, offset = (int(place[1]), int(place[2])) if place else (-1, -1)
        answers.append(Answered((now - due.pop(connection)) * 1000, now, partition, offset))
        idle.append(connection)

    for _ in range(CONNECTIONS):
        idle.append(await _connect(port, answered))
    everyone = list(idle)
    began = time.perf_counter() + 0.05
    wanted = int(rate * seconds)
    for number in range(wanted):
        moment = began + number / rate
        pause = moment - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        if idle:
            connection = idle.popleft()
        else:
            connection = await _connect(port, answered)
            everyone.append(connection)
        due[connection] = moment
        connection.ask(ask())
    while len(answers) < wanted:
        await asyncio.sleep(0.01)
        for connection in everyone:
            if connection.ended.done():
                connection.ended.result()
    for connection in everyone:
        connection.close()
    return answers
