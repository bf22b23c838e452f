"""Replay over real logs: what is missing comes back, whatever else a log holds, however long it takes."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from pathlib import Path

import pytest

from portfolio_analytics.app import replay
from portfolio_analytics.app.replay import Replayed, replay_log
from portfolio_analytics.consumer.bad_rows import shelf
from portfolio_analytics.consumer.batch import make_batch
from portfolio_analytics.consumer.transaction import Store
from portfolio_analytics.importers.access_log import ImportProblem
from portfolio_analytics.importers.restore import store_items
from portfolio_analytics.settings import Settings
from portfolio_analytics.shared.log.kafka import KafkaSettings, KafkaWriter
from portfolio_analytics.shared.record import EventRecord, encode_record
from portfolio_analytics.storage.database import connect
from tests.faults.journal import append_events, make_events
from tests.faults.pipeline import kafka_environment
from tests.kafka.cluster import KafkaCluster
from tests.oracle import assert_exactly_once
from tests.records import event, in_log


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


def test_an_import_says_which_events_cannot_be_stored(database: str) -> None:
    with connect(database) as connection:
        items = make_batch(in_log([poison()]), "topic").items
        with pytest.raises(ImportProblem, match="Events 1 to 1 cannot be stored: PostgreSQL: "):
            store_items(Store(connection, ""), items)


def test_a_topic_is_read_to_its_end_however_long_its_records_take(
    kafka: KafkaCluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = f"replay-{uuid.uuid4().hex}"
    sent = make_events(20)

    async def append() -> None:
        writer = KafkaWriter(KafkaSettings(kafka.bootstrap, topic=topic, partitions=1))
        await writer.open()
        await writer.append_many([(b"key", encode_record(found)) for found in sent])
        await writer.close(5)

    asyncio.run(append())
    monkeypatch.setattr(replay, "SILENCE_S", 6.0)  # the group takes a part of it to meet
    monkeypatch.setattr(replay, "BATCH", 10)

    def take_long(done: int, total: int) -> None:
        assert total == 20
        if done == 10:
            time.sleep(6.5)

    settings = Settings.load(kafka_environment(kafka, topic))
    assert replay_log(settings, database, on_progress=take_long) == Replayed(read=20, stored=20)
    assert_exactly_once(database, [found.id for found in sent])
