"""What positions and the log's end say about the consumers."""

from __future__ import annotations

import pytest

from portfolio_analytics.app.log_ends import Backlog
from portfolio_analytics.app.progress import StoredPositions, progress, progress_gauges
from portfolio_analytics.shared.metrics import CONSUMER_LAG, CONSUMER_STATE, LAST_COMMIT_AGE

NONE = Backlog(0, False)
FRESH = Backlog(9, False)
OLD = Backlog(7, True)


def stored(*ages: float, consumers: int = 1, gaps: int = 0) -> StoredPositions:
    rows = [["topic", partition, 5, age] for partition, age in enumerate(ages)]
    return StoredPositions.of(rows, gaps, consumers)


@pytest.mark.parametrize(
    ("positions", "backlog", "state"),
    [
        (stored(3600.0), {0: NONE}, "running"),
        (stored(3600.0), {0: FRESH}, "running"),
        (stored(9.0), {0: OLD}, "behind"),
        (stored(11.0), {0: OLD}, "waiting"),
        (stored(11.0, 3.0), {0: OLD, 1: OLD}, "behind"),
        # The one that moves is not the one that should.
        (stored(11.0, 3.0), {0: OLD, 1: NONE}, "waiting"),
        (stored(), {0: OLD}, "waiting"),
        (stored(), {}, "running"),
        (stored(1.0, consumers=0), {0: NONE}, "absent"),
        (stored(consumers=0), {}, "absent"),
    ],
)
def test_states(positions: StoredPositions, backlog: dict[int, Backlog], state: str) -> None:
    assert progress(positions, backlog).state == state


def test_warnings_are_told_only_where_somebody_should_look() -> None:
    assert progress(stored(1.0), {0: NONE}).warnings == []
    assert progress(stored(1.0), {0: OLD}).warnings == []
    assert "no position moves" in progress(stored(60.0), {0: OLD}).warnings[0]
    assert "No consumer" in progress(stored(consumers=0), {}).warnings[0]
    assert "acknowledged: 2;" in progress(stored(1.0, gaps=2), {0: NONE}).warnings[0]


def test_gauges() -> None:
    gauges = progress_gauges(progress(stored(4.5, 60.0), {1: OLD, 0: NONE}), 3, 2, 1)
    assert gauges[CONSUMER_LAG] == {"0": 0.0, "1": 7.0}
    assert gauges[CONSUMER_STATE] == {"running": 0.0, "behind": 0.0, "waiting": 1.0, "absent": 0.0}
    assert gauges[LAST_COMMIT_AGE] == 4.5
    assert LAST_COMMIT_AGE not in progress_gauges(progress(stored(), {}), 0, 0, 0)
