"""Fixtures: the real Kafka, started once a test session and only when a test asks for it.

kafka           one broker, PLAINTEXT
kafka_cluster   three brokers, SASL_SSL with SCRAM-SHA-256; whole again before each test
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.kafka.cluster import KafkaCluster
from tests.kafka.distribution import KafkaMissing

NO_KAFKA = "no Apache Kafka for the tests"

_missing: list[str] = []


def start_or_skip(cluster: KafkaCluster) -> None:
    """Start the cluster; where Kafka cannot be had the test is skipped, or fails with CI=true."""
    if _missing:
        _skip_or_fail(_missing[0])
    try:
        cluster.start()
    except KafkaMissing as error:
        _missing.append(str(error))
        _skip_or_fail(str(error))


def _skip_or_fail(reason: str) -> None:
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{NO_KAFKA}: {reason}", pytrace=False)
    pytest.skip(f"{NO_KAFKA}: {reason}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One loud line when tests were left out, in whichever process."""
    reasons = {str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", ())}
    for reason in sorted(reason for reason in reasons if NO_KAFKA in reason):
        terminalreporter.write_line(f"TESTS WERE LEFT OUT: {reason}", red=True, bold=True)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """One broker, PLAINTEXT."""
    cluster = KafkaCluster(tmp_path_factory.mktemp("kafka"))
    start_or_skip(cluster)
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def _three_brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    cluster = KafkaCluster(tmp_path_factory.mktemp("kafka-cluster"), brokers=3, sasl=True)
    start_or_skip(cluster)
    yield cluster
    cluster.stop()


@pytest.fixture
def kafka_cluster(_three_brokers: KafkaCluster) -> KafkaCluster:
    """Three brokers, SASL_SSL and SCRAM; whatever the test before killed or stopped runs again."""
    for node in _three_brokers.nodes:
        if node in _three_brokers.running:
            _three_brokers.resume(node)
        else:
            _three_brokers.restart(node, wait=False)
    _three_brokers.wait_until_whole()
    return _three_brokers
