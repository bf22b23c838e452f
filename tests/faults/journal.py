"""Records put straight into a journal, for tests that begin at the consumer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from portfolio_analytics.shared.log.journal import JournalWriter
from portfolio_analytics.shared.record import EventRecord, encode_record
from tests.records import event


def make_events(count: int) -> list[EventRecord]:
    """Events of now, of ten visitors on seven pages."""
    now = time.time_ns() // 1_000_000
    return [
        event(time=now + place, at=now, visitor=place % 10, page=f"/{place % 7}", day=now // 86_400_000)
        for place in range(count)
    ]


def append(journal: Path, values: Sequence[bytes]) -> None:
    """Put records into the journal; they are on disk when this returns."""

    async def write() -> None:
        writer = JournalWriter(journal)
        await writer.open()
        for outcome in await writer.append_many([(b"key", value) for value in values]):
            assert not isinstance(outcome, BaseException), outcome
        await writer.close(5)

    asyncio.run(write())


def append_events(journal: Path, events: Sequence[EventRecord]) -> None:
    """Put events into the journal."""
    append(journal, [encode_record(found) for found in events])
