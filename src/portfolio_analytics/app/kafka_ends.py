"""The ends of a topic's partitions."""

from __future__ import annotations

from typing import Any

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka import admin as kafka_admin
from confluent_kafka.admin import AdminClient

from portfolio_analytics.app.log_ends import ANSWER_S, Backlog, Stored
from portfolio_analytics.shared.errors import LogUnavailable
from portfolio_analytics.shared.log.kafka_faults import KafkaFaults
from portfolio_analytics.shared.log.kafka_settings import KafkaSettings, client_settings
from portfolio_analytics.shared.log.kafka_topic import KafkaTopic

_SPECS: Any = kafka_admin.OffsetSpec  # type: ignore[attr-defined]  # it is public, but has no types


class KafkaEnds:
    """Asks the brokers; connects when it is asked for the first time."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._faults = KafkaFaults(settings)
        self._clients: tuple[KafkaTopic, AdminClient] | None = None

    def backlog(self, stored: Stored, before_ms: int) -> dict[int, Backlog]:
        """See LogEnds."""
        try:
            topic, admin = self._connected()
            topic_id = topic.identify(ANSWER_S)
            name = self._settings.topic
            partitions = sorted(admin.list_topics(name, timeout=ANSWER_S).topics[name].partitions)
            low = self._offsets(admin, partitions, _SPECS.earliest())
            high = self._offsets(admin, partitions, _SPECS.latest())
            recent = self._offsets(admin, partitions, _SPECS.for_timestamp(before_ms))
        except (KafkaException, TimeoutError) as error:
            self._clients = None  # a client that met a hanging broker may not find back by itself
            cause = error if isinstance(error, KafkaException) else None
            raise LogUnavailable(self._faults.sentence(cause)) from None
        found = {}
        for partition in partitions:
            first = max(low[partition], stored.get((topic_id, partition)) or 0)
            # No record is as young: all of them are from before.
            edge = high[partition] if recent[partition] < 0 else recent[partition]
            found[partition] = Backlog(max(high[partition] - first, 0), edge > first)
        return found

    def _connected(self) -> tuple[KafkaTopic, AdminClient]:
        if self._clients is None:
            settings = client_settings(self._settings, self._faults.note)
            self._clients = KafkaTopic(self._settings, self._faults), AdminClient(settings)
        return self._clients

    def _offsets(self, admin: AdminClient, partitions: list[int], where: Any) -> dict[int, int]:
        """Offsets by partition; -1 where there is no record as young as was asked for."""
        wanted = {TopicPartition(self._settings.topic, partition): where for partition in partitions}
        found = admin.list_offsets(wanted, request_timeout=ANSWER_S)
        return {place.partition: future.result(ANSWER_S + 1).offset for place, future in found.items()}
