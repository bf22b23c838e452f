"""Who may talk to Kafka, and what is said when it does not work: clearly, and never with a secret."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from portfolio_analytics.shared.errors import LogUnavailable
from portfolio_analytics.shared.log.kafka import KafkaReader, KafkaSettings, KafkaWriter, describe_topic
from tests.kafka.cluster import PASSWORD, USER, KafkaCluster


@pytest.fixture
def settings(kafka_cluster: KafkaCluster) -> KafkaSettings:
    return KafkaSettings(
        brokers=kafka_cluster.bootstrap,
        user=USER,
        password=PASSWORD,
        topic=f"access-{uuid.uuid4().hex}",
        security="SASL_SSL",
        ca_file=kafka_cluster.ca_file,
    )


@pytest.fixture(autouse=True)
def _no_secret_is_logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    printed = "".join(capfd.readouterr())
    assert PASSWORD not in caplog.text + printed


async def opened(settings: KafkaSettings) -> KafkaWriter:
    writer = KafkaWriter(settings)
    await writer.open()
    end = time.monotonic() + 30
    while (said := await writer.healthy()) is not None:
        assert time.monotonic() < end, said
        await asyncio.sleep(0.1)
    return writer


async def refusals(settings: KafkaSettings) -> set[str]:
    """What writer, reader and doctor say; all of them refuse."""
    writer = KafkaWriter(settings)
    await writer.open()
    said = {await writer.healthy() or "healthy"}
    with pytest.raises(LogUnavailable):
        await writer.append(b"key", b"value")
    await writer.close(1)
    with pytest.raises(LogUnavailable) as read:
        await asyncio.to_thread(KafkaReader(settings).open)
    with pytest.raises(LogUnavailable) as described:
        await asyncio.to_thread(describe_topic, settings, 2.0)
    said |= {str(read.value), str(described.value)}
    assert not any(PASSWORD in sentence or "\n" in sentence for sentence in said)
    return said


async def test_over_tls_with_scram_the_topic_is_made_to_survive_a_broker(settings: KafkaSettings) -> None:
    writer = await opened(settings)
    appended = await writer.append(b"key", b"value")
    assert await writer.healthy() is None
    await writer.close(5)
    topic = await asyncio.to_thread(describe_topic, settings)
    assert (topic.partitions, topic.replication, topic.min_in_sync, topic.brokers) == (6, 3, 2, 3)
    assert topic.in_sync == 3
    assert topic.retention_ms == 7 * 86_400_000
    assert re.fullmatch(r"[\w-]{22}", topic.topic_id)
    reader = KafkaReader(settings)
    reader.open()
    records = await asyncio.to_thread(lambda: reader.poll(10, 30))
    reader.close()
    assert [(record.partition, record.offset) for record in records] == [appended]
    assert reader.topic_id == topic.topic_id


def test_settings_do_not_show_the_password(settings: KafkaSettings) -> None:
    assert PASSWORD not in repr(settings) + str(settings)


async def test_a_wrong_password_is_named(settings: KafkaSettings) -> None:
    for wrong in (replace(settings, password="not it"), replace(settings, user="nobody")):
        assert await refusals(wrong) == {"Kafka refuses the user or the password (SCRAM-SHA-256)"}


async def test_a_mechanism_that_is_not_offered_is_named(settings: KafkaSettings) -> None:
    said = await refusals(replace(settings, sasl_mechanism="PLAIN"))
    assert said == {"Kafka does not offer the SASL mechanism PLAIN"}


async def test_a_user_that_is_removed_is_refused(
    settings: KafkaSettings, kafka_cluster: KafkaCluster
) -> None:
    kafka_cluster.create_user("passing", "a password of its own")
    mine = replace(settings, user="passing", password="a password of its own")
    writer = await opened(mine)
    await writer.append(b"key", b"value")
    await writer.close(5)
    await asyncio.to_thread(kafka_cluster.remove_user, "passing")
    assert await refusals(mine) == {"Kafka refuses the user or the password (SCRAM-SHA-256)"}


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("expired", "certificate has expired"),
        ("wrong_host", "certificate is not valid for '127.0.0.1'|mismatch"),
        ("other_ca", "unable to get local issuer certificate|self-signed certificate"),
    ],
)
async def test_a_bad_certificate_is_refused_and_said_why(
    settings: KafkaSettings, kafka_cluster: KafkaCluster, kind: str, reason: str
) -> None:
    for sentence in await refusals(replace(settings, brokers=kafka_cluster.bad_bootstrap(kind))):
        assert sentence.startswith("the TLS connection to Kafka fails: ")
        assert re.search(reason, sentence)


async def test_an_authority_that_is_not_known_is_refused(settings: KafkaSettings) -> None:
    for sentence in await refusals(replace(settings, ca_file=None)):
        assert "was refused" in sentence


async def test_a_ca_file_that_is_missing_is_a_mistake_in_the_settings(settings: KafkaSettings) -> None:
    wrong = replace(settings, ca_file=Path("/does/not/exist.pem"))
    with pytest.raises(LogUnavailable, match="settings cannot be used"):
        await KafkaWriter(wrong).open()
    with pytest.raises(LogUnavailable, match="settings cannot be used"):
        KafkaReader(wrong).open()


async def test_tls_where_there_is_none_is_named(settings: KafkaSettings, kafka_cluster: KafkaCluster) -> None:
    plain = kafka_cluster.plain_bootstrap
    assert await refusals(replace(settings, brokers=plain)) == {f"Kafka does not speak TLS at {plain}"}


async def test_no_broker_at_all_is_said_soon(free_port: int) -> None:
    settings = KafkaSettings(brokers=f"127.0.0.1:{free_port}")
    start = time.monotonic()
    writer = KafkaWriter(settings)
    await writer.open()
    assert await writer.healthy() == f"no Kafka broker can be reached at 127.0.0.1:{free_port}"
    assert time.monotonic() - start < 10
    await writer.close(1)
    with pytest.raises(LogUnavailable, match="no Kafka broker can be reached"):
        KafkaReader(settings).open()
