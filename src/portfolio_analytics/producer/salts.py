"""The random salts of the visitor hash: made once a UTC day for all producers, destroyed after two.

They are shared through PostgreSQL. Today's and yesterday's are kept in memory, tomorrow's is made ahead, so
that a producer goes on over midnight while the database is away. Without today's salt there is no hash,
and intake is not ready: an unsalted one is never made.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import psycopg

from portfolio_analytics.producer.visitor import DAY_MS, SALT_BYTES, SaltedHash

_EPOCH = date(1970, 1, 1)

_MAKE = """
INSERT INTO salts (day, salt) SELECT * FROM unnest(%s::date[], %s::bytea[]) ON CONFLICT (day) DO NOTHING"""
_READ = "SELECT day, salt FROM salts WHERE day = ANY(%s)"
# The database's clock decides, so that one producer whose clock is wrong destroys nothing.
_DESTROY = """
WITH gone AS (DELETE FROM salts WHERE day < (now() AT TIME ZONE 'UTC')::date - 1 RETURNING day)
INSERT INTO salt_destructions (day) SELECT day FROM gone
ON CONFLICT (day) DO UPDATE SET destroyed_at = now()"""


class Salts:
    """The salts that this process knows, by day (days since 1970)."""

    def __init__(self) -> None:
        self._hashes: dict[int, SaltedHash] = {}

    def of(self, day: int) -> SaltedHash | None:
        """The hash under the salt of a day; None when that salt is not known."""
        return self._hashes.get(day)

    def ready(self, now: int) -> bool:
        """Whether the salt of the day of `now` (Unix milliseconds) is known."""
        return now // DAY_MS in self._hashes

    def keep(self, salts: Mapping[int, bytes], today: int) -> None:
        """Take over what the database holds; forget what is older than yesterday."""
        for day, salt in salts.items():
            self._hashes.setdefault(day, SaltedHash(salt))
        for day in [day for day in self._hashes if day < today - 1]:
            del self._hashes[day]


async def refresh_salts(connection: psycopg.AsyncConnection[Any], salts: Salts, now: int) -> None:
    """Make today's and tomorrow's salt where they are missing, destroy old ones, read what is there."""
    today = now // DAY_MS
    made = [_EPOCH + timedelta(days=day) for day in (today, today + 1)]
    async with connection.transaction():
        await connection.execute(_DESTROY)
        await connection.execute(_MAKE, [made, [secrets.token_bytes(SALT_BYTES) for _ in made]])
        cursor = await connection.execute(_READ, [[made[0] - timedelta(days=1), *made]])
        rows = await cursor.fetchall()
    salts.keep({(day - _EPOCH).days: bytes(salt) for day, salt in rows}, today)
