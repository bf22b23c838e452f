"""The records of the event log: what the producer writes and the consumer reads.

A record's value is one JSON object, so that any Kafka tool can read the topic. `kind` tells which:

    event    one accepted event, cleaned, without any address
    attest   what one producer worker has had acknowledged since its last attestation

A record without `kind` was written by the original Go service; `LegacyEvent` reads it as it is.
Unknown fields are ignored and absent ones have defaults, so that workers of two versions can share a topic.
"""

from __future__ import annotations

import uuid
from typing import Literal

import msgspec

Scalar = str | int | float | bool

TIME_FROM_RECEIPT = 1  # flag: the client's time was absent or out of the window
VISITOR_KNOWN = 2  # flag: the visitor is a persistent id, sent with consent
IMPORTED = 4  # flag: sent with an import token; no lower bound on its time
SPOOLED = 8  # flag: written to a spool; the bits above it number it there, modulo SPOOL_NUMBERS

SPOOL_NUMBERS = 1 << 11  # what is left of a 15-bit number
_SPOOL_NUMBER_SHIFT = 4


class Target(msgspec.Struct, omit_defaults=True, gc=False):
    """The element that was clicked, or the place that was navigated to."""

    tag: str | None = None
    id: str | None = None
    class_: str | None = msgspec.field(default=None, name="class")
    text: str | None = None
    href: str | None = None


class EventRecord(msgspec.Struct, omit_defaults=True, tag_field="kind", tag="event", kw_only=True, gc=False):
    """One accepted event. Times are Unix milliseconds."""

    id: uuid.UUID
    site: str
    type: str
    page: str  # path and the kept part of the query, such as /blog?utm_source=x
    host: str | None = None  # the page's host, where it is not the site's name
    time: int
    at: int  # when it was accepted
    day: int  # identity day: days since 1970-01-01 UTC
    worker: str = ""  # which producer worker attests it
    visitor: int = 0  # signed 64-bit hash
    visitor_before: int | None = None  # yesterday's hash; only in the 30 minutes after midnight UTC
    session: str | None = None
    flags: int = 0
    user_agent: str | None = None
    screen_width: int | None = None
    screen_height: int | None = None
    referrer: str | None = None
    title: str | None = None
    duration_ms: int | None = None
    target: Target | None = None
    scroll_depth: int | None = None
    props: dict[str, Scalar] | None = None
    consent: Literal["granted"] | None = None
    consent_version: str | None = None
    country: str | None = None
    region: str | None = None
    city: str | None = None
    trace: str | None = None  # the request's W3C traceparent, where it is sampled


class AttestRecord(msgspec.Struct, omit_defaults=True, tag_field="kind", tag="attest", kw_only=True):
    """What one worker saw since its last attestation, by minute of acceptance.

    Keys are minutes since 1970-01-01 UTC as text. `refused` and `ignored` count requests by reason;
    they stand beside the ledger's equation.
    """

    worker: str
    sequence: int
    accepted: dict[str, int] = {}
    refused: dict[str, dict[str, int]] = {}
    ignored: dict[str, dict[str, int]] = {}


class LegacyEvent(msgspec.Struct):
    """What the original Go service wrote: the request's body as it came."""

    event_type: str
    page: str = ""
    session_id: str | None = None
    timestamp: str | None = None
    user_agent: str | None = None
    screen_width: int | None = None
    screen_height: int | None = None


Record = EventRecord | AttestRecord

encode_record = msgspec.json.Encoder().encode
decode_record = msgspec.json.Decoder(Record).decode
decode_legacy = msgspec.json.Decoder(LegacyEvent).decode


def mark_spooled(value: bytes, number: int) -> bytes:
    """An event's record as it goes into a spool, as the `number`th of its worker; other records as they are.

    What comes from a spool may stand in the log twice: Kafka may have had it before it was spooled, or take
    it again after an answer that was lost. The mark lets the consumer tell that from a client's second try.
    """
    record = decode_record(value)
    if not isinstance(record, EventRecord):
        return value
    record.flags |= SPOOLED | number % SPOOL_NUMBERS << _SPOOL_NUMBER_SHIFT
    return encode_record(record)


def is_copy(at: int, flags: int, other_at: int, other_flags: int) -> bool:
    """Whether two records of one event id stand for one acknowledgement, rather than for two.

    They have the moment of acceptance in common, and one is from a spool; where both are, also the number.
    """
    if at != other_at or not (flags | other_flags) & SPOOLED:
        return False
    spooled_both = flags & other_flags & SPOOLED
    return not spooled_both or flags >> _SPOOL_NUMBER_SHIFT == other_flags >> _SPOOL_NUMBER_SHIFT


def log_key(site: str, session: str | None, visitor: int, visitor_before: int | None = None) -> bytes:
    """The key that keeps one visit in one partition: the site and the session, else the visitor.

    While yesterday's hash is attached it is the key, so that a visit that goes on past midnight stays in
    its partition.
    """
    who = session if session is not None else visitor if visitor_before is None else visitor_before
    return f"{site}\x00{who}".encode()
