"""Consumers that are connected: each holds a shared advisory lock for as long as its session lasts.

Nothing is written for it, and a process that dies takes its lock along.
"""

from __future__ import annotations

import psycopg

_KEY = 0x636F6E73

COUNT = f"""SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = {_KEY}
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
"""How many consumers are connected to this database."""


def announce(connection: psycopg.Connection) -> None:
    """Say that this session is a consumer's. Raises psycopg.Error."""
    connection.execute("SELECT pg_advisory_lock_shared(%s)", [_KEY])
