"""Database work that the command line and the HTTP faces share.

A function of work is a generator: it yields each Query, is sent the rows as dicts, and returns its result.
`run` and `run_async` carry it out in one transaction, so that no SQL and no rule is written twice.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg.rows import dict_row

Row = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Query:
    """One statement and its named parameters."""

    sql: LiteralString
    params: Mapping[str, Any] = field(default_factory=dict)


Steps = Generator[Query, list[Row], T]


def run(connection: psycopg.Connection[Any], steps: Steps[T]) -> T:
    """Carry out `steps` in one transaction; what they raise rolls it back."""
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        try:
            query = next(steps)
            while True:
                cursor.execute(query.sql, query.params)
                query = steps.send(cursor.fetchall() if cursor.description else [])
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


async def run_async(connection: psycopg.AsyncConnection[Any], steps: Steps[T]) -> T:
    """Carry out `steps` in one transaction; what they raise rolls it back."""
    async with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        try:
            query = next(steps)
            while True:
                await cursor.execute(query.sql, query.params)
                query = steps.send(await cursor.fetchall() if cursor.description else [])
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
