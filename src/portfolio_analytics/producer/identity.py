"""Which event it is, and when it happened. Pure: the time of receipt is an argument.

An event is (site, identity day, event id). With an id of its own an event is never moved in time, so that
a retry is the same row or an error. Without one it gets a UUIDv7 that carries the event's own time.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from random import Random
from uuid import UUID

import msgspec

from portfolio_analytics.shared.errors import InvalidEvent
from portfolio_analytics.shared.record import TIME_FROM_RECEIPT

DAY_MS = 86_400_000
WINDOW_BEFORE_MS = 7 * DAY_MS
WINDOW_AFTER_MS = 600_000

# An id has to be unique and keeps no secret. Every worker process begins from a seed of its own.
_random = Random()  # noqa: S311
os.register_at_fork(after_in_child=_random.seed)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHAPE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)?")
_NIL, _MAX = 0, (1 << 128) - 1
# Of the upper 66 bits of a UUID: four of the version, two of the variant.
_VERSION_AND_VARIANT = 0xF << 14 | 3
_VERSION_7 = 7 << 14 | 2


class Identity(msgspec.Struct, frozen=True, gc=False):
    """An event's id, its time (Unix milliseconds), its identity day (days since 1970 UTC), its flags."""

    id: UUID
    time: int
    day: int
    flags: int


def identify(event_id: UUID | None, timestamp: str | None, now: int, *, any_past: bool) -> Identity:
    """Which event it is that came at `now` (Unix milliseconds); `any_past` lifts the lower bound (to 1970).

    Raises InvalidEvent (422) for a `timestamp` that is none, and, with an `event_id`, for a time outside
    of [now - 7 days, now + 10 minutes] or none at all.
    """
    earliest = 0 if any_past else now - WINDOW_BEFORE_MS
    latest = now + WINDOW_AFTER_MS
    time = parse_time(timestamp) if timestamp else None
    if event_id is None:
        if time is None or not earliest <= time <= latest:
            return Identity(uuid7(now), now, now // DAY_MS, TIME_FROM_RECEIPT)
        return Identity(uuid7(time), time, time // DAY_MS, 0)
    made = _uuid7_time(event_id)
    if timestamp:
        if time is None or not earliest <= time <= latest:
            raise _out_of_range("timestamp")
    elif made is None:
        raise InvalidEvent(
            "missing_field",
            "An event_id that is not a UUIDv7 needs a timestamp, the same in every retry.",
            "timestamp",
        )
    if made is None:
        # Then the time is there: else one of the two errors above was raised.
        moment = time or 0
        return Identity(event_id, moment, moment // DAY_MS, 0)
    if not earliest <= made <= latest:
        raise _out_of_range("event_id")
    if time is None:
        return Identity(event_id, made, made // DAY_MS, 0)
    if abs(made - time) > WINDOW_BEFORE_MS + WINDOW_AFTER_MS:
        # Readers look for an event near the day of its identity; without a lower bound this must be said.
        raise InvalidEvent(
            "time_out_of_range",
            "The event_id is a UUIDv7 of another time: it must lie within 7 days of the timestamp.",
            "event_id",
        )
    return Identity(event_id, time, made // DAY_MS, 0)


def parse_time(timestamp: str) -> int | None:
    """Unix milliseconds of an RFC 3339 time; None for one that names no moment (a leap second, no zone).

    Raises InvalidEvent (422) for anything else.
    """
    try:
        moment = msgspec.convert(timestamp, datetime)
    except msgspec.ValidationError:
        if _SHAPE.fullmatch(timestamp):
            return None
        raise InvalidEvent(
            "invalid_field",
            "The timestamp is not an RFC 3339 time such as 2026-01-15T10:30:00Z.",
            "timestamp",
        ) from None
    if moment.tzinfo is None:
        return None
    since = moment - _EPOCH
    return since.days * DAY_MS + since.seconds * 1000 + since.microseconds // 1000


def uuid7(time_ms: int) -> UUID:
    """A new UUIDv7 (RFC 9562, section 5.7): 48 bits of `time_ms`, 74 random bits."""
    high = time_ms << 16 | 0x7000 | _random.getrandbits(12)
    low = 0x8000_0000_0000_0000 | _random.getrandbits(62)
    return UUID(int=high << 64 | low)


def _uuid7_time(event_id: UUID) -> int | None:
    """The time that a UUIDv7 carries, in Unix milliseconds; None for another UUID."""
    number = event_id.int
    if number >> 62 & _VERSION_AND_VARIANT == _VERSION_7:
        return number >> 80
    if number in (_NIL, _MAX):
        raise InvalidEvent("invalid_field", "The nil and the max UUID name no event.", "event_id")
    return None


def _out_of_range(field: str) -> InvalidEvent:
    return InvalidEvent(
        "time_out_of_range",
        f"The {field} is not within the last 7 days (10 minutes ahead at most).",
        field,
    )
