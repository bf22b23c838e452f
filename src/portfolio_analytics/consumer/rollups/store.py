"""Rollups in PostgreSQL: adding a batch's sums to the stored ones, in one order for every consumer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import psycopg

from portfolio_analytics.consumer.beside import beside
from portfolio_analytics.consumer.rollups.rollup import MEASURES, PAGE_DIMENSIONS, Cells, measures
from portfolio_analytics.storage.arrays import numbers, texts

_COLUMNS = ("site_id", "day", "dimension", "value", *MEASURES)
_TYPES = ("int", "int", "smallint", "text", *["bigint" if "_ms" in name else "int" for name in MEASURES])
_SUMS = ", ".join(MEASURES)

_ADD = f"""
INSERT INTO rollups (slot, site_id, day, dimension, value, {_SUMS})
SELECT %s, site_id, '1970-01-01'::date + day, dimension, value, {_SUMS}
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
    # Rows are inserted as they come: every consumer locks in this order.
    rows = [
        (site_id, *key, *measures(cell))
        for site_id in sorted(changes)
        for key, cell in sorted(changes[site_id].items())
        if cell
    ]
    if not rows:
        return
    site_ids, days, dimensions, values, *sums = zip(*rows, strict=True)
    names = [
        path(site_id, value) if dimension in PAGE_DIMENSIONS and isinstance(value, int) else str(value)
        for site_id, dimension, value in zip(site_ids, dimensions, values, strict=True)
    ]
    columns = [*map(numbers, (site_ids, days, dimensions)), texts(names), *map(numbers, sums)]
    beside(lambda: cursor.execute(_ADD, [slot, *columns]), meanwhile)


def add_totals(cursor: psycopg.Cursor[Any], totals: Mapping[TotalKey, int], slot: int) -> None:
    """Add numbers of events by site, local day and type under `slot`."""
    rows = sorted((site_id, day, kind, n) for (site_id, day, kind), n in totals.items() if n)
    if rows:
        site_ids, days, kinds, counts = zip(*rows, strict=True)
        cursor.execute(_ADD_TOTALS, [slot, numbers(site_ids), numbers(days), texts(kinds), numbers(counts)])
