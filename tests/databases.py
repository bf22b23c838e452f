"""Databases of a test's own, on the server of the test session."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from portfolio_analytics.storage.database import conninfo

MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 4 << 30

EMPTY = "template0"


def folder_for_a_server() -> str:
    """Where the session's server keeps its files: in memory where that has room, since hundreds of databases
    are made and dropped there and none has to outlive the machine.
    """
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH_BYTES:
        return str(MEMORY)
    return "/tmp"


@contextmanager
def new_database(server: str, template: str = EMPTY) -> Iterator[str]:
    """The DSN of a database on `server` that is a copy of `template`; dropped at the end."""
    name = sql.Identifier(f"test_{uuid.uuid4().hex}")
    with psycopg.connect(server, autocommit=True) as connection:
        query = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, sql.Identifier(template))
        if connection.info.server_version >= 150000:
            query += sql.SQL(" STRATEGY FILE_COPY")
        connection.execute(query)
        yield conninfo(make_conninfo(server, dbname=name.as_string().strip('"')))
        _drop(connection, name)


def _drop(connection: psycopg.Connection, name: sql.Identifier) -> None:
    for _ in range(20):
        try:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
        except psycopg.errors.InsufficientPrivilege:
            time.sleep(0.25)  # autovacuum is in it, whom only a superuser may end
        else:
            return
    raise AssertionError(f"{name} is still in use")
