"""The event logs that the contract is held against, each behind the same few lines."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Protocol

import pytest
from confluent_kafka import Producer, TopicPartition

from portfolio_analytics.shared.log.journal import JournalReader, JournalWriter
from portfolio_analytics.shared.log.kafka import KafkaReader, KafkaSettings, KafkaWriter
from portfolio_analytics.shared.log.protocol import LogReader, LogWriter
from tests.kafka.cluster import KafkaCluster


class Adapter(Protocol):
    """One log, fresh for one test."""

    def writer(self) -> LogWriter:
        """A new writer, not open yet."""

    def reader(self) -> LogReader:
        """A new reader, not open yet."""

    def forget(self, partition: int, before: int) -> None:
        """Let the log no longer hold what is below `before`, as retention would."""


class JournalAdapter:
    def __init__(self, directory: Path) -> None:
        self._path = directory / "journal.db"

    def writer(self) -> LogWriter:
        return JournalWriter(self._path)

    def reader(self) -> JournalReader:
        return JournalReader(self._path)

    def forget(self, partition: int, before: int) -> None:
        reader = self.reader()
        reader.open()
        reader.trim(before, 2**62)
        reader.close()


class KafkaAdapter:
    def __init__(self, brokers: str, *, can_forget: bool) -> None:
        self._settings = KafkaSettings(brokers=brokers, topic=f"contract-{uuid.uuid4().hex}", partitions=3)
        self._group = f"group-{uuid.uuid4().hex}"
        self._can_forget = can_forget

    def writer(self) -> LogWriter:
        return KafkaWriter(self._settings)

    def reader(self) -> LogReader:
        return KafkaReader(self._settings, group=self._group, session_timeout=6, refresh_seconds=2)

    def forget(self, partition: int, before: int) -> None:
        if not self._can_forget:
            pytest.skip("librdkafka's mock cluster never forgets a record")
        admin = KafkaCluster.admin_of(self._settings.brokers)
        records = TopicPartition(self._settings.topic, partition, before)
        for future in admin.delete_records([records]).values():
            future.result(timeout=10)


@pytest.fixture(scope="session")
def mock_cluster() -> Producer:
    """librdkafka's own in-memory cluster, which lives as long as this client."""
    return Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 3, "log_level": 0})


def make_adapter(name: str, request: pytest.FixtureRequest, directory: Path) -> Adapter:
    if name == "journal":
        return JournalAdapter(directory)
    if name == "kafka":
        try:
            cluster: KafkaCluster = request.getfixturevalue("kafka")
            return KafkaAdapter(cluster.bootstrap, can_forget=True)
        except pytest.skip.Exception:
            pass  # said once and loudly; what needs no real broker is shown by the one in memory
    mock: Producer = request.getfixturevalue("mock_cluster")
    brokers = mock.list_topics(timeout=10).brokers.values()
    return KafkaAdapter(",".join(f"{broker.host}:{broker.port}" for broker in brokers), can_forget=False)


@pytest.fixture(params=["journal", "kafka"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Adapter:
    """Each event log in turn; librdkafka's cluster in memory stands in where there is no Kafka."""
    return make_adapter(request.param, request, tmp_path)


@pytest.fixture(params=["journal", "mock", "kafka"])
def any_log(request: pytest.FixtureRequest, tmp_path: Path) -> Adapter:
    """As `log`, with the cluster in memory always; its groups take 3 s to form."""
    return make_adapter(request.param, request, tmp_path)
