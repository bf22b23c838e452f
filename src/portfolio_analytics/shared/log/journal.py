"""The embedded event log: LogWriter and LogReader over one journal file.

Partition 0 is the only one. Appends of one event-loop iteration, and all that gather while the disk
is busy, share one commit and one fsync.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from portfolio_analytics.shared.errors import LogError, LogUnavailable, LogUncertain, RecordTooLarge
from portfolio_analytics.shared.log.file_lock import FileLock
from portfolio_analytics.shared.log.journal_file import PARTITION, JournalFile
from portfolio_analytics.shared.log.protocol import (
    MAX_RECORD_BYTES,
    Appended,
    LogRecord,
    Positions,
    Watermarks,
)

FIRST_PAUSE = 0.001
LONGEST_PAUSE = 0.006
CONSUMED_EVERY_SECONDS = 1.0
HEALTH_SECONDS = 1.0
THOROUGH_PROBE_BYTES = 32 << 10
NOT_OPEN = "the journal is not open"

Result = Appended | BaseException


class _Work:
    """What one event-loop iteration appended; filled in the loop, then read by the committing thread."""

    __slots__ = ("many", "probes", "singles")

    def __init__(self) -> None:
        self.singles: list[tuple[tuple[bytes, bytes], asyncio.Future[Appended]]] = []
        self.many: list[tuple[Sequence[tuple[bytes, bytes]], asyncio.Future[list[Result]]]] = []
        self.probes: list[asyncio.Future[None]] = []


class JournalWriter:
    """Appends to the journal at `path` from one event loop; as many processes as wanted may do so.

    `max_record_bytes` bounds key plus value of one record, `max_bytes` the file, `busy_timeout`
    (seconds) the wait for other processes.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_record_bytes: int = MAX_RECORD_BYTES,
        max_bytes: int | None = None,
        busy_timeout: float = 5.0,
    ) -> None:
        self._file = JournalFile(path, busy_timeout=busy_timeout, max_bytes=max_bytes)
        self._max_record_bytes = max_record_bytes
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._gathering: _Work | None = None
        self._unfinished: set[_Work] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._failing = False
        self._last_commit = float("-inf")

    async def open(self) -> None:
        """Start the committing thread and open the file; when that fails, `healthy` says why."""
        if self._thread is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(self._loop,), name="journal", daemon=True)
        self._thread.start()
        await self.healthy()

    def append(self, key: bytes, value: bytes) -> asyncio.Future[Appended]:
        """Store one record; ends after its fsync. See LogWriter."""
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        if self._loop is None:
            future.set_exception(LogUnavailable(NOT_OPEN))
        elif len(key) + len(value) > self._max_record_bytes:
            future.set_exception(self._too_large(key, value))
        else:
            self._gathered(self._loop).singles.append(((key, value), future))
        return future

    def append_many(self, records: Sequence[tuple[bytes, bytes]]) -> asyncio.Future[list[Result]]:
        """Store several records in one commit; one result a record, in order. See LogWriter."""
        future: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()
        if self._loop is None:
            future.set_result([LogUnavailable(NOT_OPEN) for _ in records])
        elif records:
            self._gathered(self._loop).many.append((records, future))
        else:
            future.set_result([])
        return future

    async def healthy(self) -> str | None:
        """None when the journal takes records now, else why not. Found out with a real commit."""
        loop = self._loop
        if loop is None:
            return NOT_OPEN
        if not self._failing and time.monotonic() - self._last_commit < HEALTH_SECONDS:
            return None
        future: asyncio.Future[None] = loop.create_future()
        self._gathered(loop).probes.append(future)
        try:
            await future
        except LogError as error:
            return str(error)
        return None

    async def close(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for what was appended, then let go of the file."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        try:
            await asyncio.wait_for(self._idle.wait(), timeout)
        except TimeoutError:
            for work in list(self._unfinished):
                self._fail(work, LogUncertain("the journal was closed before the disk answered"))
        self._loop = None
        self._queue.put(None)
        await asyncio.to_thread(thread.join, max(0.1, timeout))

    # --- in the event loop

    def _gathered(self, loop: asyncio.AbstractEventLoop) -> _Work:
        """What this iteration of the loop appends; it goes to the thread when the iteration is over."""
        work = self._gathering
        if work is None:
            work = self._gathering = _Work()
            self._unfinished.add(work)
            self._idle.clear()
            loop.call_soon(self._hand_over)
        return work

    def _hand_over(self) -> None:
        work, self._gathering = self._gathering, None
        if work is not None:
            self._queue.put(work)

    def _fits(self, record: tuple[bytes, bytes]) -> bool:
        return len(record[0]) + len(record[1]) <= self._max_record_bytes

    def _too_large(self, key: bytes, value: bytes) -> RecordTooLarge:
        return RecordTooLarge(
            f"a record of {len(key) + len(value)} bytes; the journal takes up to {self._max_record_bytes}"
        )

    def _finish(self, works: list[_Work], outcome: int | LogError) -> None:
        """Complete the futures of one commit: its first offset, or why it failed."""
        self._failing = isinstance(outcome, LogError)
        if isinstance(outcome, LogError):
            for work in works:
                self._fail(work, outcome)
        else:
            self._last_commit = time.monotonic()
            for work in works:
                outcome = self._succeed(work, outcome)
        self._unfinished.difference_update(works)
        if not self._unfinished:
            self._idle.set()

    def _succeed(self, work: _Work, offset: int) -> int:
        for _, single in work.singles:
            if not single.done():
                single.set_result(Appended(PARTITION, offset))
            offset += 1
        for records, many in work.many:
            results: list[Result] = []
            for record in records:
                if self._fits(record):
                    results.append(Appended(PARTITION, offset))
                    offset += 1
                else:
                    results.append(self._too_large(*record))
            if not many.done():
                many.set_result(results)
        for probe in work.probes:
            if not probe.done():
                probe.set_result(None)
        return offset

    def _fail(self, work: _Work, error: LogError) -> None:
        # Each gets an error of its own: a shared one would gather every waiter's traceback.
        kind, reason = type(error), str(error)
        for _, single in work.singles:
            if not single.done():
                single.set_exception(kind(reason))
        for records, many in work.many:
            if not many.done():
                many.set_result([kind(reason) if self._fits(r) else self._too_large(*r) for r in records])
        for probe in work.probes:
            if not probe.done():
                probe.set_exception(kind(reason))

    # --- in the committing thread

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        ended = False
        while not ended:
            works: list[_Work] = []
            waiting = self._queue.get()
            try:
                while waiting is not None:
                    works.append(waiting)
                    waiting = self._queue.get_nowait()
                ended = True
            except queue.Empty:
                pass
            if works:
                outcome = self._commit(works)
                with suppress(RuntimeError):  # the loop has ended: no one waits any more
                    loop.call_soon_threadsafe(self._finish, works, outcome)
        self._file.close()

    def _commit(self, works: list[_Work]) -> int | LogError:
        """Store everything that waits in one commit; the first offset, or the error of all of it."""
        batch: list[tuple[bytes, bytes]] = []
        for work in works:
            batch.extend([record for record, _ in work.singles])
            for records, _ in work.many:
                batch.extend(filter(self._fits, records))
        try:
            self._file.open()
            if batch:
                return self._file.append(batch)
            self._file.probe(THOROUGH_PROBE_BYTES if self._failing else 0)
            return 0
        except LogError as error:
            if isinstance(error, LogUnavailable):
                self._file.close()  # removed, or damaged: the next commit opens what is there then
            return error


class JournalReader:
    """Reads the journal at `path`; one process may, which a lock file sees to.

    Another process's commit is seen within about 6 ms; a writer is never waited for.
    """

    on_assigned: Callable[[str, Sequence[int]], Positions]
    on_revoked: Callable[[Sequence[int]], None]
    on_gap: Callable[[int, int, int], None]

    def __init__(self, path: Path, *, busy_timeout: float = 5.0) -> None:
        self.on_assigned = lambda topic_id, partitions: dict.fromkeys(partitions)
        self.on_revoked = lambda partitions: None
        self.on_gap = lambda partition, wanted, resumed: None
        self.topic_id = ""
        self._file = JournalFile(path, busy_timeout=busy_timeout)
        self._lock = FileLock(Path(f"{path}.reader"))
        self._position: int | None = None
        self._seen_version = -1
        self._consumed = -1
        self._consumed_written = -1
        self._consumed_time = float("-inf")

    def open(self) -> None:
        """Become the one reader. Raises LogUnavailable when another process is, or without a file."""
        if not self._lock.take():
            raise LogUnavailable(
                f"another process ({self._lock.owner()}) reads the journal {self._file.path}"
            )
        try:
            self._file.open()
        except LogError:
            self._lock.release()
            raise
        self.topic_id = self._file.topic_id

    def poll(self, max_records: int, timeout: float) -> list[LogRecord]:
        """Up to `max_records` records, waiting at most `timeout` seconds for the first one. See LogReader.

        A row whose checksum is wrong has key and value None. Records that cannot be read any more are
        reported as a gap.
        """
        if self._position is None:
            self._file.open()
            self.topic_id = self._file.topic_id
            self._position = self._start()
        end = time.monotonic() + timeout
        pause = FIRST_PAUSE
        while True:
            version = self._file.version()
            if version != self._seen_version:
                records = self._read(self._position, max_records)
                if records:
                    return records
                self._seen_version = version
            left = end - time.monotonic()
            if left <= 0:
                if self._file.is_replaced():
                    self._let_go()
                return []
            time.sleep(min(pause, left))
            pause = min(pause * 1.3, LONGEST_PAUSE)

    def seek(self, partition: int, offset: int) -> None:
        """Read from `offset` next."""
        self._position = offset
        self._seen_version = -1

    def watermarks(self, partition: int = PARTITION) -> Watermarks:
        """What the journal holds now."""
        return self._file.watermarks()

    def commit(self, positions: Mapping[int, int]) -> None:
        """Note how far the database is; written to the file at most once a second, and at the end."""
        self._consumed = positions.get(PARTITION, self._consumed)
        if time.monotonic() - self._consumed_time >= CONSUMED_EVERY_SECONDS:
            self._write_consumed()

    def trim(self, before_offset: int, before_ms: int) -> int:
        """Delete what is below `before_offset` AND older than `before_ms` (Unix time); how many records.

        Done in commits of 1,000 with a pause between them, so that writers hardly wait.
        """
        total = 0
        while deleted := self._file.trim(before_offset, before_ms):
            total += deleted
            time.sleep(0.002)
        return total

    def close(self) -> None:
        """Let go; the position is forgotten, so that a new `open` asks `on_assigned` again."""
        if self._position is not None:
            self._position = None
            with suppress(LogError):
                self._write_consumed()
            self.on_revoked([PARTITION])
        self._file.close()
        self._lock.release()

    def _start(self) -> int:
        position = self.on_assigned(self.topic_id, [PARTITION]).get(PARTITION)
        held = self._file.watermarks()
        if position is None:
            return held.low
        if position < held.low or position > held.high:
            self.on_gap(PARTITION, position, held.low)
            return held.low
        return position

    def _let_go(self) -> None:
        """The file was removed, and writers go on in another one: so does the next poll."""
        self._position = None
        self._seen_version = self._consumed = self._consumed_written = -1
        self._file.close()
        self.on_revoked([PARTITION])

    def _read(self, position: int, limit: int) -> list[LogRecord]:
        records = self._file.read(position, limit)
        if not records:
            records = self._look_behind(position, limit)
        if records:
            if records[0].offset > position:
                self.on_gap(PARTITION, position, records[0].offset)
            self._position = records[-1].offset + 1
        return records

    def _look_behind(self, position: int, limit: int) -> list[LogRecord]:
        """Nothing is there: that is the end, unless offsets were given to records that are lost."""
        high = self._file.watermarks().high
        if high <= position:
            return []
        records = self._file.read(position, limit)
        if not records:
            self.on_gap(PARTITION, position, high)
            self._position = high
        return records

    def _write_consumed(self) -> None:
        self._consumed_time = time.monotonic()
        if self._consumed > self._consumed_written:
            self._file.set_consumed(self._consumed)
            self._consumed_written = self._consumed
