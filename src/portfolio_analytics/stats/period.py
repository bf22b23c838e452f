"""Spans of time on a site's calendar. Pure: the clock is an argument.

A local day begins at the first instant that the site's calendar gives its date, so days have 23, 24 or 25
hours (or none at all, where a zone jumped over a date). All instants are UTC datetimes.
"""

from __future__ import annotations

import bisect
import datetime
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from portfolio_analytics.stats.query import Comparison, DateRange, invalid

UTC: Final = datetime.UTC
DAY: Final = datetime.timedelta(days=1)
HOUR: Final = datetime.timedelta(hours=1)
MINUTE: Final = datetime.timedelta(minutes=1)
QUARTER: Final = datetime.timedelta(minutes=15)

MAX_BUCKETS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` (included) to `end` (excluded). `first` and `last` are the local days of both ends."""

    zone: str
    start: datetime.datetime
    end: datetime.datetime
    first: datetime.date
    last: datetime.date

    @property
    def whole(self) -> bool:
        """Whether it begins and ends with a local day."""
        return self.start == day_start(self.zone, self.first) and self.end == day_start(
            self.zone, self.last + DAY
        )

    @property
    def days(self) -> int:
        """How many local days it touches."""
        return (self.last - self.first).days + 1


@dataclass(frozen=True, slots=True)
class Buckets:
    """A period cut into units of time: `starts` are the instants at which each begins, `days` their dates."""

    unit: str
    labels: tuple[str, ...]
    starts: tuple[datetime.datetime, ...]
    days: tuple[datetime.date, ...]

    def index(self, instant: datetime.datetime) -> int:
        """The bucket in which `instant` lies."""
        return bisect.bisect_right(self.starts, instant) - 1


@lru_cache(maxsize=4096)
def day_start(zone: str, day: datetime.date) -> datetime.datetime:
    """The first instant of a local day."""
    return datetime.datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def local_date(zone: str, instant: datetime.datetime) -> datetime.date:
    """The date on the site's calendar."""
    return instant.astimezone(ZoneInfo(zone)).date()


def resolve(wanted: DateRange, zone: str, now: datetime.datetime, first_day: datetime.date | None) -> Period:
    """The period that a query means. `first_day`: the first local day with data, where `all` begins."""
    if isinstance(wanted.first, datetime.datetime) and isinstance(wanted.last, datetime.datetime):
        return _between(zone, wanted.first.astimezone(UTC), wanted.last.astimezone(UTC))
    if wanted.first is not None and wanted.last is not None:
        return of_days(zone, wanted.first, wanted.last)
    actual = local_date(zone, now)
    today = wanted.today or actual
    first, last = _counted_back(wanted.keyword or "day", today, actual, first_day)
    return of_days(zone, first, last)


def of_days(zone: str, first: datetime.date, last: datetime.date) -> Period:
    """Whole local days, both included."""
    return Period(zone, day_start(zone, first), day_start(zone, last + DAY), first, last)


def compared(period: Period, comparison: Comparison, now: datetime.datetime) -> Period:
    """The period that `period` is compared with."""
    if comparison.range is not None:
        return resolve(comparison.range, period.zone, now, None)
    if comparison.mode == "year_over_year":
        if period.whole:
            return of_days(period.zone, _year_before(period.first), _year_before(period.last))
        length = period.end - period.start
        start = period.start.astimezone(ZoneInfo(period.zone))
        before = start.replace(year=start.year - 1, day=_year_before(start.date()).day).astimezone(UTC)
        return _between(period.zone, before, before + length)
    if period.whole:
        return of_days(period.zone, period.first - period.days * DAY, period.first - DAY)
    return _between(period.zone, period.start - (period.end - period.start), period.start)


def local_range(period: Period) -> list[str]:
    """First and last second of a period, with the site's offset from UTC."""
    zone = ZoneInfo(period.zone)
    last = period.end - datetime.timedelta(seconds=1)
    return [instant.astimezone(zone).isoformat(timespec="seconds") for instant in (period.start, last)]


def time_unit(period: Period) -> str:
    """The unit that the dimension `time` means: hours up to 2 days, days up to 40, weeks up to a year."""
    days = (period.end - period.start) / DAY
    if days <= 2.05:  # two days with a change of the clocks have 49 hours
        return "hour"
    if days <= 40.05:
        return "day"
    return "week" if days <= 364.05 else "month"


@lru_cache(maxsize=64)
def cut(period: Period, unit: str, field: str = "dimensions") -> Buckets:
    """`period` in buckets of `unit`. Raises ApiError 400 when there would be too many."""
    length = {"minute": MINUTE, "hour": HOUR}.get(unit, DAY)
    if (period.end - period.start) / length > MAX_BUCKETS:
        raise invalid(f"This would make more than {MAX_BUCKETS} values of time:{unit}.", field)
    if unit in ("minute", "hour"):
        return _clock_buckets(period, unit)
    return _calendar_buckets(period, unit)


def day_starts(period: Period) -> tuple[datetime.datetime, ...]:
    """The instants at which the period's local days begin."""
    return cut_days(period.zone, period.first, period.last)


def cut_days(zone: str, first: datetime.date, last: datetime.date) -> tuple[datetime.datetime, ...]:
    """The instants at which local days begin, from `first` to `last`."""
    return tuple(day_start(zone, first + number * DAY) for number in range((last - first).days + 1))


def _between(zone: str, start: datetime.datetime, end: datetime.datetime) -> Period:
    last = local_date(zone, end - datetime.timedelta(microseconds=1))
    return Period(zone, start, end, local_date(zone, start), last)


def _counted_back(
    keyword: str, today: datetime.date, actual: datetime.date, first_day: datetime.date | None
) -> tuple[datetime.date, datetime.date]:
    """First and last day; the last is never after the actual date, unless `today` is."""
    limit = max(actual, today)
    if keyword == "day":
        return today, today
    if keyword == "all":
        return min(first_day or today, today), today
    if keyword == "year":
        return today.replace(month=1, day=1), min(today.replace(month=12, day=31), limit)
    if keyword.endswith("mo") or keyword == "month":
        count = 1 if keyword == "month" else int(keyword.removesuffix("mo"))
        return _months_before(today, count - 1), min(_months_before(today, -1) - DAY, limit)
    return today - (int(keyword.removesuffix("d")) - 1) * DAY, today


def _months_before(day: datetime.date, count: int) -> datetime.date:
    """The first of the month `count` months before that of `day`."""
    months = day.year * 12 + day.month - 1 - count
    return datetime.date(max(months // 12, 1971), months % 12 + 1, 1)


def _year_before(day: datetime.date) -> datetime.date:
    return day.replace(year=day.year - 1, day=28 if (day.month, day.day) == (2, 29) else day.day)


def _calendar_buckets(period: Period, unit: str) -> Buckets:
    days: list[datetime.date] = []
    labels: list[str] = []
    for number in range(period.days):
        day = period.first + number * DAY
        begins = unit == "day" or (day.weekday() == 0 if unit == "week" else day.day == 1)
        if begins or number == 0:
            days.append(day)
            labels.append((day.replace(day=1) if unit == "month" else day).isoformat())
    starts = [max(day_start(period.zone, day), period.start) for day in days]
    return Buckets(unit, tuple(labels), tuple(starts), tuple(days))


def _clock_buckets(period: Period, unit: str) -> Buckets:
    """Hours and minutes of the local clock; an hour that comes twice is two buckets."""
    zone = ZoneInfo(period.zone)
    step = MINUTE if unit == "minute" else HOUR
    starts: list[datetime.datetime] = []
    labels: list[str] = []
    before: tuple[datetime.datetime, datetime.timedelta | None] | None = None
    instant = _floor(period.start, min(step, QUARTER))
    while instant < period.end:
        local = instant.astimezone(zone)
        clock = (
            local.replace(minute=0, second=0, tzinfo=None) if unit == "hour" else local.replace(tzinfo=None)
        )
        here = (clock, local.utcoffset())
        if here != before:
            starts.append(max(instant, period.start))
            labels.append(_clock_label(clock, local))
            before = here
        # Clocks change on quarters of an hour; where none is near, a whole hour is one bucket.
        even = local.minute == 0 and (instant + HOUR).astimezone(zone).utcoffset() == local.utcoffset()
        instant += step if even or unit == "minute" else QUARTER
    days = tuple(local_date(period.zone, start) for start in starts)
    return Buckets(unit, tuple(labels), tuple(starts), days)


def _clock_label(clock: datetime.datetime, local: datetime.datetime) -> str:
    """Such as 2026-11-01 01:00:00; the second of two equal clock times says its offset from UTC."""
    text = clock.isoformat(sep=" ", timespec="seconds")
    return text + local.isoformat()[-6:] if local.fold else text


def _floor(instant: datetime.datetime, step: datetime.timedelta) -> datetime.datetime:
    origin = datetime.datetime(1970, 1, 1, tzinfo=UTC)
    return origin + (instant - origin) // step * step
