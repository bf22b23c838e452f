"""PostgreSQL's binary COPY format, packed by hand.

The layout is that of the PostgreSQL manual, COPY, "Binary Format": a field count, then for each field its
length and its bytes, -1 for null. Packing rows with `struct` costs a quarter of what a driver's per-value
adaptation does.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import chain, islice
from struct import Struct

import psycopg
from psycopg import sql

NULL = b"\xff\xff\xff\xff"
INT8 = Struct("!iq")
INT4 = Struct("!ii")
INT2 = Struct("!ih")
LENGTH = Struct("!i")

# PostgreSQL counts microseconds from 2000-01-01 and days from the same date.
EPOCH_MS = 946_684_800_000
EPOCH_DAY = 10_957

PIECE = 500  # rows
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
_TRAILER = b"\xff\xff"


def copy_rows(
    cursor: psycopg.Cursor[tuple[object, ...]], table: str, columns: tuple[str, ...], rows: Iterable[bytes]
) -> None:
    """Send packed rows to `table`."""
    parts = chain((_SIGNATURE,), rows, (_TRAILER,))
    with cursor.copy(_copy_statement(table, columns)) as copy:
        # In pieces: while PostgreSQL takes one in, the next is packed.
        while piece := b"".join(islice(parts, PIECE)):
            copy.write(piece)


@cache
def _copy_statement(table: str, columns: tuple[str, ...]) -> bytes:
    return (
        sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)")
        .format(sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns)))
        .as_bytes()
    )


def text(value: str) -> bytes:
    """One text field."""
    data = value.encode()
    return LENGTH.pack(len(data)) + data


def blob(value: bytes) -> bytes:
    """One bytea field."""
    return LENGTH.pack(len(value)) + value


def jsonb(value: bytes) -> bytes:
    """One jsonb field from JSON text; version 1 of its binary form is one byte and then the text."""
    return LENGTH.pack(len(value) + 1) + b"\x01" + value


def instant(ms: int) -> int:
    """A timestamptz as its 64-bit number, from Unix milliseconds."""
    return (ms - EPOCH_MS) * 1000
