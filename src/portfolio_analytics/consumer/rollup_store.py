"""Rollups in PostgreSQL: adding a batch's sums to the stored ones, in one order for every consumer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from struct import Struct
from typing import Any

import psycopg

from portfolio_analytics.consumer.beside import beside
from portfolio_analytics.consumer.rollup import MEASURES, PAGE_DIMENSIONS, Cells, measures
from portfolio_analytics.storage.binary_copy import EPOCH_DAY, copy_rows, scratch_table, text

_COLUMNS = ("site_id", "day", "dimension", "slot", *MEASURES, "value")
_WIDE = ("duration_ms", "engaged_ms")
_FORMAT = Struct("!h ii ii ih ih " + " ".join("iq" if name in _WIDE else "ii" for name in MEASURES))
_NUMBERS = [part for name in MEASURES for part in (8 if name in _WIDE else 4, 0)]

_ADD = f"""
INSERT INTO rollups ({", ".join(_COLUMNS)})
SELECT {", ".join(_COLUMNS)} FROM changed_rollups ORDER BY site_id, dimension, day, value, slot
ON CONFLICT (site_id, dimension, day, value, slot) DO UPDATE SET
{", ".join(f"{name} = rollups.{name} + excluded.{name}" for name in MEASURES)}
"""

_ADD_TOTALS = """
INSERT INTO event_totals (site_id, day, slot, type, n)
SELECT site_id, day, slot, type, n FROM changed_totals ORDER BY site_id, day, type, slot
ON CONFLICT (site_id, day, type, slot) DO UPDATE SET n = event_totals.n + excluded.n
"""
_TOTAL = Struct("!h ii ii ih iq")
_TOTAL_COLUMNS = ("site_id", "day", "slot", "n", "type")

TEMPORARY = scratch_table("changed_rollups", "rollups", _COLUMNS) + scratch_table(
    "changed_totals", "event_totals", _TOTAL_COLUMNS
)

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
    rows = [row for site_id, cells in changes.items() for row in _pack(site_id, cells, slot, path)]
    if rows:
        copy_rows(cursor, "changed_rollups", _COLUMNS, rows)
        beside(lambda: cursor.execute(_ADD), meanwhile)


def add_totals(cursor: psycopg.Cursor[Any], totals: Mapping[TotalKey, int], slot: int) -> None:
    """Add numbers of events by site, local day and type under `slot`."""
    rows = [
        _TOTAL.pack(len(_TOTAL_COLUMNS), 4, site_id, 4, day - EPOCH_DAY, 2, slot, 8, n) + text(kind)
        for (site_id, day, kind), n in totals.items()
        if n
    ]
    if rows:
        copy_rows(cursor, "changed_totals", _TOTAL_COLUMNS, rows)
        cursor.execute(_ADD_TOTALS)


def _pack(site_id: int, cells: Cells, slot: int, path: Callable[[int, int], str]) -> Iterable[bytes]:
    for (day, dimension, value), cell in cells.items():
        if cell:
            numbers = _NUMBERS[:]
            numbers[1::2] = measures(cell)
            name = (
                path(site_id, value)
                if dimension in PAGE_DIMENSIONS and isinstance(value, int)
                else str(value)
            )
            yield (
                _FORMAT.pack(len(_COLUMNS), 4, site_id, 4, day - EPOCH_DAY, 2, dimension, 2, slot, *numbers)
                + text(name)
            )
