"""Compressed bodies: the limit to the byte, bombs, damage."""

from __future__ import annotations

import contextlib
import gzip
import tracemalloc

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from portfolio_analytics.producer.compression import decompress
from portfolio_analytics.shared.errors import InvalidEvent

LIMIT = 1 << 20

PACKERS = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}


@pytest.mark.parametrize("encoding", PACKERS)
@pytest.mark.parametrize("size", [0, 1, 65_536, LIMIT])
def test_up_to_the_limit_is_taken(encoding: str, size: int) -> None:
    content = bytes(i % 251 for i in range(251)) * (size // 251 + 1)
    assert decompress(PACKERS[encoding](content[:size]), encoding, LIMIT) == content[:size]


@pytest.mark.parametrize("encoding", PACKERS)
def test_one_byte_more_is_413(encoding: str) -> None:
    with pytest.raises(InvalidEvent) as caught:
        decompress(PACKERS[encoding](bytes(LIMIT + 1)), encoding, LIMIT)
    assert caught.value.status == 413


@pytest.mark.parametrize("encoding", PACKERS)
def test_a_bomb_costs_what_the_limit_allows(encoding: str) -> None:
    bomb = PACKERS[encoding](bytes(256 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidEvent) as caught:
            decompress(bomb, encoding, LIMIT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.status == 413
    assert peak < 8 << 20


@pytest.mark.parametrize("encoding", PACKERS)
@pytest.mark.parametrize("damage", ["cut off", "garbage", "garbage after", "empty"])
def test_damage_is_400(encoding: str, damage: str) -> None:
    body = PACKERS[encoding](b"x" * 10_000)
    damaged = {
        "cut off": body[:-5],
        "garbage": b"\x00" * 100,
        "garbage after": body + b"garbage",
        "empty": b"",
    }[damage]
    with pytest.raises(InvalidEvent) as caught:
        decompress(damaged, encoding, LIMIT)
    assert caught.value.status == 400


@pytest.mark.parametrize("encoding", PACKERS)
def test_several_members_are_one_body(encoding: str) -> None:
    pack = PACKERS[encoding]
    assert decompress(pack(b"one") + pack(b"two"), encoding, LIMIT) == b"onetwo"


@pytest.mark.parametrize("encoding", PACKERS)
def test_members_share_the_limit(encoding: str) -> None:
    body = PACKERS[encoding](bytes(LIMIT)) + PACKERS[encoding](b"x")
    with pytest.raises(InvalidEvent) as caught:
        decompress(body, encoding, LIMIT)
    assert caught.value.status == 413


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, zstd", "x"])
def test_other_encodings_are_415(encoding: str) -> None:
    with pytest.raises(InvalidEvent) as caught:
        decompress(b"x", encoding, LIMIT)
    assert caught.value.status == 415


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_identity_is_no_encoding(encoding: str) -> None:
    assert decompress(b"x", encoding, LIMIT) == b"x"


@given(st.binary(max_size=500), st.sampled_from(sorted(PACKERS)))
def test_bytes_never_raise_anything_else(body: bytes, encoding: str) -> None:
    with contextlib.suppress(InvalidEvent):
        assert len(decompress(body, encoding, 1000)) <= 1000
