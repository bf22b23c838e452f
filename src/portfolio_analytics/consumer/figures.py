"""What one consumer counts of itself, and how it is: read by its probes while its loop goes on."""

from __future__ import annotations

import time
from array import array
from bisect import bisect_right
from collections.abc import Sequence

from portfolio_analytics.consumer.transaction import Outcome
from portfolio_analytics.shared.metrics import (
    BATCHES,
    CELLS,
    COMMIT_SECONDS,
    CONSUMED,
    FENCED,
    OPEN,
    REJECTED,
    REJECTIONS,
    ROW_BYTES,
    TURNED,
    VISIBLE_SECONDS,
    WAITING,
    cell,
    observe,
)

HUNG_S = 300.0
"""Longer than any statement or wait of the loop may take."""


class Figures:
    """Written by the consumer's thread, read by any. `row` is its row of a metrics sheet."""

    def __init__(self, row: memoryview[int] | None = None) -> None:
        self._row = memoryview(array("q", bytes(ROW_BYTES))) if row is None else row
        self._waiting: str | None = None
        self.turned()

    def turned(self) -> None:
        """The loop has come round."""
        self._row[TURNED] = int(time.monotonic() * 1000)

    def opened(self) -> None:
        """The database and the log were reached for the first time."""
        self._row[OPEN] = 1
        self.turned()

    def waits(self, reason: str) -> None:
        """The log or the database is away; `reason` is one sentence without secrets."""
        self.turned()
        self._waiting = reason
        self._row[_WAITING] = 1

    def goes_on(self) -> None:
        """What was waited for is there."""
        self._waiting = None
        self._row[_WAITING] = 0

    def committed(self, outcome: Outcome, seconds: float, now_ms: int) -> None:
        """A batch was committed at `now_ms` (Unix time) after `seconds`."""
        self.turned()  # of a backlog the loop commits several before it comes round
        self._row[_BATCHES] += 1
        self._row[_COUNTED] += len(outcome.counted)
        self._row[_DUPLICATE] += outcome.duplicate
        for reason, n in outcome.rejected.items():
            self._row[_REJECTED] += n
            self._row[_REASONS.get(reason, _REASONS["other"])] += n
        observe(self._row, COMMIT_SECONDS, seconds)
        self._visible(outcome.counted, now_ms)

    def fenced(self) -> None:
        """A batch was dropped since its partition has another owner."""
        self._row[_FENCED] += 1

    def problem(self) -> str | None:
        """Why nothing is counted now; None where all is well."""
        if self._waiting is not None:
            return self._waiting
        return None if self._row[OPEN] else "the database and the log have not been reached yet"

    def hung(self) -> bool:
        """Whether the loop has not come round for longer than anything it does may take."""
        return is_hung(self._row)

    def _visible(self, counted: Sequence[int], now_ms: int) -> None:
        # Sorted, and cut at each bound: a hundredth of what looking at each event by itself would cost.
        times = sorted(now_ms - at for at in counted)
        below = 0
        for place, bound in enumerate(VISIBLE_SECONDS.bounds):
            up_to = bisect_right(times, bound * 1000)
            self._row[_VISIBLE + place] += up_to - below
            below = up_to
        self._row[_VISIBLE + len(VISIBLE_SECONDS.bounds)] += len(times) - below
        self._row[_VISIBLE + len(VISIBLE_SECONDS.bounds) + 1] += sum(times) * 1000


def is_ready(row: Sequence[int]) -> bool:
    """Whether the consumer of `row` has reached what it needs, and waits for none of it now."""
    return row[OPEN] == 1 and not row[_WAITING]


def is_hung(row: Sequence[int]) -> bool:
    """Whether the loop of the consumer of `row` has not come round for longer than its work may take."""
    return row[OPEN] == 1 and time.monotonic() - row[TURNED] / 1000 > HUNG_S


_VISIBLE = CELLS[VISIBLE_SECONDS.name]
_BATCHES = cell(BATCHES)
_COUNTED = cell(CONSUMED, "counted")
_DUPLICATE = cell(CONSUMED, "duplicate")
_REJECTED = cell(CONSUMED, "rejected")
_FENCED = cell(FENCED)
_WAITING = cell(WAITING)
_REASONS = {reason: cell(REJECTED, reason) for reason in REJECTIONS}
