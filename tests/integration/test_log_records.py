"""One record by its place, in a real topic; the journal's are asked for in test_stats_faces.py."""

from __future__ import annotations

import time
import uuid

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from portfolio_analytics.app.kafka_records import KafkaRecords
from portfolio_analytics.shared.errors import LogError
from portfolio_analytics.shared.log.kafka import KafkaSettings, KafkaWriter
from portfolio_analytics.shared.log.protocol import Appended
from tests.kafka.cluster import KafkaCluster


async def test_a_topic(kafka: KafkaCluster) -> None:
    settings = KafkaSettings(kafka.bootstrap, topic=f"records-{uuid.uuid4().hex[:8]}", partitions=2)
    writer = KafkaWriter(settings)
    await writer.open()
    values = [str(n).encode() for n in range(20)]
    placed = await writer.append_many([(value, value) for value in values])
    records = KafkaRecords(settings, "group")
    ends = [0, 0]
    for value, place in zip(values, placed, strict=True):
        assert isinstance(place, Appended)
        found = records.at(*place)
        assert found is not None
        assert (found.partition, found.offset, found.value) == (*place, value)
        ends[place.partition] = max(ends[place.partition], place.offset + 1)
    began = time.monotonic()
    for partition, offset in ((0, ends[0]), (1, ends[1]), (0, 99_999_999), (2, 0), ((1 << 15) - 1, 0)):
        assert records.at(partition, offset) is None
    assert time.monotonic() - began < 30
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for trimmed in admin.delete_records([TopicPartition(settings.topic, 0, ends[0])]).values():
        trimmed.result(30)
    assert records.at(0, 0) is None
    assert records.at(1, 0) is not None
    await writer.close(5)


def test_brokers_that_are_away(free_port: int) -> None:
    began = time.monotonic()
    with pytest.raises(LogError, match="Kafka"):
        KafkaRecords(KafkaSettings(f"127.0.0.1:{free_port}"), "group").at(0, 0)
    assert time.monotonic() - began < 15
