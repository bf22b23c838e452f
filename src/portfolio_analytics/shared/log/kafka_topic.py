"""The topic: made where it is missing, described for those who check it, never changed."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._metadata import ClusterMetadata
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from portfolio_analytics.shared.errors import LogUnavailable
from portfolio_analytics.shared.log import kafka_codes
from portfolio_analytics.shared.log.kafka_faults import KafkaFaults
from portfolio_analytics.shared.log.kafka_settings import KafkaSettings, client_settings

NO_ID = base64.urlsafe_b64encode(bytes(16)).decode().rstrip("=")
URL_SAFE = str.maketrans("+/", "-_")
DAY_MS = 86_400_000
# librdkafka's own in-memory cluster names itself so; it makes topics by itself and cannot be administered.
IN_MEMORY = "mockCluster"


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """A topic as it is. `replication` and `in_sync` are the lowest of all partitions."""

    name: str
    topic_id: str
    partitions: int
    replication: int
    in_sync: int
    min_in_sync: int
    retention_ms: int
    brokers: int


class TopicMissing(LogUnavailable):
    """There is no topic of that name."""


class KafkaTopic:
    """The topic of `settings`, seen through an admin client. All methods block, `timeout` is in seconds."""

    def __init__(self, settings: KafkaSettings, faults: KafkaFaults | None = None) -> None:
        self._settings = settings
        self._faults = faults or KafkaFaults(settings)
        config: dict[str, Any] = client_settings(settings, self._faults.note)
        self._admin = AdminClient(config)

    def connect(self, timeout: float) -> None:
        """Return when a broker answers. Raises LogUnavailable that says why none does."""
        try:
            self._faults.wait_for_brokers(self._admin, timeout)
        except KafkaException as error:
            raise LogUnavailable(self._faults.sentence(error)) from None

    def identify(self, timeout: float) -> str:
        """The topic's id, another one when it was deleted and made again.

        Raises TopicMissing, KafkaException.
        """
        cluster = self._admin.list_topics(timeout=timeout)
        if self._settings.topic not in cluster.topics:
            raise TopicMissing(f"Kafka has no topic {self._settings.topic}")
        return self._identify(cluster, timeout)

    def ensure(self, timeout: float) -> TopicFacts:
        """Make the topic where it is missing; what it is then. An existing one is left as it is.

        Raises LogUnavailable (may not be made), KafkaException (Kafka is away).
        """
        name = self._settings.topic
        cluster = self._admin.list_topics(timeout=timeout)
        if name not in cluster.topics:
            self._make(cluster, timeout)
        end = time.monotonic() + timeout
        while True:
            try:
                return self.describe(timeout)
            except TopicMissing:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def describe(self, timeout: float) -> TopicFacts:
        """The topic as it is. Raises TopicMissing, KafkaException."""
        name = self._settings.topic
        cluster = self._admin.list_topics(timeout=timeout)
        if name not in cluster.topics or not cluster.topics[name].partitions:
            raise TopicMissing(f"Kafka has no topic {name}")
        partitions = cluster.topics[name].partitions.values()
        configured = {} if _in_memory(cluster) else self._configured(timeout)
        return TopicFacts(
            name=name,
            topic_id=self._identify(cluster, timeout),
            partitions=len(partitions),
            replication=min(len(partition.replicas) for partition in partitions),
            in_sync=min(len(partition.isrs) for partition in partitions),
            min_in_sync=int(configured.get("min.insync.replicas", "1")),
            retention_ms=int(configured.get("retention.ms", "-1")),
            brokers=len(cluster.brokers),
        )

    def _make(self, cluster: ClusterMetadata, timeout: float) -> None:
        settings = self._settings
        if _in_memory(cluster):
            self._admin.list_topics(settings.topic, timeout=timeout)
            return
        replication = min(3, len(cluster.brokers))
        topic = NewTopic(
            settings.topic,
            num_partitions=settings.partitions,
            replication_factor=replication,
            config={
                "min.insync.replicas": "2" if replication >= 3 else "1",
                "retention.ms": str(settings.retention_days * DAY_MS),
                "cleanup.policy": "delete",
            },
        )
        made = self._admin.create_topics([topic], operation_timeout=timeout, request_timeout=timeout)
        try:
            made[settings.topic].result(timeout=timeout + 1)
        except KafkaException as error:
            code = error.args[0].code()
            if code == KafkaError.TOPIC_ALREADY_EXISTS:
                return  # another process was quicker
            if code in kafka_codes.MAY_NOT:
                raise LogUnavailable(f"the Kafka user may not make the topic {settings.topic}") from None
            raise

    def _identify(self, cluster: ClusterMetadata, timeout: float) -> str:
        name = self._settings.topic
        topic_id = NO_ID
        if not _in_memory(cluster):
            described = self._admin.describe_topics(TopicCollection([name]), request_timeout=timeout)
            try:
                topic_id = str(described[name].result(timeout=timeout + 1).topic_id)
            except KafkaException as error:
                if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise TopicMissing(f"Kafka has no topic {name}") from None
                raise
        # Brokers before 2.8 have no topic ids either. Written as Kafka's own tools write them.
        return f"{cluster.cluster_id}/{name}" if topic_id == NO_ID else topic_id.translate(URL_SAFE)

    def _configured(self, timeout: float) -> dict[str, str]:
        resource = ConfigResource(ResourceType.TOPIC, self._settings.topic)
        described = self._admin.describe_configs([resource], request_timeout=timeout)
        try:
            entries = next(iter(described.values())).result(timeout=timeout + 1)
        except KafkaException as error:
            if error.args[0].code() in kafka_codes.MAY_NOT:
                return {}
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                # Made a moment ago, and this broker has not heard of it.
                raise TopicMissing(f"Kafka has no topic {self._settings.topic}") from None
            raise
        return {name: entry.value for name, entry in entries.items() if entry.value is not None}


def _in_memory(cluster: ClusterMetadata) -> bool:
    return (cluster.cluster_id or "").startswith(IN_MEMORY)
