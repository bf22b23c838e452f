"""Ten thousand connections, half of them idle; the others are served."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import pytest

from tests.integration.intake_server import IntakeServer

CONNECTIONS = 10_000
REQUEST = (
    b"POST /api/analytics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 37\r\n\r\n"
    b'{"event_type":"page_view","page":"/"}'
)


@pytest.mark.soak
async def test_ten_thousand_connections(database: str, tmp_path: Path, free_port: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < CONNECTIONS + 500:
        pytest.skip(f"this system allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = IntakeServer(database, tmp_path, free_port, WORKERS="2")
    await asyncio.to_thread(server.start)
    pairs: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    try:
        while len(pairs) < CONNECTIONS:
            pairs += await asyncio.gather(
                *[asyncio.open_connection("127.0.0.1", free_port) for _ in range(250)]
            )
        busy = pairs[::2]

        async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _ in range(2):
                writer.write(REQUEST)
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 201"), head
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                assert b'"success"' in await reader.readexactly(length)

        async with asyncio.timeout(120):
            await asyncio.gather(*[use(*pair) for pair in busy])
    finally:
        for _, writer in pairs:
            writer.close()
        await asyncio.to_thread(server.stop)
    assert len(server.records()) == CONNECTIONS
