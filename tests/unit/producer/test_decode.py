"""Bytes to events: which answer each kind of bad input gets."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio_analytics.producer.decode import MAX_EVENTS, decode_batch, decode_event, event_of, parse
from portfolio_analytics.producer.event import ClientEvent
from portfolio_analytics.shared.errors import InvalidEvent

VALID = b'{"event_type":"page_view","page":"/"}'


def with_field(field: str) -> bytes:
    return VALID[:-1] + b"," + field.encode() + b"}"


NOT_JSON = {
    "empty": b"",
    "white space": b"  \n",
    "truncated": b'{"event_type":"page_view","pa',
    "two documents": VALID + VALID,
    "trailing text": VALID + b" x",
    "NaN": with_field('"screen_width":NaN'),
    "Infinity": with_field('"screen_width":-Infinity'),
    "too large a float": with_field('"duration_ms":1e400'),
    "too large a float that is ignored": with_field('"unknown":1e400'),
    "lone surrogate": b'{"event_type":"page_view","page":"/\\ud800"}',
    "lone surrogate that is ignored": with_field('"unknown":"\\ud800"'),
    "invalid UTF-8": b'{"event_type":"page_view","page":"/\xff"}',
    "invalid UTF-8 that is ignored": VALID[:-1] + b',"unknown":"\xff"}',
    "100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "100,000 deep that is ignored": VALID[:-1] + b',"unknown":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a control character": b'{"event_type":"page_view","page":"/\x00"}',
    "byte order mark": b"\xef\xbb\xbf" + VALID,
    "wrong type before truncation": b'{"event_type":5,"page":',
    "form data": b"event_type=page_view&page=/",
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_not_json_is_400(body: bytes) -> None:
    with pytest.raises(InvalidEvent) as caught:
        decode_event(body)
    assert caught.value.status == 400


NOT_AN_EVENT = [
    (b"[]", None),
    (b"1", None),
    (b"null", None),
    (b'"text"', None),
    (b"{}", "event_type"),
    (b'{"event_type":"page_view"}', "page"),
    (b'{"page":"/"}', "event_type"),
    (b'{"event_type":"","page":"/"}', "event_type"),
    (b'{"event_type":"page_view","page":""}', "page"),
    (b'{"event_type":"page_view","page":null}', "page"),
    (b'{"event_type":"page_view","page":5}', "page"),
    (b'{"event_type":"' + b"x" * 121 + b'","page":"/"}', "event_type"),
    (with_field('"session_id":5'), "session_id"),
    (with_field('"session_id":"' + "x" * 129 + '"'), "session_id"),
    (with_field('"timestamp":1736937000'), "timestamp"),
    (with_field('"user_agent":{}'), "user_agent"),
    (with_field('"screen_width":-5'), "screen_width"),
    (with_field('"screen_width":2147483648'), "screen_width"),
    (with_field('"screen_width":' + "9" * 50), "screen_width"),
    (with_field('"screen_width":"1920"'), "screen_width"),
    (with_field('"screen_width":true'), "screen_width"),
    (with_field('"screen_height":1080.5'), "screen_height"),
    (with_field('"duration_ms":2147483648'), "duration_ms"),
    (with_field('"duration_ms":-1'), "duration_ms"),
    (with_field('"duration_seconds":1e300'), "duration_seconds"),
    (with_field('"duration_seconds":"45"'), "duration_seconds"),
    (with_field('"scroll_depth":101'), "scroll_depth"),
    (with_field('"event_id":"42"'), "event_id"),
    (with_field('"event_id":42'), "event_id"),
    (with_field('"consent":"yes"'), "consent"),
    (with_field('"consent":true'), "consent"),
    (with_field('"element":"button"'), "element"),
    (with_field('"target":7'), "target"),
    (with_field('"props":[]'), "props"),
    (with_field('"props":{"nested":{}}'), "props"),
    (with_field('"props":{"list":[1]}'), "props"),
    (with_field('"props":{"":1}'), "props"),
    (with_field('"props":{"big":9223372036854775808}'), "props"),
    (with_field('"props":{"small":-9223372036854775809}'), "props"),
    (with_field('"props":{"huge":' + "9" * 50 + "}"), "props"),
    (with_field('"props":{"long":"' + "x" * 2001 + '"}'), "props"),
    (with_field('"props":{"' + "k" * 301 + '":1}'), "props"),
    (with_field('"props":{' + ",".join(f'"k{i}":1' for i in range(31)) + "}"), "props"),
    (with_field('"site":"' + "x" * 254 + '"'), "site"),
    (with_field('"visitor_id":""'), "visitor_id"),
]


@pytest.mark.parametrize(("body", "field"), NOT_AN_EVENT)
def test_json_that_is_no_event_is_422_and_names_the_field(body: bytes, field: str | None) -> None:
    with pytest.raises(InvalidEvent) as caught:
        decode_event(body)
    assert (caught.value.status, caught.value.field) == (422, field)


VALID_BODIES = [
    VALID,
    b" \n" + VALID + b"\n",
    with_field('"unknown":{"deep":[1,2,{}]}'),
    with_field('"session_id":null,"timestamp":null,"props":null,"element":null,"screen_width":null'),
    with_field('"element":{"tag":"a","id":null,"class":{"baseVal":"x"},"text":"Go"}'),
    with_field('"target":"https://example.com/"'),
    with_field('"screen_width":65535,"duration_ms":2147483647,"scroll_depth":0'),
    with_field('"duration_ms":1234.5'),
    with_field('"props":{"a":null,"b":true,"c":-9223372036854775808,"d":9223372036854775807,"e":1.5}'),
    with_field('"visitor":5,"country":["whatever"]'),
    with_field('"page":"/second"'),
]


@pytest.mark.parametrize("body", VALID_BODIES)
def test_events_are_taken(body: bytes) -> None:
    assert decode_event(body).event_type == "page_view"


def test_the_last_of_equal_keys_wins() -> None:
    assert decode_event(with_field('"page":"/second"')).page == "/second"


def test_nul_is_taken_out_of_every_text() -> None:
    event = decode_event(
        b'{"event_type":"page_\\u0000view","page":"/a\\u0000b","props":{"k\\u0000":"v\\u0000"},'
        b'"element":{"text":"\\u0000"}}'
    )
    assert (event.event_type, event.page, event.props) == ("page_view", "/ab", {"k": "v"})
    assert event.element is not None
    assert event.element.text == ""


def test_text_that_only_looks_like_nul_stays() -> None:
    assert decode_event(b'{"event_type":"x","page":"/\\\\u0000"}').page == "/\\u0000"


def test_a_page_of_nul_alone_is_a_missing_page() -> None:
    with pytest.raises(InvalidEvent) as caught:
        decode_event(b'{"event_type":"x","page":"\\u0000"}')
    assert (caught.value.status, caught.value.field) == (422, "page")


def test_a_batch_is_an_array_or_lines() -> None:
    for body in (
        b"[" + VALID + b"," + VALID + b"]",
        VALID + b"\n" + VALID + b"\r\n\n",
        VALID + b"\n" + VALID,
    ):
        events = decode_batch(body)
        assert len(events) == 2
        assert all(isinstance(event, ClientEvent) for event in events)
    assert decode_batch(b"[]") == []


def test_a_bad_line_is_rejected_alone() -> None:
    lines = [VALID, b"{", b"\xff", b"{}", b"[" * 100_000, VALID]
    assert [getattr(event, "status", 0) for event in decode_batch(b"\n".join(lines))] == [
        0,
        400,
        400,
        422,
        400,
        0,
    ]


def test_a_bad_element_of_an_array_is_rejected_alone() -> None:
    results = decode_batch(b"[" + VALID + b',{},5,null,{"event_type":"x","page":"/","screen_width":-1}]')
    assert [getattr(event, "status", 0) for event in results] == [0, 422, 422, 422, 422]


def test_a_batch_has_a_largest_size() -> None:
    full = decode_batch(b"[" + b",".join([VALID] * MAX_EVENTS) + b"]")
    assert len(full) == MAX_EVENTS
    for body in (
        b"[" + b",".join([VALID] * (MAX_EVENTS + 1)) + b"]",
        b"\n".join([VALID] * (MAX_EVENTS + 1)),
    ):
        with pytest.raises(InvalidEvent) as caught:
            decode_batch(body)
        assert caught.value.status == 413


@pytest.mark.parametrize("body", [b"", b" \n ", b"[1", b"[" * 100_000 + b"]" * 100_000, b"[\xff]"])
def test_a_batch_that_cannot_be_read_is_400(body: bytes) -> None:
    with pytest.raises(InvalidEvent) as caught:
        decode_batch(body)
    assert caught.value.status == 400


@given(st.binary(max_size=2000))
def test_bytes_never_raise_anything_else(body: bytes) -> None:
    for decode in (decode_event, decode_batch):
        with contextlib.suppress(InvalidEvent):
            assert decode(body) is not None


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda children: st.lists(children) | st.dictionaries(st.text(max_size=5), children),
    max_leaves=10,
)
fields = st.sampled_from([name.rstrip("_") for name in ClientEvent.__struct_fields__])


@given(st.dictionaries(fields, json_values), st.booleans())
def test_json_never_raises_anything_else(document: dict[str, object], required: bool) -> None:
    if required:
        document = {"event_type": "page_view", "page": "/", **document}
    with contextlib.suppress(InvalidEvent):
        assert decode_event(msgspec.json.encode(document)).page


@given(st.dictionaries(fields, json_values), st.booleans())
def test_one_step_reads_what_two_steps_read(document: dict[str, object], required: bool) -> None:
    if required:
        document = {"event_type": "page_view", "page": "/", **document}
    body = msgspec.json.encode(document)

    def read(event: Callable[[], ClientEvent]) -> object:
        try:
            return msgspec.to_builtins(event(), builtin_types=(uuid.UUID,))
        except InvalidEvent as error:
            return error.code, error.field, error.message

    expected = read(lambda: event_of(parse(body)))
    assert read(lambda: decode_event(body)) == expected
    [found] = decode_batch(b"[" + body + b"]")
    assert (
        expected == (found.code, found.field, found.message)
        if isinstance(found, InvalidEvent)
        else read(lambda: found) == expected
    )


def test_what_is_wrong_is_said_for_people() -> None:
    """No path of the decoder's, and of a choice what may stand there."""
    with pytest.raises(InvalidEvent) as caught:
        decode_event(with_field('"consent":"yes"'))
    assert caught.value.message == "Invalid enum value 'yes': it is 'granted' or 'denied', or absent."
    with pytest.raises(InvalidEvent) as caught:
        decode_event(with_field('"screen_width":-5'))
    assert caught.value.message == "Expected 'int' >= 0."
