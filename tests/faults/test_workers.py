"""One `consumer` command of several workers: one consumer to who starts, watches, kills and ends it."""

from __future__ import annotations

import os
import signal
import uuid
from pathlib import Path

from portfolio_analytics.storage.database import connect
from tests.answers import get, metric, status
from tests.faults.load import Load
from tests.faults.pipeline import ADMIN_TOKEN, assert_counted, kafka_environment, number
from tests.faults.process import Process, Server, eventually
from tests.kafka.cluster import KafkaCluster
from tests.ports import free_ports

EVENTS = 2_000
COUNTED = 'portfolio_analytics_consumed_total{outcome="counted"}'
OWNERS = "SELECT count(DISTINCT owner) FROM log_positions"


def test_workers_share_the_partitions_and_live_and_die_as_one(
    kafka: KafkaCluster, database: str, tmp_path: Path
) -> None:
    port, probe_port = free_ports(2)
    probe = f"http://127.0.0.1:{probe_port}"
    environment = kafka_environment(kafka, f"workers-{uuid.uuid4().hex[:12]}") | {
        "DATABASE_URL": database,
        "DATA_DIR": str(tmp_path / "data"),
        "ADMIN_TOKEN": ADMIN_TOKEN,
        "RATE_LIMIT_ADDRESS": "0",
    }
    of_two = environment | {"WORKERS": "2", "METRICS_PORT": str(probe_port)}
    with (
        Server("producer", ["producer"], environment | {"WORKERS": "1"}, tmp_path, port),
        Process("consumer", ["consumer"], of_two, tmp_path) as consumer,
        connect(database) as connection,
    ):
        acknowledged: set[uuid.UUID] = set()

        def both_work() -> bool:
            return status(f"{probe}/ready") == 200 and number(connection, OWNERS) == 2

        def send() -> None:
            with Load([port], rate=1e6, streams=4, batch=100, total=EVENTS) as load:
                load.join()
            load.acknowledged |= acknowledged
            assert_counted(database, load)
            acknowledged.update(load.acknowledged)

        eventually(both_work, 60, consumer.output)
        assert get(f"{probe}/live") == (200, '{"status": "live"}')
        send()
        assert metric(probe, COUNTED) == EVENTS

        first, *workers = consumer.tree()
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        eventually(lambda: "1 of 2 workers" in get(f"{probe}/ready")[1], 10, consumer.output)
        send()
        eventually(lambda: both_work() and len(consumer.tree()) == 3, 60, consumer.output)
        send()
        # What one that was killed had counted is not forgotten.
        assert metric(probe, COUNTED) == 3 * EVENTS

        everyone = consumer.tree()
        os.kill(first, signal.SIGKILL)
        consumer.wait(10)
        eventually(lambda: not any(map(_is_there, everyone)), 30, consumer.output)
        consumer.start()
        eventually(both_work, 60, consumer.output)
        send()
        everyone = consumer.tree()
        assert consumer.terminate() == 0
        assert not any(map(_is_there, everyone))
        assert "Traceback" not in consumer.output(), consumer.output()


def test_asked_to_end_while_its_workers_start_it_leaves_none(
    database: str, tmp_path: Path, free_port: int
) -> None:
    environment = {
        "DATABASE_URL": database,
        "DATA_DIR": str(tmp_path / "data"),
        "KAFKA_BROKER": f"127.0.0.1:{free_port}",
        "WORKERS": "2",
    }
    with Process("consumer", ["consumer"], environment, tmp_path) as consumer:
        eventually(lambda: len(consumer.tree()) == 3, 60, consumer.output, pause=0.005)
        everyone = consumer.tree()
        assert consumer.terminate() == 0
        assert not any(map(_is_there, everyone))
    assert "Traceback" not in consumer.output(), consumer.output()


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
