"""The error codes of librdkafka that decide something here.

librdkafka marks those that it raises itself, rather than a broker, with an underscore.
"""

# ruff: noqa: SLF001  (the underscore is part of the public name)

from __future__ import annotations

from confluent_kafka import KafkaError

ALL_BROKERS_DOWN = KafkaError._ALL_BROKERS_DOWN
AUTHENTICATION = KafkaError._AUTHENTICATION
FATAL = KafkaError._FATAL
OFFSET_NOT_HELD = KafkaError._AUTO_OFFSET_RESET
RESOLVE = KafkaError._RESOLVE
SSL = KafkaError._SSL
TRANSPORT = KafkaError._TRANSPORT

NOTHING_THERE = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError._PARTITION_EOF})
"""A partition has no record at the offset: not any more, or not yet."""

UNANSWERED = frozenset({KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._TIMED_OUT_QUEUE})
"""No answer came from the broker, for whatever reason."""

TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})

NOT_WRITTEN = frozenset(
    {
        KafkaError._QUEUE_FULL,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._STATE,
    }
)
"""Failures of a delivery after which the record is certainly not in the log.

A broker's refusal is not among them: it may answer a second try of what it stored at the first.
"""

MAY_NOT = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED})
"""The user is known and has no right."""
