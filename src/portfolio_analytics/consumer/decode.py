"""From a record of the log to something that can be stored, or to the reason why it cannot.

Pure: what is wrong with a record is decided here and never raises.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Annotated, NamedTuple

import msgspec

from portfolio_analytics.shared.identity import actor_id
from portfolio_analytics.shared.log.protocol import LogRecord
from portfolio_analytics.shared.record import (
    TIME_FROM_RECEIPT,
    AttestRecord,
    EventRecord,
    LegacyEvent,
    decode_legacy,
    decode_record,
)

DAY_MS = 86_400_000
WINDOW_BEFORE_MS = 7 * DAY_MS
WINDOW_AFTER_MS = 600_000
LEGACY_SITE = "default"
INT2 = 1 << 15
INT4 = 1 << 31
INT8 = 1 << 63
# Year 1970 to 9999: what a timestamptz, a date and Python's datetime all hold.
MAX_TIME_MS = 253_402_300_799_999
MAX_TEXT = 4_000
MAX_NAME = 300


Moment = Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME_MS)]
Number = Annotated[int, msgspec.Meta(ge=-INT8, le=INT8 - 1)]
Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME)]


class StorableEvent(EventRecord, omit_defaults=True, tag_field="kind", tag="event", kw_only=True):
    """An event within the bounds of `out_of_range`, which are checked while it is decoded."""

    site: Name
    type: Name
    page: Text
    host: Text | None = None
    time: Moment
    at: Moment
    day: Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME_MS // DAY_MS)]
    visitor: Number = 0
    visitor_before: Number | None = None
    session: Text | None = None
    flags: Annotated[int, msgspec.Meta(ge=0, le=INT2 - 1)] = 0
    user_agent: Text | None = None
    referrer: Text | None = None
    title: Text | None = None
    duration_ms: Annotated[int, msgspec.Meta(ge=0, le=INT4 - 1)] | None = None
    scroll_depth: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None


_decode_storable: Callable[[bytes], StorableEvent | AttestRecord] = msgspec.json.Decoder(
    StorableEvent | AttestRecord
).decode


class Rejected(NamedTuple):
    """A record that cannot be stored: a stable reason, and a sentence."""

    record: LogRecord
    reason: str
    detail: str
    event: EventRecord | None = None


def decode(record: LogRecord, topic_id: str) -> EventRecord | AttestRecord | Rejected:
    """What `record` is. Reasons: `empty`, `undecodable`, `out_of_range`."""
    if not record.value:
        return Rejected(record, "empty", "The record has no value.")
    try:
        found = _decode_storable(record.value)
    except msgspec.ValidationError:
        return _decode_otherwise(record, topic_id)
    except (ValueError, RecursionError) as error:
        return Rejected(record, "undecodable", _sentence(error))
    if b"\\u0000" in record.value and isinstance(found, EventRecord):
        return without_nul(found)
    return found


def out_of_range(event: EventRecord) -> str | None:
    """The sentence that says which value PostgreSQL cannot hold; None when all fit."""
    if not (0 <= event.time <= MAX_TIME_MS and 0 <= event.at <= MAX_TIME_MS):
        return "time or acceptance is not between 1970 and 9999"
    if not 0 <= event.day <= MAX_TIME_MS // DAY_MS:
        return "day is not between 1970 and 9999"
    if not -INT8 <= event.visitor < INT8:
        return "visitor is not a 64-bit number"
    if event.visitor_before is not None and not -INT8 <= event.visitor_before < INT8:
        return "visitor_before is not a 64-bit number"
    if not 0 <= event.flags < INT2:
        return "flags is not a 15-bit number"
    if event.duration_ms is not None and not 0 <= event.duration_ms < INT4:
        return "duration_ms is not a 31-bit number"
    if event.scroll_depth is not None and not 0 <= event.scroll_depth <= 100:
        return "scroll_depth is not between 0 and 100"
    for name in ("page", "host", "title", "referrer", "user_agent", "session"):
        text = getattr(event, name)
        if text is not None and len(text) > MAX_TEXT:
            return f"{name} is longer than {MAX_TEXT} characters"
    # These stand in keys, of which an index holds 2,700 bytes.
    for name in ("site", "type"):
        if len(getattr(event, name)) > MAX_NAME:
            return f"{name} is longer than {MAX_NAME} characters"
    return None


def without_nul(event: EventRecord) -> EventRecord:
    """The same event without NUL characters, which PostgreSQL text cannot hold."""
    plain = msgspec.to_builtins(event, builtin_types=(uuid.UUID,))
    return msgspec.convert(_clean(plain), EventRecord, builtin_types=(uuid.UUID,))


def legacy_event(record: LogRecord, topic_id: str) -> EventRecord:
    """An event of the original Go service, read as it is; its id follows from where it stands in the log.

    Raises msgspec.ValidationError when it is not such an event.
    """
    assert record.value is not None
    found = decode_legacy(record.value)
    identity = f"{topic_id}/{record.partition}/{record.offset}".encode()
    return original_event(found, _instant_ms(found.timestamp), record.timestamp_ms, identity)


def original_event(found: LegacyEvent, time: int | None, at: int, identity: bytes) -> EventRecord:
    """An event that the original Go service took at `at`; its id follows from `identity`.

    Its `time`, where it is absent or out of the window, is that at which it was taken (Unix milliseconds).
    """
    flags = 0
    if time is None or not at - WINDOW_BEFORE_MS <= time <= at + WINDOW_AFTER_MS:
        time, flags = at, TIME_FROM_RECEIPT
    page = found.page.split("#", 1)[0] or "/"
    return EventRecord(
        id=_uuid8(blake2b(identity, digest_size=16, person=b"legacy").digest()),
        site=LEGACY_SITE,
        type=found.event_type[:120],
        page=page[:MAX_TEXT],
        time=time,
        at=at,
        day=time // DAY_MS,
        visitor=actor_id(LEGACY_SITE, found.session_id or found.user_agent or ""),
        session=found.session_id or None,
        flags=flags,
        user_agent=found.user_agent[:512] if found.user_agent else None,
        screen_width=found.screen_width,
        screen_height=found.screen_height,
    )


def _decode_otherwise(record: LogRecord, topic_id: str) -> EventRecord | Rejected:
    """An event of the original Go service, or what is wrong with one of ours."""
    assert record.value is not None
    try:
        event = decode_record(record.value)
    except msgspec.ValidationError as error:
        try:
            event = legacy_event(record, topic_id)
        except (ValueError, RecursionError):
            return Rejected(record, "undecodable", str(error))
    assert isinstance(event, EventRecord), "an attestation has no bounds to break"
    if b"\\u0000" in record.value:
        event = without_nul(event)
    problem = out_of_range(event)
    return Rejected(record, "out_of_range", problem, event) if problem else event


def _uuid8(digest: bytes) -> uuid.UUID:
    """A UUID version 8 (RFC 9562, 5.8) of 122 bits of `digest`; Python 3.11 makes none."""
    number = int.from_bytes(digest, "big")
    number = number & ~(0xF << 76) | 0x8 << 76
    return uuid.UUID(int=number & ~(0x3 << 62) | 0x2 << 62)


def _instant_ms(text: str | None) -> int | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return int(moment.timestamp() * 1000)
    except (OverflowError, ValueError):
        return None


def _clean(value: object) -> object:
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return value


def _sentence(error: Exception) -> str:
    return str(error)[:500] or type(error).__name__
