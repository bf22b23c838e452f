"""Dictionaries in PostgreSQL, and what one consumer remembers of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, NamedTuple, TypeVar

import psycopg
from psycopg import sql

from portfolio_analytics.consumer.dictionary import Client
from portfolio_analytics.consumer.enrich.origin import Origin

Entry = tuple[int, int]  # site and id
CACHED = 200_000


class Page(NamedTuple):
    """A page of a site."""

    path: str


Content = TypeVar("Content", bound=tuple[str, ...])
_TABLES: dict[type, tuple[str, str, tuple[str, ...]]] = {
    Page: ("pages", "page_id", Page._fields),
    Client: ("clients", "client_id", Client._fields),
    Origin: ("origins", "origin_id", Origin._fields),
}


class Dictionary(Generic[Content]):
    """One dictionary table. Entries are never changed, so what was seen once holds for ever."""

    def __init__(self, content: type[Content]) -> None:
        self._make: Callable[..., Content] = content
        table, identity, columns = _TABLES[content]
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        self._insert = sql.SQL(
            "INSERT INTO {table} (site_id, {identity}, {names}) "
            "SELECT * FROM unnest(%s::int[], %s::bigint[], {arrays}) "
            "ORDER BY 1, 2 ON CONFLICT DO NOTHING"
        ).format(
            table=sql.Identifier(table),
            identity=sql.Identifier(identity),
            names=names,
            arrays=sql.SQL(", ").join([sql.SQL("%s::text[]")] * len(columns)),
        )
        self._select = sql.SQL(
            "SELECT d.site_id, d.{identity}, {names} FROM unnest(%s::int[], %s::bigint[]) AS k (site_id, id) "
            "JOIN {table} d ON d.site_id = k.site_id AND d.{identity} = k.id"
        ).format(table=sql.Identifier(table), identity=sql.Identifier(identity), names=names)
        self._known: dict[Entry, Content] = {}

    def __getitem__(self, entry: Entry) -> Content:
        return self._known[entry]

    def store(self, connection: psycopg.Connection[Any], entries: dict[Entry, Content]) -> None:
        """Make sure that `entries` are in the table. The connection must be in autocommit mode: an entry
        that is remembered here must not vanish with a batch that is rolled back.
        """
        missing = {entry: content for entry, content in entries.items() if entry not in self._known}
        if not missing:
            return
        ordered = sorted(missing.items())
        values = list(zip(*(content for _, content in ordered), strict=True))
        connection.execute(
            self._insert,
            [[e[0] for e, _ in ordered], [e[1] for e, _ in ordered], *(list(column) for column in values)],
        )
        self._known.update(missing)

    def load(self, connection: psycopg.Connection[Any], entries: Iterable[Entry]) -> None:
        """Remember `entries`, which are in the table."""
        missing = sorted({entry for entry in entries if entry not in self._known})
        if missing:
            rows = connection.execute(
                self._select, [[e[0] for e in missing], [e[1] for e in missing]]
            ).fetchall()
            self._known.update({(row[0], row[1]): self._make(*row[2:]) for row in rows})

    def make_room(self) -> None:
        """Forget the oldest half when too much is remembered. To be called between batches."""
        if len(self._known) > CACHED:
            for entry in list(self._known)[: CACHED // 2]:
                del self._known[entry]


def everything(connection: psycopg.Connection[Any], content: type[Content]) -> dict[Entry, Content]:
    """All entries of a dictionary table."""
    make: Callable[..., Content] = content
    table, identity, columns = _TABLES[content]
    names = sql.SQL(", ").join([sql.Identifier(name) for name in ("site_id", identity, *columns)])
    rows = connection.execute(sql.SQL("SELECT {} FROM {}").format(names, sql.Identifier(table)))
    return {(row[0], row[1]): make(*row[2:]) for row in rows}
