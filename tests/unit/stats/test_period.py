from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio_analytics.shared.http import ApiError
from portfolio_analytics.stats import period as p
from portfolio_analytics.stats.query import Comparison, DateRange

NOW = datetime(2026, 11, 22, 19, 0, tzinfo=UTC)  # the 23rd in India, the 22nd in New York


def days(found: p.Period) -> tuple[str, str]:
    return found.first.isoformat(), found.last.isoformat()


@pytest.mark.parametrize(
    ("word", "zone", "expected"),
    [
        ("day", "UTC", ("2026-11-22", "2026-11-22")),
        ("day", "Asia/Kolkata", ("2026-11-23", "2026-11-23")),
        ("1d", "UTC", ("2026-11-22", "2026-11-22")),
        ("7d", "UTC", ("2026-11-16", "2026-11-22")),
        ("30d", "Asia/Kolkata", ("2026-10-25", "2026-11-23")),
        ("month", "UTC", ("2026-11-01", "2026-11-22")),
        ("6mo", "UTC", ("2026-06-01", "2026-11-22")),
        ("12mo", "UTC", ("2025-12-01", "2026-11-22")),
        ("year", "UTC", ("2026-01-01", "2026-11-22")),
        ("all", "UTC", ("2024-05-06", "2026-11-22")),
    ],
)
def test_words_count_back_from_the_sites_today(word: str, zone: str, expected: tuple[str, str]) -> None:
    found = p.resolve(DateRange(word), zone, NOW, date(2024, 5, 6))
    assert days(found) == expected
    assert found.whole


@pytest.mark.parametrize(
    ("word", "today", "expected"),
    [
        ("month", date(2026, 1, 15), ("2026-01-01", "2026-01-31")),
        ("6mo", date(2026, 1, 15), ("2025-08-01", "2026-01-31")),
        ("7d", date(2026, 1, 3), ("2025-12-28", "2026-01-03")),
        ("year", date(2025, 3, 3), ("2025-01-01", "2025-12-31")),
        ("all", date(2024, 1, 1), ("2024-01-01", "2024-01-01")),
        ("month", date(2026, 12, 5), ("2026-12-01", "2026-12-05")),
    ],
)
def test_words_count_back_from_a_date(word: str, today: date, expected: tuple[str, str]) -> None:
    assert days(p.resolve(DateRange(word, today=today), "UTC", NOW, date(2024, 5, 6))) == expected


def test_all_of_nothing_is_today() -> None:
    assert days(p.resolve(DateRange("all"), "UTC", NOW, None)) == ("2026-11-22", "2026-11-22")


@pytest.mark.parametrize(
    ("zone", "day", "start", "hours"),
    [
        ("UTC", "2026-03-08", "2026-03-08T00:00", 24),
        ("Asia/Kolkata", "2026-03-08", "2026-03-07T18:30", 24),
        ("Asia/Kathmandu", "2026-03-08", "2026-03-07T18:15", 24),
        ("America/New_York", "2026-03-08", "2026-03-08T05:00", 23),
        ("America/New_York", "2026-11-01", "2026-11-01T04:00", 25),
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00", 24.5),
        ("America/Havana", "2026-11-01", "2026-11-01T04:00", 25),  # midnight comes twice
        ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00", 23),  # the day begins at 1 o'clock
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00", 0),  # a date that never was
    ],
)
def test_local_days(zone: str, day: str, start: str, hours: float) -> None:
    found = p.of_days(zone, date.fromisoformat(day), date.fromisoformat(day))
    assert found.start == datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert (found.end - found.start) / timedelta(hours=1) == hours


def test_instants_make_a_period_that_is_not_whole() -> None:
    first, last = datetime(2026, 3, 1, 23, tzinfo=UTC), datetime(2026, 3, 2, 18, 30, tzinfo=UTC)
    found = p.resolve(DateRange(None, first, last), "Asia/Kolkata", NOW, None)
    assert days(found) == ("2026-03-02", "2026-03-02")
    assert not found.whole
    exact = p.resolve(
        DateRange(None, first.replace(day=1, hour=18, minute=30), last), "Asia/Kolkata", NOW, None
    )
    assert exact.whole


@pytest.mark.parametrize(
    ("mode", "first", "last", "expected"),
    [
        ("previous_period", "2026-03-08", "2026-03-14", ("2026-03-01", "2026-03-07")),
        ("previous_period", "2026-03-01", "2026-03-01", ("2026-02-28", "2026-02-28")),
        ("year_over_year", "2026-03-08", "2026-03-14", ("2025-03-08", "2025-03-14")),
        ("year_over_year", "2024-02-29", "2024-02-29", ("2023-02-28", "2023-02-28")),
    ],
)
def test_comparisons(mode: str, first: str, last: str, expected: tuple[str, str]) -> None:
    found = p.of_days("America/New_York", date.fromisoformat(first), date.fromisoformat(last))
    before = p.compared(found, Comparison(mode), NOW)
    assert days(before) == expected
    assert before.whole


def test_comparisons_of_instants_have_the_same_length() -> None:
    span = DateRange(None, datetime(2024, 2, 29, 1, tzinfo=UTC), datetime(2024, 2, 29, 4, tzinfo=UTC))
    found = p.resolve(span, "UTC", NOW, None)
    before = p.compared(found, Comparison("previous_period"), NOW)
    assert (before.start, before.end) == (found.start - timedelta(hours=3), found.start)
    year = p.compared(found, Comparison("year_over_year"), NOW)
    assert year.start == datetime(2023, 2, 28, 1, tzinfo=UTC)
    assert year.end - year.start == timedelta(hours=3)
    custom = p.compared(found, Comparison("custom", DateRange("7d")), NOW)
    assert days(custom) == ("2026-11-16", "2026-11-22")


@pytest.mark.parametrize(
    ("count", "unit"),
    [(1, "hour"), (2, "hour"), (3, "day"), (40, "day"), (41, "week"), (364, "week"), (365, "month")],
)
def test_the_unit_of_time(count: int, unit: str) -> None:
    first = date(2026, 10, 31)  # the clocks change in New York on the day after
    assert p.time_unit(p.of_days("America/New_York", first, first + (count - 1) * p.DAY)) == unit


def test_weeks_begin_on_mondays_and_months_on_the_first() -> None:
    found = p.of_days("UTC", date(2026, 10, 30), date(2026, 11, 10))
    assert p.cut(found, "week").labels == ("2026-10-30", "2026-11-02", "2026-11-09")
    assert p.cut(found, "month").labels == ("2026-10-01", "2026-11-01")
    assert p.cut(found, "day").labels[:2] == ("2026-10-30", "2026-10-31")


def test_the_hour_that_comes_twice_is_two() -> None:
    labels = p.cut(p.of_days("America/New_York", date(2026, 11, 1), date(2026, 11, 1)), "hour").labels
    assert len(labels) == 25
    assert labels[:4] == (
        "2026-11-01 00:00:00", "2026-11-01 01:00:00", "2026-11-01 01:00:00-05:00", "2026-11-01 02:00:00",
    )  # fmt: skip


def test_hours_around_a_change_of_half_an_hour() -> None:
    found = p.cut(p.of_days("Australia/Lord_Howe", date(2026, 4, 5), date(2026, 4, 5)), "hour")
    assert found.labels[:4] == (
        "2026-04-05 00:00:00", "2026-04-05 01:00:00", "2026-04-05 01:00:00+10:30", "2026-04-05 02:00:00",
    )  # fmt: skip
    lengths = [(b - a) / timedelta(minutes=1) for a, b in zip(found.starts, found.starts[1:], strict=False)]
    assert lengths[:4] == [60, 60, 30, 60]


def test_too_many_buckets() -> None:
    found = p.of_days("UTC", date(2026, 1, 1), date(2026, 1, 31))
    with pytest.raises(ApiError) as caught:
        p.cut(found, "minute", "dimensions[0]")
    assert (caught.value.status, caught.value.field) == (400, "dimensions[0]")


ZONES = ("UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo")
UNITS: tuple[Literal["minute", "hour", "day", "week", "month"], ...] = (
    "minute",
    "hour",
    "day",
    "week",
    "month",
)


@given(
    st.sampled_from(ZONES),
    st.dates(date(2026, 1, 1), date(2026, 12, 31)),
    st.integers(0, 3),
    st.sampled_from(UNITS),
    st.integers(0, 10**12),
)
def test_buckets_tile_the_period(zone: str, first: date, more: int, unit: str, where: int) -> None:
    found = p.of_days(zone, first, first + more * p.DAY)
    buckets = p.cut(found, unit)
    assert buckets.starts[0] == found.start
    assert list(buckets.starts) == sorted(set(buckets.starts))
    assert len(set(buckets.labels)) == len(buckets.labels) == len(buckets.starts)
    moment = found.start + timedelta(microseconds=where) % (found.end - found.start)
    local = moment.astimezone(ZoneInfo(zone))
    label = buckets.labels[buckets.index(moment)]
    if unit == "day":
        assert label == local.date().isoformat()
    elif unit == "hour":
        assert label.startswith(f"{local:%Y-%m-%d %H}:00:00")
    elif unit == "minute":
        assert label.startswith(f"{local:%Y-%m-%d %H:%M}:00")
    else:
        assert label <= local.date().isoformat()
