"""What every event log must do, whatever is behind it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager

import pytest

from portfolio_analytics.shared.errors import LogUnavailable, RecordTooLarge
from portfolio_analytics.shared.log.protocol import Appended, LogReader, LogRecord, LogWriter
from tests.contract.adapters import Adapter, any_log, log, mock_cluster

__all__ = ["any_log", "log", "mock_cluster"]


@asynccontextmanager
async def writing(log: Adapter) -> AsyncIterator[LogWriter]:
    writer = log.writer()
    await writer.open()
    end = time.monotonic() + 30
    while (said := await writer.healthy()) is not None:
        assert time.monotonic() < end, said
        await asyncio.sleep(0.1)
    try:
        yield writer
    finally:
        await writer.close(5)


class Claims:
    """Stands in for the database: where to go on, and what was reported."""

    def __init__(self, reader: LogReader, positions: Mapping[int, int]) -> None:
        self.assigned: list[tuple[str, list[int]]] = []
        self.revoked: list[int] = []
        self.gaps: list[tuple[int, int, int]] = []
        self._positions = positions
        reader.on_assigned = self._assign
        reader.on_revoked = self.revoked.extend
        reader.on_gap = lambda partition, wanted, resumed: self.gaps.append((partition, wanted, resumed))

    def _assign(self, topic_id: str, partitions: object) -> dict[int, int | None]:
        given = list(partitions)  # type: ignore[call-overload]
        self.assigned.append((topic_id, given))
        return {partition: self._positions.get(partition) for partition in given}


@contextmanager
def reading(log: Adapter, positions: Mapping[int, int] | None = None) -> Iterator[tuple[LogReader, Claims]]:
    reader = log.reader()
    claims = Claims(reader, positions or {})
    reader.open()
    try:
        yield reader, claims
    finally:
        reader.close()


def read(reader: LogReader, count: int, seconds: float = 20.0) -> list[LogRecord]:
    """At least `count` records, and no more than come in the same batch."""
    records: list[LogRecord] = []
    end = time.monotonic() + seconds
    while len(records) < count:
        assert time.monotonic() < end, f"read {len(records)} of {count} records in {seconds} s"
        records += reader.poll(1000, 0.2)
    return records


def read_all(log: Adapter, count: int) -> list[LogRecord]:
    with reading(log) as (reader, _):
        records = read(reader, count)
        assert reader.poll(1000, 0.2) == []
        return records


def held(reader: LogReader, partition: int) -> tuple[int, int]:
    marks = reader.watermarks(partition)
    return marks.low, marks.high


async def write_ten(writer: LogWriter) -> int:
    """Ten records of one key with the values 0 to 9; their partition."""
    (partition,) = {(await writer.append(b"key", b"%d" % n)).partition for n in range(10)}
    return partition


def places(records: list[LogRecord]) -> set[tuple[int, int]]:
    return {(record.partition, record.offset) for record in records}


async def test_a_record_is_read_as_it_was_appended(any_log: Adapter) -> None:
    before = int(time.time() * 1000)
    async with writing(any_log) as writer:
        appended = await writer.append(b"key", b"value")
    (record,) = read_all(any_log, 1)
    assert (record.partition, record.offset) == appended
    assert (record.key, record.value) == (b"key", b"value")
    assert before - 1 <= record.timestamp_ms <= int(time.time() * 1000) + 1


async def test_records_of_a_key_keep_their_order(log: Adapter) -> None:
    async with writing(log) as writer:
        waiting = [writer.append(b"key-%d" % (n % 5), b"%d" % n) for n in range(200)]
        appended = [await one for one in waiting]
    records = read_all(log, 200)
    for key in range(5):
        mine = [record for record in records if record.key == b"key-%d" % key]
        assert [int(record.value or b"") for record in mine] == list(range(key, 200, 5))
        assert len({record.partition for record in mine}) == 1
    assert places(records) == set(appended)


async def test_offsets_rise_by_one_and_begin_at_zero(log: Adapter) -> None:
    async with writing(log) as writer:
        appended = [await writer.append(b"one key", b"x") for _ in range(5)]
    assert [offset for _, offset in appended] == [0, 1, 2, 3, 4]


async def test_many_at_once_are_all_stored_once(any_log: Adapter) -> None:
    async def one(writer: LogWriter, number: int) -> list[Appended]:
        return [await writer.append(b"%d" % number, b"%d.%d" % (number, n)) for n in range(20)]

    async with writing(any_log) as writer:
        appended = await asyncio.gather(*(one(writer, number) for number in range(50)))
    records = read_all(any_log, 1000)
    assert places(records) == {place for places in appended for place in places}
    assert {record.value for record in records} == {b"%d.%d" % (i, n) for i in range(50) for n in range(20)}
    assert len(records) == 1000


async def test_a_batch_gives_a_result_for_each_record_in_order(any_log: Adapter) -> None:
    async with writing(any_log) as writer:
        results = await writer.append_many([(b"k%d" % n, b"%d" % n) for n in range(300)])
        assert await writer.append_many([]) == []
    by_place = {(record.partition, record.offset): record.value for record in read_all(any_log, 300)}
    assert len(results) == 300
    for number, result in enumerate(results):
        assert isinstance(result, Appended)
        assert by_place[result] == b"%d" % number


async def test_a_record_too_large_is_refused_alone(log: Adapter) -> None:
    large = b"x" * 1_100_000
    async with writing(log) as writer:
        with pytest.raises(RecordTooLarge):
            await writer.append(b"key", large)
        first, second, third = await writer.append_many([(b"key", b"1"), (b"key", large), (b"key", b"3")])
    assert isinstance(first, Appended)
    assert isinstance(second, RecordTooLarge)
    assert isinstance(third, Appended)
    assert [record.value for record in read_all(log, 2)] == [b"1", b"3"]


async def test_a_large_record_that_is_allowed_is_stored(log: Adapter) -> None:
    large = bytes(range(256)) * 3500
    async with writing(log) as writer:
        await writer.append(b"key", large)
    (record,) = read_all(log, 1)
    assert record.value == large


async def test_empty_and_binary_values_are_kept(log: Adapter) -> None:
    values = [b"", b"\x00", bytes(range(256)), b"\xff\xfe\x00'; DROP TABLE records; --", "é".encode()]
    async with writing(log) as writer:
        for value in values:
            await writer.append(b"key \x00\xff", value)
    records = read_all(log, len(values))
    assert [record.value for record in records] == values
    assert {record.key for record in records} == {b"key \x00\xff"}


async def test_two_writers_share_a_log(log: Adapter) -> None:
    async with AsyncExitStack() as stack:
        writers = [await stack.enter_async_context(writing(log)) for _ in range(2)]
        appended = await asyncio.gather(
            *(writer.append(b"%d" % n, b"%d" % n) for n in range(200) for writer in writers)
        )
    records = read_all(log, 400)
    assert len(set(appended)) == 400
    assert places(records) == set(appended)


async def test_a_log_that_is_opened_again_goes_on(log: Adapter) -> None:
    async with writing(log) as writer:
        first = await writer.append(b"key", b"1")
    async with writing(log) as writer:
        second = await writer.append(b"key", b"2")
    assert second == (first.partition, first.offset + 1)
    assert [record.value for record in read_all(log, 2)] == [b"1", b"2"]


async def test_reading_goes_on_from_a_stored_position(log: Adapter) -> None:
    async with writing(log) as writer:
        partition = await write_ten(writer)
    with reading(log) as (reader, claims):
        read(reader, 10)
        reader.commit({partition: 10})
        topic_id, given = claims.assigned[0]
    assert partition in given
    assert claims.revoked == given
    # What was committed to the log itself is of no account: positions come from `on_assigned` alone.
    with reading(log, {partition: 7}) as (reader, claims):
        assert [record.offset for record in read(reader, 3)] == [7, 8, 9]
        assert claims.assigned[0][0] == topic_id
        assert reader.topic_id == topic_id
        assert claims.gaps == []


async def test_a_position_at_the_end_waits_for_what_comes(log: Adapter) -> None:
    async with writing(log) as writer:
        partition, offset = await writer.append(b"key", b"old")
        with reading(log, {partition: offset + 1}) as (reader, claims):
            assert await asyncio.to_thread(reader.poll, 10, 1.0) == []
            appended = await writer.append(b"key", b"new")
            (record,) = await asyncio.to_thread(read, reader, 1)
            assert (record.partition, record.offset, record.value) == (*appended, b"new")
            assert claims.gaps == []


async def test_seek_reads_again(any_log: Adapter) -> None:
    async with writing(any_log) as writer:
        partition = await write_ten(writer)
    with reading(any_log) as (reader, _):
        first = read(reader, 10)
        for offset in (4, 9, 0):
            reader.seek(partition, offset)
            assert read(reader, 10 - offset) == first[offset:]


async def test_poll_returns_at_most_what_was_asked_for(log: Adapter) -> None:
    async with writing(log) as writer:
        await writer.append_many([(b"key", b"%d" % n) for n in range(25)])
    with reading(log) as (reader, _):
        records: list[LogRecord] = []
        while len(records) < 25:
            batch = reader.poll(10, 5)
            assert len(batch) <= 10
            records += batch
        assert [record.offset for record in records] == list(range(25))


async def test_a_lone_record_is_seen_soon(log: Adapter) -> None:
    async with writing(log) as writer:
        await writer.append(b"key", b"first")
        with reading(log) as (reader, _):
            read(reader, 1)
            for _ in range(5):
                seen = asyncio.create_task(asyncio.to_thread(reader.poll, 1000, 5.0))
                await asyncio.sleep(0.05)
                start = time.monotonic()
                await writer.append(b"key", b"lone")
                assert len(await seen) == 1
                assert time.monotonic() - start < 0.5


async def test_an_empty_poll_returns_in_time(log: Adapter) -> None:
    async with writing(log) as writer:
        await writer.append(b"key", b"1")
    with reading(log) as (reader, _):
        read(reader, 1)
        start = time.monotonic()
        assert reader.poll(10, 0.3) == []
        assert 0.2 < time.monotonic() - start < 2


async def test_watermarks_say_what_is_held(log: Adapter) -> None:
    async with writing(log) as writer:
        partition = await write_ten(writer)
    with reading(log) as (reader, _):
        assert held(reader, partition) == (0, 10)


async def test_an_offset_that_is_gone_is_reported_as_a_gap(log: Adapter) -> None:
    async with writing(log) as writer:
        partition = await write_ten(writer)
    log.forget(partition, 6)
    with reading(log, {partition: 2}) as (reader, claims):
        assert [record.offset for record in read(reader, 4)] == [6, 7, 8, 9]
        assert claims.gaps == [(partition, 2, 6)]
        assert held(reader, partition) == (6, 10)


async def test_offsets_are_not_used_again_when_all_records_are_gone(log: Adapter) -> None:
    async with writing(log) as writer:
        partition = await write_ten(writer)
    log.forget(partition, 10)
    async with writing(log) as writer:
        assert await writer.append(b"key", b"new") == (partition, 10)
    with reading(log) as (reader, claims):
        assert [record.offset for record in read(reader, 1)] == [10]
        assert claims.gaps == []


async def test_health_and_life_after_close(log: Adapter) -> None:
    writer = log.writer()
    await writer.open()
    await writer.append(b"key", b"x")
    assert await writer.healthy() is None
    await writer.close(5)
    await writer.close(5)
    assert await writer.healthy() is not None
    with pytest.raises(LogUnavailable):
        await writer.append(b"key", b"x")
    (result,) = await writer.append_many([(b"key", b"x")])
    assert isinstance(result, LogUnavailable)


async def test_close_waits_for_what_was_appended(log: Adapter) -> None:
    writer = log.writer()
    await writer.open()
    waiting = [writer.append(b"key", b"%d" % n) for n in range(50)]
    await writer.close(10)
    appended = [await one for one in waiting]
    assert places(read_all(log, 50)) == set(appended)


async def test_a_reader_that_failed_to_claim_tries_again(log: Adapter) -> None:
    async with writing(log) as writer:
        await writer.append(b"key", b"x")
    with ExitStack() as stack:
        reader, claims = stack.enter_context(reading(log))
        claim: Callable[..., Mapping[int, int | None]] = reader.on_assigned
        tries = 0

        def refuse_once(topic_id: str, partitions: object) -> Mapping[int, int | None]:
            nonlocal tries
            tries += 1
            if tries == 1:
                raise ConnectionError("the database is away")
            return claim(topic_id, partitions)

        reader.on_assigned = refuse_once
        with pytest.raises(ConnectionError):
            read(reader, 1)
        assert [record.value for record in read(reader, 1)] == [b"x"]
        assert tries == 2
        assert claims.gaps == []
