"""The engine and the model in plain Python agree on whatever hypothesis draws."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from psycopg_pool import AsyncConnectionPool

from portfolio_analytics.shared.http import ApiError
from portfolio_analytics.shared.record import VISITOR_KNOWN, EventRecord
from portfolio_analytics.stats import funnel as f
from portfolio_analytics.stats import query as q
from portfolio_analytics.stats.engine import Engine
from portfolio_analytics.stats.metric import METRICS
from portfolio_analytics.stats.reader import Reader
from portfolio_analytics.storage.funnels import Step
from tests.integration.reference_model import Goal, Model
from tests.integration.stats_history import Feeder, Site, at, flatten, record

EXAMPLES = int(os.environ.get("QUERY_EXAMPLES", "100"))
FUNNEL_EXAMPLES = EXAMPLES // 8

GOALS = (
    Goal("Signup", "signup", None),
    Goal("Signup again", "signup", None),
    Goal("Visit /blog", None, "/blog*"),
    Goal("Odd", None, "/100%_*"),
)
EVENT_GOALS = GOALS[:2]
# Zone, and around which midnights events lie: on and off changes of the clocks.
PLACES = (
    ("UTC", "2026-03-01T00:00:00+00:00"),
    ("Asia/Kolkata", "2026-03-02T00:00:00+05:30"),
    ("Asia/Kathmandu", "2026-03-01T00:00:00+05:45"),
    ("America/New_York", "2026-03-08T00:00:00-05:00"),
    ("America/New_York", "2026-11-01T00:00:00-04:00"),
    ("Australia/Lord_Howe", "2026-04-05T00:00:00+11:00"),
)
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/120.0.0.0 Safari/537.36"
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0"
PAGES = (
    "/",
    "/blog",
    "/blog/Long_Post",
    "/100%_sure",
    "/?utm_source=news&utm_medium=email",
    "/blog?ref=Friend",
)
TYPES = ("page_view", "page_view", "page_view", "click", "time_spent", "signup")

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
SHORT = st.sampled_from((0, 1, 20_000, MINUTE, 10 * MINUTE, 29 * MINUTE, 30 * MINUTE, 30 * MINUTE + 1))
PAUSES = st.one_of(
    SHORT, SHORT, st.sampled_from((45 * MINUTE, 61 * MINUTE, 5 * 60 * MINUTE, 23 * 60 * MINUTE))
)
_names = itertools.count()


@st.composite
def histories(draw: st.DrawFn, name: str, midnight: int) -> list[EventRecord]:
    """Runs of events of a few people, most of them across one of a few midnights."""
    records = []
    for person in range(1, draw(st.integers(1, 4)) + 1):
        time = midnight + draw(st.integers(-1, 2)) * DAY - draw(PAUSES)
        known = draw(st.sampled_from((0, 0, VISITOR_KNOWN)))
        session = draw(st.sampled_from((None, None, "s1")))
        places = draw(st.lists(st.sampled_from(PAGES), min_size=1, max_size=2))
        for _ in range(draw(st.integers(1, 6))):
            time += draw(PAUSES)
            records.append(
                record(
                    name,
                    time,
                    type=draw(st.sampled_from(TYPES)),
                    page=draw(st.sampled_from(places)),
                    visitor=person,
                    flags=known,
                    session=session,
                    host=draw(st.sampled_from((None, "Other.example"))),
                    user_agent=draw(st.sampled_from((None, CHROME, FIREFOX))),
                    screen_width=draw(st.sampled_from((None, 400, 2000))),
                    country=draw(st.sampled_from((None, "DE", "IN"))),
                    city=draw(st.sampled_from((None, "Berlin"))),
                    referrer=draw(st.sampled_from((None, "https://www.google.com/", "https://a.example/x"))),
                    duration_ms=draw(st.sampled_from((None, 0, 1500, 40_000))),
                    scroll_depth=draw(st.sampled_from((None, None, 0, 30, 100))),
                    props=draw(
                        st.sampled_from(
                            (None, {"plan": "Pro"}, {"plan": "free", "n": 3, "ok": True, "": 1, "none": ""})
                        )
                    ),
                )
            )
    return records


GROUPS = (
    "event:page", "event:name", "event:hostname", "event:goal", "event:props", "event:props:plan",
    "event:props:n", "visit:source", "visit:channel", "visit:referrer", "visit:utm_source",
    "visit:utm_medium", "visit:utm_campaign", "visit:country", "visit:city", "visit:device", "visit:browser",
    "visit:browser_version", "visit:os", "visit:os_version", "visit:screen", "visit:entry_page",
    "visit:exit_page",
)  # fmt: skip
TIMES = ("time", "time:hour", "time:day", "time:week", "time:month")
VALUES = {
    "event:page": ("/", "/blog", "/blog/Long_Post", "/100%_sure", "/nowhere"),
    "event:name": ("page_view", "signup", "click"),
    "event:hostname": ("Other.example", "nobody"),
    "event:goal": ("Signup", "Visit /blog", "Odd"),
    "event:props:plan": ("Pro", "free", ""),
    "event:props:n": ("3",),
    "visit:source": ("Google", "Direct / None", "news", "a.example"),
    "visit:channel": ("Direct", "Email", "Organic Search"),
    "visit:country": ("DE", "IN", ""),
    "visit:browser": ("Chrome", "Firefox", ""),
    "visit:entry_page": ("/", "/blog", ""),
    "visit:exit_page": ("/", "/blog/Long_Post"),
    "visit:utm_source": ("news", ""),
}
PATTERNS = ("^/b", "o", "^$", "G|P", "[0-9]")


@st.composite
def leaves(draw: st.DrawFn) -> q.Leaf:
    name = draw(st.sampled_from(tuple(VALUES)))
    operator = draw(st.sampled_from(("is", "is", "contains", "matches")))
    if name == "event:goal":
        operator = "is"
    if operator == "matches":
        values = tuple(draw(st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=2)))
    else:
        values = tuple(draw(st.lists(st.sampled_from(VALUES[name]), min_size=1, max_size=2)))
        if operator == "contains":
            values = tuple(value[1:3] for value in values)
    return q.Leaf(operator, name, values, draw(st.booleans()) or operator == "is")


def trees(children: st.SearchStrategy[q.Filter]) -> st.SearchStrategy[q.Filter]:
    several = st.lists(children, min_size=1, max_size=2).map(tuple)
    return st.one_of(several.map(q.All), several.map(q.AnyOf), children.map(q.Not))


plain = st.recursive(leaves(), trees, max_leaves=3)
filters = st.recursive(st.one_of(leaves(), leaves(), plain.map(q.Done)), trees, max_leaves=3)
metrics = st.lists(st.sampled_from(tuple(METRICS)), min_size=1, max_size=6, unique=True).map(tuple)
USUAL = ("event:page", "event:name", "visit:source", "visit:entry_page")


@st.composite
def ranges(draw: st.DrawFn, times: list[int], zone: str) -> q.DateRange:
    """Days or instants with an event at one of their ends, or everything."""
    first, last = sorted(draw(st.lists(st.sampled_from(times), min_size=2, max_size=2)))
    kind = draw(st.sampled_from(("days", "days", "days", "month", "instants", "all")))
    if kind == "all":
        return q.DateRange("all")
    if kind == "instants":
        start = first + draw(st.sampled_from((-MINUTE, 0, 1, MINUTE)))
        end = max(last + draw(st.sampled_from((-MINUTE, 0, 1, 90 * MINUTE))), start + 1)
        return q.DateRange(None, _instant(start), _instant(end))
    days = [_instant(time).astimezone(ZoneInfo(zone)).date() for time in (first, last)]
    if kind == "month":
        days[0] = days[0].replace(day=1)
    return q.DateRange(None, days[0], days[1])


def _instant(time: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time)


@st.composite
def queries(draw: st.DrawFn, name: str, zone: str, times: list[int]) -> q.Query:
    groups = draw(st.lists(st.sampled_from((*GROUPS, *USUAL * 3)), max_size=2, unique=True))
    time = draw(st.sampled_from((None, None, None, *TIMES)))
    wanted = draw(ranges(times, zone))
    if wanted.keyword is None and isinstance(wanted.first, datetime) and draw(st.booleans()):
        assert isinstance(wanted.last, datetime)
        time = "time:minute" if wanted.last - wanted.first < timedelta(days=2) else None
    dimensions = (*groups, time) if time else tuple(groups)
    tree = q.All(tuple(draw(st.lists(filters, max_size=2))) if draw(st.booleans()) else ())
    if len(groups) == 1 and groups[0] in VALUES and draw(st.sampled_from((True, False, False))):
        tree = q.All((q.Leaf("is", groups[0], (VALUES[groups[0]][0],)),))
    query = q.Query(name, draw(metrics), wanted, dimensions, tree)
    return q.Query(name, _fitting(query), wanted, dimensions, tree)


def _fitting(query: q.Query) -> tuple[str, ...]:
    """The metrics that go with the rest of the query; at least one always does."""
    kept = []
    for metric in query.metrics:
        try:
            q.check(q.Query(query.site, (metric,), query.date_range, query.dimensions, query.filters))
        except ApiError:
            continue
        kept.append(metric)
    return tuple(kept) or ("visitors",)


STEPS = st.builds(
    lambda target, condition: Step(*target, *condition),
    st.sampled_from(
        [
            *((kind, None) for kind in ("page_view", "page_view", "click", "time_spent", "signup")),
            *((None, pattern) for pattern in ("*", "/", "/blog*", "/*o*", "/100%_*")),
        ]
    ),
    st.sampled_from([*[(None, None)] * 6, ("plan", "Pro"), ("plan", "free"), ("n", "3"), ("ok", "true")]),
)


@pytest.fixture
def feeder(database: str) -> Iterator[Feeder]:
    feeder = Feeder(database)
    yield feeder
    feeder.close()


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def engine(database: str, runner: asyncio.Runner) -> Iterator[Engine]:
    pool = AsyncConnectionPool(database, min_size=1, max_size=2, open=False)
    runner.run(pool.open())
    yield Engine(Reader(pool, at_once=1), lambda: datetime(2026, 11, 20, tzinfo=UTC))
    runner.run(pool.close())


def test_engine_and_model_agree(feeder: Feeder, engine: Engine, runner: asyncio.Runner) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        print_blob=True,
    )
    @given(st.data())
    def agree(data: st.DataObject) -> None:
        zone, midnight = data.draw(st.sampled_from(PLACES))
        goals = data.draw(st.sampled_from((GOALS, GOALS, EVENT_GOALS)))
        site = Site(f"site{next(_names)}.example", zone, goals)
        records = data.draw(histories(site.name, at(midnight)))
        doubled = data.draw(st.permutations([*records, *records[::2]]))
        feeder.add_site(site)
        cut = data.draw(st.integers(0, len(doubled)))
        fed = feeder.feed(doubled[:cut], 0)
        if data.draw(st.booleans()):
            feeder.close_months()
        events = flatten((fed, feeder.feed(doubled[cut:], 1)))
        model = Model(events, zone, goals)
        stored = runner.run(engine.site(site.name))
        assert stored is not None
        times = [event.time for event in events]
        for _ in range(8):
            query = data.draw(queries(site.name, zone, times))
            if not goals[2:] and any(leaf.dimension == "event:goal" for leaf in q.leaves(query.filters)):
                continue
            note(f"goals {goals}")
            for event in sorted(events, key=lambda e: e.time):
                note(f"{event}")
            answer = runner.run(engine.answer(query, stored))
            unit = answer.buckets.unit if answer.buckets else None
            expected = model.answer(query, answer.period.start, answer.period.end, unit)
            found = [(tuple(result.dimensions), tuple(result.metrics)) for result in answer.results]
            assert found == expected, answer.from_rows

    agree()


def test_funnels_of_engine_and_model_agree(feeder: Feeder, engine: Engine, runner: asyncio.Runner) -> None:
    @settings(
        max_examples=FUNNEL_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
    )
    @given(st.data())
    def agree(data: st.DataObject) -> None:
        zone, midnight = data.draw(st.sampled_from(PLACES))
        site = Site(f"funnel{next(_names)}.example", zone, GOALS)
        records = data.draw(histories(site.name, at(midnight)))
        doubled = data.draw(st.permutations([*records, *records[::2]]))
        feeder.add_site(site)
        cut = data.draw(st.integers(0, len(doubled)))
        events = flatten((feeder.feed(doubled[:cut], 0), feeder.feed(doubled[cut:], 1)))
        model = Model(events, zone, GOALS)
        stored = runner.run(engine.site(site.name))
        assert stored is not None
        for event in sorted(events, key=lambda e: e.time):
            note(f"{event}")
        for _ in range(8):
            steps = tuple(data.draw(st.lists(STEPS, min_size=2, max_size=4)))
            tree = q.All(tuple(data.draw(st.lists(filters, max_size=2))) if data.draw(st.booleans()) else ())
            wanted = data.draw(ranges([event.time for event in events], zone))
            by = data.draw(st.sampled_from(tuple(f.BY)))
            question = f.Question(f.query_of(site.name, wanted, tree, by), None, steps)
            note(f"{question}")
            found = runner.run(engine.funnel(question, stored))
            start, end = found.period.start, found.period.end
            rows, total = model.funnel(steps, tree, start, end, by_visit=by == "visit")
            assert [(r.reached, r.share, r.drop_off, r.median_seconds) for r in found.results] == rows
            assert found.total == total

    agree()
