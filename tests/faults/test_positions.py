"""Positions that the log or the database no longer agrees with: nothing is passed over, and a gap is told."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from pathlib import Path

import psycopg
from confluent_kafka import TopicPartition

from portfolio_analytics.app.log_ends import JournalEnds
from portfolio_analytics.shared.log.journal import JournalReader
from portfolio_analytics.shared.log.kafka import KafkaReader, KafkaSettings, KafkaWriter
from portfolio_analytics.shared.record import encode_record
from portfolio_analytics.storage.database import connect
from tests.faults.journal import append_events, make_events
from tests.faults.pipeline import ConsumerThread, number, wait_until_stored
from tests.faults.process import eventually
from tests.kafka.cluster import KafkaCluster
from tests.oracle import assert_exactly_once


async def append(settings: KafkaSettings, values: list[bytes]) -> None:
    writer = KafkaWriter(settings)
    await writer.open()
    results = await writer.append_many([(b"key", value) for value in values])
    await writer.close(5)
    assert not [result for result in results if isinstance(result, BaseException)]


def gaps(connection: psycopg.Connection) -> list[tuple[int, int, int]]:
    return connection.execute("SELECT partition, wanted, resumed FROM log_gaps").fetchall()


def test_records_deleted_before_the_first_batch_are_a_gap(kafka: KafkaCluster, database: str) -> None:
    settings = KafkaSettings(kafka.bootstrap, topic=f"positions-{uuid.uuid4().hex}", partitions=1)
    events = make_events(20)
    asyncio.run(append(settings, [encode_record(event) for event in events[:5]]))
    delete(kafka, settings, 5)  # before anybody asked for them: nobody misses them

    first = ConsumerThread(KafkaReader(settings, group=settings.topic), database)
    with connect(database) as connection:
        claimed = "SELECT count(*) FROM log_positions"
        eventually(lambda: number(connection, claimed) == 1, 60, "the first claim")
        first.stop()
        assert first.error is None
        assert gaps(connection) == []

        asyncio.run(append(settings, [encode_record(event) for event in events[5:]]))
        delete(kafka, settings, 12)
        second = ConsumerThread(KafkaReader(settings, group=settings.topic), database)
        try:
            wait_until_stored(database, [event.id for event in events[12:]])
        finally:
            second.stop()
        assert second.error is None
        assert gaps(connection) == [(0, 5, 12)]


def test_a_batch_that_was_fenced_is_read_again_though_no_record_follows(
    database: str, tmp_path: Path
) -> None:
    """As when one that hung for a while claims a partition once more before it hears that it lost it."""
    journal = tmp_path / "journal.sqlite"
    sent = make_events(7)
    append_events(journal, sent[:3])
    consumer = ConsumerThread(JournalReader(journal), database)
    try:
        wait_until_stored(database, [event.id for event in sent[:3]])
        with connect(database) as connection:
            connection.execute("UPDATE log_positions SET epoch = epoch + 1")
        append_events(journal, sent[3:])
        wait_until_stored(database, [event.id for event in sent], 20)
    finally:
        consumer.stop()
    assert consumer.error is None
    assert consumer.worker.tally.fenced == 1
    assert_exactly_once(database, [event.id for event in sent])


def test_a_database_that_went_back_is_given_once_more_what_it_lost(database: str, tmp_path: Path) -> None:
    """As to a standby that lagged when the server it followed died."""
    journal = tmp_path / "journal.sqlite"
    sent = make_events(12)
    append_events(journal, sent[:3])
    consumer = ConsumerThread(JournalReader(journal), database)
    wait_until_stored(database, [event.id for event in sent[:3]])
    with connect(database) as connection:
        append_events(journal, sent[3:7])
        try:
            wait_until_stored(database, [event.id for event in sent[:7]])
            with connection.transaction():
                tables = "events, visits, visitors, rollups, event_totals, ledger, latencies"
                connection.execute(f"TRUNCATE {tables} CASCADE")
                connection.execute("UPDATE log_positions SET next = 0")
            end = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            connection.execute(end)
            append_events(journal, sent[7:])
            wait_until_stored(database, [event.id for event in sent], 20)
        finally:
            consumer.stop()
    assert consumer.error is None
    assert_exactly_once(database, [event.id for event in sent])


def test_offsets_that_a_journal_gives_anew_are_read(database: str, tmp_path: Path) -> None:
    """As after a copy of yesterday was put in the place of a journal that was lost."""
    journal, copy = tmp_path / "journal.sqlite", tmp_path / "copy"
    sent = make_events(13)
    append_events(journal, sent[:5])
    shutil.copy(journal, copy)
    append_events(journal, sent[5:10])
    before = ConsumerThread(JournalReader(journal), database)
    wait_until_stored(database, [event.id for event in sent[:10]])
    before.stop()
    shutil.copy(copy, journal)
    append_events(journal, sent[10:])
    after = ConsumerThread(JournalReader(journal), database)
    try:
        wait_until_stored(database, [event.id for event in sent], 20)
    finally:
        after.stop()
    assert after.error is None
    with connect(database) as connection:
        assert gaps(connection) == [(0, 10, 0)]
        assert number(connection, "SELECT next FROM log_positions") == 8
    assert_exactly_once(database, [event.id for event in sent])


def test_a_journal_that_is_removed_is_gone_on_with_in_its_successor(database: str, tmp_path: Path) -> None:
    """Writers make another one and go on answering: what is in it is to be counted, and to be seen."""
    journal = tmp_path / "journal.sqlite"
    ends = JournalEnds(journal)
    sent = make_events(12)
    append_events(journal, sent[:5])
    consumer = ConsumerThread(JournalReader(journal), database)
    try:
        wait_until_stored(database, [event.id for event in sent[:5]])
        assert ends.backlog({}, 0)[0].lag == 5
        for file in tmp_path.glob("journal.sqlite*"):
            file.unlink()
        append_events(journal, sent[5:])
        assert ends.backlog({}, 0)[0].lag == 7
        wait_until_stored(database, [event.id for event in sent], 20)
    finally:
        consumer.stop()
    assert consumer.error is None
    with connect(database) as connection:
        assert sorted(connection.execute("SELECT next FROM log_positions").fetchall()) == [(5,), (7,)]
    assert_exactly_once(database, [event.id for event in sent])


def test_a_position_beyond_the_end_of_a_topic_goes_back(kafka: KafkaCluster, database: str) -> None:
    """As after a replica that lagged became the leader."""
    settings = KafkaSettings(kafka.bootstrap, topic=f"positions-{uuid.uuid4().hex}", partitions=1)
    sent = make_events(8)
    asyncio.run(append(settings, [encode_record(event) for event in sent[:5]]))
    before = ConsumerThread(KafkaReader(settings, group=settings.topic), database)
    wait_until_stored(database, [event.id for event in sent[:5]])
    before.stop()
    with connect(database) as connection:
        connection.execute("UPDATE log_positions SET next = 50")
        after = ConsumerThread(KafkaReader(settings, group=settings.topic), database)
        try:
            eventually(lambda: gaps(connection) == [(0, 50, 0)], 60, "the gap")
            asyncio.run(append(settings, [encode_record(event) for event in sent[5:]]))
            wait_until_stored(database, [event.id for event in sent], 20)
        finally:
            after.stop()
        assert after.error is None
        assert number(connection, "SELECT next FROM log_positions") == 8
    assert_exactly_once(database, [event.id for event in sent])


def delete(kafka: KafkaCluster, settings: KafkaSettings, before: int) -> None:
    """Delete the records of partition 0 below an offset."""
    admin = kafka.admin()
    for future in admin.delete_records([TopicPartition(settings.topic, 0, before)]).values():
        future.result(timeout=20)
