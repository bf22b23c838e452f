from __future__ import annotations

import datetime
import re

import pytest

from portfolio_analytics.shared.http import ApiError
from portfolio_analytics.stats import v1
from portfolio_analytics.stats.query import Comparison, DateRange, Leaf, Not

SITE = {"site_id": "a.example"}


def test_defaults() -> None:
    query = v1.aggregate(SITE)
    assert (query.site, query.metrics, query.date_range) == ("a.example", ("visitors",), DateRange("30d"))
    assert query.comparison is None


def test_a_comparison_and_a_date() -> None:
    query = v1.aggregate({**SITE, "period": "month", "date": "2026-01-15", "compare": "previous_period"})
    assert query.date_range == DateRange("month", today=datetime.date(2026, 1, 15))
    assert query.comparison == Comparison("previous_period")


@pytest.mark.parametrize(
    ("given", "dimension"),
    [
        ({}, "time:day"),
        ({"period": "day"}, "time:hour"),
        ({"period": "6mo"}, "time:month"),
        ({"period": "12mo", "interval": "date"}, "time:day"),
        ({"interval": "month"}, "time:month"),
    ],
)
def test_intervals(given: dict[str, str], dimension: str) -> None:
    assert v1.timeseries({**SITE, **given}).dimensions == (dimension,)


def test_pages() -> None:
    query = v1.breakdown({**SITE, "property": "visit:source", "limit": "20", "page": "3"})
    assert (query.dimensions, query.limit, query.offset) == (("visit:source",), 20, 40)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("visit:country==DE", [["is", "visit:country", ["DE"]]]),
        ("visit:country!=DE|IN", [["is_not", "visit:country", ["DE", "IN"]]]),
        (
            "event:page~blog; visit:os!~Win",
            [["contains", "event:page", ["blog"]], ["contains_not", "visit:os", ["Win"]]],
        ),
        (r"event:name==a\|b\;c|d", [["is", "event:name", ["a|b;c", "d"]]]),
        ("event:props:plan type==x=y", [["is", "event:props:plan type", ["x=y"]]]),
    ],
)
def test_filters(text: str, found: list[list[object]]) -> None:
    assert v1.filters(text) == found


@pytest.mark.parametrize(
    ("wild", "page", "matches"),
    [
        ("/blog/*", "/blog/a", True),
        ("/blog/*", "/blog/a/b", False),
        ("/blog/**", "/blog/a/b", True),
        ("/a.b*", "/axb", False),
        ("*", "/x", False),
    ],
)
def test_wildcards(wild: str, page: str, matches: bool) -> None:
    ((operator, _, (pattern,)),) = v1.filters(f"event:page=={wild}")
    assert operator == "matches"
    assert bool(re.search(pattern, page)) is matches


def test_filters_reach_the_query() -> None:
    query = v1.aggregate({**SITE, "filters": "visit:country!=DE"})
    assert query.filters.children == (Not(Leaf("is", "visit:country", ("DE",), True, "filters[0]")),)


@pytest.mark.parametrize(
    "text", ["country==DE", "visit:country", "visit:country=DE", "==DE", "visit:country==DE;"]
)
def test_wrong_filters(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        v1.filters(text)
    assert caught.value.field == "filters"
