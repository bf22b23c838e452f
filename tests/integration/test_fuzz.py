"""The real intake under made-up input: no 5xx, no crash, bounded memory, nothing the consumer cannot take."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from portfolio_analytics.shared.log.journal import JournalReader
from portfolio_analytics.storage.database import connect
from tests.faults.pipeline import ConsumerThread, number
from tests.faults.process import eventually
from tests.integration.fuzz import Body, Fuzz
from tests.integration.intake_server import IntakeServer
from tests.oracle import assert_exactly_once

CONNECTIONS = 4
DOCUMENTS = 150
# Of the inputs, how many are bodies of their own.
SINGLE = 0.1
GROWTH_MB = 48.0
MILLION = 1_000_000


class Client:
    """Sends requests over one connection that is kept alive as long as the server keeps it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._pair: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, body: Body) -> int:
        """The status of the answer."""
        if self._pair is None:
            self._pair = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 22)
        reader, writer = self._pair
        encoding = f"Content-Encoding: {body.encoding}\r\n" if body.encoding else ""
        length = len(body.content)
        head = (
            f"POST {body.path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: browser/{body.browser}\r\n"
            f"{encoding}Content-Length: {length}\r\n\r\n"
        )
        writer.write(head.encode() + body.content)
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(answer.split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        if b"\r\nconnection: close" in answer:
            self.close()
        return int(answer.split()[1])

    def close(self) -> None:
        """End the connection."""
        if self._pair is not None:
            self._pair[1].close()
            self._pair = None


async def shower(fuzz: Fuzz, port: int, inputs: int, statuses: Counter[int]) -> None:
    """Send `inputs` inputs, and note every answer's status."""
    left = inputs
    single = 0.0

    async def stream() -> None:
        nonlocal left, single
        client = Client(port)
        while left > 0:
            # As many single bodies between two batches as make up their share.
            single += SINGLE * DOCUMENTS / (1 - SINGLE)
            bodies = [fuzz.request(min(DOCUMENTS, left))]
            bodies += [fuzz.request(0) for _ in range(int(single))]
            single -= int(single)
            left -= sum(body.inputs for body in bodies)
            for body in bodies:
                status = await asyncio.wait_for(client.send(body), 60)
                assert status < 500, (status, body)
                statuses[status] += 1
        client.close()

    await asyncio.gather(*[stream() for _ in range(CONNECTIONS)])


def resident_mb(pid: int) -> float:
    """The resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def fuzz_intake(
    database: str, folder: Path, port: int, *, inputs: int, seed: int
) -> tuple[int, Counter[int]]:
    """Send `inputs` inputs to an intake; how many records it wrote, all of which the consumer took."""
    fuzz, statuses = Fuzz(seed), Counter[int]()
    limits = {"RATE_LIMIT_ADDRESS": "0", "RATE_LIMIT_SITE": "0"}
    with IntakeServer(database, folder, port, **limits) as server:
        workers = server.workers()
        # What is loaded once, and what is remembered up to a bound, is there after a fifth.
        asyncio.run(shower(fuzz, port, inputs // 5, statuses))
        before = sum(map(resident_mb, workers))
        asyncio.run(shower(fuzz, port, inputs - inputs // 5, statuses))
        assert server.workers() == workers, "a worker ended and was replaced"
        grown = sum(map(resident_mb, workers)) - before
        assert grown < GROWTH_MB, f"{grown:.0f} MB more"
        assert server.request("GET", "/api/health/ready").status == 200
    assert {201, 207, 400, 422} <= statuses.keys()
    records = len(server.records())
    consumer = ConsumerThread(JournalReader(folder / "journal.sqlite"), database)
    tally = consumer.worker.tally
    eventually(
        lambda: not consumer.alive or tally.counted + tally.duplicate + tally.rejected >= records,
        inputs / 500 + 60,
        lambda: f"{records} records; {tally}",
    )
    consumer.stop()
    assert consumer.error is None
    with connect(database) as connection:
        bad = connection.execute("SELECT reason, detail, value FROM bad_rows LIMIT 5").fetchall()
        assert bad == []
        assert number(connection, "SELECT count(*) FROM events") == tally.counted
    print(f"seed {seed}: {inputs} inputs, {records} records, {tally}, {grown:.1f} MB more, {dict(statuses)}")
    return records, statuses


def test_made_up_input_gets_an_answer_and_harms_nothing(
    database: str, tmp_path: Path, free_port: int
) -> None:
    seed = time.time_ns() % 1_000_000
    print("seed", seed)
    records, _ = fuzz_intake(database, tmp_path, free_port, inputs=4_000, seed=seed)
    assert records > 400
    assert_exactly_once(database, [])


@pytest.mark.soak
def test_a_million_made_up_inputs(database: str, tmp_path: Path, free_port: int) -> None:
    """FUZZ_SEED chooses them."""
    seed = int(os.environ.get("FUZZ_SEED", "1"))
    records, _ = fuzz_intake(database, tmp_path, free_port, inputs=MILLION, seed=seed)
    assert records > MILLION // 10
