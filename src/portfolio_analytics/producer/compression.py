"""Compressed bodies, opened no further than a limit: a bomb costs what the limit allows."""

from __future__ import annotations

import zlib

import zstandard

from portfolio_analytics.shared.errors import InvalidEvent

_GZIP = 31  # zlib's word for: a gzip header, the largest window
_MAX_WINDOW = 8 << 20  # bytes; what RFC 8878 asks a decoder to support
_ZSTD_STEP = 64  # bytes; four can stand for 128 KiB (an RLE block), so a step gives 2 MiB at most


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """`body` as Content-Encoding `encoding` describes it, at most `limit` bytes.

    Raises InvalidEvent: 415 for an encoding other than gzip, zstd and identity, 413 past the limit, 400
    when the data is damaged or cut off.
    """
    name = encoding.strip().lower()
    if name in ("gzip", "x-gzip"):
        return _gunzip(body, limit)
    if name == "zstd":
        return _unzstd(body, limit)
    if name in ("", "identity"):
        return body
    raise InvalidEvent(
        "unsupported_encoding", "Content-Encoding can be gzip, zstd or identity.", "Content-Encoding", 415
    )


def _gunzip(body: bytes, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    rest = body
    try:
        while True:  # a gzip file may be several, one after the other
            member = zlib.decompressobj(_GZIP)
            piece = member.decompress(rest, limit + 1 - size)
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            pieces.append(piece)
            if not member.eof:
                raise _damaged()
            rest = member.unused_data
            if not rest:
                return b"".join(pieces)
    except zlib.error:
        raise _damaged() from None


def _unzstd(body: bytes, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    rest = body
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
    try:
        while True:
            frame = decompressor.decompressobj()
            for start in range(0, len(rest), _ZSTD_STEP):
                piece = frame.decompress(rest[start : start + _ZSTD_STEP])
                size += len(piece)
                if size > limit:
                    raise _too_large(limit)
                pieces.append(piece)
                if frame.eof:
                    rest = frame.unused_data + rest[start + _ZSTD_STEP :]
                    break
            else:
                raise _damaged()
            if not rest:
                return b"".join(pieces)
    except zstandard.ZstdError:
        raise _damaged() from None


def _too_large(limit: int) -> InvalidEvent:
    return InvalidEvent("too_large", f"The body is larger than {limit} bytes.", status=413)


def _damaged() -> InvalidEvent:
    return InvalidEvent("invalid_compression", "The compressed body is damaged or cut off.", status=400)
