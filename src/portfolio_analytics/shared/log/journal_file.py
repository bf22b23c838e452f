"""One connection to a journal file: an SQLite database in WAL mode that holds records by offset.

Many processes append, one reads. Offsets rise by one from 0 and are never used again, also after
trimming, so that a missing offset between two that are there is always a loss, and can be named.
Every row carries a CRC-32 of all that it holds. What may come from a file is decided here; threads
and event loops are the business of the classes on top (`journal`, `spool`).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

from portfolio_analytics.shared.errors import LogError, LogFull, LogUnavailable, LogUncertain, RecordTooLarge
from portfolio_analytics.shared.log.journal_repair import (
    marker,
    put_in_place,
    repair,
    repaired,
    sync_directory,
)
from portfolio_analytics.shared.log.journal_tables import (
    COLUMNS,
    PAGE_BYTES,
    UPSERT,
    insert,
    next_offset,
    prepare,
    read_meta,
    record_crc,
    roll_back,
    set_up,
)
from portfolio_analytics.shared.log.protocol import LogRecord, Watermarks

T = TypeVar("T")

PARTITION = 0
KEPT_FREE_PAGES = 64
READ_BYTES = 32 << 20
"""About as much is read at a time, however many records were asked for."""

READ_ROWS = 64
LOW_DISK_BYTES = 16 << 20
"""With less than this free, a disk counts as full: SQLite needs room to merge its WAL."""

_SELECT = f"SELECT {COLUMNS} FROM records WHERE record_offset >= ? ORDER BY record_offset LIMIT ?"
_SET_ASIDE = f"INSERT INTO aside SELECT {COLUMNS}, ? FROM records WHERE record_offset = ?"
_SELECT_ONE = f"SELECT {COLUMNS} FROM records WHERE record_offset = ?"
# A statement gives up the interpreter lock once, and getting it back from a busy event loop can take
# milliseconds: rows go in few statements of many rows, in sizes that SQLite has compiled already.
_ROWS_A_STATEMENT = (256, 64, 16, 4, 1)
_INSERTS = {rows: insert(rows) for rows in _ROWS_A_STATEMENT}


class JournalDamaged(LogUnavailable):
    """A part of the file cannot be read; the next start of the program repairs it."""


class JournalFile:
    """One connection to the journal at `path`, for use by one thread at a time.

    `busy_timeout` (seconds) is how long to wait while another process writes; `max_bytes` bounds the
    file (None: the disk does). The directory must exist: making one could put a journal beside the
    volume that was not mounted.
    """

    def __init__(self, path: Path, *, busy_timeout: float = 5.0, max_bytes: int | None = None) -> None:
        self.path = path
        self.topic_id = ""
        self._busy_timeout = busy_timeout
        self._max_bytes = max_bytes
        self._db: sqlite3.Connection | None = None
        self._presence = -1
        self._inode = -1

    # --- opening and closing

    def open(self) -> None:
        """Open the file, made where it is missing. Raises LogUnavailable, LogFull."""
        if self._db is not None:
            return
        try:
            self._presence = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if _flock(self._presence, fcntl.LOCK_EX | fcntl.LOCK_NB):
                self._create_file()
                self._connect_or_repair()
            else:
                self._wait_for_presence()
                self._connect()
            _flock(self._presence, fcntl.LOCK_SH)
        except OSError as error:
            self.close()
            raise LogUnavailable(f"the journal {self.path} cannot be opened: {error.strerror}") from None
        except LogError:
            self.close()
            raise

    def _create_file(self) -> None:
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        sync_directory(self.path.parent)

    def _wait_for_presence(self) -> None:
        """Whoever is alone in the file may be making or repairing it: wait until that is over."""
        end = time.monotonic() + self._busy_timeout
        while not _flock(self._presence, fcntl.LOCK_SH | fcntl.LOCK_NB):
            if time.monotonic() > end:
                raise LogUnavailable(
                    f"the journal {self.path} is held by another process that does not let go"
                )
            time.sleep(0.005)

    def _connect_or_repair(self) -> None:
        """Only for who is alone in the file: another process would go on with the one that is replaced."""
        if repaired(self.path).exists():
            put_in_place(self.path)
        try:
            self._connect()
            if not marker(self.path).exists():
                self._examine()
                return
        except JournalDamaged:
            pass
        if self._db is not None:
            self._db.close()
            self._db = None
        repair(self.path)
        self._connect()

    def _examine(self) -> None:
        """Touch both ends of the records, and the place where the next one goes. Raises JournalDamaged."""

        def examine() -> None:
            db = self._connection()
            db.execute("BEGIN IMMEDIATE")
            try:
                db.execute(_SELECT, (0, 1)).fetchall()
                db.execute(_INSERTS[1], (next_offset(db), 0, 0, b"", b""))
            finally:
                roll_back(db)

        self._patiently(examine)

    def _connect(self) -> None:
        def connect() -> None:
            db = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
            self._db = db
            set_up(db)
            if self._max_bytes is not None:
                db.execute(f"PRAGMA max_page_count = {max(16, self._max_bytes // PAGE_BYTES)}")
            self.topic_id = prepare(db, self.path)

        self._patiently(connect)
        self._inode = os.stat(self.path).st_ino

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()
        if self._presence >= 0:
            os.close(self._presence)
            self._presence = -1

    # --- writing

    def append(self, records: Sequence[tuple[bytes, bytes]]) -> int:
        """Store (key, value) records in one commit; the offset of the first, the others follow.

        Returns after the fsync. Raises LogFull or LogUnavailable (nothing was written), LogUncertain.
        """

        def write(db: sqlite3.Connection) -> int:
            first = next_offset(db)
            now = time.time_ns() // 1_000_000
            done, total = 0, len(records)
            for rows in _ROWS_A_STATEMENT:
                while total - done >= rows:
                    parameters: list[int | bytes] = []
                    for key, value in records[done : done + rows]:
                        offset = first + done
                        parameters += (offset, now, record_crc(offset, now, key, value), key, value)
                        done += 1
                    db.execute(_INSERTS[rows], parameters)
            return first

        return self._transaction(write)

    def trim(self, before_offset: int, before_ms: int, chunk: int = 1000) -> int:
        """Delete records from the low end that are below `before_offset` and older than `before_ms`.

        One commit deletes at most `chunk` records; the number deleted is returned, 0 when done.
        """

        def write(db: sqlite3.Connection) -> int:
            rows = db.execute(
                "SELECT record_offset, timestamp_ms FROM records WHERE record_offset < ?"
                " ORDER BY record_offset LIMIT ?",
                (before_offset, chunk),
            ).fetchall()
            keep_from = next((offset for offset, time_ms in rows if time_ms >= before_ms), None)
            if keep_from is None:
                keep_from = rows[-1][0] + 1 if rows else 0
            if not rows or keep_from <= rows[0][0]:
                return 0
            # The floor outlives the rows: offsets are never used again.
            db.execute(UPSERT, ("floor", str(next_offset(db))))
            db.execute(UPSERT, ("low", str(keep_from)))
            return db.execute("DELETE FROM records WHERE record_offset < ?", (keep_from,)).rowcount

        deleted = self._transaction(write)
        self._give_back()
        return deleted

    def _give_back(self) -> None:
        """Let the file shrink once half of it is free; until then new records use the room."""

        def vacuum() -> None:
            db = self._connection()
            pages = db.execute("PRAGMA page_count").fetchone()[0]
            free = db.execute("PRAGMA freelist_count").fetchone()[0]
            if free > max(KEPT_FREE_PAGES, pages // 2):
                # Only a script runs this statement to its end.
                db.executescript(f"PRAGMA incremental_vacuum({free // 2})")

        self._patiently(vacuum)

    def set_aside(self, offset: int, reason: str) -> None:
        """Move a record out of the way, for a person to look at: no reader sees it any more."""

        def write(db: sqlite3.Connection) -> None:
            db.execute(UPSERT, ("floor", str(next_offset(db))))
            db.execute(_SET_ASIDE, (reason, offset))
            db.execute("DELETE FROM records WHERE record_offset = ?", (offset,))

        self._transaction(write)

    def count_aside(self) -> int:
        """How many records were set aside."""
        count = "SELECT count(*) FROM aside"
        return int(self._patiently(lambda: self._connection().execute(count).fetchone()[0]))

    def set_consumed(self, offset: int) -> None:
        """Write down how far the consumer is: for people and for trimming, never read back as a position."""
        self._transaction(lambda db: db.execute(UPSERT, ("consumed", str(offset))) and None)

    def probe(self, size: int = 0) -> None:
        """Find out with a real commit whether `size` bytes would be taken. Raises what `append` would."""
        try:
            free = os.statvfs(self.path.parent)
        except OSError as error:
            raise LogUnavailable(f"the journal {self.path} cannot be used: {error.strerror}") from None
        if free.f_bavail * free.f_frsize < LOW_DISK_BYTES:
            raise LogFull(f"the disk of the journal {self.path} is full")
        if self._max_bytes is not None and self.used_bytes() + 4 * PAGE_BYTES + size > self._max_bytes:
            raise LogFull(f"the journal {self.path} has reached its limit of {self._max_bytes} bytes")
        self._transaction(lambda db: db.execute(UPSERT, ("probed", f"{time.time_ns()}{'.' * size}")) and None)

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def run() -> T:
            db = self._connection()
            db.execute("BEGIN IMMEDIATE")
            try:
                result = work(db)
                db.execute("COMMIT")
                return result
            except BaseException:
                roll_back(db)
                raise

        self._same_file()
        return self._patiently(run)

    # --- reading

    def read(self, offset: int, limit: int) -> list[LogRecord]:
        """Up to `limit` records from the first one at or after `offset`, up to the first hole; fewer of them
        where they are large.

        A row whose CRC is wrong comes with key and value None: its bytes cannot be trusted. Rows on
        pages that cannot be read are left out. Raises JournalDamaged when nothing after `offset` can be
        read though there are records.
        """
        try:
            rows = self._patiently(lambda: self._some(offset, limit))
        except JournalDamaged:
            rows = self._read_around(offset, limit)
            if not rows:
                raise
        if not rows:
            return []
        first = rows[0][0]
        if rows[-1][0] - first + 1 != len(rows):
            rows = [row for place, row in enumerate(rows) if row[0] == first + place]
        return [_record(*row) for row in rows]

    def _some(self, offset: int, limit: int) -> list[tuple[int, int, int, bytes, bytes]]:
        rows: list[tuple[int, int, int, bytes, bytes]] = []
        size = 0
        with closing(self._connection().execute(_SELECT, (offset, limit))) as found:
            while size < READ_BYTES and (more := found.fetchmany(READ_ROWS)):
                rows += more
                # A row that is damaged may hold anything in the place of its value.
                size += sum(len(row[4]) for row in more if isinstance(row[4], bytes))
        return rows

    def _read_around(self, offset: int, limit: int) -> list[tuple[int, int, int, bytes, bytes]]:
        """Row by row, since SQLite gives up a whole result at the first page that it cannot read."""
        rows: list[tuple[int, int, int, bytes, bytes]] = []
        for wanted in range(offset, self.watermarks().high):
            try:
                row = self._patiently(lambda wanted=wanted: self._one(wanted))  # type: ignore[misc]
            except JournalDamaged:
                row = None
            if row is not None:
                rows.append(row)
            elif rows:
                break
            if len(rows) == limit:
                break
        return rows

    def _one(self, offset: int) -> tuple[int, int, int, bytes, bytes] | None:
        found: tuple[int, int, int, bytes, bytes] | None = (
            self._connection().execute(_SELECT_ONE, (offset,)).fetchone()
        )
        return found

    def watermarks(self) -> Watermarks:
        """The first offset held and the one after the last."""

        def read() -> Watermarks:
            db = self._connection()
            first = db.execute("SELECT min(record_offset) FROM records").fetchone()[0]
            high = next_offset(db)
            return Watermarks(high if first is None else first, high)

        return self._patiently(read)

    def oldest_ms(self) -> int | None:
        """The Unix time in milliseconds of the oldest record; None when there is none."""

        def read() -> int | None:
            row = (
                self._connection()
                .execute("SELECT timestamp_ms FROM records ORDER BY record_offset LIMIT 1")
                .fetchone()
            )
            return None if row is None else int(row[0])

        return self._patiently(read)

    def low(self) -> int:
        """Everything below this offset was trimmed; what is missing from it on was lost."""
        return int(self._patiently(lambda: read_meta(self._connection(), "low")) or 0)

    def consumed(self) -> int | None:
        """What `set_consumed` wrote last."""
        value = self._patiently(lambda: read_meta(self._connection(), "consumed"))
        return None if value is None else int(value)

    def version(self) -> int:
        """A number that changes when another connection has committed; cheap enough for every few ms."""
        return int(self._patiently(lambda: self._connection().execute("PRAGMA data_version").fetchone()[0]))

    def used_bytes(self) -> int:
        """What the records take on disk, without the pages that are free for new ones."""

        def read() -> int:
            db = self._connection()
            pages = db.execute("PRAGMA page_count").fetchone()[0]
            free = db.execute("PRAGMA freelist_count").fetchone()[0]
            return int(pages - free) * PAGE_BYTES

        return self._patiently(read)

    # --- the connection

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise LogUnavailable(f"the journal {self.path} is not open")
        return self._db

    def is_replaced(self) -> bool:
        """Whether the file was removed since it was opened, or another one stands in its place."""
        try:
            inode = os.stat(self.path).st_ino
        except OSError:
            inode = -1
        return self._db is not None and inode != self._inode

    def _same_file(self) -> None:
        """A file that was removed would take records that no one can ever read."""
        if self.is_replaced():
            raise LogUnavailable(f"the journal {self.path} was removed while it was in use")

    def _failure(self, error: sqlite3.Error, code: int) -> LogError:
        failure = _log_error(self.path, error, code)
        if isinstance(failure, JournalDamaged):
            with suppress(OSError):
                marker(self.path).touch()
        return failure

    def _patiently(self, work: Callable[[], T]) -> T:
        """Run `work`, again while another process holds the file; SQLite's errors become the project's."""
        end = time.monotonic() + self._busy_timeout
        pause = 0.0002
        while True:
            try:
                return work()
            except sqlite3.Error as error:
                code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
                if code & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or time.monotonic() > end:
                    raise self._failure(error, code) from None
            time.sleep(pause)
            pause = min(pause * 1.5, 0.005)


def _record(offset: int, timestamp_ms: int, crc: int, key: bytes, value: bytes) -> LogRecord:
    try:
        intact = record_crc(offset, timestamp_ms, key, value) == crc
    except TypeError:
        intact = False
    if intact:
        return LogRecord(PARTITION, offset, timestamp_ms, key, value)
    return LogRecord(PARTITION, offset, timestamp_ms if isinstance(timestamp_ms, int) else 0, None, None)


def _flock(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation)
    except BlockingIOError:
        return False
    return True


def _log_error(path: Path, error: sqlite3.Error, code: int) -> LogError:
    kind = code & 0xFF
    if kind == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_WRITE:
        return LogFull(f"the journal {path} takes no more: its disk, its quota or its limit is full")
    if code in (sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC):
        return LogUncertain(f"the disk of the journal {path} did not confirm a write")
    if kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or code == sqlite3.SQLITE_IOERR_SHORT_READ:
        return JournalDamaged(f"the journal {path} is damaged ({error}); the next start repairs it")
    if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LogUnavailable(f"the journal {path} is locked by another process")
    if kind == sqlite3.SQLITE_TOOBIG:
        return RecordTooLarge("a record is larger than the journal takes")
    return LogUnavailable(f"the journal {path} cannot be used: {error}")
