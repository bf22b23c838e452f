"""Sites side by side: the question, the order, the spans that are read, and one site's line of the answer."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from portfolio_analytics.shared.http import ApiError
from portfolio_analytics.stats import portfolio
from portfolio_analytics.stats.portfolio import Counts, Found, Periods, Question, Sums
from portfolio_analytics.stats.query import DateRange, Order
from portfolio_analytics.stats.site import Site

NOW = datetime(2026, 3, 31, 20, 0, tzinfo=UTC)
BERLIN = Site(1, "berlin.example", "Europe/Berlin")
TOKYO = Site(2, "tokyo.example", "Asia/Tokyo")


def test_the_usual_question() -> None:
    usual = Question(DateRange("30d"), "", Order("visitors", descending=True), 100, 0)
    assert portfolio.question({}) == usual


def test_a_question() -> None:
    given = {
        "date_range": "2026-03-01,2026-03-31", "search": " Shop ", "order": "name", "limit": "5",
        "offset": "10",
    }  # fmt: skip
    days = DateRange(None, date(2026, 3, 1), date(2026, 3, 31))
    assert portfolio.question(given) == Question(days, "shop", Order("name", descending=False), 5, 10)


@pytest.mark.parametrize("order", ["", "-", "visitors,name", "NAME", "- name"])
def test_no_order(order: str) -> None:
    with pytest.raises(ApiError) as caught:
        portfolio.question({"order": order})
    assert (caught.value.status, caught.value.field) == (400, "order")


def test_today_is_that_of_each_site() -> None:
    periods = Periods(DateRange("day"), NOW)
    assert (periods.of(BERLIN).first, periods.of(TOKYO).first) == (date(2026, 3, 31), date(2026, 4, 1))
    assert periods.before(TOKYO).first == date(2026, 3, 31)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (Order("visitors", descending=True), "bacd"),
        (Order("visitors", descending=False), "dcab"),
        (Order("pageviews", descending=True), "abcd"),
        (Order("name", descending=False), "abcd"),
        (Order("name", descending=True), "dcba"),
    ],
)
def test_ties_go_by_name(order: Order, expected: str) -> None:
    names = ["d", "b", "a", "c"]
    figures = [Sums(visitors=0), Sums(visitors=3), Sums(visitors=2, pageviews=1), Sums(visitors=1)]
    asked = Question(DateRange("day"), "", order, 4, 0)
    assert "".join(names[n] for n in portfolio.page(asked, figures, names)) == expected
    second = Question(DateRange("day"), "", order, 1, 1)
    assert [names[n] for n in portfolio.page(second, figures, names)] == [expected[1]]


def test_a_closed_month_is_read_as_its_sum_but_not_for_days() -> None:
    periods = Periods(DateRange(None, date(2026, 1, 30), date(2026, 3, 2)), NOW)
    whole = portfolio.whole(BERLIN, periods.of(BERLIN))
    series = portfolio.series(TOKYO, periods.of(TOKYO))
    closed = {1: [date(2026, 2, 1)], 2: [date(2026, 2, 1)]}
    params = portfolio.span_params([(0, whole), (5, series)], closed)
    spans = list(
        zip(*(params[name] for name in ("keys", "site_ids", "monthly", "lows", "highs")), strict=True)
    )
    assert spans == [
        (0, 1, False, date(2026, 1, 30), date(2026, 1, 31)),
        (0, 1, True, date(2026, 2, 1), date(2026, 2, 1)),
        (0, 1, False, date(2026, 3, 1), date(2026, 3, 2)),
        (5, 2, False, date(2026, 1, 30), date(2026, 3, 2)),
    ]
    assert params["by_day"]


def test_visitors_with_a_persistent_id_are_counted_once() -> None:
    periods = Periods(DateRange("7d"), NOW)
    parts = [portfolio.whole(site, periods.of(site)) for site in (BERLIN, TOKYO)]
    found: list[Found] = [{}, {}]
    portfolio.add_spans(found, parts, [(0, None, 10, 4, 12, 20), (1, None, 5, 0, 6, 7)])
    apart = portfolio.known_apart(found, list(enumerate(parts)))
    assert [key for key, _ in apart] == [0]
    portfolio.add_visitors(found, apart, [(0, 1, 2)])
    assert [portfolio.total(each).visitors for each in found] == [8, 5]


def test_those_whose_rows_are_gone_are_not_counted() -> None:
    """As in a site's own query."""
    part = portfolio.whole(BERLIN, Periods(DateRange("7d"), NOW).of(BERLIN))
    found: list[Found] = [{0: Sums(visitors=10, known=4)}]
    portfolio.add_visitors(found, [(0, part)], [])
    assert portfolio.total(found[0]).visitors == 6


def test_an_hour_belongs_to_the_rows_that_are_kept() -> None:
    hours = portfolio.series(BERLIN, Periods(DateRange("day"), NOW).of(BERLIN))
    days = portfolio.series(BERLIN, Periods(DateRange("7d"), NOW).of(BERLIN))
    assert (hours.rolled_up, days.rolled_up) == (False, True)
    late = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)
    assert [hours.is_kept(None), hours.is_kept(late), days.is_kept(late)] == [True, False, True]


def test_a_line_of_the_answer() -> None:
    part = portfolio.series(TOKYO, Periods(DateRange("7d"), NOW).of(TOKYO))
    line = portfolio.result(part, {1: Sums(visitors=4)}, Sums(4, 0, 5, 6), Sums(8, 0, 0, 6), 2)
    assert line.series == [0, 4, 0, 0, 0, 0, 0]
    assert line.date_range == ["2026-03-26T00:00:00+09:00", "2026-04-01T23:59:59+09:00"]
    assert (line.metrics, line.comparison.metrics) == (Counts(4, 5, 6), Counts(8, 0, 6))
    assert line.comparison.change == Counts(-50, 100, 0)
    assert portfolio.result(part, None, Sums(), Sums(), 0).series == []
