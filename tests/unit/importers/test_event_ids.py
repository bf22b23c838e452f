"""Event ids of lines: the same in every run, different for equal lines, of version 8."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from portfolio_analytics.importers.access_line import read_line
from portfolio_analytics.importers.access_log import EventIds, country, page_view

KEY = bytes(range(32))


def ids(contents: list[bytes], key: bytes = KEY) -> list[uuid.UUID]:
    made = EventIds(key)
    return [made.next(content) for content in contents]


@given(st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=40))
def test_ids_are_distinct_and_repeat_with_the_log(contents: list[bytes]) -> None:
    made = ids(contents)
    assert len(set(made)) == len(contents)
    assert ids(contents) == made
    assert all(one.version == 8 and one.variant == uuid.RFC_4122 for one in made)


def test_other_lines_between_do_not_matter() -> None:
    assert ids([b"a", b"b", b"a"])[2] == ids([b"a", b"a"])[1]


def test_the_key_matters() -> None:
    assert ids([b"a"]) != ids([b"a"], key=bytes(32))


def test_the_event_of_a_line_holds_no_address() -> None:
    raw = (
        b'8.8.8.8 - - [17/May/2015:10:05:03 +0200] "GET /a HTTP/1.1" 200 5 '
        b'"https://some.example/" "Mozilla/5.0 (X11)"'
    )
    line = read_line(raw)
    assert line is not None
    event = page_view(line, "example.com", uuid.UUID(int=7), bytes(16))
    assert len(event.pop("visitor")) == 32
    assert event == {
        "event_type": "page_view",
        "event_id": "00000000-0000-0000-0000-000000000007",
        "site": "example.com",
        "page": "/a",
        "timestamp": "2015-05-17T08:05:03+00:00",
        "referrer": "https://some.example/",
        "user_agent": "Mozilla/5.0 (X11)",
        "country": "US",
    }
    assert page_view(line, "s", uuid.UUID(int=7), bytes(16)) != page_view(
        line, "s", uuid.UUID(int=7), b"s" * 16
    )


def test_countries() -> None:
    assert country("8.8.8.8") == "US"
    assert country("127.0.0.1") is None
    assert country("host.example") is None
    assert country("") is None
