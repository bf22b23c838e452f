"""How much of a log is not counted: the journal's and Kafka's ends beside stored positions."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import pytest

from portfolio_analytics.app.kafka_ends import KafkaEnds
from portfolio_analytics.app.log_ends import Backlog, JournalEnds
from portfolio_analytics.shared.errors import LogError
from portfolio_analytics.shared.log.journal import JournalWriter
from portfolio_analytics.shared.log.journal_file import JournalFile
from portfolio_analytics.shared.log.kafka import KafkaSettings, KafkaWriter, describe_topic
from portfolio_analytics.shared.log.protocol import Appended
from tests.kafka.cluster import KafkaCluster


def soon() -> int:
    return int((time.time() + 60) * 1000)


def long_ago() -> int:
    return int((time.time() - 3600) * 1000)


async def test_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    ends = JournalEnds(path)
    assert ends.backlog({}, soon()) == {}
    assert not path.exists()
    writer = JournalWriter(path)
    await writer.open()
    await writer.append_many([(b"key", b"value")] * 3)
    file = JournalFile(path)
    file.open()
    topic = file.topic_id
    file.close()
    assert ends.backlog({}, soon()) == {0: Backlog(3, True)}
    assert ends.backlog({("another", 0): 3}, soon()) == {0: Backlog(3, True)}
    assert ends.backlog({(topic, 0): 1}, long_ago()) == {0: Backlog(2, False)}
    assert ends.backlog({(topic, 0): 3}, soon()) == {0: Backlog(0, False)}
    await writer.close(5)


async def test_a_topic(kafka: KafkaCluster) -> None:
    settings = KafkaSettings(kafka.bootstrap, topic=f"ends-{uuid.uuid4().hex[:8]}", partitions=2)
    writer = KafkaWriter(settings)
    await writer.open()
    placed = await writer.append_many([(str(n).encode(), b"value") for n in range(20)])
    held = [0, 0]
    for found in placed:
        assert isinstance(found, Appended)
        held[found.partition] += 1
    assert min(held) > 1
    topic = describe_topic(settings).topic_id
    ends = KafkaEnds(settings)
    assert ends.backlog({}, soon()) == {0: Backlog(held[0], True), 1: Backlog(held[1], True)}
    stored = {(topic, 0): held[0], (topic, 1): 1, ("another", 0): 0}
    assert ends.backlog(stored, soon()) == {0: Backlog(0, False), 1: Backlog(held[1] - 1, True)}
    assert ends.backlog(stored, long_ago()) == {0: Backlog(0, False), 1: Backlog(held[1] - 1, False)}
    await writer.close(5)


def test_brokers_that_are_away(free_port: int) -> None:
    began = time.monotonic()
    with pytest.raises(LogError, match="Kafka"):
        KafkaEnds(KafkaSettings(f"127.0.0.1:{free_port}")).backlog({}, soon())
    assert time.monotonic() - began < 30
