"""Dictionaries in PostgreSQL, and what one consumer remembers of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic

import psycopg
from psycopg import sql

from portfolio_analytics.consumer.dictionaries.dictionary import Client, Content, Page, Word
from portfolio_analytics.consumer.enrich.origin import Origin
from portfolio_analytics.storage.arrays import numbers, texts

Entry = tuple[int, int]  # site and id
CACHED = 50_000


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
        self.insertion = (
            sql.SQL(
                "{new} AS (INSERT INTO {table} (site_id, {identity}, {names}) "
                "SELECT * FROM unnest(%s::int[], %s::bigint[], {arrays}) "
                "ORDER BY 1, 2 ON CONFLICT DO NOTHING)"
            )
            .format(
                new=sql.Identifier(f"new_{table}"),
                table=sql.Identifier(table),
                identity=sql.Identifier(identity),
                names=names,
                arrays=sql.SQL(", ").join([sql.SQL("%s::text[]")] * len(columns)),
            )
            .as_string()
        )
        self._select = sql.SQL(
            "SELECT d.site_id, d.{identity}, {names} FROM unnest(%s::int[], %s::bigint[]) AS k (site_id, id) "
            "JOIN {table} d ON d.site_id = k.site_id AND d.{identity} = k.id"
        ).format(table=sql.Identifier(table), identity=sql.Identifier(identity), names=names)
        self._known: dict[Entry, Content] = {}

    def __getitem__(self, entry: Entry) -> Content:
        return self._known[entry]

    def new(self, site_id: int, words: Iterable[Word[Content]]) -> dict[Entry, Content]:
        """Those of a site's `words` that are not remembered."""
        return {
            (site_id, found.id): found.content for found in words if (site_id, found.id) not in self._known
        }

    def remember(self, entries: dict[Entry, Content]) -> None:
        """Remember `entries`, which are in the table."""
        self._known.update(entries)

    def load(self, connection: psycopg.Connection[Any], entries: Iterable[Entry]) -> None:
        """Remember `entries`, which are in the table."""
        missing = sorted({entry for entry in entries if entry not in self._known})
        if missing:
            rows = connection.execute(
                self._select, [numbers(e[0] for e in missing), numbers(e[1] for e in missing)]
            ).fetchall()
            self._known.update({(row[0], row[1]): self._make(*row[2:]) for row in rows})

    def make_room(self) -> None:
        """Forget the oldest half when too much is remembered. To be called between batches."""
        if len(self._known) > CACHED:
            for entry in list(self._known)[: CACHED // 2]:
                del self._known[entry]


def store_new(connection: psycopg.Connection[Any], *found: tuple[Dictionary[Any], dict[Entry, Any]]) -> None:
    """Make sure that the entries that were `found` for each dictionary are in its table, and remember them.

    The connection must be in autocommit mode: an entry that is remembered must not vanish with a batch that
    is rolled back. Its commit is not waited for: that of the batch, which comes later, makes both durable.
    """
    new = [(dictionary, entries) for dictionary, entries in found if entries]
    if not new:
        return
    values: list[object] = []
    for _, entries in new:
        ordered = sorted(entries.items())
        values += [numbers(entry[0] for entry, _ in ordered), numbers(entry[1] for entry, _ in ordered)]
        values += map(texts, zip(*(content for _, content in ordered), strict=True))
    insertions = ", ".join(dictionary.insertion for dictionary, _ in new)
    connection.execute(f"WITH {insertions} SELECT set_config('synchronous_commit', 'off', true)", values)
    for dictionary, entries in new:
        dictionary.remember(entries)


def everything(connection: psycopg.Connection[Any], content: type[Content]) -> dict[Entry, Content]:
    """All entries of a dictionary table."""
    make: Callable[..., Content] = content
    table, identity, columns = _TABLES[content]
    names = sql.SQL(", ").join([sql.Identifier(name) for name in ("site_id", identity, *columns)])
    rows = connection.execute(sql.SQL("SELECT {} FROM {}").format(names, sql.Identifier(table)))
    return {(row[0], row[1]): make(*row[2:]) for row in rows}
