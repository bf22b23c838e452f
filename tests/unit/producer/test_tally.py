"""What a worker counts, attested in a real journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from portfolio_analytics.producer.tally import Tally
from portfolio_analytics.shared.errors import LogError
from portfolio_analytics.shared.log.journal import JournalReader, JournalWriter
from portfolio_analytics.shared.metrics import (
    APPEND_SECONDS,
    EVENTS,
    IGNORED_EVENTS,
    IN_FLIGHT,
    REFUSED,
    Sheet,
    cell,
    exposition,
)
from portfolio_analytics.shared.record import AttestRecord, decode_record

MINUTE = 60_000


def attested(path: Path) -> list[AttestRecord]:
    reader = JournalReader(path)
    reader.open()
    records = [decode_record(record.value) for record in reader.poll(1000, 0) if record.value is not None]
    reader.close()
    return [record for record in records if isinstance(record, AttestRecord)]


async def test_counts_go_into_the_log_by_minute_once(tmp_path: Path) -> None:
    tally = Tally(Sheet(tmp_path / "sheet"))
    log = JournalWriter(tmp_path / "log")
    await log.open()
    await tally.attest(log.append)  # nothing was counted: nothing is said
    tally.accepted(5 * MINUTE, 1, in_log=True)
    tally.accepted(5 * MINUTE + 59_999, 2, in_log=False)
    tally.accepted(6 * MINUTE, 4, in_log=True)
    tally.refused(6 * MINUTE, "invalid_json")
    tally.refused(6 * MINUTE, "a reason that nobody declared")
    tally.ignored(6 * MINUTE, "bot")
    await tally.attest(log.append)
    tally.accepted(7 * MINUTE, 1, in_log=True)
    await tally.attest_last(log.append, 5)
    await tally.attest_last(log.append, 5)
    await log.close(5)
    assert attested(tmp_path / "log") == [
        AttestRecord(
            worker=tally.worker,
            sequence=1,
            accepted={"5": 3, "6": 4},
            refused={"6": {"invalid_json": 1, "other": 1}},
            ignored={"6": {"bot": 1}},
        ),
        AttestRecord(worker=tally.worker, sequence=2, accepted={"7": 1}),
    ]


async def test_a_record_that_failed_is_sent_again_as_it_was(tmp_path: Path) -> None:
    tally = Tally(Sheet(tmp_path / "sheet"))
    log = JournalWriter(tmp_path / "log")
    await log.open()
    tally.accepted(5 * MINUTE, 1, in_log=True)
    (tmp_path / "log").rename(tmp_path / "away")
    with pytest.raises(LogError):
        await tally.attest(log.append)
    tally.accepted(5 * MINUTE, 1, in_log=True)
    (tmp_path / "away").rename(tmp_path / "log")
    await tally.attest_last(log.append, 5)
    await log.close(5)
    assert [(record.sequence, record.accepted) for record in attested(tmp_path / "log")] == [
        (1, {"5": 1}),
        (2, {"5": 1}),
    ]


def test_two_workers_have_two_names(tmp_path: Path) -> None:
    assert Tally(Sheet(tmp_path / "sheet")).worker != Tally(Sheet(tmp_path / "sheet")).worker


def test_workers_count_on_one_sheet(tmp_path: Path) -> None:
    sheets = [Sheet(tmp_path / "sheet") for _ in range(3)]
    for sheet in sheets:
        tally = Tally(sheet)
        tally.accepted(0, 2, in_log=True)
        tally.accepted(0, 1, in_log=False)
        tally.refused(0, "too_large")
        tally.ignored(0, "gpc")
        tally.took(0.003)
        tally.took(99.0)
        sheet.row[cell(IN_FLIGHT)] = 5
    sheets[0].close()
    totals = sheets[1].totals()
    assert totals[cell(EVENTS, "log")] == 6
    assert totals[cell(EVENTS, "spool")] == 3
    assert totals[cell(REFUSED, "too_large")] == 3
    assert totals[cell(IGNORED_EVENTS, "gpc")] == 3
    assert totals[cell(IN_FLIGHT)] == 10
    text = exposition(sheets[1], {}).decode()
    assert 'portfolio_analytics_events_total{place="log"} 6.0' in text
    assert "portfolio_analytics_requests_in_flight 10.0" in text
    name = APPEND_SECONDS.name
    assert f'{name}_bucket{{le="0.002"}} 0.0' in text
    assert f'{name}_bucket{{le="0.005"}} 3.0' in text
    assert f'{name}_bucket{{le="+Inf"}} 6.0' in text
    assert f"{name}_count 6.0" in text
    assert f"{name}_sum 297.009" in text


def test_gauges_of_a_process_that_was_killed_count_nothing(tmp_path: Path) -> None:
    dead, alive = Sheet(tmp_path / "sheet"), Sheet(tmp_path / "sheet")
    dead.row[cell(IN_FLIGHT)] = 7
    dead.row[cell(EVENTS, "log")] = 7
    dead.row[0] = 2**22 + 1  # a process id that Linux never gives
    totals = alive.totals()
    assert totals[cell(IN_FLIGHT)] == 0
    assert totals[cell(EVENTS, "log")] == 7
