"""The bodies of intake's answers, from templates: nothing is encoded that was known before."""

from __future__ import annotations

from uuid import UUID

import msgspec

from portfolio_analytics.producer.publisher import Placed
from portfolio_analytics.shared.errors import InvalidEvent

PIXEL = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
"""One transparent pixel."""

_QUEUED = b'{"status":"success","message":"Event queued","partition":%d,"offset":%d,"event_id":%b}'
_SOMEWHERE = b'{"status":"success","message":"Event queued","partition":%d,"offset":null,"event_id":%b}'

_encode = msgspec.json.Encoder().encode


def success(placed: Placed, event_id: UUID) -> bytes:
    """An event that is stored."""
    if placed is None:
        return (
            '{"status":"success","message":"Event spooled","partition":null,"offset":null,'
            f'"event_id":"{event_id}"}}'
        ).encode()
    # The log has the record, and may not say where (protocol.Appended).
    partition, offset = placed
    identity = _encode(event_id)  # a fifth of what str() of a UUID takes
    if offset < 0:
        return _SOMEWHERE % (partition, identity)
    return _QUEUED % (partition, offset, identity)


def ignored(reason: str) -> bytes:
    """An event that is not recorded by policy."""
    return f'{{"status":"ignored","reason":"{reason}"}}'.encode()


def rejected(error: InvalidEvent) -> bytes:
    """An event of a batch that is not taken."""
    body = {"status": "rejected", "error": error.code, "message": error.message}
    if error.field is not None:
        body["field"] = error.field
    return _encode(body)


def batch(results: list[bytes], any_rejected: bool) -> bytes:
    """The results of a batch, in order."""
    status = b"partial" if any_rejected else b"success"
    return b'{"status":"' + status + b'","results":[' + b",".join(results) + b"]}"
