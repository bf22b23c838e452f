"""Intake over a real Kafka: answers while it is away, the spool drained when it is back."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from portfolio_analytics.shared.record import AttestRecord, EventRecord, decode_record
from tests.integration.intake_server import ADMIN_TOKEN, Answer, IntakeServer
from tests.kafka.cluster import KafkaCluster


def eventually(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def receipt(server: IntakeServer, stored: Answer, **place: int) -> Answer:
    """What became of an event, asked by its place."""
    found = stored.json | place
    path = f"/api/receipts/{found['event_id']}?partition={found['partition']}&offset={found['offset']}"
    return server.request("GET", path, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})


def topic_records(cluster: KafkaCluster, topic: str) -> list[EventRecord | AttestRecord]:
    """All that is in the topic now."""
    consumer = Consumer(
        {"bootstrap.servers": cluster.bootstrap, "group.id": uuid.uuid4().hex, "enable.auto.commit": False}
    )
    found = []
    try:
        partitions = consumer.list_topics(topic, 10).topics[topic].partitions
        for partition in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), 10)
            consumer.assign([TopicPartition(topic, partition, low)])
            while low < high:
                message = consumer.poll(10)
                assert message is not None
                assert message.error() is None
                low = (message.offset() or 0) + 1
                found.append(decode_record(message.value() or b""))
    finally:
        consumer.close()
    return found


def topic_ids(cluster: KafkaCluster, topic: str) -> list[str]:
    return [str(r.id) for r in topic_records(cluster, topic) if isinstance(r, EventRecord)]


def server_over(
    cluster: KafkaCluster, database: str, folder: Path, port: int, *, spool: bool
) -> tuple[IntakeServer, str]:
    topic = f"intake-{uuid.uuid4().hex}"
    environment = {"KAFKA_BROKER": cluster.bootstrap, "KAFKA_TOPIC": topic, "WORKERS": "2"}
    if spool:
        environment["SPOOL_DIR"] = str(folder / "spool")
    return IntakeServer(database, folder, port, **environment), topic


def test_events_go_to_every_partition_and_a_session_to_one(
    kafka: KafkaCluster, database: str, tmp_path: Path, free_port: int
) -> None:
    server, topic = server_over(kafka, database, tmp_path, free_port, spool=False)
    with server:
        answers = [server.post(session_id=f"s{n % 20}") for n in range(60)]
        assert {answer.status for answer in answers} == {201}
        partitions = [answer.json["partition"] for answer in answers]
        assert len(set(partitions)) > 2
        assert partitions[:20] == partitions[20:40] == partitions[40:]
        batch = server.batch(b"\n".join([b'{"event_type":"x","page":"/"}'] * 100))
        assert batch.status == 201
        ids = [answer.json["event_id"] for answer in answers]
        ids += [result["event_id"] for result in batch.json["results"]]
        assert sorted(topic_ids(kafka, topic)) == sorted(ids)
        assert server.request("GET", "/api/health").status == 200
    assert "KAFKA_BROKER" not in server.output()
    attested = [record for record in topic_records(kafka, topic) if isinstance(record, AttestRecord)]
    assert sum(sum(record.accepted.values()) for record in attested) == 160


def test_while_kafka_is_away_the_spool_takes_over(
    kafka: KafkaCluster, database: str, tmp_path: Path, free_port: int
) -> None:
    server, topic = server_over(kafka, database, tmp_path, free_port, spool=True)
    with server:
        acknowledged = [server.post() for _ in range(20)]
        (node,) = kafka.running
        kafka.kill(node)
        try:
            with ThreadPoolExecutor(20) as pool:
                first = list(pool.map(lambda _: server.post(), range(40)))
            assert {answer.status for answer in first} <= {201, 202}
            slowest = 0.0
            later: list[Answer] = []
            for _ in range(50):
                begun = time.monotonic()
                later.append(server.post())
                slowest = max(slowest, time.monotonic() - begun)
            assert {answer.status for answer in later} == {202}
            assert slowest < 4  # 2 s on a quiet machine
            assert later[0].json == {
                "status": "success",
                "message": "Event spooled",
                "partition": None,
                "offset": None,
                "event_id": later[0].json["event_id"],
            }
            batch = server.batch(b"\n".join([b'{"event_type":"x","page":"/"}'] * 100 + [b"{}"]))
            assert batch.status == 207
            assert batch.json["results"][0]["message"] == "Event spooled"
            assert server.batch(b'{"event_type":"x","page":"/"}').status == 202
            assert server.request("GET", "/api/health/ready").status == 200
            health = server.request("GET", "/api/health")
            assert (health.status, health.json["log"]) == (503, "disconnected")
            assert health.json["spool"]["records"] >= 150
            assert "portfolio_analytics_spool_records" in server.metrics()
        finally:
            kafka.restart(node)
        acknowledged += [answer for answer in first + later if answer.json["status"] == "success"]
        ids = {answer.json["event_id"] for answer in acknowledged}
        ids |= {result["event_id"] for result in batch.json["results"] if result["status"] == "success"}
        eventually(lambda: server.request("GET", "/api/health").status == 200)
        eventually(lambda: server.post().status == 201)
        eventually(lambda: server.request("GET", "/api/health").json["spool"]["records"] == 0)
        assert ids <= set(topic_ids(kafka, topic))


def test_what_a_killed_producer_left_in_the_spool_is_drained_by_the_next(
    kafka: KafkaCluster, database: str, tmp_path: Path, free_port: int
) -> None:
    server, topic = server_over(kafka, database, tmp_path, free_port, spool=True)
    server.start()
    (node,) = kafka.running
    kafka.kill(node)
    try:
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: server.post(), range(100)))
        assert {answer.status for answer in answers} == {202}
        server.kill()
    finally:
        kafka.restart(node)
    with server:
        ids = {answer.json["event_id"] for answer in answers}
        eventually(lambda: ids <= set(topic_ids(kafka, topic)))


def test_without_a_spool_it_says_so(
    kafka: KafkaCluster, database: str, tmp_path: Path, free_port: int
) -> None:
    server, _ = server_over(kafka, database, tmp_path, free_port, spool=False)
    with server:
        stored = server.post()
        assert stored.status == 201
        assert receipt(server, stored).json["state"] == "logged"
        assert receipt(server, stored, offset=99_999_999).status == 404
        (node,) = kafka.running
        kafka.kill(node)
        try:
            with ThreadPoolExecutor(11) as pool:
                batch = pool.submit(server.batch, b'{"event_type":"x","page":"/"}')
                answers = list(pool.map(lambda _: server.post(), range(10)))
            for answer in [*answers, batch.result()]:
                assert (answer.status, answer.json["error"]) == (503, "log_unavailable")
                assert int(answer.headers["retry-after"]) >= 1
            eventually(lambda: server.request("GET", "/api/health/ready").status == 503)
            away = receipt(server, stored)
            assert (away.status, away.json["error"]) == (503, "log_unavailable")
            assert int(away.headers["retry-after"]) >= 1
        finally:
            kafka.restart(node)
        eventually(lambda: server.post().status == 201)
        eventually(lambda: receipt(server, stored).status == 200)
        eventually(lambda: server.request("GET", "/api/health/ready").status == 200)


def test_a_journal_from_before_is_drained_into_kafka(
    kafka: KafkaCluster, database: str, tmp_path: Path, free_port: int
) -> None:
    with IntakeServer(database, tmp_path, free_port) as before:
        ids = {before.post().json["event_id"] for _ in range(30)}
    server, topic = server_over(kafka, database, tmp_path, free_port, spool=False)
    with server:
        eventually(lambda: ids <= set(topic_ids(kafka, topic)))
        assert server.post().status == 201
