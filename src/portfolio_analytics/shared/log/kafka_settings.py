"""Every setting of the Kafka client, in one place.

Certificates and host names are verified whenever the connection is TLS; nothing turns that off.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portfolio_analytics.shared.log.protocol import MAX_RECORD_BYTES

if TYPE_CHECKING:  # librdkafka is a few megabytes that a small server need not load
    from confluent_kafka import KafkaError

GROUP = "portfolio-analytics"
LOGGER = logging.getLogger("portfolio_analytics.kafka")


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Where Kafka is and who we are. `brokers` is a comma list of host:port; the repr shows no password."""

    brokers: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    topic: str = "portfolio-analytics-events"
    partitions: int = 6
    security: str = "PLAINTEXT"
    sasl_mechanism: str = "SCRAM-SHA-256"
    ca_file: Path | None = None
    retention_days: int = 7

    @property
    def tls(self) -> bool:
        """Whether connections are TLS."""
        return self.security.endswith("SSL")


def client_settings(
    settings: KafkaSettings, on_error: Callable[[KafkaError], None] | None = None
) -> dict[str, Any]:
    """What every client has in common. `on_error` gets what librdkafka reports, from within `poll`."""
    common: dict[str, Any] = {
        "bootstrap.servers": settings.brokers,
        "client.id": "portfolio-analytics",
        "security.protocol": settings.security,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,
        "socket.connection.setup.timeout.ms": 5000,
        "socket.timeout.ms": 10_000,
        # A broker that hung may answer that it knows of no brokers: the client then lets go of all of them,
        # and would wait five minutes before it asks the configured ones again. Some never do; whoever keeps
        # a client for long replaces one that finds no broker.
        "metadata.recovery.rebootstrap.trigger.ms": 15_000,
        "socket.nagle.disable": True,
        "socket.keepalive.enable": True,
        "logger": LOGGER,
        # Each lost connection is a line of its own to librdkafka; what it means for us is said once, by us.
        "log_level": 2,
    }
    if settings.security.startswith("SASL"):
        common["sasl.mechanism"] = settings.sasl_mechanism
        common["sasl.username"] = settings.user or ""
        common["sasl.password"] = settings.password or ""
    if settings.tls:
        common["enable.ssl.certificate.verification"] = True
        common["ssl.endpoint.identification.algorithm"] = "https"
        if settings.ca_file is not None:
            common["ssl.ca.location"] = str(settings.ca_file)
    if on_error is not None:
        common["error_cb"] = on_error
    return common


def producer_settings(
    settings: KafkaSettings,
    on_error: Callable[[KafkaError], None],
    *,
    delivery_timeout: float,
    refresh_seconds: float,
) -> dict[str, Any]:
    """A producer that acknowledges what all in-sync replicas have, in order and once a session."""
    return client_settings(settings, on_error) | {
        "enable.idempotence": True,
        "acks": "all",
        "delivery.timeout.ms": int(delivery_timeout * 1000),
        # A broker that hangs is given up in time for another try within the delivery timeout.
        "request.timeout.ms": max(1000, int(delivery_timeout * 500)),
        "socket.timeout.ms": max(1000, int(delivery_timeout * 500)) + 500,
        # The partition of a key is the one that Java clients choose.
        "partitioner": "murmur2_random",
        # Measured: waiting 1 ms halves the cost of an event from 64 at once on; lz4 is the cheapest.
        "linger.ms": 1,
        "compression.type": "lz4",
        "message.max.bytes": MAX_RECORD_BYTES,
        "queue.buffering.max.messages": 200_000,
        "queue.buffering.max.kbytes": 256 << 10,
        "retry.backoff.ms": 50,
        "retry.backoff.max.ms": 500,
        "topic.metadata.refresh.interval.ms": int(refresh_seconds * 1000),
        "metadata.max.age.ms": max(3, int(refresh_seconds * 3)) * 1000,
    }


def consumer_settings(
    settings: KafkaSettings,
    on_error: Callable[[KafkaError], None],
    *,
    group: str,
    session_timeout: float,
    refresh_seconds: float,
) -> dict[str, Any]:
    """A consumer whose positions come from the database and never from Kafka."""
    return client_settings(settings, on_error) | {
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        # Eager: at each rebalance everything is given back and then assigned whole, so that no
        # partition's state outlives the assignment that it belonged to.
        "partition.assignment.strategy": "range",
        "session.timeout.ms": int(session_timeout * 1000),
        "heartbeat.interval.ms": max(200, int(session_timeout * 100)),
        # Also how long a rebalance may wait for a member whose connection broke while it joined.
        "max.poll.interval.ms": int(max(60.0, 3 * session_timeout) * 1000),
        "allow.auto.create.topics": False,
        "check.crcs": True,
        "fetch.wait.max.ms": 250,
        "fetch.error.backoff.ms": 100,
        "fetch.queue.backoff.ms": 20,
        # What lies ready while a batch is stored; by its own measure it would keep 100,000 a partition.
        "queued.min.messages": 20_000,
        "queued.max.messages.kbytes": 8 << 10,
        "topic.metadata.refresh.interval.ms": int(refresh_seconds * 1000),
        "metadata.max.age.ms": max(3, int(refresh_seconds * 3)) * 1000,
    }
