from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from portfolio_analytics.stats.live import MINUTE_MS, REMEMBERED, Feed, LiveEvent, Reading

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
MINUTE = int(NOW.timestamp() * 1000) // MINUTE_MS * MINUTE_MS


def reading(*ids: int, visitors: int = 1, minutes: dict[int, tuple[int, int]] | None = None) -> Reading:
    """A look that finds these events, the latest first."""
    events = tuple(LiveEvent(str(number), "a", number, "click") for number in ids)
    return Reading(visitors, minutes or {}, events, {12: 1})


def read(message: bytes) -> tuple[str, list[str], Any]:
    """Kind, ids of events, data."""
    lines = message.decode().strip().split("\n")
    data = msgspec.json.decode(lines[2].removeprefix("data: "))
    return lines[1].removeprefix("event: "), [event["id"] for event in data["events"]], data


def test_a_listener_gets_a_snapshot_then_what_is_new() -> None:
    feed = Feed("f")
    feed.take(reading(2, 1), NOW)
    assert read(feed.message(0))[:2] == ("snapshot", ["2", "1"])
    assert feed.take(reading(3, 2, 1), NOW)
    assert read(feed.message(1))[:2] == ("update", ["3"])
    assert feed.take(reading(5, 4, 3), NOW)
    assert read(feed.message(1))[:2] == ("update", ["5", "4", "3"])
    assert feed.message(2).startswith(b"id: f-3\n")


def test_nothing_new_is_no_message() -> None:
    feed = Feed("f")
    assert feed.take(reading(1), NOW)
    assert not feed.take(reading(1), NOW)
    assert feed.take(reading(1, visitors=2), NOW)
    assert feed.number == 2


def test_who_missed_too_much_gets_a_snapshot() -> None:
    feed = Feed("f")
    for number in range(1, REMEMBERED + 3):
        feed.take(reading(number), NOW)
    assert read(feed.message(1))[0] == "snapshot"
    assert read(feed.message(2))[0] == "update"


@pytest.mark.parametrize("last", [None, "", "f-", "g-1", "f-x", "f-" + "9" * 30, "f--1"])
def test_ids_of_other_feeds_are_not_heard(last: str | None) -> None:
    assert Feed("f").heard(last) == 0


def test_the_own_id_is_heard() -> None:
    feed = Feed("f")
    assert feed.heard("f-7") == 7
    feed.take(reading(1), NOW)
    assert read(feed.message(7))[0] == "snapshot", "a number that never was"


def test_minutes_are_filled_kept_and_dropped() -> None:
    feed = Feed("f")
    old = MINUTE - 29 * MINUTE_MS
    feed.take(reading(minutes={MINUTE: (1, 2), old: (3, 4)}), NOW)
    minutes = read(feed.message(0))[2]["minutes"]
    assert [entry["minute"] for entry in minutes] == [old + n * MINUTE_MS for n in range(30)]
    assert (minutes[0]["visitors"], minutes[0]["pageviews"], minutes[29]["pageviews"]) == (3, 4, 2)
    feed.take(reading(minutes={MINUTE: (5, 6)}), NOW)
    minutes = read(feed.message(0))[2]["minutes"]
    assert (minutes[0]["visitors"], minutes[29]["visitors"]) == (3, 5)
    feed.take(reading(), NOW + timedelta(minutes=1))
    minutes = read(feed.message(0))[2]["minutes"]
    assert (minutes[0]["visitors"], minutes[28]["visitors"], minutes[29]["visitors"]) == (0, 5, 0)
