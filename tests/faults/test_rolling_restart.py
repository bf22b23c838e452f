"""Every process is ended and started anew, one after the other, under load."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from portfolio_analytics.storage.database import connect, conninfo
from portfolio_analytics.storage.embedded import EmbeddedPostgres
from tests.faults.load import Load
from tests.faults.pipeline import Pipeline, assert_counted, count_rows
from tests.faults.process import end_postgres, eventually
from tests.kafka.cluster import KafkaCluster
from tests.ports import free_ports

RATE = 200.0
LONGEST_SECONDS = 10.0
WHOLE_SECONDS = 180.0


@pytest.fixture
def pipeline(
    kafka_cluster: KafkaCluster, own_postgres: EmbeddedPostgres, tmp_path: Path
) -> Iterator[Pipeline]:
    url = conninfo(own_postgres.dsn)
    found = Pipeline(kafka_cluster, url, tmp_path, ports=free_ports(2), consumers=2)
    try:
        found.start()
        yield found
    finally:
        found.end()


@pytest.mark.soak
def test_every_process_is_restarted(
    pipeline: Pipeline, kafka_cluster: KafkaCluster, own_postgres: EmbeddedPostgres
) -> None:
    """No request fails and none waits for long; nothing is lost; every number equals the rows.

    Two producers, each out of service while it is restarted, as a load balancer and a readiness check have
    it; two consumers; three brokers, all of them whole again before the next one; PostgreSQL.
    """
    url = conninfo(own_postgres.dsn)

    def is_counted(load: Load) -> None:
        load.grow(int(RATE / 2))
        wanted = len(load.acknowledged)
        with connect(url) as connection:
            eventually(lambda: count_rows(connection) >= wanted, 90, pipeline.outputs)

    with Load(pipeline.ports, rate=RATE) as load:
        is_counted(load)
        for producer in pipeline.producers:
            load.balancer.take_out(producer.port)
            assert producer.terminate() == 0, producer.output()
            producer.start()
            load.balancer.put_back(producer.port)
            is_counted(load)
        for consumer in pipeline.consumers:
            assert consumer.terminate() == 0, consumer.output()
            consumer.start()
            is_counted(load)
        for node in kafka_cluster.nodes:
            kafka_cluster.restart(node, wait=False)
            kafka_cluster.wait_until_whole(WHOLE_SECONDS)
            is_counted(load)
        end_postgres(own_postgres, signal.SIGINT)
        load.grow(int(RATE))
        own_postgres.start()
        is_counted(load)
    assert load.unanswered == 0
    assert load.statuses.keys() <= {201, 202}
    assert not load.given_up
    assert max(answer.seconds for answer in load.answers) < LONGEST_SECONDS
    assert_counted(url, load)
    for process in pipeline.processes:
        assert "Traceback" not in process.output(), process.output()
