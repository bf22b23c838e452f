"""Events that still lie in this host's spool, because the log is away."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

import msgspec

from portfolio_analytics.shared.record import EventRecord, decode_record

# The spool has the journal's format (shared/log/journal_file.py).
_FIND = "SELECT value FROM records WHERE instr(value, ?) > 0"


def find_spooled(path: Path, event_id: uuid.UUID) -> EventRecord | None:
    """The event with this id in the spool at `path`. Reads the spool through: not for an event loop.

    Raises sqlite3.Error when the file cannot be read.
    """
    if not path.exists():
        return None
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=2.0)) as spool:
        # Other things in a record have ids too, so every match is looked at.
        for (value,) in spool.execute(_FIND, [f'"id":"{event_id}"'.encode()]):
            record = event_in(value)
            if record is not None and record.id == event_id:
                return record
    return None


def event_in(value: bytes | None) -> EventRecord | None:
    """The event that a record's value is; None for other records, and for what cannot be read."""
    try:
        record = decode_record(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return record if isinstance(record, EventRecord) else None
