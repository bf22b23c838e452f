"""Bad rows as a person handles them: list, show, try again."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from portfolio_analytics.consumer.batch import make_batch
from portfolio_analytics.consumer.transaction import UNSTORABLE, Store
from portfolio_analytics.shared.errors import UnknownName
from portfolio_analytics.shared.log.protocol import LogRecord

_SELECT = """
SELECT bad_row_id, created_at, partition, log_offset, site, reason, detail, accepted_at, retried_at, topic_id,
    key, value
FROM bad_rows
"""


class BadRow(NamedTuple):
    """A record that could not be stored."""

    number: int
    created_at: datetime
    partition: int
    offset: int
    site: str | None
    reason: str
    detail: str
    accepted_at: datetime | None
    retried_at: datetime | None
    topic_id: str
    key: bytes | None
    value: bytes | None


def latest(connection: psycopg.Connection[Any], limit: int) -> list[BadRow]:
    """The latest bad rows, newest first."""
    rows = connection.execute(_SELECT + " ORDER BY bad_row_id DESC LIMIT %s", [limit]).fetchall()
    return [BadRow(*row) for row in rows]


def find(connection: psycopg.Connection[Any], number: int) -> BadRow:
    """One bad row. Raises UnknownName."""
    row = connection.execute(_SELECT + " WHERE bad_row_id = %s", [number]).fetchone()
    if row is None:
        raise UnknownName("unknown_bad_row", f"There is no bad row {number}.", "number")
    return BadRow(*row)


def retry(connection: psycopg.Connection[Any], store: Store, numbers: list[int]) -> tuple[int, int]:
    """Try bad rows again, all that were not taken yet when none is named; how many are stored, of how many.

    The ledger goes on showing them as rejected: it says what became of a record when it was consumed.
    """
    rows = (
        [find(connection, number) for number in numbers]
        if numbers
        else [
            BadRow(*row)
            for row in connection.execute(_SELECT + " WHERE retried_at IS NULL ORDER BY 1").fetchall()
        ]
    )
    stored = 0
    for row in rows:
        at = int(row.accepted_at.timestamp() * 1000) if row.accepted_at else 0
        batch = make_batch([LogRecord(row.partition, row.offset, at, row.key, row.value)], row.topic_id)
        if not batch.items:
            continue
        try:
            store.replay(batch, at)
        except UNSTORABLE:
            continue
        connection.execute("UPDATE bad_rows SET retried_at = now() WHERE bad_row_id = %s", [row.number])
        stored += 1
    return stored, len(rows)
