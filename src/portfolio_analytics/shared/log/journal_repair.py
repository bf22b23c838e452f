"""Repair of a damaged journal file, for whoever is alone in it: every record that can still be read is moved.

The repaired file counts from the moment at which it has its name; whoever opens the journal next puts it in
place if this process does not. The damaged one is kept beside it.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from portfolio_analytics.shared.log.journal_salvage import salvage, salvage_meta
from portfolio_analytics.shared.log.journal_tables import (
    NUMBERS,
    PAGE_BYTES,
    UPSERT,
    insert,
    next_offset,
    prepare,
    record_crc,
    set_up,
)

LOGGER = logging.getLogger("portfolio_analytics.journal")

SMALLEST_ROW_BYTES = 16


def repaired(path: Path) -> Path:
    """There when a repair was made and not put in place."""
    return Path(f"{path}.repaired")


def marker(path: Path) -> Path:
    """There when damage was met while the file was in use."""
    return Path(f"{path}.repair-me")


def sync_directory(directory: Path) -> None:
    """Make names in a directory outlive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def repair(path: Path) -> None:
    """Move every record that can still be read into a new file; the old one is kept beside it."""
    meta = salvage_meta(path, PAGE_BYTES)
    numbers = {name: max(map(_integer, values)) for name, values in meta.items() if name in NUMBERS}
    topics = meta.get("topic_id", set())
    fresh = Path(f"{path}.repairing")
    for leftover in (fresh, Path(f"{fresh}-wal"), Path(f"{fresh}-shm")):
        leftover.unlink(missing_ok=True)
    db = sqlite3.connect(fresh, isolation_level=None)
    try:
        set_up(db)
        prepare(db, path, topics.pop() if len(topics) == 1 else None)
        db.execute("BEGIN")
        low = numbers.get("low", 0)
        rows = (row for row in salvage(path, PAGE_BYTES, record_crc) if row[0] >= low)
        db.executemany(insert(1, "OR IGNORE"), rows)
        # How many records were lost at the end is not known; their offsets must not be used again.
        lost_at_most = path.stat().st_size // SMALLEST_ROW_BYTES
        db.execute(UPSERT, ("floor", str(max(next_offset(db), numbers.get("floor", 0)) + lost_at_most)))
        for name in ("low", "consumed"):
            if name in numbers:
                db.execute(UPSERT, (name, str(numbers[name])))
        kept = db.execute("SELECT count(*) FROM records").fetchone()[0]
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        db.close()
    # From here on the repaired file counts: whoever opens next puts it in place if we do not.
    os.rename(fresh, repaired(path))
    sync_directory(path.parent)
    LOGGER.error("The journal %s was damaged: %d records were kept", path, kept)
    put_in_place(path)


def put_in_place(path: Path) -> None:
    """Replace the damaged file, which is kept, by the repaired one; its WAL must not outlive it."""
    aside = f"{path}.damaged-{time.time_ns()}"
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.link(f"{path}{suffix}", f"{aside}{suffix}")
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    os.rename(repaired(path), path)
    sync_directory(path.parent)
    marker(path).unlink(missing_ok=True)
    LOGGER.error("The damaged journal is kept as %s", aside)


def _integer(text: str) -> int:
    return int(text) if text.isdigit() else 0
