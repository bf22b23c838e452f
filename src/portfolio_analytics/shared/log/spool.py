"""The spool: where a producer keeps records while the log is away, and the way from there into the log.

The same file format as the journal, shared by the workers of one host. One of them at a time drains it,
oldest first; a record is deleted only after the log has acknowledged it. A record that may be in the
log already (LogUncertain) is sent again: the event's id tells the two apart. An embedded journal that
was not read to its end is drained in the same way, from where its consumer stopped.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path

from portfolio_analytics.shared.errors import LogError, RecordTooLarge
from portfolio_analytics.shared.log.file_lock import FileLock
from portfolio_analytics.shared.log.journal import JournalWriter
from portfolio_analytics.shared.log.journal_file import JournalFile
from portfolio_analytics.shared.log.protocol import Appended, LogRecord, LogWriter

BATCH = 500
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0
RATE_SECONDS = 10.0
FOR_EVER_MS = 2**62

LOGGER = logging.getLogger("portfolio_analytics.spool")


@dataclass(frozen=True, slots=True)
class SpoolFigures:
    """What a spool holds. `age_seconds` is that of the oldest record, 0 when there is none; `set_aside`
    counts records that the log never takes or whose bytes are damaged; `drained_per_second` is this
    process's own, over the last 10 s.
    """

    records: int
    bytes: int
    age_seconds: float
    set_aside: int
    drained_per_second: float


class Spool:
    """The spool at `path`, at most `max_bytes` large (None: the disk is the limit).

    The directory must exist. `start` is the first offset to drain, for a journal whose consumer's
    position is known better than by the file itself.
    """

    def __init__(self, path: Path, *, max_bytes: int | None = None, start: int | None = None) -> None:
        self._writer = JournalWriter(path, max_bytes=max_bytes)
        self._file = JournalFile(path)
        self._turn = FileLock(Path(f"{path}.reader"))
        self._path = path
        self._start = start
        self._busy = asyncio.Lock()
        self._drained: deque[tuple[float, int]] = deque()
        self._next: int | None = None

    async def open(self) -> None:
        """Open the file; `healthy` says what is wrong if that fails."""
        await self._writer.open()

    def append(self, key: bytes, value: bytes) -> Awaitable[Appended]:
        """Store one record; ends after its fsync. Raises LogFull when the limit or the disk is reached."""
        return self._writer.append(key, value)

    def append_many(
        self, records: Sequence[tuple[bytes, bytes]]
    ) -> Awaitable[list[Appended | BaseException]]:
        """Store several records in one commit; one result a record, in order."""
        return self._writer.append_many(records)

    async def healthy(self) -> str | None:
        """None when the spool takes records now, else why not."""
        return await self._writer.healthy()

    async def close(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for what was appended, then let go."""
        await self._writer.close(timeout)
        async with self._busy:
            self._file.close()
            self._turn.release()

    async def figures(self) -> SpoolFigures:
        """What is in the spool now. Raises LogUnavailable."""
        async with self._busy:
            return await asyncio.to_thread(self._measure)

    async def drain(self, log: LogWriter) -> int:
        """Move records into `log` until none is left; how many. 0 also when another process is at it.

        Raises LogError when the log does not take them; what it took is then gone from the spool.
        """
        total = 0
        while True:
            async with self._busy:
                records = await asyncio.to_thread(self._take)
            if not records:
                return total
            total += await self._move(records, log)

    async def keep_draining(self, log: LogWriter) -> None:
        """Drain for ever, with pauses while the log is away or the spool empty. Ends when cancelled."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self.drain(log)
                pause = FIRST_PAUSE
            except LogError as error:
                LOGGER.warning("The spool waits: %s", error)
                pause = min(pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    # --- one batch

    async def _move(self, records: list[LogRecord], log: LogWriter) -> int:
        """Append a batch to the log and delete what was acknowledged, up to the first that was not."""
        sound = [(r.key, r.value) for r in records if r.key is not None and r.value is not None]
        results = iter(await log.append_many(sound))
        done, failure = records[0].offset, None
        aside: list[tuple[int, str]] = []
        for record in records:
            result = next(results) if record.value is not None else None
            if result is None:
                aside.append((record.offset, "its checksum is wrong"))
            elif isinstance(result, RecordTooLarge):
                aside.append((record.offset, str(result)))
            elif isinstance(result, BaseException):
                failure = result
                break
            done = record.offset + 1
        async with self._busy:
            await asyncio.to_thread(self._forget, done, aside)
        moved = done - records[0].offset - len(aside)
        self._drained.append((time.monotonic(), moved))
        if failure is not None:
            raise failure
        return moved

    def _take(self) -> list[LogRecord]:
        """The oldest records, if it is this process's turn."""
        if not self._turn.take():
            return []
        self._file.open()
        if self._next is None:
            start = self._file.consumed() if self._start is None else self._start
            self._next = max(self._file.low(), start or 0)
        records = self._file.read(self._next, BATCH)
        if records and records[0].offset > self._next:
            lost = records[0].offset - 1
            LOGGER.error("Records %d to %d of the spool %s cannot be read", self._next, lost, self._path)
        if records:
            self._next = records[0].offset
        return records

    def _forget(self, before: int, aside: list[tuple[int, str]]) -> None:
        for offset, reason in aside:
            LOGGER.error("Record %d of the spool %s is set aside: %s", offset, self._path, reason)
            self._file.set_aside(offset, reason)
        # First the position, then the records: what is sent again after a crash is the lesser evil.
        self._next = before
        while self._file.trim(before, FOR_EVER_MS):
            pass

    def _measure(self) -> SpoolFigures:
        self._file.open()
        held, start = self._file.watermarks(), self._file.consumed() if self._start is None else self._start
        oldest = self._file.oldest_ms()
        now = time.monotonic()
        while self._drained and now - self._drained[0][0] > RATE_SECONDS:
            self._drained.popleft()
        return SpoolFigures(
            records=max(0, held.high - max(held.low, start or 0)) if oldest is not None else 0,
            bytes=self._file.used_bytes(),
            age_seconds=0.0 if oldest is None else max(0.0, time.time() - oldest / 1000),
            set_aside=self._file.count_aside(),
            drained_per_second=sum(count for _, count in self._drained) / RATE_SECONDS,
        )
