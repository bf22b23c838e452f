"""Replay over real logs: what is missing comes back, whatever else a log holds, however long it takes."""

from __future__ import annotations

import secrets
from pathlib import Path

from portfolio_analytics.app.replay import Replayed, replay_log
from portfolio_analytics.consumer.bad_rows import shelf
from portfolio_analytics.consumer.transaction import Store
from portfolio_analytics.settings import Settings
from portfolio_analytics.shared.record import EventRecord, encode_record
from portfolio_analytics.storage.database import connect
from tests.faults.journal import append_events, make_events
from tests.oracle import assert_exactly_once
from tests.records import event


def poison() -> EventRecord:
    """An event that PostgreSQL refuses: a country that no index can hold."""
    found = make_events(1)[0]
    return event(time=found.time, at=found.at, day=found.day, country=secrets.token_hex(9_000))


def test_a_record_that_cannot_be_stored_is_left_out(database: str, tmp_path: Path) -> None:
    sent = make_events(9)
    append_events(tmp_path / "journal.sqlite", [*sent[:4], poison(), *sent[4:]])
    settings = Settings.load({"DATA_DIR": str(tmp_path)})
    assert replay_log(settings, database) == Replayed(read=10, stored=9)
    assert_exactly_once(database, [found.id for found in sent])


def test_bad_rows_that_go_on_being_bad_do_not_stop_the_others(database: str) -> None:
    sent = make_events(1)[0]
    with connect(database) as connection:
        for offset, found in enumerate([poison(), sent]):
            connection.execute(
                "INSERT INTO bad_rows (topic_id, partition, log_offset, reason, detail, value) "
                "VALUES ('topic', 0, %s, 'unstorable', 'of an earlier version', %s)",
                [offset, encode_record(found)],
            )
        assert shelf.retry(connection, Store(connection, ""), []) == (1, 2)
    assert_exactly_once(database, [sent.id])
