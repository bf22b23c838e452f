"""A Kafka client that is of no further use, while no new one can be made: both sides go on trying.

Brokers are not needed: nothing here is sent or read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException

from portfolio_analytics.shared.log import kafka_writer
from portfolio_analytics.shared.log.kafka import KafkaReader, KafkaSettings, KafkaWriter
from tests.kafka.certificates import Authority


def settings(ca_file: Path, port: int) -> KafkaSettings:
    return KafkaSettings(f"127.0.0.1:{port}", security="SSL", ca_file=ca_file)


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    """A CA file that can be taken away and put back."""
    return Authority(tmp_path, "ca").file


def take_away(file: Path) -> None:
    file.rename(file.with_name("away"))


def put_back(file: Path) -> None:
    file.with_name("away").rename(file)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it has given up"
        await asyncio.sleep(0.01)


async def test_a_writer_has_a_new_client_once_one_can_be_made(
    ca_file: Path, free_port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kafka_writer, "RENEW_PAUSE", 0.05)
    writer = KafkaWriter(settings(ca_file, free_port))
    await writer.open()
    old = writer._producer
    take_away(ca_file)
    writer._faults.fatal = True
    await until(lambda: caplog.text.count("No new Kafka client can be made") > 1)
    assert writer._producer is old
    put_back(ca_file)
    await until(lambda: writer._producer is not old)
    await writer.close(0.1)


def test_a_reader_keeps_its_client_until_a_new_one_can_be_made(ca_file: Path, free_port: int) -> None:
    reader = KafkaReader(settings(ca_file, free_port))
    old = reader._consumer = Consumer(reader._config)
    take_away(ca_file)
    with pytest.raises(KafkaException):
        reader._renew()
    assert reader._consumer is old
    put_back(ca_file)
    reader._renew()
    assert reader._consumer not in (None, old)
    reader.close()
