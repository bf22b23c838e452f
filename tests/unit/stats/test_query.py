from __future__ import annotations

import datetime
from typing import Any

import pytest

from portfolio_analytics.shared.http import ApiError
from portfolio_analytics.stats import query as q

FULL = {
    "site_id": "Example.com",
    "metrics": ["visitors", "bounce_rate"],
    "date_range": ["2026-01-01", "2026-01-31"],
    "dimensions": ["visit:source", "time:day"],
    "filters": [
        ["is_not", "visit:country", ["DE", "IN"]],
        [
            "or",
            [
                ["contains", "event:page", ["/blog"], {"case_sensitive": False}],
                ["not", ["is", "event:goal", ["A"]]],
            ],
        ],
        ["has_not_done", ["matches", "event:props:plan", ["^p"]]],
    ],
    "order_by": [["visitors", "desc"], ["time:day", "asc"]],
    "include": {"comparisons": {"mode": "previous_period"}, "time_labels": True, "total_rows": True},
    "pagination": {"limit": 10, "offset": 20},
}


def test_a_full_query() -> None:
    assert q.parse(FULL) == q.Query(
        site="example.com",
        metrics=("visitors", "bounce_rate"),
        date_range=q.DateRange(None, datetime.date(2026, 1, 1), datetime.date(2026, 1, 31)),
        dimensions=("visit:source", "time:day"),
        filters=q.All(
            (
                q.Not(q.Leaf("is", "visit:country", ("DE", "IN"), True, "filters[0]")),
                q.AnyOf(
                    (
                        q.Leaf("contains", "event:page", ("/blog",), False, "filters[1][1][0]"),
                        q.Not(q.Leaf("is", "event:goal", ("A",), True, "filters[1][1][1][1]")),
                    )
                ),
                q.Not(q.Done(q.Leaf("matches", "event:props:plan", ("^p",), True, "filters[2][1]"))),
            )
        ),
        order_by=(q.Order("visitors", True), q.Order("time:day", False)),
        limit=10,
        offset=20,
        comparison=q.Comparison("previous_period"),
        time_labels=True,
        total_rows=True,
    )


def test_a_short_query() -> None:
    found = q.parse({"site_id": "a", "metrics": ["visits"], "date_range": "7d", "filters": None})
    assert found == q.Query("a", ("visits",), q.DateRange("7d"))


@pytest.mark.parametrize(
    "word", ["day", "1d", "7d", "28d", "30d", "91d", "month", "1mo", "6mo", "12mo", "year", "all", "9999d"]
)
def test_date_ranges_in_words(word: str) -> None:
    assert q.date_range(word, "date_range") == q.DateRange(word)


def deep(levels: int) -> Any:
    tree: Any = ["is", "event:page", ["/"]]
    for _ in range(levels):
        tree = ["not", tree]
    return tree


LEAF = ["is", "event:page", ["/"]]

WRONG: list[tuple[Any, str]] = [
    (None, ""),
    ([], ""),
    ("visitors", ""),
    ({"sites": "a"}, "sites"),
    ({"site_id": None}, "site_id"),
    ({"site_id": 7}, "site_id"),
    ({"site_id": ""}, "site_id"),
    ({"site_id": "a" * 256}, "site_id"),
    ({"site_id": "a\x00"}, "site_id"),
    ({"site_id": "\ud800"}, "site_id"),
    ({"metrics": None}, "metrics"),
    ({"metrics": []}, "metrics"),
    ({"metrics": "visitors"}, "metrics"),
    ({"metrics": ["visitors", "hits"]}, "metrics[1]"),
    ({"metrics": ["visitors", "visitors"]}, "metrics[1]"),
    ({"metrics": [["visitors"]]}, "metrics[0]"),
    ({"metrics": ["visitors"] * 50}, "metrics"),
    ({"metrics": ["percentage"]}, "metrics[0]"),
    ({"metrics": ["percentage"], "dimensions": ["time:day"]}, "metrics[0]"),
    ({"metrics": ["visits", "conversion_rate"]}, "metrics[1]"),
    ({"metrics": ["conversion_rate"], "filters": [["has_done", ["is", "event:goal", ["A"]]]]}, "metrics[0]"),
    ({"metrics": ["group_conversion_rate"], "filters": [["is", "event:goal", ["A"]]]}, "metrics[0]"),
    ({"metrics": ["views_per_visit"], "dimensions": ["event:page"]}, "metrics[0]"),
    ({"metrics": ["views_per_visit"], "filters": [LEAF]}, "metrics[0]"),
    ({"date_range": None}, "date_range"),
    ({"date_range": "week"}, "date_range"),
    ({"date_range": "0d"}, "date_range"),
    ({"date_range": "99999d"}, "date_range"),
    ({"date_range": "7D"}, "date_range"),
    ({"date_range": 7}, "date_range"),
    ({"date_range": ["2026-01-01"]}, "date_range"),
    ({"date_range": ["2026-01-01", "2026-02-30"]}, "date_range[1]"),
    ({"date_range": ["2026-01-01", None]}, "date_range[1]"),
    ({"date_range": ["2026-01-02", "2026-01-01"]}, "date_range"),
    ({"date_range": ["2026-01-01", "2026-01-02T00:00:00Z"]}, "date_range"),
    ({"date_range": ["2026-01-01T00:00:00", "2026-01-02T00:00:00Z"]}, "date_range[0]"),
    ({"date_range": ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"]}, "date_range"),
    ({"date_range": ["0001-01-01", "9999-12-31"]}, "date_range[0]"),
    ({"dimensions": "event:page"}, "dimensions"),
    ({"dimensions": ["event:weather"]}, "dimensions[0]"),
    ({"dimensions": ["event:props:"]}, "dimensions[0]"),
    ({"filters": [["is", "event:props", ["plan"]]]}, "filters[0][1]"),
    ({"dimensions": ["event:props:a\x00"]}, "dimensions[0]"),
    ({"dimensions": ["time:fortnight"]}, "dimensions[0]"),
    ({"dimensions": ["minute"]}, "dimensions[0]"),
    ({"dimensions": ["visit:os", "visit:os"]}, "dimensions[1]"),
    ({"dimensions": ["time:day", "time:week"]}, "dimensions"),
    ({"dimensions": [f"event:props:{n}" for n in range(6)]}, "dimensions"),
    ({"filters": "visit:country==DE"}, "filters"),
    ({"filters": [[]]}, "filters[0]"),
    ({"filters": [LEAF, "is"]}, "filters[1]"),
    ({"filters": [["like", "event:page", ["/"]]]}, "filters[0][0]"),
    ({"filters": [[["is"], "event:page", ["/"]]]}, "filters[0][0]"),
    ({"filters": [["is", "event:weather", ["/"]]]}, "filters[0][1]"),
    ({"filters": [["is", "time:day", ["2026-01-01"]]]}, "filters[0][1]"),
    ({"filters": [["is", ["event:page"], ["/"]]]}, "filters[0][1]"),
    ({"filters": [["is", "event:page"]]}, "filters[0]"),
    ({"filters": [["is", "event:page", "/"]]}, "filters[0][2]"),
    ({"filters": [["is", "event:page", []]]}, "filters[0][2]"),
    ({"filters": [["is", "event:page", ["/", 1]]]}, "filters[0][2][1]"),
    ({"filters": [["is", "event:page", ["\x00"]]]}, "filters[0][2][0]"),
    ({"filters": [["is", "event:page", ["a" * 2001]]]}, "filters[0][2][0]"),
    ({"filters": [["is", "event:page", ["a"] * 501]]}, "filters[0][2]"),
    ({"filters": [["is", "event:page", ["/"], {"case": True}]]}, "filters[0][3].case"),
    ({"filters": [["is", "event:page", ["/"], {"case_sensitive": 1}]]}, "filters[0][3].case_sensitive"),
    ({"filters": [["is", "event:page", ["/"], {}, 1]]}, "filters[0]"),
    ({"filters": [["and", []]]}, "filters[0][1]"),
    ({"filters": [["or", LEAF]]}, "filters[0][1][0]"),
    ({"filters": [["and", [LEAF, ["is", "nothing", ["/"]]]]]}, "filters[0][1][1][1]"),
    ({"filters": [["not", LEAF, LEAF]]}, "filters[0]"),
    ({"filters": [["not", [LEAF]]]}, "filters[0][1]"),
    ({"filters": [["has_done", ["has_done", LEAF]]]}, "filters[0][1]"),
    ({"filters": [["has_done", ["not", ["has_not_done", LEAF]]]]}, "filters[0][1]"),
    ({"filters": [["matches", "event:goal", ["A"]]]}, "filters[0][0]"),
    ({"filters": [deep(8)]}, "filters[0]" + "[1]" * 8),
    ({"filters": [["and", [LEAF] * 30], ["or", [LEAF] * 30]]}, "filters"),
    ({"order_by": "visitors"}, "order_by"),
    ({"order_by": ["visitors"]}, "order_by[0]"),
    ({"order_by": [["pageviews", "asc"]]}, "order_by[0][0]"),
    ({"order_by": [["visitors", "up"]]}, "order_by[0][1]"),
    ({"order_by": [[["visitors"], "asc"]]}, "order_by[0][0]"),
    ({"include": []}, "include"),
    ({"include": {"weather": True}}, "include.weather"),
    ({"include": {"imports": "yes"}}, "include.imports"),
    ({"include": {"time_labels": True}}, "include.time_labels"),
    ({"include": {"total_rows": 1}}, "include.total_rows"),
    ({"include": {"comparisons": "previous_period"}}, "include.comparisons"),
    ({"include": {"comparisons": {}}}, "include.comparisons.mode"),
    ({"include": {"comparisons": {"mode": "last_week"}}}, "include.comparisons.mode"),
    ({"include": {"comparisons": {"mode": "custom"}}}, "include.comparisons.date_range"),
    (
        {"include": {"comparisons": {"mode": "year_over_year", "date_range": "7d"}}},
        "include.comparisons.date_range",
    ),
    ({"pagination": 7}, "pagination"),
    ({"pagination": {"limit": 0}}, "pagination.limit"),
    ({"pagination": {"limit": 10_001}}, "pagination.limit"),
    ({"pagination": {"limit": True}}, "pagination.limit"),
    ({"pagination": {"limit": "10"}}, "pagination.limit"),
    ({"pagination": {"offset": -1}}, "pagination.offset"),
    ({"pagination": {"offset": 2**70}}, "pagination.offset"),
    ({"pagination": {"page": 2}}, "pagination.page"),
]


@pytest.mark.parametrize(("part", "field"), WRONG, ids=str)
def test_a_wrong_query_names_its_part(part: Any, field: str) -> None:
    body = (
        {"site_id": "a", "metrics": ["visitors"], "date_range": "7d", **part}
        if isinstance(part, dict)
        else part
    )
    with pytest.raises(ApiError) as caught:
        q.parse(body)
    assert (caught.value.status, caught.value.code) == (400, "invalid_query")
    assert caught.value.field == field
    assert caught.value.message.endswith((".", "]"))


def test_filters_as_deep_as_allowed() -> None:
    assert q.parse_filters([deep(7)], "filters")
