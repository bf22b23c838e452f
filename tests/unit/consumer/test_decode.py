"""What the consumer takes of the log, and what it rejects."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio_analytics.consumer.decode import (
    INT2,
    INT4,
    INT8,
    MAX_NAME,
    MAX_TEXT,
    MAX_TIME_MS,
    Rejected,
    decode,
    out_of_range,
)
from portfolio_analytics.shared.log.protocol import LogRecord
from portfolio_analytics.shared.record import EventRecord, encode_record
from tests.records import event

BOUNDS = {
    "time": (0, MAX_TIME_MS),
    "at": (0, MAX_TIME_MS),
    "day": (0, MAX_TIME_MS // 86_400_000),
    "visitor": (-INT8, INT8 - 1),
    "visitor_before": (-INT8, INT8 - 1),
    "flags": (0, INT2 - 1),
    "duration_ms": (0, INT4 - 1),
    "scroll_depth": (0, 100),
}
LENGTHS = {
    **dict.fromkeys(("page", "host", "title", "referrer", "user_agent", "session"), MAX_TEXT),
    **dict.fromkeys(("site", "type"), MAX_NAME),
}


def taken(found: EventRecord) -> EventRecord | Rejected:
    result = decode(LogRecord(0, 1, 6, b"", encode_record(found)), "topic")
    assert isinstance(result, EventRecord | Rejected)
    return result


def around(low: int, high: int) -> st.SearchStrategy[int]:
    return st.sampled_from([low - 1, low, low + 1, high - 1, high, high + 1])


@given(
    st.fixed_dictionaries({}, optional={name: around(*bounds) for name, bounds in BOUNDS.items()}),
    st.fixed_dictionaries({}, optional={name: st.sampled_from([n, n + 1]) for name, n in LENGTHS.items()}),
)
def test_what_is_taken_is_what_postgresql_can_hold(numbers: dict[str, int], lengths: dict[str, int]) -> None:
    sent = event(**numbers, **{name: "é" * length for name, length in lengths.items()})
    found = taken(sent)
    problem = out_of_range(sent)
    if problem is None:
        assert isinstance(found, EventRecord)
        assert encode_record(found) == encode_record(sent)
    else:
        assert isinstance(found, Rejected)
        assert (found.reason, found.detail, found.event) == ("out_of_range", problem, sent)


@pytest.mark.parametrize("name", ["title", "page", "site"])
def test_nul_is_taken_out(name: str) -> None:
    found = taken(event(**{name: "a\x00b"}))
    assert isinstance(found, EventRecord)
    assert getattr(found, name) == "ab"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"{", "undecodable"),
        (b"\xff", "undecodable"),
        (b"[" * 100_000, "undecodable"),
        (b'{"kind":"event"}', "undecodable"),
        (b'{"kind":"attest","worker":7}', "undecodable"),
        (b'{"kind":"other"}', "undecodable"),
        (b'{"page":"/"}', "undecodable"),
    ],
)
def test_what_is_no_record_is_rejected_with_a_sentence(value: bytes | None, reason: str) -> None:
    found = decode(LogRecord(0, 1, 6, b"", value), "topic")
    assert isinstance(found, Rejected)
    assert found.reason == reason
    assert found.detail
