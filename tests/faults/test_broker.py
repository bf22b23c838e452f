"""Brokers that die, hang and are all away, topics that change: the whole pipeline over three of them.

Rows 2, 4, 5, 6, 14, 15, 16, 17, 18 and 19 of the fault table; the log's own part of them is shown in
tests/integration/test_kafka_broker_faults.py.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.cimpl import NewPartitions, NewTopic

from portfolio_analytics.shared.log.kafka import KafkaReader
from portfolio_analytics.shared.record import encode_record
from portfolio_analytics.storage.database import connect
from tests.faults.journal import make_events
from tests.faults.load import Load
from tests.faults.pipeline import ConsumerThread, Pipeline, assert_counted, number, wait_until_stored
from tests.faults.process import Process, eventually
from tests.kafka.cluster import KafkaCluster
from tests.oracle import assert_exactly_once
from tests.ports import free_ports

RATE = 100.0


@pytest.fixture
def pipeline(kafka_cluster: KafkaCluster, database: str, tmp_path: Path) -> Iterator[Pipeline]:
    found = Pipeline(kafka_cluster, database, tmp_path, ports=free_ports(2), consumers=2)
    try:
        found.start()
        yield found
    finally:
        found.end()


def health(pipeline: Pipeline, producer: int = 0) -> dict[str, object]:
    try:
        with urllib.request.urlopen(f"{pipeline.producers[producer].url}/api/health", timeout=10) as answer:
            found: dict[str, object] = json.load(answer)
    except urllib.error.HTTPError as error:
        found = json.load(error)
    return found


def spooled(pipeline: Pipeline) -> int:
    spool = health(pipeline)["spool"]
    assert isinstance(spool, dict)
    return int(spool["records"])


def away_for(kafka: KafkaCluster, pipeline: Pipeline, load: Load, seconds: float) -> None:
    """Kill all brokers, let the load go on for a while, and start them again."""
    for node in kafka.nodes:
        kafka.kill(node)
    end = time.monotonic() + seconds
    load.grow(int(RATE))
    eventually(lambda: health(pipeline)["log"] == "disconnected", 20, lambda: str(health(pipeline)))
    time.sleep(max(0.0, end - time.monotonic()))
    load.grow(int(RATE))
    for node in kafka.nodes:
        kafka.restart(node, wait=False)
    kafka.wait_until_whole()


def test_a_broker_dies_hangs_and_restarts_under_load(
    pipeline: Pipeline, kafka_cluster: KafkaCluster, database: str
) -> None:
    """Answers go on; while a leader hangs longer than its deadline, events are spooled and deduplicated."""
    with Load(pipeline.ports, rate=RATE) as load:
        load.grow(50)
        kafka_cluster.kill(2)
        load.grow(200)
        kafka_cluster.restart(2)
        load.grow(50)
        kafka_cluster.pause(3)
        load.grow(200)
        time.sleep(2.0)
        load.grow(50)
        kafka_cluster.resume(3)
        kafka_cluster.wait_until_whole()
        kafka_cluster.restart(1)
        load.grow(100)
    assert not load.given_up
    assert load.statuses.keys() <= {201, 202}
    assert load.spooled > 0, "the broker that hung was not noticed"
    assert_counted(database, load)
    with connect(database) as connection:
        assert number(connection, "SELECT count(*) FROM log_gaps") == 0


@pytest.mark.soak
def test_all_brokers_away_and_the_producers_killed(
    pipeline: Pipeline, kafka_cluster: KafkaCluster, database: str
) -> None:
    """202 soon, the spool outlives kill -9 of who filled it, and is drained by itself."""
    with Load(pipeline.ports, rate=RATE) as load:
        load.grow(50)
        away_for(kafka_cluster, pipeline, load, 3.0)
        load.grow(50)
    assert not load.given_up
    assert load.statuses.keys() <= {201, 202}
    assert load.spooled >= 2 * RATE
    assert max(answer.seconds for answer in load.answers) < 10
    assert_counted(database, load)
    eventually(lambda: spooled(pipeline) == 0, 30, lambda: str(health(pipeline)))
    eventually(lambda: health(pipeline)["status"] == "healthy", 30, lambda: str(health(pipeline)))

    for node in kafka_cluster.nodes:
        kafka_cluster.kill(node)
    with Load(pipeline.ports, rate=RATE, total=100) as lonely:
        lonely.join()
    assert lonely.spooled == len(lonely.acknowledged) == 100
    for producer in pipeline.producers:
        producer.kill()
    for node in kafka_cluster.nodes:
        kafka_cluster.restart(node, wait=False)
    pipeline.producers[0].start()
    assert_counted(database, lonely)


@pytest.mark.soak
def test_a_minute_without_brokers_at_500_a_second(
    pipeline: Pipeline, kafka_cluster: KafkaCluster, database: str
) -> None:
    """No request fails; none waits longer than 2 s once the breaker is open; all counted within 60 s."""
    with Load(pipeline.ports, rate=500, streams=16) as load:
        load.grow(1_000)
        gone = time.monotonic()
        away_for(kafka_cluster, pipeline, load, 60.0)
        back = time.monotonic()
    assert not load.given_up
    assert load.unanswered == 0
    assert load.statuses.keys() == {201, 202}
    late = [answer for answer in load.answers if gone + 3 < answer.asked < back]
    assert max(answer.seconds for answer in late) < 2.0
    wait_until_stored(database, load.acknowledged, 60 - (time.monotonic() - back))
    assert_counted(database, load)


def test_a_consumer_stopped_past_its_session_is_fenced_and_says_so(pipeline: Pipeline, database: str) -> None:
    """SIGSTOP in the middle of a batch until the other has taken over, then SIGCONT."""
    first, second = pipeline.consumers
    with connect(database) as connection, Load(pipeline.ports, rate=RATE) as load:
        owned = "SELECT count(*) FROM log_positions WHERE owner LIKE '%%:{}'"
        eventually(
            lambda: all(number(connection, owned.format(each.pid)) == 3 for each in (first, second)),
            60,
            pipeline.outputs,
        )
        load.grow(50)
        with connect(database) as other, other.transaction():
            # It waits for its positions within a batch, and is stopped there.
            other.execute("SELECT FROM log_positions WHERE owner LIKE %s FOR UPDATE", [f"%:{first.pid}"])
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            eventually(lambda: number(connection, waiting) > 0, 30, pipeline.outputs)
            first.pause()
        eventually(lambda: number(connection, owned.format(second.pid)) == 6, 60, pipeline.outputs)
        load.grow(100)
        wait_until_stored(database, list(load.acknowledged))
        first.resume()
        load.grow(100)
        eventually(lambda: "Fenced, this batch was dropped" in first.output(), 30, first.output)
        eventually(
            lambda: all(number(connection, owned.format(each.pid)) == 3 for each in (first, second)),
            60,
            pipeline.outputs,
        )
    assert_counted(database, load)


@pytest.mark.soak
def test_partitions_doubled_consumers_coming_and_going(
    pipeline: Pipeline, kafka_cluster: KafkaCluster, database: str
) -> None:
    """A storm of rebalances, in which the topic grows to twelve partitions under load."""
    with connect(database) as connection, Load(pipeline.ports, rate=RATE) as load:
        load.grow(50)
        admin = kafka_cluster.admin()
        for future in admin.create_partitions([NewPartitions(pipeline.topic, 12)]).values():
            future.result(timeout=20)
        threads = []
        for turn in range(4):
            threads.append(
                ConsumerThread(
                    KafkaReader(
                        pipeline.settings,
                        group=pipeline.environment["KAFKA_GROUP"],
                        session_timeout=6,
                        refresh_seconds=2,
                    ),
                    database,
                    owner=f"guest-{turn}",
                )
            )
            load.grow(80)
            if turn % 2:
                threads.pop(0).stop()
        for thread in threads:
            thread.stop()
            assert thread.error is None
        eventually(
            lambda: number(connection, "SELECT count(DISTINCT log_partition) FROM events") == 12,
            60,
            lambda: str(connection.execute("SELECT partition, next, owner FROM log_positions").fetchall()),
        )
    assert_counted(database, load)


@pytest.mark.soak
def test_a_topic_made_again_is_read_from_its_beginning(
    pipeline: Pipeline, kafka_cluster: KafkaCluster, database: str
) -> None:
    """What was counted stays; the new topic has positions of its own, and nothing is silent.

    The producers come to know only by trying. What a broker takes while it deletes is deleted with the rest.
    """
    with Load(pipeline.ports, rate=RATE, total=100) as load:
        load.join()
    assert_counted(database, load)
    admin = kafka_cluster.admin()
    for future in admin.delete_topics([pipeline.topic]).values():
        future.result(timeout=20)
    admins = [kafka_cluster.admin_of(address) for address in kafka_cluster.plain_bootstrap.split(",")]
    eventually(
        lambda: all(pipeline.topic not in each.list_topics(timeout=5).topics for each in admins),
        30,
        "every broker to have deleted the topic",
    )
    with Load(pipeline.ports, rate=RATE) as second:
        second.grow(50)
        made = admin.create_topics([NewTopic(pipeline.topic, 6, 3, config={"min.insync.replicas": "2"})])
        for future in made.values():
            try:
                future.result(timeout=20)
            except KafkaException as error:
                # A consumer that was just starting has made it.
                assert error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
        second.grow(100)
    assert not second.given_up
    assert second.spooled > 0
    second.acknowledged |= load.acknowledged
    assert_counted(database, second, 90)
    with connect(database) as connection:
        assert number(connection, "SELECT count(DISTINCT topic_id) FROM log_positions") == 2


@pytest.mark.soak
def test_offsets_past_retention_are_a_recorded_gap(
    pipeline: Pipeline, kafka_cluster: KafkaCluster, database: str
) -> None:
    # Enough sessions that each partition has had a record.
    with Load(pipeline.ports, rate=4 * RATE, total=400) as load:
        load.join()
    assert_counted(database, load)
    for consumer in pipeline.consumers:
        assert consumer.terminate() == 0
    with Load(pipeline.ports, rate=RATE, total=100) as missed:
        missed.join()
    admin = kafka_cluster.admin()
    ends = [TopicPartition(pipeline.topic, partition, -1) for partition in range(6)]
    for future in admin.delete_records(ends).values():
        future.result(timeout=20)
    pipeline.consumers[0].start()
    with Load(pipeline.ports, rate=RATE, total=100) as after:
        after.join()
    wait_until_stored(database, after.acknowledged)
    assert_exactly_once(database, load.acknowledged | after.acknowledged)
    with connect(database) as connection:
        gone = number(connection, "SELECT coalesce(sum(resumed - wanted), 0)::bigint FROM log_gaps")
        # Attestations of the producers are records too.
        assert gone >= len(missed.acknowledged)
    assert "are gone from the log" in pipeline.consumers[0].output()


@pytest.mark.soak
def test_a_hot_partition_leaves_the_others_flowing(
    kafka_cluster: KafkaCluster, database: str, tmp_path: Path
) -> None:
    """A backlog in one partition; what comes into the others is counted long before it is worked off."""
    pipeline = Pipeline(kafka_cluster, database, tmp_path, ports=free_ports(1), consumers=1)
    try:
        Process.start(pipeline.producers[0])
        pipeline.producers[0].wait_until_ready()
        direct = Producer({**kafka_cluster.client_settings(), "linger.ms": 50})
        hot, cold = make_events(40_000), make_events(20)
        for place, found in enumerate(hot):
            direct.produce(pipeline.topic, encode_record(found), b"hot", partition=0)
            if place % 5_000 == 0:
                direct.flush(30)
        for place, found in enumerate(cold):
            direct.produce(pipeline.topic, encode_record(found), b"cold", partition=1 + place % 5)
        assert direct.flush(60) == 0
        Process.start(pipeline.consumers[0])
        wait_until_stored(database, [found.id for found in cold], 120)
        with connect(database) as connection:
            assert number(connection, "SELECT count(*) FROM events") < len(hot)
    finally:
        pipeline.end()
