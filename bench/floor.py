"""What the parts below ours can do at best: librdkafka's produce, one fsync."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from confluent_kafka import Producer

from portfolio_analytics.shared.log.kafka_settings import KafkaSettings, producer_settings


def produce(
    brokers: str, topic: str, records: Sequence[tuple[bytes | None, bytes]], *, compression: str = "lz4"
) -> float:
    """Put keyed records into a topic with the producer's own settings; acknowledged records a second.

    `compression` other than the producer's is for clients that know fewer kinds. Raises RuntimeError when a
    record is not acknowledged.
    """
    settings = KafkaSettings(brokers=brokers, topic=topic)
    producer = Producer(
        producer_settings(settings, lambda error: None, delivery_timeout=30.0, refresh_seconds=60.0)
        | {"compression.type": compression}
    )
    producer.list_topics(topic, timeout=10)
    began = time.perf_counter()
    for number, (key, value) in enumerate(records):
        while True:
            try:
                producer.produce(topic, value, key)
                break
            except BufferError:
                producer.poll(0.05)
        if number % 500 == 0:
            producer.poll(0)
    left = producer.flush(60)
    if left:
        raise RuntimeError(f"Kafka did not acknowledge {left} records")
    return len(records) / (time.perf_counter() - began)


def fsync_ms(folder: Path, rounds: int = 200) -> list[float]:
    """Milliseconds of an fsync after 4 kB more in a file of `folder`."""
    found = []
    path = folder / "fsync"
    with path.open("wb", buffering=0) as file:
        for _ in range(rounds):
            file.write(bytes(4096))
            began = time.perf_counter()
            os.fsync(file.fileno())
            found.append((time.perf_counter() - began) * 1000)
    path.unlink()
    return found
