"""Verify: recompute visits, rollups and totals from the rows, and compare all of them.

Everything is read in one snapshot, so that ingestion goes on meanwhile. Visits are compared one by one in the
order of their actors; of rollups and totals the sums are held, whose number does not grow with the events.
Local days whose rows were partly dropped by retention are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

import psycopg

from portfolio_analytics.consumer.dictionaries.dictionary import Client, Content, Page
from portfolio_analytics.consumer.dictionaries.store import Entry, everything
from portfolio_analytics.consumer.enrich.origin import Origin
from portfolio_analytics.consumer.rollups.rollup import MEASURES, PAGE_DIMENSIONS, Cells, add, cells, measures
from portfolio_analytics.consumer.visits.store import Row, row_event, to_date, visit_of
from portfolio_analytics.consumer.visits.visit import Visit, visits_of
from portfolio_analytics.consumer.visits.window import Key
from portfolio_analytics.shared.record import VISITOR_KNOWN

FETCH = 10_000
_EPOCH = date(1970, 1, 1)

OnProgress = Callable[[int, int], None]
"""Rows done, rows in all (an estimate of the planner's)."""

RollupKey = tuple[int, int, int, str]  # site, local day, dimension, value
TotalKey = tuple[int, int, str]  # site, local day, type

_ROWS = """
SELECT e.site_id, e.actor, e.visitor, (e.flags & %s) <> 0, (extract(epoch FROM e.time) * 1000)::bigint,
    e.type, e.page_id, e.client_id, e.origin_id, coalesce(e.duration_ms, 0), coalesce(e.scroll_depth, -1)::int
FROM events e ORDER BY e.site_id, e.actor
"""
_MS = "(extract(epoch FROM {0}) * 1000)::bigint"
_VISITS = f"""
SELECT site_id, actor, visitor, {_MS.format("start_time")}, {_MS.format("end_time")}, client_id,
    origin_id, known, {_MS.format("entry_time")}, entry_page, {_MS.format("exit_time")}, exit_page, pageviews,
    events, interactions, engaged_ms, detail
FROM visits ORDER BY site_id, {{0}}
"""


_KEY = "site_id, month, dimension, value"
_SUMS = ", ".join(f"sum({name})::bigint AS {name}" for name in MEASURES)
_MONTHS = f"""
WITH stored AS (
    SELECT {_KEY}, {_SUMS} FROM rollup_months JOIN closed_months USING (site_id, month) GROUP BY {_KEY}
),
expected AS (
    SELECT site_id, date_trunc('month', day::timestamp)::date AS month, dimension, value, {_SUMS}
    FROM rollups r
    WHERE EXISTS (
        SELECT FROM closed_months k
        WHERE k.site_id = r.site_id AND k.month = date_trunc('month', r.day::timestamp)::date)
    GROUP BY 1, 2, 3, 4
)
SELECT {_KEY}, {", ".join(f"coalesce(stored.{name}, 0)" for name in MEASURES)},
    {", ".join(f"coalesce(expected.{name}, 0)" for name in MEASURES)}
FROM stored FULL JOIN expected USING ({_KEY})
WHERE ({", ".join(f"coalesce(stored.{name}, 0)" for name in MEASURES)})
    <> ({", ".join(f"coalesce(expected.{name}, 0)" for name in MEASURES)})
"""
"""The closed months that are not the sums of their days."""


class VisitDifference(NamedTuple):
    """A visit that is not what the rows say: one too many, one too few, or another than it should be."""

    stored: Visit | None
    expected: Visit | None


class RollupDifference(NamedTuple):
    """A cell, with what is stored and what the visits say, in the order of MEASURES."""

    key: RollupKey
    stored: list[int]
    expected: list[int]


class TotalDifference(NamedTuple):
    """A total, with what is stored and what the visits say."""

    key: TotalKey
    stored: int
    expected: int


class MonthDifference(NamedTuple):
    """A cell of a month, with what is stored and what the month's days add up to."""

    site_id: int
    month: date
    dimension: int
    value: str
    stored: list[int]
    expected: list[int]


@dataclass(slots=True)
class Report:
    """What was compared and what differs."""

    events: int = 0
    visits: int = 0
    cells: int = 0
    totals: int = 0
    visit_differences: list[VisitDifference] = field(default_factory=list)
    rollup_differences: list[RollupDifference] = field(default_factory=list)
    total_differences: list[TotalDifference] = field(default_factory=list)
    month_differences: list[MonthDifference] = field(default_factory=list)

    @property
    def differences(self) -> int:
        """How many visits, rollups and totals are not as the rows say."""
        sums = len(self.rollup_differences) + len(self.month_differences) + len(self.total_differences)
        return len(self.visit_differences) + sums

    @property
    def clean(self) -> bool:
        """Whether everything is as the rows say."""
        return self.differences == 0

    def sentences(self, sites: dict[int, str]) -> Iterator[str]:
        """One line a difference."""
        for visit in self.visit_differences:
            some = visit.stored or visit.expected
            assert some is not None
            what = (
                "differs from"
                if visit.stored and visit.expected
                else ("has no" if visit.stored else "is missing although there are")
            )
            yield f"{_site(sites, some.site_id)}: the visit of {some.actor} at {some.start} {what} its rows"
        for cell in self.rollup_differences:
            site_id, day, dimension, value = cell.key
            wrong = _wrong(cell.stored, cell.expected)
            yield f"{_site(sites, site_id)}: rollup {dimension} {value!r} of {to_date(day)} has {wrong}"
        for month in self.month_differences:
            wrong = _wrong(month.stored, month.expected)
            yield (
                f"{_site(sites, month.site_id)}: rollup {month.dimension} {month.value!r} of the month "
                f"{month.month:%Y-%m} has {wrong}"
            )
        for total in self.total_differences:
            site_id, day, kind = total.key
            yield (
                f"{_site(sites, site_id)}: total of {kind!r} on {to_date(day)} is {total.stored} "
                f"instead of {total.expected}"
            )


@contextmanager
def snapshot(connection: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    """A read-only transaction that sees the database as it is now, whatever comes in meanwhile."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        connection.execute("SET LOCAL work_mem = '128MB'; SET LOCAL statement_timeout = 0")
        yield connection


def verify(connection: psycopg.Connection[Any], on_progress: OnProgress = lambda done, total: None) -> Report:
    """Compare everything that is derived with the rows. `connection` is in autocommit mode."""
    report = Report()
    with snapshot(connection):
        zones = dict(connection.execute("SELECT site_id, time_zone FROM sites").fetchall())
        first = _first_day(connection)
        row = connection.execute(
            "SELECT coalesce(sum(greatest(reltuples, 0)), 0)::bigint FROM pg_class c JOIN pg_inherits i "
            "ON i.inhrelid = c.oid WHERE i.inhparent IN ('events'::regclass, 'visits'::regclass)"
        ).fetchone()
        progress = _Progress(on_progress, row[0] if row else 0)
        _compare_visits(connection, zones, first, report, progress)
        expected, totals = _expected_sums(connection, progress)
        _compare_rollups(connection, expected, first, report)
        _compare_totals(connection, totals, first, report)
        _compare_months(connection, report)
        progress.finish()
    return report


class _Progress:
    """Counts rows, and tells every now and then."""

    def __init__(self, on_progress: OnProgress, total: int) -> None:
        self._on_progress = on_progress
        self._total = total
        self.done = 0

    def tick(self) -> None:
        self.done += 1
        if self.done % FETCH == 0:
            self._on_progress(self.done, max(self._total, self.done))

    def finish(self) -> None:
        self._on_progress(self.done, self.done)


def _first_day(connection: psycopg.Connection[Any]) -> int:
    """The first local day all of whose rows and visits are sure to be there."""
    row = connection.execute("SELECT day FROM row_horizon").fetchone()
    # Identity days and local days differ from the UTC day of an event by at most 8 and 1.
    return -(1 << 40) if row is None else (row[0] - _EPOCH).days + 9


def _compare_visits(
    connection: psycopg.Connection[Any],
    zones: dict[int, str],
    first: int,
    report: Report,
    progress: _Progress,
) -> None:
    expected = _recomputed(connection, zones, report, progress)
    stored = groupby(_stored(connection, "actor", progress), lambda visit: (visit.site_id, visit.actor))
    for ours, theirs in _side_by_side(expected, ((key, list(visits)) for key, visits in stored)):
        report.visits += len(theirs)
        now = {visit.key: visit for visit in ours if min(visit.days) >= first}
        was = {visit.key: visit for visit in theirs if min(visit.days) >= first}
        for key in now.keys() | was.keys():
            if now.get(key) != was.get(key):
                report.visit_differences.append(VisitDifference(was.get(key), now.get(key)))


def _recomputed(
    connection: psycopg.Connection[Any], zones: dict[int, str], report: Report, progress: _Progress
) -> Iterator[tuple[Key, list[Visit]]]:
    with connection.cursor("verify_rows", binary=True) as cursor:
        cursor.itersize = FETCH
        cursor.execute(_ROWS, [VISITOR_KNOWN])
        for key, rows in groupby(cursor, lambda row: (row[0], row[1])):
            events = []
            for row in rows:
                progress.tick()
                events.append(row_event(Row(*row), zones.get(row[0], "UTC")))
            report.events += len(events)
            yield key, visits_of(events)


def _stored(connection: psycopg.Connection[Any], order: str, progress: _Progress) -> Iterator[Visit]:
    with connection.cursor(f"verify_visits_{order}", binary=True) as cursor:
        cursor.itersize = FETCH
        cursor.execute(_VISITS.format(order))
        for row in cursor:
            progress.tick()
            yield visit_of(row)


def _side_by_side(
    left: Iterator[tuple[Key, list[Visit]]], right: Iterator[tuple[Key, list[Visit]]]
) -> Iterator[tuple[list[Visit], list[Visit]]]:
    """Both sorted sequences, the entries of equal keys together."""
    a, b = next(left, None), next(right, None)
    while a is not None or b is not None:
        if b is None or (a is not None and a[0] < b[0]):
            assert a is not None
            yield a[1], []
            a = next(left, None)
        elif a is None or b[0] < a[0]:
            yield [], b[1]
            b = next(right, None)
        else:
            yield a[1], b[1]
            a, b = next(left, None), next(right, None)


def _expected_sums(
    connection: psycopg.Connection[Any], progress: _Progress
) -> tuple[dict[RollupKey, int], Counter[TotalKey]]:
    """The cells and totals that the stored visits add up to."""
    pages = everything(connection, Page)
    clients = everything(connection, Client)
    origins = everything(connection, Origin)
    sums: dict[int, Cells] = {}
    totals: Counter[TotalKey] = Counter()
    for (site_id, _), visits in groupby(
        _stored(connection, "visitor", progress), lambda visit: (visit.site_id, visit.visitor)
    ):
        group = list(visits)
        add(
            sums.setdefault(site_id, {}),
            cells(
                group,
                partial(_look_up, clients, site_id),
                partial(_look_up, origins, site_id),
            ),
        )
        for visit in group:
            for number, day in visit.days.items():
                for kind, n in day.types.items():
                    totals[site_id, number, kind] += n
    expected: dict[RollupKey, int] = {}
    for site_id, found in sums.items():
        for (number, dimension, value), cell in found.items():
            text = (
                pages[site_id, value].path
                if dimension in PAGE_DIMENSIONS and isinstance(value, int)
                else str(value)
            )
            expected[site_id, number, dimension, text] = cell
    return expected, totals


def _look_up(entries: Mapping[Entry, Content], site_id: int, number: int) -> Content:
    return entries[site_id, number]


def _compare_rollups(
    connection: psycopg.Connection[Any], expected: dict[RollupKey, int], first: int, report: Report
) -> None:
    sums = ", ".join(f"sum({name})::bigint" for name in MEASURES)
    with connection.cursor("verify_rollups") as cursor:
        cursor.itersize = FETCH
        cursor.execute(
            f"SELECT site_id, day, dimension, value, {sums} FROM rollups GROUP BY 1, 2, 3, 4".encode()
        )
        for site_id, day, dimension, value, *stored in cursor:
            key = (site_id, (day - _EPOCH).days, dimension, value)
            wanted = list(measures(expected.pop(key, 0)))
            report.cells += 1
            if wanted != stored and key[1] >= first:
                report.rollup_differences.append(RollupDifference(key, stored, wanted))
    for key, cell in expected.items():
        if cell and key[1] >= first:
            missing = [0] * len(MEASURES)
            report.rollup_differences.append(RollupDifference(key, missing, list(measures(cell))))


def _compare_totals(
    connection: psycopg.Connection[Any], expected: Counter[TotalKey], first: int, report: Report
) -> None:
    rows = connection.execute(
        "SELECT site_id, day, type, sum(n)::bigint FROM event_totals GROUP BY 1, 2, 3"
    ).fetchall()
    stored = {(site_id, (day - _EPOCH).days, kind): n for site_id, day, kind, n in rows}
    report.totals = len(stored)
    for key in stored.keys() | expected.keys():
        if stored.get(key, 0) != expected[key] and key[1] >= first:
            report.total_differences.append(TotalDifference(key, stored.get(key, 0), expected[key]))


def _compare_months(connection: psycopg.Connection[Any], report: Report) -> None:
    for site_id, month, dimension, value, *sums in connection.execute(_MONTHS.encode()).fetchall():
        half = len(MEASURES)
        report.month_differences.append(
            MonthDifference(site_id, month, dimension, value, sums[:half], sums[half:])
        )


def _wrong(stored: list[int], expected: list[int]) -> str:
    return ", ".join(
        f"{name} {was} instead of {wanted}"
        for name, was, wanted in zip(MEASURES, stored, expected, strict=True)
        if was != wanted
    )


def _site(sites: dict[int, str], site_id: int) -> str:
    return sites.get(site_id, f"site {site_id}")
