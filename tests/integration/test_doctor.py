"""The doctor before a real PostgreSQL, a real journal and a real Kafka."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict
from rich.console import Console

from portfolio_analytics.app.log import kafka_settings
from portfolio_analytics.doctor import examine, findings_table, run_doctor
from portfolio_analytics.doctor.check import Check
from portfolio_analytics.settings import Settings, journal_path
from portfolio_analytics.shared.errors import SettingsError
from portfolio_analytics.shared.log.journal_file import JournalFile
from portfolio_analytics.shared.log.kafka_dead_letters import KafkaDeadLetters
from portfolio_analytics.shared.log.kafka_topic import KafkaTopic
from portfolio_analytics.storage.database import connect
from tests.databases import new_database
from tests.kafka.cluster import KafkaCluster


@pytest.fixture
def environ(database: str, free_port: int, tmp_path: Path) -> dict[str, str]:
    """An installation with a migrated database, no log yet, and no service running."""
    return {"DATABASE_URL": database, "DATA_DIR": str(tmp_path), "PORT": str(free_port)}


def found(checks: list[Check], name: str, status: str, said: str) -> Check:
    """The one finding that says so."""
    matching = [
        check for check in checks if (check.name, check.status) == (name, status) and said in check.sentence
    ]
    assert len(matching) == 1, checks
    return matching[0]


def failures(checks: list[Check]) -> list[Check]:
    return [check for check in checks if check.status == "fail"]


def execute(url: str, *statements: str) -> None:
    with connect(url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_a_fresh_installation_is_well(environ: dict[str, str]) -> None:
    checks = examine(environ)
    assert failures(checks) == []
    found(checks, "database", "ok", "answers")
    found(checks, "database", "ok", "migrations")
    found(checks, "database", "ok", "on disk")
    found(checks, "clock", "ok", "the database agree")
    found(checks, "log", "ok", "no journal yet")
    found(checks, "salts", "ok", "no salt of today")
    assert found(checks, "service", "warn", "Nothing answers").advice


def test_the_findings_as_json_and_as_a_table(environ: dict[str, str]) -> None:
    written = io.StringIO()
    assert run_doctor(environ, as_json=True, console=Console(file=written, width=80)) == 0
    checks = json.loads(written.getvalue())["checks"]
    assert {"name", "status", "sentence", "advice"} == set(checks[0])
    console = Console(file=io.StringIO(), width=200)
    console.print(findings_table([Check("log", "fail", "It [broke].", "Mend it.")]))
    assert isinstance(console.file, io.StringIO)
    assert "It [broke]." in console.file.getvalue()
    assert "Mend it." in console.file.getvalue()


def test_all_mistakes_in_the_settings_are_findings() -> None:
    checks = examine({"PORT": "many", "KAFKA_BROKER": "nowhere", "ADMIN_TOKEN": "short-secret"})
    assert [check.status for check in checks] == ["fail"] * 3
    assert "short-secret" not in str(checks)


def test_a_database_without_migrations(postgres_url: str, environ: dict[str, str]) -> None:
    with new_database(postgres_url) as url:
        check = found(examine(environ | {"DATABASE_URL": url}), "database", "fail", "0001_pipeline")
    assert "migrate" in check.advice


def test_a_database_that_is_away_and_a_wrong_password(environ: dict[str, str], free_port: int) -> None:
    away = f"postgresql://ada:secret-of-ada@127.0.0.1:{free_port}/analytics"
    checks = examine(environ | {"DATABASE_URL": away})
    found(checks, "database", "fail", "PostgreSQL:")
    assert "secret-of-ada" not in str(checks)


@pytest.mark.parametrize(
    ("setting", "status", "said"),
    [
        ("synchronous_commit = off", "warn", "synchronous_commit is off"),
        ("default_transaction_read_only = on", "fail", "takes no writes"),
    ],
)
def test_settings_of_the_server(environ: dict[str, str], setting: str, status: str, said: str) -> None:
    name = conninfo_to_dict(environ["DATABASE_URL"])["dbname"]
    execute(environ["DATABASE_URL"], f'ALTER DATABASE "{name}" SET {setting}')
    found(examine(environ), "database", status, said)


def test_what_the_pipeline_wrote_down(environ: dict[str, str]) -> None:
    execute(
        environ["DATABASE_URL"],
        "INSERT INTO log_gaps (topic_id, partition, wanted, resumed) VALUES ('a', 3, 10, 52)",
        "INSERT INTO log_gaps (topic_id, partition, wanted, resumed, acknowledged_at)"
        " VALUES ('a', 5, 0, 9, now())",
        "INSERT INTO bad_rows (topic_id, partition, log_offset, reason, detail)"
        " VALUES ('a', 0, 1, 'not_json', '')",
        "INSERT INTO bad_rows (topic_id, partition, log_offset, reason, detail, created_at)"
        " VALUES ('a', 0, 2, 'old', '', now() - interval '2 days')",
        "INSERT INTO salts (day, salt) SELECT (now() AT TIME ZONE 'UTC')::date - ago,"
        " decode(repeat('ab', 16), 'hex') FROM generate_series(0, 2) AS ago",
    )
    checks = examine(environ)
    found(checks, "log gaps", "fail", "42 records of partition 3 were")
    found(checks, "bad rows", "warn", "1 not_json.")
    found(checks, "salts", "fail", "should have been destroyed")
    execute(environ["DATABASE_URL"], "DELETE FROM salts WHERE day < (now() AT TIME ZONE 'UTC')::date - 1")
    found(examine(environ), "salts", "ok", "yesterday and later")


def test_a_journal_and_its_consumer(environ: dict[str, str]) -> None:
    journal = JournalFile(journal_path(Settings.load(environ)))
    journal.open()
    try:
        journal.append([(b"key", b"value")] * 5)
        found(examine(environ), "consumers", "warn", "5 records wait")
        execute(
            environ["DATABASE_URL"],
            "INSERT INTO log_positions (topic_id, partition, next, epoch, owner)"
            f" VALUES ('{journal.topic_id}', 0, 3, 1, 'me')",
        )
        checks = examine(environ)
        found(checks, "log", "ok", "number 5")
        found(checks, "consumers", "ok", "2 records behind")
        execute(environ["DATABASE_URL"], "UPDATE log_positions SET next = 5")
        found(examine(environ), "consumers", "ok", "Everything")
    finally:
        journal.close()


def test_a_damaged_journal_fails(environ: dict[str, str]) -> None:
    path = journal_path(Settings.load(environ))
    path.mkdir()
    found(examine(environ), "log", "fail", "journal")


def test_a_kafka_of_one_broker(environ: dict[str, str], kafka: KafkaCluster) -> None:
    environ |= {"KAFKA_BROKER": kafka.bootstrap, "KAFKA_TOPIC": "doctor", "KAFKA_PARTITIONS": "2"}
    found(examine(environ), "log", "fail", "no topic doctor")
    topic = KafkaTopic(kafka_settings(Settings.load(environ))).ensure(10.0)
    checks = examine(environ)
    found(checks, "log", "warn", "lost with the disk of one broker")
    found(checks, "log", "warn", "not encrypted")
    found(checks, "consumers", "ok", "Everything")
    execute(
        environ["DATABASE_URL"],
        "INSERT INTO log_positions (topic_id, partition, next, epoch, owner)"
        f" VALUES ('{topic.topic_id}', 1, 7, 1, 'me')",
    )
    found(examine(environ), "consumers", "fail", "lost its end")


def test_a_dead_letter_topic(environ: dict[str, str], kafka: KafkaCluster) -> None:
    environ |= {"KAFKA_BROKER": kafka.bootstrap, "KAFKA_TOPIC": "doctor", "KAFKA_DEAD_LETTER_TOPIC": "doctor"}
    with pytest.raises(SettingsError, match="another topic"):
        Settings.load(environ)
    environ["KAFKA_DEAD_LETTER_TOPIC"] = "doctor-dead"
    settings = Settings.load(environ)
    KafkaTopic(kafka_settings(settings)).ensure(10.0)
    found(examine(environ), "dead letters", "warn", "no topic doctor-dead")
    KafkaDeadLetters(kafka_settings(settings), "doctor-dead").publish([])
    found(examine(environ), "dead letters", "ok", "doctor-dead")


def test_a_kafka_that_is_away(environ: dict[str, str], free_port: int) -> None:
    checks = examine(environ | {"KAFKA_BROKER": f"127.0.0.1:{free_port}"})
    found(checks, "log", "fail", "127.0.0.1")


def test_three_brokers_and_a_wrong_password(environ: dict[str, str], kafka_cluster: KafkaCluster) -> None:
    client = kafka_cluster.client_settings()
    environ |= {
        "KAFKA_BROKER": kafka_cluster.bootstrap,
        "KAFKA_TOPIC": "doctor",
        "KAFKA_USER": str(client["sasl.username"]),
        "KAFKA_PASSWORD": str(client["sasl.password"]),
        "KAFKA_CA_FILE": str(kafka_cluster.ca_file),
    }
    KafkaTopic(kafka_settings(Settings.load(environ))).ensure(20.0)
    checks = examine(environ)
    found(checks, "log", "ok", "3 broker(s), 6 partitions, replication 3, min.insync.replicas 2")
    assert failures(checks) == []
    checks = examine(environ | {"KAFKA_PASSWORD": "not-the-password"})
    found(checks, "log", "fail", "refuses the user or the password")
    assert "not-the-password" not in str(checks)
