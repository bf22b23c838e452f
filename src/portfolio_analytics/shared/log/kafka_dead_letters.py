"""Kafka's side of the dead letters: records with headers, appended to a topic of their own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from portfolio_analytics.shared.errors import LogError, LogUnavailable, LogUncertain
from portfolio_analytics.shared.log.kafka_faults import KafkaFaults, delivery_error
from portfolio_analytics.shared.log.kafka_settings import KafkaSettings, producer_settings
from portfolio_analytics.shared.log.kafka_topic import KafkaTopic

PARTITIONS = 1
ANSWER_SECONDS = 5.0
REFRESH_SECONDS = 10.0


class Letter(NamedTuple):
    """A record as it came, and what is to be said about it."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class KafkaDeadLetters:
    """Appends to `topic`, which is made where it is missing, of the cluster of `settings`. For one thread."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._settings = replace(settings, topic=topic, partitions=PARTITIONS)
        self._faults = KafkaFaults(self._settings)
        self._producer: Producer | None = None

    def publish(self, letters: Sequence[Letter]) -> list[LogError | None]:
        """Append `letters`; for each None once all in-sync replicas have it, else the error that kept it out.

        Takes up to 15 s when Kafka is away. Raises LogUnavailable when none can be appended.
        """
        producer = self._opened()
        results: list[LogError | None] = [LogUncertain("Kafka has not answered")] * len(letters)
        for place, letter in enumerate(letters):

            def settle(error: KafkaError | None, _: Message, place: int = place) -> None:
                results[place] = None if error is None else delivery_error(error)

            try:
                producer.produce(
                    self._settings.topic,
                    letter.value,
                    letter.key,
                    headers=list(letter.headers),
                    on_delivery=settle,
                )
            except KafkaException as error:
                results[place] = delivery_error(error.args[0])
            except BufferError:
                results[place] = LogUnavailable("too many records wait for Kafka")
        end = time.monotonic() + ANSWER_SECONDS + 1.0
        while len(producer) and time.monotonic() < end:
            producer.poll(0.1)
        if self._faults.fatal or all(isinstance(result, LogUncertain) for result in results):
            # An idempotent producer that lost its place does not find back, nor does one that was told that
            # there are no brokers (see KafkaReader). The next try has a new one.
            self.close()
        return results

    def close(self) -> None:
        """Let go. What is not acknowledged yet may or may not be in the topic."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.poll(0)

    def _opened(self) -> Producer:
        if self._producer is None:
            self._faults.fatal = False
            try:
                topic = KafkaTopic(self._settings, self._faults)
                topic.connect(ANSWER_SECONDS)
                topic.ensure(ANSWER_SECONDS)
                self._producer = Producer(
                    producer_settings(
                        self._settings,
                        self._faults.note,
                        delivery_timeout=ANSWER_SECONDS,
                        refresh_seconds=REFRESH_SECONDS,
                    )
                )
            except (KafkaException, TimeoutError) as error:
                cause = error if isinstance(error, KafkaException) else None
                raise LogUnavailable(self._faults.sentence(cause)) from None
        return self._producer
