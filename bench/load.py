"""Load over HTTP: a closed loop over many connections for rates, an open one for latencies."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable

Body = Callable[[], bytes]


def event_body() -> bytes:
    """One event with an id and a time, as the tracker sends it."""
    now = time.time()
    ms = int(now * 1000)
    random = uuid.uuid4().int
    identity = uuid.UUID(
        int=ms << 80 | 0x7 << 76 | (random >> 64 & 0xFFF) << 64 | 0x2 << 62 | random & (1 << 62) - 1
    )
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{ms % 1000:03d}Z"
    return (
        f'{{"event_type":"page_view","page":"/blog/{random % 200}","event_id":"{identity}",'
        f'"timestamp":"{moment}",'
        f'"site":"bench.example","screen_width":1920,"screen_height":1080,"session_id":"s{random % 5000}"}}'
    ).encode()


def batch_body(size: int = 100) -> bytes:
    """An array of `size` events."""
    return b"[" + b",".join(event_body() for _ in range(size)) + b"]"


def request(path: str, body: bytes) -> bytes:
    """The bytes of a POST."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/126.0\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def closed_loop(port: int, path: str, body: Body, *, connections: int, seconds: float) -> float:
    """Answers a second when each connection asks again as soon as it has its answer. All must be 2xx."""
    return asyncio.run(_closed_loop(port, path, body, connections, seconds))


def open_loop(port: int, path: str, body: Body, *, rate: float, seconds: float) -> list[float]:
    """Latencies in ms of requests that are due at a constant rate, counted from when they were due."""
    return asyncio.run(_open_loop(port, path, body, rate, seconds))


class _Connection(asyncio.Protocol):
    """One request at a time; answers are told apart by Content-Length."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
        if len(rest) >= length and self._answer is not None:
            self._buffer = b""
            answer, self._answer = self._answer, None
            answer.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("closed by the server"))

    def ask(self, data: bytes) -> asyncio.Future[int]:
        """Send a request; the future gives the status."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        return self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def _connect(port: int) -> _Connection:
    _, protocol = await asyncio.get_running_loop().create_connection(_Connection, "127.0.0.1", port)
    return protocol


async def _closed_loop(port: int, path: str, body: Body, connections: int, seconds: float) -> float:
    prepared = [
        request(path, body())
        for _ in range(min(20_000, int(30_000 * seconds)) if "batch" not in path else 400)
    ]
    end = time.perf_counter() + seconds
    done = 0

    async def one(number: int) -> None:
        nonlocal done
        connection = await _connect(port)
        turn = number
        while time.perf_counter() < end:
            status = await connection.ask(prepared[turn % len(prepared)])
            if not 200 <= status < 300:
                raise RuntimeError(f"the service answered {status}")
            done += 1
            turn += connections
        connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(connections)))
    return done / (time.perf_counter() - began)


async def _open_loop(port: int, path: str, body: Body, rate: float, seconds: float) -> list[float]:
    idle = [await _connect(port) for _ in range(64)]
    everyone = list(idle)
    latencies: list[float] = []
    tasks = set()

    async def one(due: float) -> None:
        connection = idle.pop() if idle else await _connect(port)
        await connection.ask(request(path, body()))
        latencies.append((time.perf_counter() - due) * 1000)
        idle.append(connection)
        everyone.append(connection)

    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        pause = due - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        task = asyncio.create_task(one(due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    for connection in everyone:
        connection.close()
    return latencies
