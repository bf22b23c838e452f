"""What a consumer counts of itself."""

from __future__ import annotations

import subprocess
import sys
import time
from array import array
from collections import Counter
from pathlib import Path

from portfolio_analytics.consumer.figures import HUNG_S, Figures
from portfolio_analytics.consumer.transaction import Outcome
from portfolio_analytics.shared.metrics import (
    BATCHES,
    CONSUMER,
    INTAKE,
    OPEN,
    ROW_BYTES,
    TURNED,
    WAITING,
    Sheet,
    cell,
    exposition,
)


def test_what_is_committed_is_shown(tmp_path: Path) -> None:
    sheet = Sheet(tmp_path / "sheet", CONSUMER)
    figures = Figures(sheet.row)
    now = 1_000_000
    latencies = [-3, 4, 10, 11, 700, 4_000_000]
    outcome = Outcome([now - ms for ms in latencies], 2, Counter(undecodable=3, reason_of_tomorrow=1))
    figures.committed(outcome, 0.03, now)
    figures.fenced()
    text = exposition(sheet, {}).decode()
    for line in (
        "portfolio_analytics_consumer_batches_total 1.0",
        'portfolio_analytics_consumed_total{outcome="counted"} 6.0',
        'portfolio_analytics_consumed_total{outcome="duplicate"} 2.0',
        'portfolio_analytics_consumed_total{outcome="rejected"} 4.0',
        'portfolio_analytics_rejected_total{reason="undecodable"} 3.0',
        'portfolio_analytics_rejected_total{reason="other"} 1.0',
        "portfolio_analytics_consumer_fenced_total 1.0",
        'portfolio_analytics_commit_seconds_bucket{le="0.02"} 0.0',
        'portfolio_analytics_commit_seconds_bucket{le="0.05"} 1.0',
        'portfolio_analytics_visible_seconds_bucket{le="0.01"} 3.0',
        'portfolio_analytics_visible_seconds_bucket{le="0.02"} 4.0',
        'portfolio_analytics_visible_seconds_bucket{le="1.0"} 5.0',
        'portfolio_analytics_visible_seconds_bucket{le="3600.0"} 5.0',
        'portfolio_analytics_visible_seconds_bucket{le="+Inf"} 6.0',
        "portfolio_analytics_visible_seconds_sum 4000.722",
    ):
        assert line in text.splitlines()
    assert "portfolio_analytics_events_total" not in text


def test_a_sheet_shows_what_is_counted_on_it(tmp_path: Path) -> None:
    intake = Sheet(tmp_path / "sheet", INTAKE)
    assert "portfolio_analytics_consumed_total" not in exposition(intake, {}).decode()
    consumer = Sheet(tmp_path / "sheet", CONSUMER)
    assert "portfolio_analytics_consumed_total" in exposition(intake, {}).decode()
    assert "portfolio_analytics_events_total" in exposition(consumer, {}).decode()


def test_a_row_of_a_process_that_has_ended_is_gone_on_with(tmp_path: Path) -> None:
    """What it counted stays counted, how it was is forgotten, and the file does not grow."""
    path = tmp_path / "sheet"
    reader = Sheet(path, INTAKE)
    for number in range(1, 6):
        sheet = Sheet(path, CONSUMER)
        assert [sheet.row[place] for place in (OPEN, TURNED, cell(WAITING))] == [0, 0, 0]
        figures = Figures(sheet.row)
        figures.opened()
        figures.committed(Outcome([1], 0, Counter()), 0.1, 1)
        figures.waits("PostgreSQL: away")
        assert reader.totals()[cell(BATCHES)] == number
        assert reader.totals()[cell(WAITING)] == 1
        gone = subprocess.Popen(["true"])
        gone.wait()
        sheet.row[0] = gone.pid
    assert reader.totals()[cell(WAITING)] == 0
    assert path.stat().st_size == 2 * ROW_BYTES
    another = Sheet(path, INTAKE)  # counts something else, and beside one that lives
    assert another.row[cell(BATCHES)] == 0
    assert path.stat().st_size == 3 * ROW_BYTES


def test_a_row_can_be_mapped_where_pages_are_larger() -> None:
    """As on a Raspberry Pi 5, with pages of 16 KiB."""
    program = (
        "import mmap; mmap.ALLOCATIONGRANULARITY = 16384; "
        "from portfolio_analytics.shared.metrics import ROW_BYTES; print(ROW_BYTES)"
    )
    assert int(subprocess.check_output([sys.executable, "-c", program])) == 16_384


def test_waiting_is_told_until_it_is_over() -> None:
    figures = Figures()
    assert figures.problem() == "the database and the log have not been reached yet"
    figures.opened()
    assert figures.problem() is None
    figures.waits("PostgreSQL: away")
    assert figures.problem() == "PostgreSQL: away"
    figures.goes_on()
    assert figures.problem() is None
    assert not figures.hung()


def test_one_that_commits_does_not_hang() -> None:
    """A slow database may take minutes for the batches of one poll."""
    figures = Figures(row := memoryview(array("q", bytes(ROW_BYTES))))
    figures.opened()
    row[TURNED] = int((time.monotonic() - HUNG_S - 1) * 1000)
    assert figures.hung()
    figures.committed(Outcome([], 0, Counter()), 100.0, 1)
    assert not figures.hung()
