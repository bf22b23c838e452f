"""One record of the log by its place, for receipts: what the log itself says of an event."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from portfolio_analytics.app.log import kafka_settings
from portfolio_analytics.app.log_ends import OpenedJournal
from portfolio_analytics.settings import Settings, journal_path
from portfolio_analytics.shared.errors import LogUnavailable
from portfolio_analytics.shared.log.journal_file import PARTITION
from portfolio_analytics.shared.log.protocol import LogRecord

TURN_S = 8.0
"""For one answer, with the wait for those who asked before."""


class HeldRecords(Protocol):
    """Asked by one thread at a time."""

    def at(self, partition: int, offset: int) -> LogRecord | None:
        """The record there; None where the log holds none. Blocks for a few seconds at most.

        Raises LogError when the log is away.
        """


class LogLook:
    """Looks one record up after another, in a thread of its own."""

    def __init__(self, held: HeldRecords) -> None:
        self._held = held
        # One at a time: who asks often gets no more connections than who asks once. A thread that hangs ends
        # with the process.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log-look")

    async def at(self, partition: int, offset: int) -> LogRecord | None:
        """The record there; None where the log holds none. Raises LogError."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(TURN_S):
                return await loop.run_in_executor(self._thread, self._held.at, partition, offset)
        except TimeoutError:
            raise LogUnavailable("the log did not answer in time") from None

    def close(self) -> None:
        """Let go of the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def log_look(settings: Settings) -> LogLook:
    """Into Kafka where KAFKA_BROKER is set, else into the journal in DATA_DIR."""
    if settings.kafka_broker:
        # librdkafka is a few megabytes that a small server need not load.
        from portfolio_analytics.app.kafka_records import KafkaRecords  # noqa: PLC0415

        return LogLook(KafkaRecords(kafka_settings(settings), settings.kafka_group))
    return LogLook(JournalRecords(journal_path(settings)))


class JournalRecords:
    """Those of the journal at `path`."""

    def __init__(self, path: Path) -> None:
        self._journal = OpenedJournal(path)

    def at(self, partition: int, offset: int) -> LogRecord | None:
        """See HeldRecords. A journal that is not there yet has nothing."""
        with self._journal.look() as file:
            if file is None or partition != PARTITION:
                return None
            # Where the offset was trimmed, the journal gives the first one after it.
            found = file.read(offset, 1)
        return found[0] if found and found[0].offset == offset else None
