"""Rebuild: make visits, rollups and totals what the rows say, while ingestion goes on.

First the visits that differ are counted anew from their rows, each batch in one transaction that also
corrects the rollups. Then what the rollups and totals still differ by from the visits is added, all of it in
one transaction: a difference found in one snapshot stays right whatever is added to both sides meanwhile, so
nobody waits and no reader sees a half-made number.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import psycopg

from portfolio_analytics.consumer.proof.verify import OnProgress, Report, VisitDifference, verify
from portfolio_analytics.consumer.rollups.rollup import MEASURES
from portfolio_analytics.consumer.transaction import Store
from portfolio_analytics.consumer.visits.store import to_date
from portfolio_analytics.consumer.visits.window import Window

BATCH = 500
SLOT = 0

_CORRECT = f"""
INSERT INTO rollups (site_id, day, dimension, value, slot, {", ".join(MEASURES)})
VALUES (%s, %s, %s, %s, {SLOT}, {", ".join(["%s"] * len(MEASURES))})
ON CONFLICT (site_id, dimension, day, value, slot) DO UPDATE SET
{", ".join(f"{name} = rollups.{name} + excluded.{name}" for name in MEASURES)}
"""
_CORRECT_MONTH = f"""
INSERT INTO rollup_months (site_id, month, dimension, value, slot, {", ".join(MEASURES)})
VALUES (%s, %s, %s, %s, {SLOT}, {", ".join(["%s"] * len(MEASURES))})
ON CONFLICT (site_id, dimension, month, value, slot) DO UPDATE SET
{", ".join(f"{name} = rollup_months.{name} + excluded.{name}" for name in MEASURES)}
"""
_CORRECT_TOTAL = f"""
INSERT INTO event_totals (site_id, day, type, slot, n) VALUES (%s, %s, %s, {SLOT}, %s)
ON CONFLICT (site_id, day, type, slot) DO UPDATE SET n = event_totals.n + excluded.n
"""


def rebuild(
    connection: psycopg.Connection[Any], store: Store, on_progress: OnProgress = lambda done, total: None
) -> Report:
    """Mend what differs; the report says what did. `connection` reads, `store` writes."""
    report = verify(connection, on_progress)
    if report.visit_differences:
        _recount(store, report.visit_differences)
        report_of_sums = verify(connection, on_progress)
    else:
        report_of_sums = report
    _correct(store.connection, report_of_sums)
    return report


def _recount(store: Store, differences: list[VisitDifference]) -> None:
    """Count the visits that differ anew, those of one time together."""
    found = sorted(
        (visit.start, visit.end, visit.site_id, visit.actor)
        for difference in differences
        for visit in difference
        if visit is not None
    )
    for site_id in sorted({site for _, _, site, _ in found}):
        mine = iter([entry for entry in found if entry[2] == site_id])
        while batch := list(islice(mine, BATCH)):
            store.recount(
                {(site_id, actor) for _, _, _, actor in batch},
                Window(min(entry[0] for entry in batch), max(entry[1] for entry in batch)),
            )


def _correct(connection: psycopg.Connection[Any], report: Report) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        cells = sorted(
            report.rollup_differences,
            key=lambda found: (found.key[0], found.key[2], found.key[1], found.key[3]),
        )
        cursor.executemany(
            _CORRECT.encode(),
            [
                (
                    found.key[0],
                    to_date(found.key[1]),
                    found.key[2],
                    found.key[3],
                    *(wanted - stored for wanted, stored in zip(found.expected, found.stored, strict=True)),
                )
                for found in cells
            ],
        )
        cursor.executemany(
            _CORRECT_TOTAL.encode(),
            [
                (total.key[0], to_date(total.key[1]), total.key[2], total.expected - total.stored)
                for total in sorted(report.total_differences)
            ],
        )
        cursor.executemany(
            _CORRECT_MONTH.encode(),
            [
                (
                    found.site_id,
                    found.month,
                    found.dimension,
                    found.value,
                    *(wanted - stored for wanted, stored in zip(found.expected, found.stored, strict=True)),
                )
                for found in sorted(
                    report.month_differences,
                    key=lambda found: (found.site_id, found.dimension, found.month, found.value),
                )
            ],
        )
