"""One row of `events`, packed for COPY. The consumer's hottest function."""

from __future__ import annotations

from struct import Struct

import msgspec

from portfolio_analytics.consumer.batch import Item
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


def pack_event(item: Item) -> bytes:
    """The bytes of one row; numbers must fit their columns (consumer/decode.py sees to it)."""
    event, origin = item.event, item.origin
    kind = event.type.encode()
    head = _HEAD.pack(
        len(COLUMNS), 16, event.id.int.to_bytes(16), 8, instant(event.time), 8, instant(event.at),
        8, item.actor, 8, item.visitor, 8, item.page.id, 8, item.client.id, 8, item.offset,
        4, item.site_id, 4, event.day - EPOCH_DAY, 2, item.partition, 2, event.flags,
    )  # fmt: skip
    return b"".join(
        (
            head,
            NULL if origin is None else INT8.pack(8, origin.id),
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
