"""Bad rows on a topic of their own: at least once, never at the cost of an event."""

from __future__ import annotations

import uuid
from pathlib import Path

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from portfolio_analytics.shared.errors import LogUncertain
from portfolio_analytics.shared.log.kafka import KafkaSettings
from portfolio_analytics.shared.log.kafka_dead_letters import KafkaDeadLetters, Letter
from portfolio_analytics.shared.record import encode_record
from portfolio_analytics.storage.database import connect
from tests.faults.journal import make_events
from tests.faults.pipeline import kafka_environment, number, wait_until_stored
from tests.faults.process import Process, eventually
from tests.kafka.cluster import KafkaCluster
from tests.oracle import assert_exactly_once

POISON = [b"not JSON", b"\xff\xfe", b'{"kind":"nobody knows"}']


def letters(kafka: KafkaCluster, topic: str, count: int) -> list[tuple[bytes | None, dict[str, bytes]]]:
    """The first `count` records of a topic: value and headers."""
    consumer = Consumer(
        {**kafka.client_settings(), "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    found: list[tuple[bytes | None, dict[str, bytes]]] = []

    def enough() -> bool:
        for message in consumer.consume(count, 0.5):
            assert message.error() is None
            found.append((message.value(), dict(message.headers() or [])))  # type: ignore[arg-type]
        return len(found) >= count

    try:
        eventually(enough, 60, lambda: f"{count} letters; {found}")
    finally:
        consumer.close()
    return found


def test_bad_rows_are_published_and_hold_nothing_up(
    kafka: KafkaCluster, database: str, tmp_path: Path
) -> None:
    """The topic takes nothing at first, and the consumer is killed meanwhile."""
    topic, dead = f"alive-{uuid.uuid4().hex}", f"dead-{uuid.uuid4().hex}"
    admin = kafka.admin()
    # A compacted topic takes no record without a key.
    refusing = NewTopic(dead, 1, 1, config={"cleanup.policy": "compact"})
    for made in admin.create_topics([refusing, NewTopic(topic, 1, 1)]).values():
        made.result(timeout=20)
    sent = make_events(30)
    values = [encode_record(event) for event in sent]
    for place, poison in enumerate(POISON):
        values.insert(place * 5, poison)
    producer = Producer(kafka.client_settings())
    for value in values:
        producer.produce(topic, value, None if value in POISON else b"key")
    assert producer.flush(20) == 0

    environment = kafka_environment(kafka, topic) | {
        "DATABASE_URL": database,
        "KAFKA_DEAD_LETTER_TOPIC": dead,
    }
    unpublished = "SELECT count(*) FROM bad_rows WHERE published_at IS NULL"
    with Process("consumer", ["consumer"], environment, tmp_path) as process, connect(database) as connection:
        wait_until_stored(database, [event.id for event in sent])
        eventually(lambda: "Dead letters wait" in process.output(), 60, process.output)
        assert number(connection, unpublished) == len(POISON)
        process.kill()
        change = ConfigEntry("cleanup.policy", "delete", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, dead, incremental_configs=[change])
        for altered in admin.incremental_alter_configs([resource]).values():
            altered.result(timeout=20)
        process.start()
        found = letters(kafka, dead, len(POISON))
        eventually(lambda: number(connection, unpublished) == 0, 30, process.output)
        assert process.terminate() == 0

    assert [value for value, _ in found] == POISON
    for place, (_, headers) in enumerate(found):
        assert headers["reason"] == b"undecodable"
        assert headers["detail"]
        assert headers["topic"] == topic.encode()
        assert (headers["partition"], headers["offset"]) == (b"0", b"%d" % (place * 5))
    assert_exactly_once(database, [event.id for event in sent])


def test_a_topic_that_is_deleted_is_made_again(kafka: KafkaCluster) -> None:
    """The client that saw it go is of no further use; the next try has a new one."""
    dead = f"dead-{uuid.uuid4().hex}"
    topic = KafkaDeadLetters(KafkaSettings(kafka.bootstrap), dead)
    letter = Letter(b"key", b"bad", [("reason", b"undecodable")])
    assert topic.publish([letter]) == [None]
    admin = kafka.admin()
    for deleted in admin.delete_topics([dead]).values():
        deleted.result(timeout=20)
    [error] = topic.publish([letter])
    assert isinstance(error, LogUncertain)
    assert topic.publish([letter]) == [None]
    topic.close()
    assert letters(kafka, dead, 1)[0][0] == b"bad"
