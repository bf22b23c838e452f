"""What retention deletes before it was read is a recorded gap, also where nothing was read before."""

from __future__ import annotations

import asyncio
import uuid

import psycopg
from confluent_kafka import TopicPartition

from portfolio_analytics.shared.log.kafka import KafkaReader, KafkaSettings, KafkaWriter
from portfolio_analytics.shared.record import encode_record
from portfolio_analytics.storage.database import connect
from tests.faults.journal import make_events
from tests.faults.pipeline import ConsumerThread, number, wait_until_stored
from tests.faults.process import eventually
from tests.kafka.cluster import KafkaCluster


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


def delete(kafka: KafkaCluster, settings: KafkaSettings, before: int) -> None:
    """Delete the records of partition 0 below an offset."""
    admin = kafka.admin()
    for future in admin.delete_records([TopicPartition(settings.topic, 0, before)]).values():
        future.result(timeout=20)
