"""How far the log has been consumed, and who may say so.

A consumer that becomes the owner of a partition claims it: the epoch goes up, and whoever had it before can
no longer advance it (`advance` finds no row). Positions are kept in the database, beside what they stand for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import psycopg

from portfolio_analytics.shared.errors import Fenced
from portfolio_analytics.storage.arrays import numbers

# Whichever side PostgreSQL begins with, rows are met and locked by partition in ascending order.
_ADVANCE = """UPDATE log_positions p SET next = k.upto, updated_at = now()
FROM unnest(%s::int[], %s::bigint[], %s::bigint[], %s::bigint[]) AS k (partition, epoch, held, upto)
WHERE p.topic_id = %s AND p.partition = k.partition AND p.epoch = k.epoch
    AND p.next IS NOT DISTINCT FROM nullif(k.held, -1)
RETURNING p.partition
"""


class Position(NamedTuple):
    """The next offset to read (None: not known yet, the first one held), under an epoch of ownership."""

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


def begin(
    connection: psycopg.Connection,
    topic_id: str,
    claimed: Mapping[int, Position],
    lows: Mapping[int, int],
) -> dict[int, Position]:
    """Write down where the reading of partitions that were never read begins, at their first offsets `lows`;
    their positions. What retention deletes from there on before the first batch is then a gap.
    """
    begun = {}
    with connection.transaction():
        for partition, low in sorted(lows.items()):
            epoch = claimed[partition].epoch
            found = connection.execute(
                "UPDATE log_positions SET next = %s, updated_at = now() "
                "WHERE topic_id = %s AND partition = %s AND epoch = %s AND next IS NULL",
                [low, topic_id, partition, epoch],
            ).rowcount
            # Otherwise another consumer took over: the first batch will be fenced.
            if found == 1:
                begun[partition] = Position(low, epoch)
    return begun


def advance(
    connection: psycopg.Connection,
    topic_id: str,
    held: Mapping[int, Position],
    ends: Mapping[int, int],
) -> None:
    """Move each partition of `ends` from the position held to its end, within the caller's transaction.

    Raises Fenced when the stored position is not the one held: another consumer took over.
    """
    partitions = sorted(ends)
    positions = [held[partition] for partition in partitions]
    rows = connection.execute(
        _ADVANCE,
        [
            numbers(partitions),
            numbers(position.epoch for position in positions),
            numbers(-1 if position.next is None else position.next for position in positions),
            numbers(ends[partition] for partition in partitions),
            topic_id,
        ],
    ).fetchall()
    taken = set(partitions).difference(partition for (partition,) in rows)
    if taken:
        raise Fenced(f"Another consumer took partition {', '.join(map(str, sorted(taken)))} over.")


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


def set_back(connection: psycopg.Connection, topic_id: str, partition: int, to: Position) -> None:
    """Have a partition read from `to` again, unless another consumer has taken it over since."""
    connection.execute(
        "UPDATE log_positions SET next = %s, updated_at = now() "
        "WHERE topic_id = %s AND partition = %s AND epoch = %s",
        [to.next, topic_id, partition, to.epoch],
    )
