"""The real parts under the measurements: PostgreSQL and Apache Kafka, each started when first asked for."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from confluent_kafka.admin import NewTopic
from psycopg import sql
from psycopg.conninfo import make_conninfo

from portfolio_analytics.storage.database import conninfo
from portfolio_analytics.storage.embedded import EmbeddedPostgres
from portfolio_analytics.storage.migrate import migrate
from tests.kafka.cluster import KafkaCluster


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: rounds of a comparison, seconds of a load, events of a consumer, of a history."""

    rounds: int
    seconds: float
    events: int
    stored: int
    days: int

    @property
    def warm_up(self) -> float:
        """Seconds of load in which a broker compiles what it does from then on."""
        return 8 * self.seconds


class Parts:
    """Ends what it started when its context ends."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @cached_property
    def folder(self) -> Path:
        """A folder for what the parts keep; below /tmp, so that a server that root runs may enter it."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="pa-bench-", dir="/tmp")))
        folder.chmod(0o755)
        return folder

    @cached_property
    def postgres(self) -> EmbeddedPostgres:
        """A server with the settings that `run` gives to it."""
        return self._stack.enter_context(EmbeddedPostgres(self.folder / "postgres"))

    @property
    def postgres_pid(self) -> int:
        """The process that is the parent of the server's others."""
        file = self.postgres.directory / "postmaster.pid"
        return int(file.read_text(encoding="ascii").splitlines()[0])

    @cached_property
    def kafka(self) -> KafkaCluster:
        """One broker, which compiles what it does often as brokers do. Raises KafkaMissing."""
        return self._stack.enter_context(KafkaCluster(self.folder / "kafka", optimise=True))

    def database(self, name: str) -> str:
        """A new, migrated database; its DSN."""
        with psycopg.connect(self.postgres.dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        database = conninfo(make_conninfo(self.postgres.dsn, dbname=name))
        with psycopg.connect(database, autocommit=True) as connection:
            migrate(connection)
        return database

    def topic(self, name: str, partitions: int) -> str:
        """A topic, made when it is not there; its name."""
        admin = self.kafka.admin()
        if name not in admin.list_topics(timeout=20).topics:
            for future in admin.create_topics([NewTopic(name, partitions, 1)]).values():
                future.result(timeout=20)
            self.kafka.wait_until_whole()
        return name


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000
