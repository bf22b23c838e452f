"""Bytes -> events. Whatever the bytes are, the only error is InvalidEvent.

Two steps, so that the two answers are never mixed up: what is not one JSON document is 400, what is one
but not an event is 422. The first step reads the whole document, ignored fields included.

An event without anything that is wrong or ignored, which is the rule, is read in one step, in half the time.
"""

from __future__ import annotations

import re
from typing import cast

import msgspec

from portfolio_analytics.producer.event import ClientEvent, ClientTarget
from portfolio_analytics.shared.errors import InvalidEvent

MAX_EVENTS = 1000


class _WholeTarget(ClientTarget, forbid_unknown_fields=True, gc=False):
    """A target without fields to ignore."""


class _WholeEvent(ClientEvent, forbid_unknown_fields=True, kw_only=True, gc=False):
    """An event without fields to ignore."""

    element: _WholeTarget | None = None
    target: _WholeTarget | str | None = None


_whole_event = msgspec.json.Decoder(_WholeEvent).decode
_NOT_WHOLE = (msgspec.MsgspecError, ValueError, RecursionError)
_whole_batch = msgspec.json.Decoder(list[_WholeEvent]).decode
_parse = msgspec.json.Decoder().decode
_FIELD = re.compile(r"\$\.([A-Za-z_]+)")
_MISSING = re.compile(r"missing required field `([^`]+)`")
_PLACE = re.compile(r" - at `[^`]*`$")
_CONSENTS = "'granted' or 'denied'"
_NUL = b"\\u0000"


def decode_event(body: bytes) -> ClientEvent:
    """One event. Raises InvalidEvent."""
    if _NUL in body:
        return event_of(parse(body))
    try:
        return _whole_event(body)
    except _NOT_WHOLE:
        return event_of(parse(body))


def decode_batch(body: bytes) -> list[ClientEvent | InvalidEvent]:
    """The events of a JSON array or of NDJSON, in order; what is wrong with one stands in its place.

    Raises InvalidEvent when nothing can be read, or when there are more than MAX_EVENTS.
    """
    text = body.strip()
    if not text:
        raise InvalidEvent("invalid_json", "The body is empty.", status=400)
    if text.startswith(b"["):
        events = _all_whole(text)
        if events is None:
            documents = cast(list[object], parse(text))
            _check_count(len(documents))
            return [_event_or_error(document) for document in documents]
        _check_count(len(events))
        return events
    lines = [line for line in text.split(b"\n") if line.strip()]
    _check_count(len(lines))
    return [_line_or_error(line) for line in lines]


def parse(body: bytes) -> object:
    """The JSON document that `body` is, without NUL characters. Raises InvalidEvent (400)."""
    if not body:
        raise InvalidEvent("invalid_json", "The body is empty.", status=400)
    try:
        document = _parse(body)
    except UnicodeDecodeError:
        raise InvalidEvent("invalid_utf8", "The body is not UTF-8.", status=400) from None
    except RecursionError:
        raise InvalidEvent("invalid_json", "The JSON is nested too deeply.", status=400) from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvalidEvent("invalid_json", f"The body is not JSON: {error}.", status=400) from None
    return without_nul(document) if _NUL in body else document


def event_of(document: object) -> ClientEvent:
    """The event that a JSON document holds. Raises InvalidEvent (422)."""
    try:
        return msgspec.convert(document, ClientEvent)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None


def without_nul(value: object) -> object:
    """`value` without NUL characters, which PostgreSQL text cannot hold: one would fail a whole batch."""
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, list):
        return [without_nul(item) for item in value]
    if isinstance(value, dict):
        return {without_nul(key): without_nul(item) for key, item in value.items()}
    return value


def _all_whole(text: bytes) -> list[ClientEvent | InvalidEvent] | None:
    """The events of a JSON array of which each is whole."""
    if _NUL in text:
        return None
    try:
        return [*_whole_batch(text)]
    except _NOT_WHOLE:
        return None


def _event_or_error(document: object) -> ClientEvent | InvalidEvent:
    try:
        return event_of(document)
    except InvalidEvent as error:
        return error


def _line_or_error(line: bytes) -> ClientEvent | InvalidEvent:
    try:
        return decode_event(line)
    except InvalidEvent as error:
        return error


def _check_count(count: int) -> None:
    if count > MAX_EVENTS:
        raise InvalidEvent(
            "too_many_events", f"A batch holds at most {MAX_EVENTS} events, not {count}.", status=413
        )


def _invalid(problem: str) -> InvalidEvent:
    missing = _MISSING.search(problem)
    if missing:
        return InvalidEvent("missing_field", f"The field '{missing[1]}' is missing.", missing[1])
    found = _FIELD.search(problem)
    field = found[1] if found else None
    sentence = _PLACE.sub("", problem).replace("`", "'")
    if field == "consent":
        sentence = f"{sentence}: it is {_CONSENTS}, or absent"
    return InvalidEvent("invalid_field" if field else "invalid_event", f"{sentence}.", field)
