"""One row of `events`, packed for COPY. The consumer's hottest function."""

from __future__ import annotations

from struct import Struct

import msgspec

from portfolio_analytics.shared.record import EventRecord
from portfolio_analytics.storage.binary_copy import (
    EPOCH_DAY,
    INT2,
    INT4,
    INT8,
    LENGTH,
    NULL,
    instant,
    jsonb,
    text,
)

COLUMNS = (
    "event_id", "time", "accepted_at", "actor", "visitor", "page_id", "client_id", "log_offset", "site_id",
    "day", "log_partition", "flags", "origin_id", "duration_ms", "scroll_depth", "type", "host", "title",
    "target", "props", "consent",
)  # fmt: skip

_HEAD = Struct("!hi16s" + "iq" * 7 + "iiii" + "ihih")

_json = msgspec.json.Encoder().encode


def pack_event(
    event: EventRecord,
    actor: int,
    visitor: int,
    site_id: int,
    page_id: int,
    client_id: int,
    origin_id: int | None,
    partition: int,
    offset: int,
) -> bytes:
    """The bytes of one row; numbers must fit their columns (consumer/decode.py sees to it)."""
    kind = event.type.encode()
    head = _HEAD.pack(
        len(COLUMNS), 16, event.id.int.to_bytes(16), 8, instant(event.time), 8, instant(event.at),
        8, actor, 8, visitor, 8, page_id, 8, client_id, 8, offset, 4, site_id, 4, event.day - EPOCH_DAY,
        2, partition, 2, event.flags,
    )  # fmt: skip
    return b"".join(
        (
            head,
            NULL if origin_id is None else INT8.pack(8, origin_id),
            NULL if event.duration_ms is None else INT4.pack(4, event.duration_ms),
            NULL if event.scroll_depth is None else INT2.pack(2, event.scroll_depth),
            LENGTH.pack(len(kind)),
            kind,
            NULL if event.host is None else text(event.host),
            NULL if event.title is None else text(event.title),
            NULL if event.target is None else jsonb(_json(event.target)),
            NULL if not event.props else jsonb(_json(event.props)),
            NULL if event.consent is None else text(event.consent),
        )
    )
