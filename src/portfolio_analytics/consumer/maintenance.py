"""What a consumer does now and then: partitions ahead, retention, room, months that are over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg

from portfolio_analytics.consumer.positions import Position
from portfolio_analytics.consumer.rollups.months import close_months
from portfolio_analytics.shared.log.protocol import LogReader
from portfolio_analytics.storage.partitions import drop_days, ensure_days

logger = logging.getLogger(__name__)

EVERY_S = 300.0
DAYS_AHEAD = 2
LEDGER_DAYS = 90
BAD_ROW_DAYS = 90
PATIENCE = "2s"
_LOCK = 0x6D61696E
_SET_HORIZON = """
INSERT INTO row_horizon (day) VALUES (%s)
ON CONFLICT (one) DO UPDATE SET day = greatest(row_horizon.day, excluded.day)
"""


class Maintenance:
    """Runs every five minutes; of several consumers one does it, the others skip."""

    def __init__(self, *, retention_days: int | None, log_retention_days: int) -> None:
        self._retention_days = retention_days
        self._log_retention_days = log_retention_days
        self._next = 0.0

    def due(self, monotonic: float) -> bool:
        """Whether it is time again; if so, the next time is in five minutes."""
        if monotonic < self._next:
            return False
        self._next = monotonic + EVERY_S
        return True

    def run(
        self,
        connect: Callable[[], psycopg.Connection[Any]],
        reader: LogReader,
        held: Mapping[int, Position],
        now: float,
    ) -> None:
        """Do what is due at Unix time `now`. `held` are the positions this consumer has committed."""
        with connect() as connection:
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
            if row and row[0]:
                self._tidy(connection, datetime.fromtimestamp(now, UTC))
        trim = getattr(reader, "trim", None)
        position = held.get(0)
        if trim is not None and position is not None and position.next is not None:
            trim(position.next, int((now - self._log_retention_days * 86_400) * 1000))

    def _tidy(self, connection: psycopg.Connection[Any], now: datetime) -> None:
        # Dropping a day waits for whoever reads, such as an export or a backup, and everyone else for it.
        connection.execute(f"SET lock_timeout = '{PATIENCE}'")
        today = now.date()
        ensure_days(connection, [today + timedelta(days=n) for n in range(DAYS_AHEAD + 1)])
        if self._retention_days is not None:
            self._drop_rows(connection, today - timedelta(days=self._retention_days))
        # A key may be written as long as an event of its day can still arrive or be replayed.
        keep = today - timedelta(days=self._log_retention_days + 8)
        connection.execute("DELETE FROM visitors WHERE seen < %s AND long_since IS NULL", [keep])
        connection.execute("DELETE FROM attestations WHERE taken_at < %s", [keep])
        # A record as it came holds more than its row would; it is kept to be tried again, not for ever.
        bad_row_days = min(self._retention_days or BAD_ROW_DAYS, BAD_ROW_DAYS)
        connection.execute("DELETE FROM bad_rows WHERE created_at < %s", [now - timedelta(days=bad_row_days)])
        edge = now - timedelta(days=LEDGER_DAYS)
        connection.execute("DELETE FROM ledger WHERE minute < %s", [edge])
        connection.execute("DELETE FROM latencies WHERE minute < %s", [edge])
        close_months(connection, today)

    def _drop_rows(self, connection: psycopg.Connection[Any], first: date) -> None:
        """Drop the rows of the days before `first`; rollups and totals stay."""
        connection.execute(_SET_HORIZON, [first])
        dropped = drop_days(connection, first)
        if dropped:
            logger.info("Dropped the rows of %d days up to %s.", len(dropped), dropped[-1])
        # The visit that such a mark leads to is gone, so the key goes as all others do.
        connection.execute("UPDATE visitors SET long_since = NULL WHERE long_since < %s", [first])
