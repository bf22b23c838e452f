"""How far the log has been consumed, and who may say so.

A consumer that becomes the owner of a partition claims it: the epoch goes up, and whoever had it before can
no longer advance it (`advance` finds no row). Positions are kept in the database, beside what they stand for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import psycopg

from portfolio_analytics.shared.errors import Fenced


class Position(NamedTuple):
    """The next offset to read (None: nothing was consumed yet), under an epoch of ownership."""

    next: int | None
    epoch: int


def claim(
    connection: psycopg.Connection, topic_id: str, partitions: Sequence[int], owner: str
) -> dict[int, Position]:
    """Take `partitions` over; returns where each goes on."""
    claimed = {}
    with connection.transaction():
        for partition in sorted(partitions):
            row = connection.execute(
                "INSERT INTO log_positions (topic_id, partition, epoch, owner) VALUES (%s, %s, 1, %s) "
                "ON CONFLICT (topic_id, partition) DO UPDATE SET "
                "epoch = log_positions.epoch + 1, owner = excluded.owner, updated_at = now() "
                "RETURNING next, epoch",
                [topic_id, partition, owner],
            ).fetchone()
            assert row is not None
            claimed[partition] = Position(row[0], row[1])
    return claimed


def advance(
    connection: psycopg.Connection,
    topic_id: str,
    held: Mapping[int, Position],
    ends: Mapping[int, int],
) -> None:
    """Move each partition of `ends` from the position held to its end, within the caller's transaction.

    Raises Fenced when the stored position is not the one held: another consumer took over.
    """
    for partition, end in sorted(ends.items()):
        position = held[partition]
        found = connection.execute(
            "UPDATE log_positions SET next = %s, updated_at = now() "
            "WHERE topic_id = %s AND partition = %s AND epoch = %s AND next IS NOT DISTINCT FROM %s",
            [end, topic_id, partition, position.epoch, position.next],
        ).rowcount
        if found != 1:
            raise Fenced(f"Another consumer took partition {partition} over.")


def read_positions(connection: psycopg.Connection, topic_id: str) -> dict[int, Position]:
    """The stored positions of a topic by partition."""
    rows = connection.execute(
        "SELECT partition, next, epoch FROM log_positions WHERE topic_id = %s", [topic_id]
    ).fetchall()
    return {partition: Position(at, epoch) for partition, at, epoch in rows}


def record_gap(
    connection: psycopg.Connection, topic_id: str, partition: int, wanted: int, resumed: int
) -> None:
    """Write down that the log no longer held what was to be read; health is degraded until acknowledged."""
    connection.execute(
        "INSERT INTO log_gaps (topic_id, partition, wanted, resumed) VALUES (%s, %s, %s, %s)",
        [topic_id, partition, wanted, resumed],
    )
