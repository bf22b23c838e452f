"""Rollups in PostgreSQL: adding a batch's sums to the stored ones, in one order for every consumer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import psycopg

from portfolio_analytics.consumer.beside import beside
from portfolio_analytics.consumer.rollups.rollup import MEASURES, PAGE_DIMENSIONS, CellKey, Cells, measures
from portfolio_analytics.storage.arrays import numbers, texts

_COLUMNS = ("site_id", "dimension", "day", "value", *MEASURES)
_TYPES = ("int", "smallint", "int", "text", *["bigint" if "_ms" in name else "int" for name in MEASURES])
_SUMS = ", ".join(MEASURES)

_ADD = f"""
INSERT INTO rollups (slot, site_id, dimension, day, value, {_SUMS})
SELECT %s, site_id, dimension, '1970-01-01'::date + day, value, {_SUMS}
FROM unnest({", ".join(f"%s::{kind}[]" for kind in _TYPES)}) AS k ({", ".join(_COLUMNS)})
ON CONFLICT (site_id, dimension, day, value, slot) DO UPDATE SET
{", ".join(f"{name} = rollups.{name} + excluded.{name}" for name in MEASURES)}
"""

_ADD_TOTALS = """
INSERT INTO event_totals (slot, site_id, day, type, n)
SELECT %s, site_id, '1970-01-01'::date + day, type, n
FROM unnest(%s::int[], %s::int[], %s::text[], %s::bigint[]) AS k (site_id, day, type, n)
ON CONFLICT (site_id, day, type, slot) DO UPDATE SET n = event_totals.n + excluded.n
"""

TotalKey = tuple[int, int, str]  # site, local day, type


def add_rollups(
    cursor: psycopg.Cursor[Any],
    changes: Mapping[int, Cells],
    slot: int,
    path: Callable[[int, int], str],
    meanwhile: Callable[[], None],
) -> None:
    """Add `changes` (site -> cells) under `slot`; `path(site_id, page_id)` looks a page up.

    `meanwhile` is done while PostgreSQL adds.
    """

    def name(site_id: int, key: CellKey) -> str:
        _, dimension, value = key
        if dimension in PAGE_DIMENSIONS and isinstance(value, int):
            return path(site_id, value)
        return str(value)

    # Rows are inserted as they come: every consumer locks in this order.
    rows = sorted(
        (site_id, key[1], key[0], name(site_id, key), cell)
        for site_id, cells in changes.items()
        for key, cell in cells.items()
        if cell
    )
    if not rows:
        return
    site_ids, dimensions, days, names, found = zip(*rows, strict=True)
    sums = zip(*map(measures, found), strict=True)
    columns = [*map(numbers, (site_ids, dimensions, days)), texts(names), *map(numbers, sums)]
    beside(lambda: cursor.execute(_ADD, [slot, *columns]), meanwhile)


def add_totals(cursor: psycopg.Cursor[Any], totals: Mapping[TotalKey, int], slot: int) -> None:
    """Add numbers of events by site, local day and type under `slot`."""
    rows = sorted((site_id, day, kind, n) for (site_id, day, kind), n in totals.items() if n)
    if rows:
        site_ids, days, kinds, counts = zip(*rows, strict=True)
        cursor.execute(_ADD_TOTALS, [slot, numbers(site_ids), numbers(days), texts(kinds), numbers(counts)])
