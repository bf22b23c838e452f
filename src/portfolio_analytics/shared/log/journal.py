"""The embedded event log: LogWriter and LogReader over one journal file.

Partition 0 is the only one. Appends of one event-loop iteration, and all that gather while the disk
is busy, share one commit and one fsync.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from portfolio_analytics.shared.errors import LogError, LogUnavailable, LogUncertain, RecordTooLarge
from portfolio_analytics.shared.log.journal_file import MAX_RECORD_BYTES, PARTITION, JournalFile
from portfolio_analytics.shared.log.protocol import Appended, LogRecord, Positions, Watermarks

MAX_COMMIT_RECORDS = 4096
MAX_COMMIT_BYTES = 8 << 20
FIRST_PAUSE = 0.001
LONGEST_PAUSE = 0.006
CONSUMED_EVERY = 1.0

Result = Appended | BaseException
_Single = tuple[tuple[bytes, bytes], "asyncio.Future[Appended]"]
_Many = tuple[Sequence[tuple[bytes, bytes]], "asyncio.Future[list[Result]]"]


class _Work:
    """What one event-loop iteration appended; filled in the loop, then read by the committing thread."""

    __slots__ = ("many", "probes", "singles")

    def __init__(self) -> None:
        self.singles: list[_Single] = []
        self.many: list[_Many] = []
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
        self._work: _Work | None = None
        self._unfinished = 0
        self._idle = asyncio.Event()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._failing = False
        self._last_commit = float("-inf")

    async def open(self) -> None:
        """Start the committing thread and open the file; when that fails, `healthy` says why."""
        if self._thread is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._idle.set()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()
        await self.healthy()

    def append(self, key: bytes, value: bytes) -> Awaitable[Appended]:
        """Store one record; ends after its fsync. See LogWriter."""
        future: asyncio.Future[Appended] = self._running().create_future()
        if len(key) + len(value) > self._max_record_bytes:
            future.set_exception(self._too_large(key, value))
        else:
            self._gathered().singles.append(((key, value), future))
        return future

    def append_many(self, records: Sequence[tuple[bytes, bytes]]) -> Awaitable[list[Result]]:
        """Store several records; one result a record, in order. See LogWriter."""
        future: asyncio.Future[list[Result]] = self._running().create_future()
        if records:
            self._gathered().many.append((records, future))
        else:
            future.set_result([])
        return future

    async def healthy(self) -> str | None:
        """None when the journal takes records now, else why not. Found out with a real commit."""
        loop = self._running()
        if not self._failing and loop.time() - self._last_commit < 1.0:
            return None
        future: asyncio.Future[None] = loop.create_future()
        self._gathered().probes.append(future)
        try:
            await future
        except LogError as error:
            return str(error)
        return None

    async def close(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for what was appended, then let go of the file."""
        if self._thread is None or self._closed:
            return
        try:
            await asyncio.wait_for(self._idle.wait(), timeout)
        except TimeoutError:
            pass
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, max(0.1, timeout))

    # --- in the event loop

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None or self._closed:
            raise LogUnavailable("the journal is not open")
        return self._loop

    def _gathered(self) -> _Work:
        """What this iteration of the loop appends; it goes to the thread when the iteration is over."""
        work = self._work
        if work is None:
            work = self._work = _Work()
            self._running().call_soon(self._hand_over)
        return work

    def _hand_over(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            self._unfinished += 1
            self._idle.clear()
            self._queue.put(work)

    def _too_large(self, key: bytes, value: bytes) -> RecordTooLarge:
        return RecordTooLarge(
            f"a record of {len(key) + len(value)} bytes; the journal takes up to {self._max_record_bytes}"
        )

    def _finish(self, done: list[tuple[_Work, int | LogError]]) -> None:
        """Complete the futures of one commit: `done` holds the first offset of each work, or its error."""
        for work, outcome in done:
            if isinstance(outcome, int):
                self._succeed(work, outcome)
            else:
                self._fail(work, outcome)
        self._unfinished -= len(done)
        if not self._unfinished and self._work is None:
            self._idle.set()

    def _succeed(self, work: _Work, offset: int) -> None:
        self._failing = False
        self._last_commit = self._running_time()
        for _, single in work.singles:
            if not single.done():
                single.set_result(Appended(PARTITION, offset))
            offset += 1
        for records, many in work.many:
            results: list[Result] = []
            for key, value in records:
                if len(key) + len(value) > self._max_record_bytes:
                    results.append(self._too_large(key, value))
                else:
                    results.append(Appended(PARTITION, offset))
                    offset += 1
            if not many.done():
                many.set_result(results)
        for probe in work.probes:
            if not probe.done():
                probe.set_result(None)

    def _fail(self, work: _Work, error: LogError) -> None:
        self._failing = True
        for _, single in work.singles:
            if not single.done():
                single.set_exception(error)
        for records, many in work.many:
            if not many.done():
                many.set_result([self._refusal(key, value, error) for key, value in records])
        for probe in work.probes:
            if not probe.done():
                probe.set_exception(error)

    def _refusal(self, key: bytes, value: bytes, error: LogError) -> LogError:
        return self._too_large(key, value) if len(key) + len(value) > self._max_record_bytes else error

    def _running_time(self) -> float:
        return self._loop.time() if self._loop is not None else 0.0

    # --- in the committing thread

    def _run(self) -> None:
        ended = False
        while not ended:
            works: list[_Work] = []
            waiting = self._queue.get()
            while True:
                if waiting is None:
                    ended = True
                    break
                works.append(waiting)
                if len(works) >= MAX_COMMIT_RECORDS:
                    break
                try:
                    waiting = self._queue.get_nowait()
                except queue.Empty:
                    break
            if works:
                self._report(self._commit(works))
        self._file.close()

    def _report(self, done: list[tuple[_Work, int | LogError]]) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            try:
                loop.call_soon_threadsafe(self._finish, done)
            except RuntimeError:
                pass  # the loop ended between the two lines: no one waits any more

    def _commit(self, works: list[_Work]) -> list[tuple[_Work, int | LogError]]:
        """Commit what the works hold, in as few commits as the bounds allow."""
        done: list[tuple[_Work, int | LogError]] = []
        batch: list[tuple[bytes, bytes]] = []
        members: list[tuple[_Work, int]] = []
        size = 0
        for work in works:
            members.append((work, len(batch)))
            batch.extend(record for record, _ in work.singles)
            for records, _ in work.many:
                batch.extend(r for r in records if len(r[0]) + len(r[1]) <= self._max_record_bytes)
            size = sum(len(value) for _, value in batch) if len(batch) < 64 else size + 64
            if len(batch) >= MAX_COMMIT_RECORDS or size >= MAX_COMMIT_BYTES:
                done += self._commit_batch(batch, members)
                batch, members, size = [], [], 0
        if members:
            done += self._commit_batch(batch, members)
        return done

    def _commit_batch(
        self, batch: list[tuple[bytes, bytes]], members: list[tuple[_Work, int]]
    ) -> list[tuple[_Work, int | LogError]]:
        try:
            self._file.open()
            first = self._file.append(batch) if batch else 0
            if not batch:
                self._file.probe()
            return [(work, first + place) for work, place in members]
        except LogError as error:
            if not isinstance(error, LogUncertain):
                self._file.close()
            return [(work, error) for work, _ in members]
