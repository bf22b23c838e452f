"""Two producers and three consumers over three brokers with SASL_SSL: every event is a row, once.

A load generator sends batches; halfway a consumer and a producer are killed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from portfolio_analytics.storage.database import connect
from tests.faults.load import Load
from tests.faults.pipeline import Pipeline, assert_counted, count_rows, number
from tests.faults.process import eventually
from tests.kafka.cluster import PASSWORD, KafkaCluster
from tests.ports import free_ports

SOAK_EVENTS = 100_000
EVENTS = 20_000


@pytest.fixture
def pipeline(kafka_cluster: KafkaCluster, database: str, tmp_path: Path) -> Iterator[Pipeline]:
    found = Pipeline(kafka_cluster, database, tmp_path, ports=free_ports(2), consumers=3, spool=False)
    try:
        found.start()
        yield found
    finally:
        found.end()


@pytest.mark.parametrize("events", [EVENTS, pytest.param(SOAK_EVENTS, marks=pytest.mark.soak)])
def test_all_events_are_rows_and_all_work(pipeline: Pipeline, database: str, events: int) -> None:
    with connect(database) as connection:
        # Three owners: each consumer has two of the six partitions.
        owners = "SELECT count(DISTINCT owner) FROM log_positions"
        eventually(lambda: number(connection, owners) == 3, 60, pipeline.outputs)
        with Load(pipeline.ports, rate=1e6, streams=4, batch=100, total=events // 2) as load:
            load.join()
        assert len(load.acknowledged) == events // 2
        assert_counted(database, load, 120)
        assert count_rows(connection) == events // 2
        shares = connection.execute(
            "SELECT owner, count(*)::int, sum(next)::bigint FROM log_positions GROUP BY 1"
        ).fetchall()
        assert sorted(share[1] for share in shares) == [2, 2, 2]
        assert all(share[2] > 0 for share in shares), shares
        assert number(connection, "SELECT count(DISTINCT log_partition) FROM events") == 6
        with Load(pipeline.ports, rate=1e6, streams=4, batch=100, total=events // 2) as second:
            second.grow(events // 10)
            pipeline.consumers[0].kill()
            second.grow(events // 10)
            pipeline.producers[0].kill()  # right after answers, and before others
            second.grow(events // 10)
            pipeline.producers[0].start()
            second.join()
        assert len(second.acknowledged) == events // 2
        second.acknowledged |= load.acknowledged
        assert_counted(database, second, 120)
        assert count_rows(connection) == events
    assert [process.terminate() for process in pipeline.processes if process.alive] == [0] * 4
    assert "Traceback" not in pipeline.outputs(), pipeline.outputs()
    assert PASSWORD not in pipeline.outputs()
