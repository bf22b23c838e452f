"""One small history in which everything lies across a border, and every question about it.

What hypothesis meets rarely is here always: visits across midnight, across the ends of the period, and with
the event that matters on the other side.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from psycopg_pool import AsyncConnectionPool

from portfolio_analytics.shared.http import ApiError
from portfolio_analytics.shared.record import VISITOR_KNOWN
from portfolio_analytics.stats import query as q
from portfolio_analytics.stats.engine import Engine
from portfolio_analytics.stats.metric import METRICS
from portfolio_analytics.stats.reader import Reader
from tests.integration.reference_model import Event, Goal, Model
from tests.integration.stats_history import Feeder, Site, at, record

SITE = Site("edge.example", "Asia/Kathmandu", (Goal("Signup", "signup", None), Goal("Blog", None, "/blog*")))
NIGHT = at("2026-03-02T00:00:00+05:45")
MINUTE = 60_000

GROUPS: tuple[tuple[str, ...], ...] = (
    (), ("event:page",), ("event:name",), ("event:goal",), ("event:props",), ("event:props:plan",),
    ("visit:source",), ("visit:entry_page",), ("visit:country", "event:page"), ("time:hour",), ("time:day",),
    ("time:month",), ("event:page", "time:day"), ("visit:source", "time:day"), ("event:page", "time:minute"),
)  # fmt: skip
FILTERS: tuple[tuple[Any, ...], ...] = (
    (),
    (["is", "event:page", ["/blog"]],),
    (["is", "event:name", ["signup"]],),
    (["is", "event:goal", ["Signup"]],),
    (["is", "visit:country", ["DE"]],),
    (["is_not", "event:page", ["/"]], ["is", "visit:country", ["DE", ""]]),
    (["has_done", ["is", "event:name", ["signup"]]],),
    (["has_not_done", ["and", [["is", "event:page", ["/"]], ["is", "event:name", ["click"]]]]],),
    (["or", [["is", "visit:source", ["Google"]], ["is", "event:name", ["click"]]]],),
    (["is", "visit:entry_page", [""]],),
)


def day(text: str) -> date:
    return date.fromisoformat(text)


def instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


RANGES = (
    q.DateRange(None, day("2026-03-01"), day("2026-03-01")),
    q.DateRange(None, day("2026-03-02"), day("2026-03-02")),
    q.DateRange(None, day("2026-03-01"), day("2026-03-02")),
    q.DateRange(None, day("2026-02-01"), day("2026-03-03")),
    q.DateRange(None, instant(NIGHT - 3 * MINUTE), instant(NIGHT + 3 * MINUTE)),
)


def history(feeder: Feeder) -> list[Event]:
    """Visits across the midnight after 2026-03-01, by cookieless and known visitors."""
    feeder.add_site(SITE)

    def on(minutes: float, **fields: Any) -> Any:
        return record(SITE.name, NIGHT + int(minutes * MINUTE), **fields)

    google = {"referrer": "https://www.google.com/", "country": "DE"}
    return feeder.feed(
        [
            # The same page on both sides; the signup, which others look for, after midnight.
            on(-10, visitor=1, page="/", scroll_depth=10, **google),
            on(-5, visitor=1, page="/blog", scroll_depth=30, **google),
            on(4, visitor=1, page="/blog", scroll_depth=80, **google),
            on(5, visitor=1, page="/", type="signup", props={"plan": "pro"}, **google),
            # A signup before midnight, the rest after it.
            on(-2, visitor=2, page="/blog", type="signup", props={"plan": "free"}),
            on(20, visitor=2, page="/", type="time_spent", duration_ms=7_000),
            on(21, visitor=2, page="/"),
            # The same person twice a day, on two days, first without and then with a persistent id.
            on(-300, visitor=3, country="DE"),
            on(-200, visitor=3, type="click"),
            on(300, visitor=3),
            on(-300, visitor=4, flags=VISITOR_KNOWN, country="DE"),
            on(-200, visitor=4, flags=VISITOR_KNOWN, page="/blog"),
            on(300, visitor=4, flags=VISITOR_KNOWN, page="/blog"),
            # Nothing but an interaction; an event exactly at midnight; a visit of three days.
            on(0, visitor=5, type="click", page="/"),
            *(on(-2600 + 30 * n, visitor=6, page="/blog") for n in range(90)),
        ]
    )


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def engine(database: str, runner: asyncio.Runner) -> Iterator[Engine]:
    pool = AsyncConnectionPool(database, min_size=1, max_size=2, open=False)
    runner.run(pool.open())
    yield Engine(Reader(pool, at_once=1), lambda: datetime(2026, 3, 20, tzinfo=UTC))
    runner.run(pool.close())


@pytest.mark.parametrize("share", [2, pytest.param(1, marks=pytest.mark.soak)])
def test_every_question(share: int, database: str, engine: Engine, runner: asyncio.Runner) -> None:
    """Every second question meets each two of range, groups and filters together; all of them are a soak."""
    feeder = Feeder(database)
    model = Model(history(feeder), SITE.zone, SITE.goals)
    feeder.close_months()
    feeder.close()
    site = runner.run(engine.site(SITE.name))
    assert site is not None
    asked = 0
    for places in itertools.product(range(len(RANGES)), range(len(GROUPS)), range(len(FILTERS))):
        if sum(places) % share:
            continue
        wanted, groups, filters = RANGES[places[0]], GROUPS[places[1]], FILTERS[places[2]]
        if "time:minute" in groups and wanted is not RANGES[-1]:
            continue
        tree = q.parse_filters(list(filters), "filters")
        metrics = tuple(name for name in METRICS if fits(name, wanted, groups, tree))
        query = q.Query(SITE.name, metrics, wanted, groups, tree)
        answer = runner.run(engine.answer(query, site))
        unit = answer.buckets.unit if answer.buckets else None
        found = [(tuple(result.dimensions), tuple(result.metrics)) for result in answer.results]
        assert found == model.answer(query, answer.period.start, answer.period.end, unit), query
        asked += 1
    assert asked > 600 // share


def fits(metric: str, wanted: q.DateRange, groups: tuple[str, ...], tree: q.All) -> bool:
    try:
        q.check(q.Query(SITE.name, (metric,), wanted, groups, tree))
    except ApiError:
        return False
    return True


def test_one_metric_at_a_time(database: str, engine: Engine, runner: asyncio.Runner) -> None:
    """Alone a metric may be read from rollups where together they are not."""
    feeder = Feeder(database)
    model = Model(history(feeder), SITE.zone, SITE.goals)
    feeder.close_months()
    feeder.close()
    site = runner.run(engine.site(SITE.name))
    assert site is not None
    sources = set()
    for wanted, groups, filters in itertools.product(RANGES[2:4], GROUPS[:-1], FILTERS[:5]):
        tree = q.parse_filters(list(filters), "filters")
        for metric in METRICS:
            if not fits(metric, wanted, groups, tree):
                continue
            query = q.Query(SITE.name, (metric,), wanted, groups, tree)
            answer = runner.run(engine.answer(query, site))
            unit = answer.buckets.unit if answer.buckets else None
            found = [(tuple(result.dimensions), tuple(result.metrics)) for result in answer.results]
            assert found == model.answer(query, answer.period.start, answer.period.end, unit), query
            sources.add(answer.from_rows)
    assert sources == {True, False}
