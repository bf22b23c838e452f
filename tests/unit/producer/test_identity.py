"""Which event it is, and when: DESIGN's rules as a table."""

from __future__ import annotations

import os
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio_analytics.producer.identity import DAY_MS, Identity, identify, parse_time, uuid7
from portfolio_analytics.shared.errors import InvalidEvent
from portfolio_analytics.shared.record import TIME_FROM_RECEIPT

NOW = 1_768_473_000_000  # 2026-01-15T10:30:00Z
TODAY = NOW // DAY_MS
OTHER = UUID("7b0b5a4c-2f4e-4d8e-9c1d-0a1b2c3d4e5f")  # version 4


def v7(time_ms: int) -> UUID:
    return UUID(int=time_ms << 80 | 0x7 << 76 | 0b10 << 62 | 1)


TIMES = [
    ("2026-01-15T10:30:00Z", NOW),
    ("2026-01-15T10:30:00.123Z", NOW + 123),
    ("2026-01-15T10:30:00.123999Z", NOW + 123),
    ("2026-01-15T11:30:00+01:00", NOW),
    ("2026-01-15t10:30:00z", NOW),
    ("2026-01-15 10:30:00Z", NOW),
    ("2026-01-15T10:30:00", None),
    ("2016-12-31T23:59:60Z", None),
    ("2026-02-30T00:00:00Z", None),
]


@pytest.mark.parametrize(("timestamp", "expected"), TIMES)
def test_times(timestamp: str, expected: int | None) -> None:
    assert parse_time(timestamp) == expected


@pytest.mark.parametrize(
    "timestamp", ["yesterday", "2026-01-15", "1768473000", "Thu Jan 15 2026", "10000-01-01T00:00:00Z"]
)
def test_what_is_no_time_is_422(timestamp: str) -> None:
    for event_id in (None, OTHER):
        with pytest.raises(InvalidEvent) as caught:
            identify(event_id, timestamp, NOW, any_past=False)
        assert (caught.value.status, caught.value.field) == (422, "timestamp")


OUT_OF_WINDOW = [
    "2025-01-15T10:30:00Z",
    "2026-01-08T10:29:59.999Z",
    "2026-01-15T10:40:00.001Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2016-12-31T23:59:60Z",
    "2026-01-15T10:30:00",
]
IN_WINDOW = ["2026-01-08T10:30:00Z", "2026-01-15T10:30:00Z", "2026-01-15T10:40:00Z"]


@pytest.mark.parametrize("timestamp", OUT_OF_WINDOW)
def test_without_an_id_a_time_out_of_the_window_becomes_that_of_receipt(timestamp: str) -> None:
    identity = identify(None, timestamp, NOW, any_past=False)
    assert (identity.time, identity.day, identity.flags) == (NOW, TODAY, TIME_FROM_RECEIPT)
    assert identity.id.int >> 80 == NOW


@pytest.mark.parametrize("timestamp", OUT_OF_WINDOW)
def test_with_an_id_a_time_out_of_the_window_is_422(timestamp: str) -> None:
    for event_id in (OTHER, v7(NOW)):
        with pytest.raises(InvalidEvent) as caught:
            identify(event_id, timestamp, NOW, any_past=False)
        assert (caught.value.status, caught.value.field) == (422, "timestamp")


@pytest.mark.parametrize("timestamp", IN_WINDOW)
def test_a_time_in_the_window_is_the_events(timestamp: str) -> None:
    time = parse_time(timestamp)
    assert time is not None
    made = identify(None, timestamp, NOW, any_past=False)
    assert (made.time, made.day, made.flags) == (time, time // DAY_MS, 0)
    assert made.id.int >> 80 == time
    given_id = identify(OTHER, timestamp, NOW, any_past=False)
    assert given_id == Identity(OTHER, time, time // DAY_MS, 0)


def test_no_time_and_no_id_is_the_time_of_receipt() -> None:
    for timestamp in (None, ""):
        identity = identify(None, timestamp, NOW, any_past=False)
        assert (identity.time, identity.day, identity.flags) == (NOW, TODAY, TIME_FROM_RECEIPT)


def test_another_id_needs_a_time() -> None:
    with pytest.raises(InvalidEvent) as caught:
        identify(OTHER, None, NOW, any_past=False)
    assert (caught.value.status, caught.value.field) == (422, "timestamp")


def test_a_uuid7_carries_its_own_time_and_day() -> None:
    made = NOW - 3 * DAY_MS
    assert identify(v7(made), None, NOW, any_past=False) == Identity(v7(made), made, TODAY - 3, 0)
    both = identify(v7(made), "2026-01-15T10:30:00Z", NOW, any_past=False)
    assert both == Identity(v7(made), NOW, TODAY - 3, 0)


@pytest.mark.parametrize("made", [0, NOW - 7 * DAY_MS - 1, NOW + 600_001, 253_402_300_799_000, (1 << 48) - 1])
def test_a_uuid7_out_of_the_window_is_422(made: int) -> None:
    for timestamp in (None, "2026-01-15T10:30:00Z"):
        with pytest.raises(InvalidEvent) as caught:
            identify(v7(made), timestamp, NOW, any_past=False)
        assert (caught.value.status, caught.value.field) == (422, "event_id")


@pytest.mark.parametrize("number", [0, (1 << 128) - 1])
def test_nil_and_max_name_no_event(number: int) -> None:
    with pytest.raises(InvalidEvent) as caught:
        identify(UUID(int=number), "2026-01-15T10:30:00Z", NOW, any_past=False)
    assert caught.value.field == "event_id"


def test_an_importer_has_no_lower_bound_but_the_upper_one() -> None:
    old = identify(OTHER, "2015-05-17T10:05:03Z", NOW, any_past=True)
    assert (old.time, old.flags) == (1_431_857_103_000, 0)
    assert identify(None, "2015-05-17T10:05:03Z", NOW, any_past=True).time == 1_431_857_103_000
    assert identify(v7(1_000_000_000_000), None, NOW, any_past=True).time == 1_000_000_000_000
    for timestamp in ("2026-01-15T10:40:00.001Z", "1969-12-31T23:59:59Z"):
        with pytest.raises(InvalidEvent):
            identify(OTHER, timestamp, NOW, any_past=True)


def test_a_retry_is_the_same_event_after_midnight_too() -> None:
    first = identify(OTHER, "2026-01-15T10:30:00Z", NOW, any_past=False)
    assert identify(OTHER, "2026-01-15T10:30:00Z", NOW + DAY_MS, any_past=False) == first


@given(st.integers(0, (1 << 48) - 1))
def test_a_new_uuid7_has_version_variant_and_time(time_ms: int) -> None:
    made = uuid7(time_ms)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == time_ms
    assert made != uuid7(time_ms)


@given(st.text(max_size=64), st.none() | st.uuids(), st.booleans())
def test_nothing_but_invalid_event(timestamp: str, event_id: UUID | None, any_past: bool) -> None:
    try:
        identity = identify(event_id, timestamp, NOW, any_past=any_past)
    except InvalidEvent:
        return
    assert 0 <= identity.time <= NOW + 600_000
    assert 0 <= identity.day <= TODAY + 1


def test_an_imported_uuid7_carries_nearly_the_time_of_its_event() -> None:
    """Readers look for events near the day of their identity."""
    old = "2020-01-01T00:00:00Z"
    assert identify(OTHER, old, NOW, any_past=True).day == identify(None, old, NOW, any_past=True).day
    with pytest.raises(InvalidEvent) as caught:
        identify(v7(NOW), old, NOW, any_past=True)
    assert (caught.value.code, caught.value.field) == ("time_out_of_range", "event_id")


def test_processes_that_were_forked_make_ids_of_their_own() -> None:
    made = []
    for _ in range(2):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writing, uuid7(NOW).bytes)
            os._exit(0)
        os.waitpid(child, 0)
        made.append(os.read(reading, 16))
        os.close(reading)
        os.close(writing)
    assert len({*made, uuid7(NOW).bytes}) == 3
