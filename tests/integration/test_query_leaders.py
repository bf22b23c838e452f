"""The first groups by visitors are the same, whether all groups are added up or the leading ones are."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from portfolio_analytics.consumer.rollups.months import close_months
from portfolio_analytics.stats import leaders, planner
from portfolio_analytics.stats import query as q
from portfolio_analytics.stats.engine import Engine
from portfolio_analytics.stats.period import resolve
from portfolio_analytics.stats.reader import Reader, fetch
from portfolio_analytics.stats.site import Edges
from portfolio_analytics.storage.database import connect
from tests.integration.stats_history import Feeder, Site

SITE = Site("leaders.example", "Asia/Kolkata")
NOW = datetime(2026, 6, 20, 12, tzinfo=UTC)
FIRST, DAYS, VALUES, SLOTS = date(2026, 3, 20), 90, 80, 3
PAGE, TOTAL = 1, 0

Cell = Callable[[random.Random, int, int, int], int]
"""How many visitors a value (by its rank) has on a day in a slot."""


def zipf(dice: random.Random, rank: int, day: int, slot: int) -> int:
    return dice.randint(0, 2 * (600 // (rank + 1)))


def one_slot(dice: random.Random, rank: int, day: int, slot: int) -> int:
    return 900 // (rank + 1) + dice.randint(0, 20) if slot == 0 else 0


def flat(dice: random.Random, rank: int, day: int, slot: int) -> int:
    return dice.randint(14, 18)


def one_day_wonders(dice: random.Random, rank: int, day: int, slot: int) -> int:
    return 5000 if rank == day else zipf(dice, rank, day, slot) // 10


def steady_beside_wonders(dice: random.Random, rank: int, day: int, slot: int) -> int:
    """The first over all days is among the first on none: 15 visitors each day stand in no list."""
    return 15 if rank == 0 else 400 if rank == day + 1 else 0


def moved_between_slots(dice: random.Random, rank: int, day: int, slot: int) -> int:
    """What one slot counted another takes back."""
    return (500 // (rank + 1), -(450 // (rank + 1)), dice.randint(0, 3))[slot]


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def reader(database: str, runner: asyncio.Runner) -> Iterator[Reader]:
    pool = AsyncConnectionPool(database, min_size=1, max_size=2, open=False)
    runner.run(pool.open())
    yield Reader(pool, at_once=1)
    runner.run(pool.close())


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    feeder = Feeder(database)
    feeder.add_site(SITE)
    feeder.close()
    with connect(database) as connection:
        yield connection


def store(connection: psycopg.Connection, cell: Cell) -> dict[tuple[date, str], int]:
    """Cells as consumers of several partitions leave them; the visitors by day and value."""
    dice = random.Random(7)
    visitors: Counter[tuple[date, str]] = Counter()
    rows: list[tuple[date, int, int, str, int]] = []
    for number, slot in itertools.product(range(DAYS), range(SLOTS)):
        day = FIRST + timedelta(number)
        found = {f"/page/{rank}": cell(dice, rank, number, slot) for rank in range(VALUES)}
        # As if everybody saw one page.
        rows.append((day, TOTAL, slot, "", sum(found.values())))
        for page, n in found.items():
            if n:
                rows.append((day, PAGE, slot, page, n))
                visitors[day, page] += n
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO rollups (site_id, day, dimension, slot, value, visitors, known_visitors, visits,"
            " bounces, pageviews, events, duration_ms, engaged_ms, scroll_sum, scroll_visits)"
            " SELECT s.site_id, c.*, 0, c.visitors + 1, 0, 0, 0, 0, 0, 0, 0 FROM sites s,"
            " unnest(%s::date[], %s::smallint[], %s::smallint[], %s::text[], %s::int[])"
            " AS c (day, dimension, slot, value, visitors) WHERE s.name = %s",
            [*map(list, zip(*rows, strict=True)), SITE.name],
        )
    return dict(visitors)


RANGES = (
    (FIRST, FIRST + timedelta(29)),
    (FIRST, FIRST + timedelta(DAYS - 1)),
    (date(2026, 4, 1), date(2026, 5, 31)),
    (date(2026, 3, 25), date(2026, 6, 2)),
)


@pytest.mark.parametrize(
    ("cell", "proves"),
    [
        (zipf, True),
        (one_slot, True),
        (moved_between_slots, True),
        (flat, False),
        (one_day_wonders, None),
        (steady_beside_wonders, False),
    ],
)
def test_leaders_are_the_first_of_all(
    connection: psycopg.Connection,
    reader: Reader,
    runner: asyncio.Runner,
    cell: Cell,
    proves: bool | None,
) -> None:
    visitors = store(connection, cell)
    close_months(connection, NOW.date())
    engine = Engine(reader, lambda: NOW)
    site = runner.run(engine.site(SITE.name))
    assert site is not None
    proven = set()
    for (first, last), (limit, offset) in itertools.product(RANGES, ((1, 0), (9, 0), (5, 20))):
        sums: Counter[str] = Counter()
        for (day, value), n in visitors.items():
            if first <= day <= last:
                sums[value] += n
        expected = sorted(sums.items(), key=lambda entry: (-entry[1], entry[0]))[offset : offset + limit]
        query = q.Query(
            SITE.name,
            ("visitors", "percentage"),
            q.DateRange(None, first, last),
            ("event:page",),
            limit=limit,
            offset=offset,
        )
        found = runner.run(engine.answer(query, site)).results
        assert [(result.dimensions[0], result.metrics[0]) for result in found] == expected

        period = resolve(query.date_range, site.zone, NOW, site.first_day)
        edges = Edges(period.start, period.end, first, months=(date(2026, 4, 1), date(2026, 5, 1)))
        plan = planner.plan(query, site, period, edges, leading=True)
        assert plan.leads

        async def ask(plan: planner.Plan = plan) -> list[tuple[object, ...]]:
            async with reader.reading() as cursor:
                return await fetch(cursor, plan.statement, plan.params)

        rows = runner.run(ask())
        proven.add(leaders.are_proven(query, rows))
        if leaders.are_proven(query, rows):
            assert [(row[0], row[1]) for row in rows] == expected
    assert proves is None or proves in proven


def test_days_before_the_first_do_not_weaken_the_proof(
    connection: psycopg.Connection, reader: Reader, runner: asyncio.Runner
) -> None:
    """A year is asked for, of a site that is three months old."""
    store(connection, lambda dice, rank, day, slot: 60 // (rank + 1))
    site = runner.run(Engine(reader, lambda: NOW).site(SITE.name))
    assert site is not None
    year = q.DateRange(None, NOW.date() - timedelta(364), NOW.date())
    query = q.Query(SITE.name, ("visitors",), year, ("event:page",), limit=3)
    period = resolve(query.date_range, site.zone, NOW, site.first_day)
    plan = planner.plan(query, site, period, Edges(period.start, period.end, FIRST), leading=True)

    async def ask() -> list[tuple[object, ...]]:
        async with reader.reading() as cursor:
            return await fetch(cursor, plan.statement, plan.params)

    assert leaders.are_proven(query, runner.run(ask()))


def test_what_cannot_be_led_is_added_up() -> None:
    def ask(**parts: object) -> q.Query:
        body = {"site_id": "a", "metrics": ["visitors", "visits"], "date_range": "12mo"}
        return q.parse({**body, "dimensions": ["event:page"], "pagination": {"limit": 9}, **parts})

    assert leaders.leading_dimension(ask()) == PAGE
    assert leaders.leading_dimension(ask(order_by=[["visitors", "desc"], ["visits", "asc"]])) == PAGE
    for parts in (
        {"order_by": [["visits", "desc"]]},
        {"order_by": [["visitors", "asc"]]},
        {"metrics": ["visits", "visitors"]},
        {"pagination": {"limit": 9, "offset": leaders.MOST}},
        {"pagination": {"limit": 1000}},
        {"include": {"total_rows": True}},
        {"dimensions": ["event:page", "time:day"]},
        {"dimensions": ["event:page", "visit:country"]},
        {"dimensions": ["event:props:plan"]},
        {"filters": [["contains", "event:page", ["a"]]]},
    ):
        assert leaders.leading_dimension(ask(**parts)) is None, parts
