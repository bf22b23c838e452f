"""Which day it is at a site."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

QUARTER_MS = 15 * 60 * 1000
DAY_MS = 86_400_000


def local_day(time_ms: int, time_zone: str) -> int:
    """Days since 1970-01-01 on the calendar of `time_zone` at a Unix time in milliseconds.

    Offsets from UTC are whole quarters of an hour in every zone of today, and change only on them, so
    one look-up serves a quarter.
    """
    if time_zone == "UTC":
        return time_ms // DAY_MS
    quarter = time_ms // QUARTER_MS
    return (time_ms + _offset_ms(quarter, time_zone)) // DAY_MS


@lru_cache(maxsize=16_384)
def _offset_ms(quarter: int, time_zone: str) -> int:
    moment = datetime.fromtimestamp(quarter * QUARTER_MS / 1000, UTC)
    offset = moment.astimezone(zone(time_zone)).utcoffset()
    assert offset is not None
    return int(offset.total_seconds() * 1000)


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """The time zone of that name. Raises ZoneInfoNotFoundError (a KeyError) where there is none."""
    return ZoneInfo(name)
