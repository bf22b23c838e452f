"""The tables of a journal file: how they are made, what their rows hold, which offset comes next."""

from __future__ import annotations

import sqlite3
import uuid
import zlib
from contextlib import suppress
from pathlib import Path

from portfolio_analytics.shared.errors import LogUnavailable

FORMAT = "1"
PAGE_BYTES = 4096
NUMBERS = ("floor", "low", "consumed")
"""What `meta` holds as numbers: below `floor` no offset is used again, below `low` all was trimmed."""

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS records (
        record_offset INTEGER PRIMARY KEY, timestamp_ms INTEGER NOT NULL, crc INTEGER NOT NULL,
        record_key BLOB NOT NULL, value BLOB NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS aside (
        record_offset INTEGER, timestamp_ms INTEGER, crc INTEGER, record_key BLOB, value BLOB,
        reason TEXT)""",
)
COLUMNS = "record_offset, timestamp_ms, crc, record_key, value"
UPSERT = (
    "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)


def insert(rows: int, instead: str = "") -> str:
    """The statement that inserts so many records; `instead` as SQLite's OR clause."""
    return f"INSERT {instead} INTO records ({COLUMNS}) VALUES {', '.join(['(?, ?, ?, ?, ?)'] * rows)}"


def record_crc(offset: int, timestamp_ms: int, key: bytes, value: bytes) -> int:
    """The CRC-32 of a row, over all that it holds."""
    return zlib.crc32(value, zlib.crc32(key, (offset ^ timestamp_ms) & 0xFFFFFFFF))


def set_up(db: sqlite3.Connection) -> None:
    """What every connection to a journal wants: what was committed is on the disk."""
    db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA fullfsync = ON")
    db.execute("PRAGMA checkpoint_fullfsync = ON")
    db.execute(f"PRAGMA journal_size_limit = {64 << 20}")


def prepare(db: sqlite3.Connection, path: Path, topic_id: str | None = None) -> str:
    """Make the tables where they are missing, with `topic_id` or a new one; the topic id.

    Raises LogUnavailable for the format of another version.
    """
    found = db.execute(
        "SELECT count(*) FROM sqlite_schema WHERE name IN ('meta', 'records', 'aside')"
    ).fetchone()[0]
    if found < len(_SCHEMA):
        db.execute("BEGIN IMMEDIATE")
        try:
            for statement in _SCHEMA:
                db.execute(statement)
            db.execute("INSERT OR IGNORE INTO meta VALUES ('format', ?)", (FORMAT,))
            db.execute("INSERT OR IGNORE INTO meta VALUES ('topic_id', ?)", (topic_id or uuid.uuid4().hex,))
            db.execute("COMMIT")
        except sqlite3.Error:
            roll_back(db)
            raise
    version = read_meta(db, "format")
    if version != FORMAT:
        raise LogUnavailable(f"the journal {path} has format {version}; this program writes format {FORMAT}")
    return read_meta(db, "topic_id") or ""


def next_offset(db: sqlite3.Connection) -> int:
    """The offset after the last one that was ever used."""
    last = db.execute("SELECT max(record_offset) FROM records").fetchone()[0]
    floor = int(read_meta(db, "floor") or 0)
    return floor if last is None else max(floor, int(last) + 1)


def read_meta(db: sqlite3.Connection, name: str) -> str | None:
    """What `meta` holds under a name."""
    row = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def roll_back(db: sqlite3.Connection) -> None:
    """End a transaction that failed; SQLite may have done so itself."""
    if db.in_transaction:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
