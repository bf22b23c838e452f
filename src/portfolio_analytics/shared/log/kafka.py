"""Kafka as the event log: what other rooms use of it."""

from __future__ import annotations

from confluent_kafka import KafkaException

from portfolio_analytics.shared.errors import LogUnavailable
from portfolio_analytics.shared.log.kafka_faults import KafkaFaults
from portfolio_analytics.shared.log.kafka_reader import KafkaReader
from portfolio_analytics.shared.log.kafka_settings import KafkaSettings
from portfolio_analytics.shared.log.kafka_topic import KafkaTopic, TopicFacts
from portfolio_analytics.shared.log.kafka_writer import KafkaWriter

__all__ = ["KafkaReader", "KafkaSettings", "KafkaWriter", "TopicFacts", "describe_topic"]


def describe_topic(settings: KafkaSettings, timeout: float = 5.0) -> TopicFacts:
    """The topic as it is now; blocks up to `timeout` seconds. Raises LogUnavailable."""
    faults = KafkaFaults(settings)
    try:
        topic = KafkaTopic(settings, faults)
        topic.connect(timeout)
        return topic.describe(timeout)
    except (KafkaException, TimeoutError) as error:
        raise LogUnavailable(faults.sentence(error if isinstance(error, KafkaException) else None)) from None
