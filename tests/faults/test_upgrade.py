"""From the schema of the version before to this one's, and on to the next one's, under load.

Row 20 of the fault table. Two copies of the package stand for the other versions: one that lacks the last
migration is what ran before, as far as the schema goes; one that has another migration is the next.
"""

from __future__ import annotations

import json
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from portfolio_analytics.storage.database import connect
from portfolio_analytics.storage.migrate import Migration, migrate, migrations, pending
from tests.databases import new_database
from tests.faults.load import Load
from tests.faults.pipeline import Pipeline, assert_counted, count_rows, number
from tests.faults.process import Process, Server, eventually, run_command
from tests.faults.reader import Reader
from tests.kafka.cluster import KafkaCluster
from tests.ports import free_port, free_ports

RATE = 100.0
CONSUMES = "Consuming from Kafka."

NEXT = """
ALTER TABLE events ADD COLUMN next_word text, ADD COLUMN next_number int NOT NULL DEFAULT 7;
ALTER TABLE visits ADD COLUMN next_number int NOT NULL DEFAULT 7;
ALTER TABLE rollups ADD COLUMN next_number int NOT NULL DEFAULT 7;
ALTER TABLE event_totals ADD COLUMN next_number int NOT NULL DEFAULT 7;
ALTER TABLE sites ADD COLUMN next_word text;
CREATE TABLE next_things (next_id int PRIMARY KEY);
"""
AFTER_NEXT = "DROP TABLE next_things"


@pytest.fixture
def before(tmp_path: Path) -> dict[str, str]:
    """The environment in which the version before runs."""
    last = max(migration.number for migration in migrations())
    package = copied(tmp_path / "before")
    for file in (package / "storage/migrations").glob(f"{last:04d}_*"):
        file.unlink()
    return {"PYTHONPATH": str(package.parent)}


@pytest.fixture
def after(tmp_path: Path) -> dict[str, str]:
    """The environment in which the next version runs."""
    package = copied(tmp_path / "after")
    (package / "storage/migrations/9999_next.sql").write_text(NEXT)
    (package / "storage/migrations/9999_next.post.sql").write_text(AFTER_NEXT)
    return {"PYTHONPATH": str(package.parent)}


def last_addition() -> Migration:
    """The first half of the last migration."""
    return max(migration for migration in migrations() if not migration.post)


def copied(folder: Path) -> Path:
    """A copy of the package that is tested."""
    spec = find_spec("portfolio_analytics")
    assert spec is not None
    assert spec.origin is not None
    leave = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(Path(spec.origin).parent, folder / "portfolio_analytics", ignore=leave))


@pytest.fixture
def empty(postgres_url: str) -> Iterator[str]:
    """The DSN of a database without a schema."""
    with new_database(postgres_url) as address:
        yield address


@pytest.mark.soak
def test_workers_of_two_versions_through_an_upgrade(
    kafka: KafkaCluster, empty: str, before: dict[str, str], after: dict[str, str], tmp_path: Path
) -> None:
    """No request fails, nothing is lost, every number equals the rows."""
    pipeline = Pipeline(kafka, empty, tmp_path, ports=free_ports(2), consumers=2, spool=False)
    last = last_addition()
    try:
        for process in pipeline.processes:
            process.use(before)
        pipeline.start()
        for consumer in pipeline.consumers:
            eventually(lambda: CONSUMES in consumer.output(), 90, consumer.output)  # noqa: B023
        with connect(empty) as connection, Load(pipeline.ports, rate=RATE) as load:
            assert pending(connection) == [last.label]
            more_is_counted(connection, load)
            assert run_command(["migrate"], pipeline.environment)[0] == 0
            assert not pending(connection)
            # Not before: the copy's questions are those of now and may need what the last migration adds.
            with Reader(load.balancer, pipeline.ports[0]) as reader:
                more_is_counted(connection, load)
                # The old ones once more from their beginning: a session keeps what it saw of the schema.
                replace(pipeline.consumers[0], before)
                more_is_counted(connection, load)
                for process in (*pipeline.consumers, *pipeline.producers):
                    replace(process, {"PYTHONPATH": ours()}, load)
                    more_is_counted(connection, load)
                assert run_command(["migrate", "--post"], pipeline.environment)[0] == 0
                more_is_counted(connection, load)

                assert run_command(["migrate"], pipeline.environment | after)[0] == 0
                more_is_counted(connection, load)
                for process in (pipeline.consumers[0], pipeline.producers[0]):
                    replace(process, {}, load)
                    more_is_counted(connection, load)
                reader.read_more()
        assert load.unanswered == 0
        assert load.statuses.keys() == {201}
        assert not reader.failures
        assert_counted(empty, load)
        for process in pipeline.processes:
            assert "Traceback" not in process.output(), process.output()
    finally:
        pipeline.end()


def replace(process: Process, version: dict[str, str], load: Load | None = None) -> None:
    """End one process and start it anew as `version`; a producer is taken out of service before that."""
    if isinstance(process, Server) and load is not None:
        load.balancer.take_out(process.port)
    assert process.terminate() == 0, process.output()
    process.use(version)
    begun = process.output().count(CONSUMES)
    process.start()
    if not isinstance(process, Server):
        eventually(lambda: process.output().count(CONSUMES) > begun, 90, process.output)
    elif load is not None:
        load.balancer.put_back(process.port)


def ours() -> str:
    """Where the package that is tested is imported from."""
    spec = find_spec("portfolio_analytics")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parent.parent)


def more_is_counted(connection: psycopg.Connection, load: Load) -> None:
    """Events are taken and counted, now."""
    load.grow(int(RATE / 2))
    wanted = len(load.acknowledged)
    eventually(lambda: count_rows(connection) >= wanted, 60, lambda: f"{count_rows(connection)} of {wanted}")


def test_a_schema_that_is_behind_is_waited_for_and_one_beyond_is_refused(
    empty: str, before: dict[str, str], after: dict[str, str], tmp_path: Path
) -> None:
    environment = {"DATABASE_URL": empty, "DATA_DIR": str(tmp_path), "WORKERS": "1"}
    assert run_command(["migrate"], environment | before)[0] == 0
    port = free_port()
    producer = Server("producer", ["producer"], environment, tmp_path, port)
    consumer = Process("consumer", ["consumer"], environment, tmp_path)
    try:
        Process.start(producer)
        eventually(lambda: health(port)[0] == 503, 60, producer.output)
        assert f"it lacks {last_addition().label}:" in str(health(port)[1]["error"])
        assert health(port, "/ready")[0] == 503
        assert "run `portfolio-analytics migrate`" in producer.output()

        assert run_command(["migrate"], environment)[0] == 0
        producer.wait_until_ready()
        eventually(lambda: health(port)[0] == 200, 30, producer.output)

        assert run_command(["migrate", "--post"], environment | after)[0] == 0
        consumer.start()
        assert consumer.wait(60) == 1
        assert "9999_next.post" in consumer.output()
        assert "upgrade this process" in consumer.output()
        assert "Traceback" not in consumer.output()
        eventually(lambda: health(port)[0] == 503, 30, lambda: str(health(port)))
        assert "9999_next.post" in str(health(port)[1]["error"])
    finally:
        producer.end()
        consumer.end()


def health(port: int, part: str = "") -> tuple[int, dict[str, object]]:
    """Status and content of a health check; 0 while nothing listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health{part}", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return 0, {}


def test_a_migration_gives_way_and_tries_again(empty: str, after: dict[str, str]) -> None:
    """Who reads a table for long holds up the migration, and the migration nobody else."""
    outcomes: list[tuple[int, str]] = []

    def apply() -> None:
        outcomes.append(run_command(["migrate"], {"DATABASE_URL": empty} | after))

    migrating = threading.Thread(target=apply)
    with connect(empty) as connection, connect(empty) as reading, connect(empty) as others:
        migrate(connection)
        waiting = (
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        others.execute("SET statement_timeout = '20s'")
        with reading.transaction():
            count_rows(reading)
            migrating.start()
            for _ in range(2):
                eventually(lambda: number(connection, waiting) > 0, 60, lambda: str(outcomes))
                # Queued behind the migration, which makes room.
                count_rows(others)
        migrating.join(60)
        assert [status for status, _ in outcomes] == [0], outcomes
        assert number(connection, "SELECT count(*) FROM migrations WHERE number = 9999") == 1
