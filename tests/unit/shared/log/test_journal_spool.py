"""The spool: drained in order, deleted after the acknowledgement alone, full rather than lossy."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from portfolio_analytics.shared.errors import LogFull
from portfolio_analytics.shared.log.journal import JournalReader, JournalWriter
from portfolio_analytics.shared.log.protocol import Appended, LogRecord
from portfolio_analytics.shared.log.spool import Spool


@asynccontextmanager
async def spool_at(path: Path, max_bytes: int | None = None) -> AsyncIterator[Spool]:
    spool = Spool(path, max_bytes=max_bytes)
    await spool.open()
    yield spool
    await spool.close(5)


@asynccontextmanager
async def log_at(path: Path, max_bytes: int | None = None) -> AsyncIterator[JournalWriter]:
    """The log to drain into: a journal does as well as any other."""
    writer = JournalWriter(path, max_bytes=max_bytes)
    await writer.open()
    yield writer
    await writer.close(5)


def read_all(path: Path) -> list[LogRecord]:
    reader = JournalReader(path)
    reader.open()
    records: list[LogRecord] = []
    while batch := reader.poll(1000, 0):
        records += batch
    reader.close()
    return records


async def test_draining_moves_everything_in_order_and_leaves_nothing(tmp_path: Path) -> None:
    values = [b"%d" % n for n in range(1200)]
    async with spool_at(tmp_path / "spool.db") as spool, log_at(tmp_path / "log.db") as log:
        await spool.append_many([(b"key-%d" % (n % 7), value) for n, value in enumerate(values)])
        before = await spool.figures()
        assert await spool.drain(log) == 1200
        assert await spool.drain(log) == 0
        after = await spool.figures()
        await spool.append(b"key", b"later")
        assert await spool.drain(log) == 1
    assert (before.records, after.records, after.age_seconds) == (1200, 0, 0.0)
    assert before.bytes > after.bytes
    assert after.drained_per_second > 0
    records = read_all(tmp_path / "log.db")
    assert [record.value for record in records] == [*values, b"later"]
    assert [record.key for record in records[:7]] == [b"key-%d" % n for n in range(7)]


async def test_the_age_is_that_of_the_oldest_record(tmp_path: Path) -> None:
    async with spool_at(tmp_path / "spool.db") as spool:
        await spool.append(b"key", b"x")
        await asyncio.sleep(0.3)
        await spool.append(b"key", b"y")
        assert 0.25 < (await spool.figures()).age_seconds < 5


async def test_a_log_that_takes_some_gets_the_rest_later(tmp_path: Path) -> None:
    values = [b"%d " % n + os.urandom(4000) for n in range(100)]
    async with spool_at(tmp_path / "spool.db") as spool:
        await spool.append_many([(b"key", value) for value in values])
        async with log_at(tmp_path / "log.db", max_bytes=200_000) as log:
            with pytest.raises(LogFull):
                await spool.drain(log)
        assert (await spool.figures()).records == 100
        async with log_at(tmp_path / "log.db") as log:
            assert await spool.drain(log) == 100
    assert [record.value for record in read_all(tmp_path / "log.db")] == values


async def test_a_full_spool_says_so_and_loses_nothing(tmp_path: Path) -> None:
    async with spool_at(tmp_path / "spool.db", max_bytes=200_000) as spool:
        taken = 0
        results = await spool.append_many([(b"key", b"0 " + os.urandom(3000))])
        while isinstance(results[0], Appended):
            taken += 1
            results = await spool.append_many([(b"key", b"%d " % taken + os.urandom(3000))])
        assert isinstance(results[0], LogFull)
        assert "limit" in (await spool.healthy() or "")
        async with log_at(tmp_path / "log.db") as log:
            assert await spool.drain(log) == taken
        await spool.append(b"key", b"room again")
        assert await spool.healthy() is None
    numbers = [int((record.value or b"").split()[0]) for record in read_all(tmp_path / "log.db")]
    assert numbers == list(range(taken))


async def test_one_of_two_drains(tmp_path: Path) -> None:
    async with (
        spool_at(tmp_path / "spool.db") as first,
        spool_at(tmp_path / "spool.db") as second,
        log_at(tmp_path / "log.db") as log,
    ):
        await first.append(b"key", b"1")
        await second.append(b"key", b"2")
        assert await first.drain(log) == 2
        await second.append(b"key", b"3")
        assert await second.drain(log) == 0
        assert await first.drain(log) == 1
    assert [record.value for record in read_all(tmp_path / "log.db")] == [b"1", b"2", b"3"]


async def test_a_journal_is_drained_from_where_its_consumer_stopped(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with log_at(path) as journal:
        await journal.append_many([(b"key", b"%d" % n) for n in range(10)])
    reader = JournalReader(path)
    reader.open()
    reader.poll(6, 0)
    reader.commit({0: 6})
    reader.close()
    async with spool_at(path) as spool, log_at(tmp_path / "log.db") as log:
        assert (await spool.figures()).records == 4
        assert await spool.drain(log) == 4
    assert [record.value for record in read_all(tmp_path / "log.db")] == [b"6", b"7", b"8", b"9"]


async def test_a_damaged_record_is_set_aside_and_the_rest_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "spool.db"
    async with spool_at(path) as spool:
        await spool.append_many([(b"key", b"value-%d" % n) for n in range(5)])
    content = path.read_bytes()
    path.write_bytes(content.replace(b"value-2", b"v@lue-2"))
    async with spool_at(path) as spool, log_at(tmp_path / "log.db") as log:
        assert await spool.drain(log) == 4
        assert (await spool.figures()).set_aside == 1
    assert "Record 2 " in caplog.text
    values = [record.value for record in read_all(tmp_path / "log.db")]
    assert values == [b"value-0", b"value-1", b"value-3", b"value-4"]


async def test_keep_draining_drains_by_itself(tmp_path: Path) -> None:
    async with spool_at(tmp_path / "spool.db") as spool, log_at(tmp_path / "log.db") as log:
        draining = asyncio.create_task(spool.keep_draining(log))
        for n in range(3):
            await spool.append(b"key", b"%d" % n)
            end = time.monotonic() + 10
            while (await spool.figures()).records:
                assert time.monotonic() < end
                await asyncio.sleep(0.02)
        draining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await draining
    assert [record.value for record in read_all(tmp_path / "log.db")] == [b"0", b"1", b"2"]


DRAINER = """
import asyncio, sys
from pathlib import Path
from portfolio_analytics.shared.log.journal import JournalWriter
from portfolio_analytics.shared.log.spool import Spool

async def main(directory):
    spool, log = Spool(directory / "spool.db"), JournalWriter(directory / "log.db")
    await spool.open()
    await log.open()
    print("draining", flush=True)
    print(await spool.drain(log), flush=True)
    await spool.close(5)
    await log.close(5)

asyncio.run(main(Path(sys.argv[1])))
"""


def drain_and_die(directory: Path, after: float) -> None:
    drainer = subprocess.Popen([sys.executable, "-c", DRAINER, str(directory)], stdout=subprocess.PIPE)
    assert drainer.stdout is not None
    drainer.stdout.readline()
    time.sleep(after)
    drainer.kill()
    drainer.communicate()


async def test_kill_9_while_draining_loses_nothing(tmp_path: Path) -> None:
    values = {b"%d" % n for n in range(10_000)}
    async with spool_at(tmp_path / "spool.db") as spool:
        await spool.append_many([(b"key", value) for value in sorted(values)])
    for _ in range(3):
        await asyncio.to_thread(drain_and_die, tmp_path, random.uniform(0.01, 0.15))
    async with spool_at(tmp_path / "spool.db") as spool, log_at(tmp_path / "log.db") as log:
        await spool.drain(log)
        assert (await spool.figures()).records == 0
    records = read_all(tmp_path / "log.db")
    assert {record.value for record in records} == values
    assert len(records) <= len(values) + 3 * 500
