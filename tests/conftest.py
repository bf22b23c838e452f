"""Fixtures that every test may use: a real PostgreSQL, and a fresh migrated database for each test."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql
from psycopg.conninfo import make_conninfo

from portfolio_analytics.storage.database import conninfo
from portfolio_analytics.storage.embedded import EmbeddedPostgres
from portfolio_analytics.storage.migrate import migrate
from tests.databases import folder_for_a_server, new_database
from tests.ports import free_port

pytest_plugins = ["tests.kafka.fixtures", "tests.leftovers"]

# Machines are shared and noisy: an example that took long says nothing about the code.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


# What takes longest is begun first, so that no process works alone at the end.
ORDER = ("three brokers", "one broker", "faults/", "integration/", "browser/", "unit/")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests run in several processes, those that share what is slow to start stay in one of them."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=lambda item: next(n for n, name in enumerate(ORDER) if _group(item).startswith(name)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    """pytest-xdist tells groups by a suffix of a test's name. Where that is lost, as with pytest 9.2, every
    process starts every broker and server for itself, and nothing but the time would say so.
    """
    strays = [name for name in ids if "@" not in name.rpartition("]")[2]]
    if strays and node.config.getoption("dist") == "loadgroup":
        pytest.exit(f"pytest-xdist does not see the groups of {len(strays)} tests: {strays[0]}", returncode=1)


def _group(item: pytest.Item) -> str:
    fixtures = getattr(item, "fixturenames", ())
    if "_three_brokers" in fixtures:
        return "three brokers"
    path = item.path.relative_to(Path(__file__).parent)
    # The log's contract asks for the broker only in some of its cases.
    if "kafka" in fixtures or path.parent.name == "contract":
        return "one broker"
    return str(path.parent if path.parent.name == "dashboard" else path)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The DSN of a server of this test session; TEST_DATABASE_URL names another one to use."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    # As root the server runs as another user, who may not enter pytest's own private folders.
    with tempfile.TemporaryDirectory(prefix="pa-postgres-", dir=folder_for_a_server()) as folder:
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
    with new_database(postgres_url, migrated_template) as address:
        yield address


@pytest.fixture(name="free_port")
def _free_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parents[1]
