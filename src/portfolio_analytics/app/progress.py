"""How far the consumers are, from what they have stored and what the log holds. Pure.

It is the same from every process that looks: nothing is asked of a consumer itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from portfolio_analytics.app.log_ends import Backlog, Stored
from portfolio_analytics.shared.metrics import (
    BAD_ROWS,
    CONSUMER_LAG,
    CONSUMER_STATE,
    GAPS,
    LAST_COMMIT_AGE,
    LEDGER,
    STATES,
    Declaration,
)

OVERDUE_S = 10.0
"""Older records than that should be counted; a position that has not moved for so long stands still."""


@dataclass(frozen=True, slots=True)
class StoredPositions:
    """What stands in the database. `ages` are seconds since each position moved."""

    next: Stored
    ages: Mapping[tuple[str, int], float]
    gaps: int
    consumers: int

    @classmethod
    def of(cls, positions: Sequence[Sequence[Any]], gaps: int, consumers: int) -> StoredPositions:
        """From the row of storage/sql/status_positions.sql, and how many consumers are connected."""
        return cls(
            {(topic, partition): at for topic, partition, at, _ in positions},
            {(topic, partition): float(age) for topic, partition, _, age in positions},
            gaps,
            consumers,
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """The consumers together. `lag` is by partition; `age` the seconds since any position moved."""

    state: str
    lag: Mapping[int, int]
    age: float | None
    gaps: int

    @property
    def warnings(self) -> list[str]:
        """One sentence for each thing that somebody should look at."""
        found = []
        if self.state == "absent":
            found.append("No consumer is connected: events are kept in the log and not counted.")
        if self.state == "waiting":
            found.append("The consumer waits: there are events to count, and no position moves.")
        if self.gaps:
            found.append(f"Gaps in the log, not acknowledged: {self.gaps}; see `portfolio-analytics doctor`.")
        return found


def progress(stored: StoredPositions, backlog: Mapping[int, Backlog]) -> Progress:
    """What `backlog`, asked with records older than OVERDUE_S as overdue, says beside the positions."""
    lag = {partition: found.lag for partition, found in sorted(backlog.items())}
    age = min(stored.ages.values(), default=None)
    return Progress(_state(stored, backlog), lag, age, stored.gaps)


def _state(stored: StoredPositions, backlog: Mapping[int, Backlog]) -> str:
    if not stored.consumers:
        return "absent"
    overdue = {partition for partition, found in backlog.items() if found.overdue}
    if not overdue:
        return "running"
    ages = [age for (_, partition), age in stored.ages.items() if partition in overdue]
    return "behind" if min(ages, default=OVERDUE_S) < OVERDUE_S else "waiting"


def progress_gauges(
    found: Progress, bad_rows: int, in_flight: int, unattested: int
) -> dict[Declaration, float | Mapping[str, float]]:
    """The metrics of it, with what waits among the bad rows and what keeps the ledger from balancing."""
    gauges: dict[Declaration, float | Mapping[str, float]] = {
        CONSUMER_STATE: {state: float(state == found.state) for state in STATES},
        CONSUMER_LAG: {str(partition): float(lag) for partition, lag in found.lag.items()},
        BAD_ROWS: bad_rows,
        GAPS: found.gaps,
        LEDGER: {"in_flight": in_flight, "unattested": unattested},
    }
    if found.age is not None:
        gauges[LAST_COMMIT_AGE] = found.age
    return gauges
