"""Where records go, on real journals: one as the log, one as the spool."""

from __future__ import annotations

import asyncio
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from portfolio_analytics.producer.breaker import Breaker
from portfolio_analytics.producer.publisher import Publisher
from portfolio_analytics.shared.errors import LogError, LogUncertain, RecordTooLarge
from portfolio_analytics.shared.log.journal import JournalReader, JournalWriter
from portfolio_analytics.shared.record import (
    SPOOLED,
    AttestRecord,
    EventRecord,
    decode_record,
    encode_record,
)


@asynccontextmanager
async def publisher(
    tmp_path: Path, *, spool: bool, patience: float = 0.3, busy_timeout: float = 5.0
) -> AsyncIterator[Publisher]:
    log = JournalWriter(tmp_path / "log", max_record_bytes=1000, busy_timeout=busy_timeout)
    aside = JournalWriter(tmp_path / "spool") if spool else None
    await log.open()
    if aside:
        await aside.open()
    breaker = Breaker(failures=2, pause=0.2)
    to = Publisher(log, aside, patience=patience, breaker=breaker)
    to.patience.start()
    try:
        yield to
    finally:
        await log.close(5)
        if aside:
            await aside.close(5)
        to.patience.stop()


@contextmanager
def stuck(path: Path) -> Iterator[None]:
    """The log takes nothing and says nothing, as long as another process holds its file."""
    with sqlite3.connect(path, isolation_level=None) as holder:
        holder.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            holder.execute("ROLLBACK")
    holder.close()


def stored(path: Path) -> list[bytes]:
    reader = JournalReader(path)
    reader.open()
    try:
        return [record.value for record in reader.poll(1000, 0) if record.value is not None]
    finally:
        reader.close()


def event(kind: str) -> bytes:
    """A record of an event of that type."""
    found = EventRecord(id=uuid.uuid4(), site="example.com", type=kind, page="/", time=0, at=0, day=0)
    return encode_record(found)


def kinds(path: Path, *, marked: bool) -> list[str]:
    """The types of the events that are stored, all of which bear the spool's mark or none."""
    records = [decode_record(value) for value in stored(path)]
    assert all(isinstance(r, EventRecord) and bool(r.flags & SPOOLED) is marked for r in records)
    return [record.type for record in records if isinstance(record, EventRecord)]


async def test_a_record_goes_to_the_log(tmp_path: Path) -> None:
    async with publisher(tmp_path, spool=True) as to:
        assert await to.publish(b"k", event("one")) == (0, 0)
        assert await to.publish_many([(b"k", event("two")), (b"k", event("three"))]) == [(0, 1), (0, 2)]
    assert kinds(tmp_path / "log", marked=False) == ["one", "two", "three"]
    assert stored(tmp_path / "spool") == []


async def test_a_log_that_does_not_answer_is_left_for_the_spool(tmp_path: Path) -> None:
    async with publisher(tmp_path, spool=True) as to:
        with stuck(tmp_path / "log"):
            begun = time.monotonic()
            assert await asyncio.gather(*[to.publish(b"k", event(f"{n}")) for n in range(20)]) == [None] * 20
            assert time.monotonic() - begun < 3
            assert not to.breaker.closed
            # Now nobody waits, except for the one who tries.
            begun = time.monotonic()
            assert await to.publish_many([(b"k", event("20")), (b"k", event("21"))]) == [None, None]
            assert await to.publish(b"k", event("22")) is None
            assert time.monotonic() - begun < 2
    assert sorted(map(int, kinds(tmp_path / "spool", marked=True))) == list(range(23))


async def test_what_is_spooled_is_numbered_and_what_is_no_event_is_left_alone(tmp_path: Path) -> None:
    attest = encode_record(AttestRecord(worker="w", sequence=1, accepted={"0": 3}))
    same = event("same")
    async with publisher(tmp_path, spool=True) as to:
        with stuck(tmp_path / "log"):
            await to.publish(b"k", same)
            await to.publish_many([(b"k", same), (b"k", attest)])
    first, second, third = stored(tmp_path / "spool")
    assert third == attest
    numbers = [
        record.flags for record in map(decode_record, (first, second)) if isinstance(record, EventRecord)
    ]
    assert len(set(numbers)) == 2


async def test_the_log_is_tried_again(tmp_path: Path) -> None:
    async with publisher(tmp_path, spool=True) as to:
        with stuck(tmp_path / "log"):
            await asyncio.gather(to.publish(b"k", event("one")), to.publish(b"k", event("two")))
            assert not to.breaker.closed
        end = time.monotonic() + 10
        while await to.publish(b"k", event("again")) is None:
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
        assert to.breaker.closed


async def test_a_slow_spool_is_waited_for(tmp_path: Path) -> None:
    """The log fails just before its time is over; the spool then takes longer than what is left."""
    async with publisher(tmp_path, spool=True, patience=0.5, busy_timeout=0.3) as to:
        loop = asyncio.get_running_loop()
        with stuck(tmp_path / "log"), ExitStack() as spool:
            spool.enter_context(stuck(tmp_path / "spool"))
            loop.call_later(1.5, spool.close)
            one, two, many = await asyncio.gather(
                to.publish(b"k", event("one")),
                to.publish(b"k", event("two")),
                to.publish_many([(b"k", event("three"))]),
            )
        assert (one, two) == (None, None)
        assert many == [None]
    assert sorted(kinds(tmp_path / "spool", marked=True)) == ["one", "three", "two"]


async def test_without_a_spool_the_error_is_the_answer(tmp_path: Path) -> None:
    async with publisher(tmp_path, spool=False) as to:
        with stuck(tmp_path / "log"):
            with pytest.raises(LogUncertain):
                await to.publish(b"k", b"one")
            (result,) = await to.publish_many([(b"k", b"two")])
            assert isinstance(result, LogUncertain)


async def test_when_both_fail_nothing_is_promised(tmp_path: Path) -> None:
    async with publisher(tmp_path, spool=True) as to:
        for publish in (to.publish(b"k", event("one")), to.publish_many([(b"k", event("two"))])):
            for name in ("log", "spool"):
                (tmp_path / name).unlink()
                (tmp_path / name).mkdir()
            try:
                (result,) = await publish  # type: ignore[misc]
            except LogError as error:
                result = error
            assert isinstance(result, LogError)
            for name in ("log", "spool"):
                (tmp_path / name).rmdir()
                (tmp_path / name).touch()


async def test_a_record_that_is_too_large_is_nobodys_fault_but_its_own(tmp_path: Path) -> None:
    async with publisher(tmp_path, spool=True) as to:
        for _ in range(5):
            with pytest.raises(RecordTooLarge):
                await to.publish(b"k", b"x" * 2000)
        small, large = await to.publish_many([(b"k", b"one"), (b"k", b"x" * 2000)])
        assert small == (0, 0)
        assert isinstance(large, RecordTooLarge)
        assert to.breaker.closed
    assert stored(tmp_path / "spool") == []
