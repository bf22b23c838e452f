"""The pipeline put together for a test: producers and consumers over Kafka, or a consumer in a thread."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import psycopg

from portfolio_analytics.app.consume import consumer_connection
from portfolio_analytics.consumer.worker import Worker
from portfolio_analytics.shared.log.kafka import KafkaSettings
from portfolio_analytics.shared.log.protocol import LogReader
from portfolio_analytics.storage.database import connect
from tests.faults.load import Load
from tests.faults.process import Process, Server, eventually
from tests.kafka.cluster import PASSWORD, USER, KafkaCluster
from tests.oracle import assert_exactly_once, stored_ids

ADMIN_TOKEN = "the-token-of-the-fault-tests"


class Pipeline:
    """Producers, one a port of `ports`, and consumers, over `kafka` and the database of `url`."""

    def __init__(
        self,
        kafka: KafkaCluster,
        url: str,
        folder: Path,
        *,
        ports: Sequence[int],
        consumers: int,
        spool: bool = True,
    ) -> None:
        self.kafka = kafka
        self.topic = f"pipeline-{uuid.uuid4().hex[:12]}"
        self.environment = kafka_environment(kafka, self.topic) | {
            "DATABASE_URL": url,
            "DATA_DIR": str(folder / "data"),
            "ADMIN_TOKEN": ADMIN_TOKEN,
            "RATE_LIMIT_ADDRESS": "0",
            "WORKERS": "1",
        }
        if spool:
            self.environment["SPOOL_DIR"] = str(folder / "spool")
        self.producers = [
            Server(f"producer-{number}", ["producer"], self.environment, folder, port)
            for number, port in enumerate(ports)
        ]
        self.consumers = [
            Process(f"consumer-{number}", ["consumer"], self.environment, folder)
            for number in range(consumers)
        ]

    @property
    def ports(self) -> list[int]:
        """Where events are taken."""
        return [producer.port for producer in self.producers]

    @property
    def processes(self) -> list[Process]:
        """All of them."""
        return [*self.producers, *self.consumers]

    @property
    def settings(self) -> KafkaSettings:
        """For a client of the tests' own on the same topic."""
        return KafkaSettings(
            self.kafka.bootstrap,
            user=USER,
            password=PASSWORD,
            topic=self.topic,
            security="SASL_SSL",
            ca_file=self.kafka.ca_file,
        )

    def start(self) -> None:
        """Start all processes and wait until events are taken."""
        for process in self.processes:
            Process.start(process)
        for producer in self.producers:
            producer.wait_until_ready()

    def end(self) -> None:
        """End all processes. What they have printed stands beside a test that failed."""
        for process in self.processes:
            process.end()
        print(self.outputs())

    def outputs(self) -> str:
        """All that they have printed."""
        return "".join(f"--- {process.name}\n{process.output()}" for process in self.processes)


def kafka_environment(kafka: KafkaCluster, topic: str) -> dict[str, str]:
    """The environment's part that leads to a topic and a group of this test's own."""
    found = {"KAFKA_BROKER": kafka.bootstrap, "KAFKA_TOPIC": topic, "KAFKA_GROUP": f"group-{topic}"}
    if kafka.sasl:
        found |= {"KAFKA_USER": USER, "KAFKA_PASSWORD": PASSWORD, "KAFKA_CA_FILE": str(kafka.ca_file)}
    return found


class ConsumerThread:
    """A consumer with its real loop, in a thread of this process; `error` is what ended it, if it failed."""

    def __init__(
        self,
        reader: LogReader,
        url: str,
        *,
        owner: str = "thread",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.worker = Worker(reader, lambda: consumer_connection(url), owner=owner, clock=clock)
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=owner, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it still consumes."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ask it to end and wait."""
        self.worker.stop()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the consumer did not stop"

    def join(self, seconds: float) -> None:
        """Wait for it to end by itself."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the consumer goes on"

    def _run(self) -> None:
        try:
            self.worker.run()
        except BaseException as error:  # noqa: BLE001 - handed over to the test
            self.error = error


def wait_until_stored(url: str, ids: Iterable[uuid.UUID], seconds: float = 60.0) -> None:
    """Wait until every id has a row. `url` leads to a database that is well."""
    wanted = set(ids)
    with connect(url) as connection:

        def missing() -> set[uuid.UUID]:
            return wanted - set(stored_ids(connection)) if count_rows(connection) >= len(wanted) else wanted

        eventually(
            lambda: not missing(),
            seconds,
            lambda: f"{len(missing())} of {len(wanted)} events; {count_rows(connection)} rows are there",
        )


def assert_counted(url: str, load: Load, seconds: float = 60.0) -> None:
    """Everything that was acknowledged is stored in time, once, and every sum equals the rows."""
    assert load.acknowledged
    wait_until_stored(url, load.acknowledged, seconds)
    assert_exactly_once(url, load.acknowledged)


def count_rows(connection: psycopg.Connection) -> int:
    """How many events are stored."""
    return number(connection, "SELECT count(*) FROM events")


def number(connection: psycopg.Connection, query: str) -> int:
    """The one number that `query` gives."""
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])
