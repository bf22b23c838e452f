"""One record of a topic by its place."""

from __future__ import annotations

import time

from confluent_kafka import Consumer, KafkaException, TopicPartition

from portfolio_analytics.app.log_ends import ANSWER_S
from portfolio_analytics.shared.errors import LogUnavailable
from portfolio_analytics.shared.log import kafka_codes
from portfolio_analytics.shared.log.kafka_faults import KafkaFaults
from portfolio_analytics.shared.log.kafka_settings import KafkaSettings, client_settings
from portfolio_analytics.shared.log.protocol import LogRecord


class KafkaRecords:
    """Connects for each question: they are rare, and a client kept for long may lose its brokers.

    `group` is that of the consumers, which the user may read as; it is not joined, and no position of it is
    read or written.
    """

    def __init__(self, settings: KafkaSettings, group: str) -> None:
        self._settings = settings
        self._faults = KafkaFaults(settings)
        self._config = client_settings(settings, self._faults.note) | {
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "allow.auto.create.topics": False,
            # Says at once that nothing comes at the end of a partition, where a wait would not tell.
            "enable.partition.eof": True,
            "check.crcs": True,
            "queued.min.messages": 1,
        }

    def at(self, partition: int, offset: int) -> LogRecord | None:
        """See HeldRecords."""
        try:
            consumer = Consumer(self._config)
        except KafkaException as error:
            raise LogUnavailable(f"the Kafka settings cannot be used: {error.args[0].str()}") from None
        try:
            return self._read(consumer, partition, offset)
        except KafkaException as error:
            raise LogUnavailable(self._faults.sentence(error)) from None
        finally:
            consumer.close()

    def _read(self, consumer: Consumer, partition: int, offset: int) -> LogRecord | None:
        end = time.monotonic() + ANSWER_S
        name = self._settings.topic
        topic = consumer.list_topics(name, timeout=ANSWER_S).topics[name]
        if topic.error is not None:
            raise KafkaException(topic.error)
        if partition not in topic.partitions:
            return None
        consumer.assign([TopicPartition(name, partition, offset)])
        while (left := end - time.monotonic()) > 0:
            message = consumer.poll(left)
            if message is None:
                continue
            error = message.error()
            if error is not None:
                if error.code() in kafka_codes.NOTHING_THERE:
                    return None
                self._faults.note(error)
            elif message.offset() == offset:
                return LogRecord(partition, offset, message.timestamp()[1], message.key(), message.value())
            else:
                return None  # the offset was none of a record, as the end of a transaction
        raise LogUnavailable(self._faults.sentence())
