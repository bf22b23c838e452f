"""Where an answer is read from, and that anything at all gets an answer or a 400."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio_analytics.shared.http import ApiError
from portfolio_analytics.stats import planner, rollups
from portfolio_analytics.stats import query as q
from portfolio_analytics.stats.cut import main_cut
from portfolio_analytics.stats.dimension import DIMENSIONS, GOAL, TIME_UNITS
from portfolio_analytics.stats.metric import METRICS
from portfolio_analytics.stats.period import Period, resolve
from portfolio_analytics.stats.site import Edges, Goal, Site

NOW = datetime(2026, 11, 22, 19, 0, tzinfo=UTC)
SIGNUP = Goal("Signup", "signup", None)
BLOG = Goal("Blog", None, "/blog/*")
SITE = Site(1, "a.example", "Asia/Kolkata", (SIGNUP,), date(2025, 1, 1))


def ask(**parts: Any) -> tuple[q.Query, Period]:
    body = {"site_id": "a.example", "metrics": ["visitors", "pageviews"], "date_range": "12mo", **parts}
    query = q.parse(body)
    return query, resolve(query.date_range, SITE.zone, NOW, SITE.first_day)


def is_page(value: str) -> list[Any]:
    return ["is", "event:page", [value]]


FROM_ROLLUPS: list[dict[str, Any]] = [
    {
        "metrics": [
            "visitors",
            "visits",
            "pageviews",
            "views_per_visit",
            "bounce_rate",
            "visit_duration",
            "events",
        ]
    },
    {"metrics": ["scroll_depth", "time_on_page"]},
    {"dimensions": ["time:day"]},
    {"dimensions": ["time"]},
    *({"dimensions": [name]} for name in DIMENSIONS if name.startswith("visit:")),
    {"dimensions": ["event:page"], "metrics": ["visitors", "visits", "bounce_rate", "scroll_depth"]},
    {"dimensions": ["event:page", "time:week"]},
    {"dimensions": ["event:name"], "metrics": ["visitors", "visits", "events"]},
    {"dimensions": ["event:page"], "filters": [["contains", "event:page", ["/blog"]]]},
    {"dimensions": ["visit:country"], "filters": [["is", "visit:country", ["DE", "IN"]]]},
    {"filters": [["is", "visit:country", ["DE"]]], "metrics": ["visits", "bounce_rate"]},
    {"filters": [is_page("/")]},
    {"dimensions": ["event:goal"], "metrics": ["visitors", "events", "conversion_rate"]},
    {"filters": [["is", "event:goal", ["Signup"]]], "metrics": ["visitors", "events"]},
    {"date_range": ["2026-11-01T18:30:00Z", "2026-11-02T18:30:00Z"]},
]
FROM_ROWS: list[dict[str, Any]] = [
    {"dimensions": ["time:hour"], "date_range": "day"},
    {"dimensions": ["event:page", "visit:country"]},
    {"dimensions": ["event:hostname"]},
    {"dimensions": ["event:props"]},
    {"dimensions": ["event:props:plan"]},
    {"dimensions": ["event:name"]},
    {"dimensions": ["visit:source"], "metrics": ["scroll_depth"]},
    {"dimensions": ["visit:source"], "filters": [["is", "visit:country", ["DE"]]]},
    {"dimensions": ["visit:source"], "filters": [["has_done", ["is", "event:name", ["signup"]]]]},
    {"filters": [["is", "visit:country", ["DE", "IN"]]]},
    {"filters": [["is", "visit:country", [""]]]},
    {"filters": [["is", "visit:country", ["de"], {"case_sensitive": False}]]},
    {"filters": [["is_not", "visit:country", ["DE"]]]},
    {"filters": [is_page("/")], "metrics": ["visits"]},
    {"filters": [is_page("/")], "metrics": ["bounce_rate"]},
    {"filters": [["is", "event:goal", ["Signup"]]], "metrics": ["visits"]},
    {"filters": [is_page("/"), is_page("/b")]},
    {"date_range": ["2026-11-01T18:30:00Z", "2026-11-02T18:31:00Z"]},
]


@pytest.mark.parametrize("parts", FROM_ROLLUPS, ids=str)
def test_the_usual_questions_need_no_rows(parts: dict[str, Any]) -> None:
    query, period = ask(**parts)
    assert not planner.needs_rows(query, SITE, period)


@pytest.mark.parametrize("parts", FROM_ROWS, ids=str)
def test_what_rollups_cannot_tell_is_read_from_rows(parts: dict[str, Any]) -> None:
    query, period = ask(**parts)
    assert planner.needs_rows(query, SITE, period)


def test_a_goal_of_pages_is_read_from_rows() -> None:
    query, period = ask(dimensions=["event:goal"], metrics=["visitors"])
    assert planner.needs_rows(query, Site(1, "a", "UTC", (SIGNUP, BLOG)), period)


CLOSED = ("2026-01-01", "2026-02-01", "2026-04-01", "2026-05-01")


@pytest.mark.parametrize(
    ("first", "last", "spans"),
    [
        ("2026-01-01", "2026-02-28", ["m 01-01 02-01"]),
        ("2026-01-02", "2026-02-28", ["d 01-02 01-31", "m 02-01 02-01"]),
        ("2026-01-02", "2026-02-27", ["d 01-02 02-27"]),
        ("2026-01-01", "2026-03-10", ["m 01-01 02-01", "d 03-01 03-10"]),
        ("2026-02-01", "2026-06-01", ["m 02-01 02-01", "d 03-01 03-31", "m 04-01 05-01", "d 06-01 06-01"]),
        ("2026-03-01", "2026-03-31", ["d 03-01 03-31"]),
    ],
)  # fmt: skip
def test_closed_months_and_the_days_between(first: str, last: str, spans: list[str]) -> None:
    query, period = ask(date_range=[first, last])
    months = tuple(map(date.fromisoformat, CLOSED))
    found = rollups.spans(main_cut(query, period, None), months)
    assert [f"{span.time[0]} {span.low:%m-%d} {span.high:%m-%d}" for span in found] == spans


def test_days_are_not_read_from_months() -> None:
    query, period = ask(dimensions=["time:week"], date_range=["2026-01-01", "2026-03-31"])
    cut = main_cut(query, period, planner.buckets_of(query, period))
    assert [span.time for span in rollups.spans(cut, (date(2026, 1, 1),))] == ["day"]


names = st.sampled_from(
    [*DIMENSIONS, GOAL, "event:props", "event:props:plan", "time", *(f"time:{u}" for u in TIME_UNITS)]
)
scraps = st.sampled_from(
    [None, 0, -1, 1.5, True, "", "visitors", "\x00", "\ud800", "x" * 3000, "Signup", "/"]
)
filters = st.recursive(
    st.tuples(
        st.sampled_from(["is", "is_not", "contains", "contains_not", "matches", "matches_not", "has"]),
        names | scraps,
        st.lists(st.sampled_from(["Signup", "/", "", "(", "%s", "{}", "'"]) | scraps, max_size=3) | scraps,
    ).map(list)
    | scraps,
    lambda inner: st.tuples(
        st.sampled_from(["and", "or", "not", "has_done", "has_not_done"]), st.lists(inner, max_size=3) | inner
    ).map(list),
    max_leaves=4,
)
dates = st.sampled_from(
    [
        "day",
        "7d",
        "12mo",
        "all",
        "year",
        ["2026-01-01", "2026-01-31"],
        ["2026-01-01T00:00:00Z", "2026-01-01T05:00:00Z"],
    ]
)
bodies = st.fixed_dictionaries(
    {
        "site_id": st.just("a.example") | scraps,
        "metrics": st.lists(st.sampled_from(sorted(METRICS)) | scraps, max_size=4) | scraps,
        "date_range": dates | st.lists(scraps, max_size=3) | scraps,
    },
    optional={
        "dimensions": st.lists(names | scraps, max_size=3) | scraps,
        "filters": st.lists(filters, max_size=3) | scraps,
        "order_by": st.lists(st.tuples(names | scraps, st.sampled_from(["asc", "desc"]) | scraps).map(list))
        | scraps,
        "include": st.dictionaries(
            st.sampled_from(["comparisons", "time_labels", "total_rows", "imports"]), scraps
        ),
        "pagination": st.dictionaries(st.sampled_from(["limit", "offset"]), scraps),
    },
)


@given(bodies | scraps | st.lists(scraps), st.booleans(), st.booleans())
def test_anything_is_planned_or_refused(body: Any, known: bool, leading: bool) -> None:
    site = Site(1, "a.example", "America/New_York", (SIGNUP, BLOG), date(2025, 1, 1))
    try:
        query = q.parse(body)
        period = resolve(query.date_range, site.zone, NOW, site.first_day)
        edges = Edges(period.start, period.end, period.start.date(), known, (date(2026, 1, 1),))
        plan = planner.plan(query, site, period, edges, leading=leading)
    except ApiError as error:
        assert (error.status, error.code) == (400, "invalid_query")
        return
    text = plan.statement.as_string(None)
    assert "%(" in text
    assert all(f"%({name})s" in text or name in plan.params for name in plan.params)
