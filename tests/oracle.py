"""The oracle of every fault: what was acknowledged is stored once, and what is derived equals the rows."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

import psycopg

from portfolio_analytics.consumer.proof.verify import verify
from portfolio_analytics.storage.database import connect


def stored_ids(connection: psycopg.Connection) -> list[uuid.UUID]:
    """The event id of every row, as often as it is there."""
    return [row[0] for row in connection.execute("SELECT event_id FROM events").fetchall()]


def assert_exactly_once(database: str, acknowledged: Iterable[uuid.UUID]) -> None:
    """Every acknowledged id has one row, no id has two, and visits, rollups and totals equal the rows.

    Ids that were sent and not acknowledged may be stored too.
    """
    with connect(database) as connection:
        stored = stored_ids(connection)
        lost = set(acknowledged) - set(stored)
        assert not lost, f"{len(lost)} acknowledged events are lost, such as {next(iter(lost))}"
        assert len(stored) == len(set(stored)), f"{len(stored) - len(set(stored))} events are doubled"
        report = verify(connection)
        assert report.clean, "\n".join(list(report.sentences({}))[:20])
        assert report.events == len(stored)
