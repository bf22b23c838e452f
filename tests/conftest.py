"""Fixtures that every test may use: a real PostgreSQL, and a fresh migrated database for each test."""

from __future__ import annotations

import itertools
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql
from psycopg.conninfo import make_conninfo

from portfolio_analytics.storage.database import conninfo
from portfolio_analytics.storage.embedded import EmbeddedPostgres
from portfolio_analytics.storage.migrate import migrate

pytest_plugins = ["tests.kafka.fixtures"]

# Machines are shared and noisy: an example that took long says nothing about the code.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The DSN of a server of this test session; TEST_DATABASE_URL names another one to use."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    # As root the server runs as another user, who may not enter pytest's own private folders.
    with tempfile.TemporaryDirectory(prefix="pa-postgres-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres(Path(folder) / "data") as server:
            yield server.dsn


@pytest.fixture(scope="session")
def migrated_template(postgres_url: str) -> str:
    """The name of a database that holds this version's schema."""
    name = f"template_{os.getpid()}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with psycopg.connect(conninfo(make_conninfo(postgres_url, dbname=name)), autocommit=True) as connection:
        migrate(connection)
    return name


@pytest.fixture
def database(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """The DSN of a database of this test's own, with this version's schema and no rows."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(migrated_template)
            )
        )
        yield conninfo(make_conninfo(postgres_url, dbname=name))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def free_port() -> int:
    """A TCP port of the loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parents[1]
