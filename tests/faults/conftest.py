"""Fixtures of the fault suite: a database behind a proxy, and a PostgreSQL that may be hurt."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from portfolio_analytics.storage.database import conninfo
from portfolio_analytics.storage.embedded import EmbeddedPostgres
from portfolio_analytics.storage.migrate import migrate
from tests.databases import folder_for_a_server
from tests.faults.postgres_proxy import PostgresProxy


@pytest.fixture
def proxy(database: str) -> Iterator[PostgresProxy]:
    """A proxy before a fresh database; `database` itself leads past it."""
    with PostgresProxy(database) as found:
        yield found


@pytest.fixture
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """A server of this test's own, migrated, that may be stopped and started; its dsn stays the same."""
    with tempfile.TemporaryDirectory(prefix="pa-faults-", dir=folder_for_a_server()) as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres(Path(folder) / "data") as server:
            with psycopg.connect(conninfo(server.dsn), autocommit=True) as connection:
                migrate(connection)
            yield server
