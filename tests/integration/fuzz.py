"""Made-up input for the intake: event documents and whole bodies, from a seed.

Hypothesis draws a stock of JSON values; a random generator mixes them into events, spoils some, and makes
bodies of them. An input is one event document, or one body that is no list of documents.
"""

from __future__ import annotations

import gzip
import json
import random
import time
import uuid
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import zstandard
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as drawn_from
from hypothesis import strategies as st

STOCK = 500
BROWSERS = 2_000
DAY_MS = 86_400_000
FIELDS = (
    "event_type", "page", "session_id", "timestamp", "user_agent", "screen_width", "screen_height",
    "duration_seconds", "element", "event_id", "site", "referrer", "title", "duration_ms", "target",
    "scroll_depth", "props", "consent", "consent_version", "visitor_id", "visitor", "country",
)  # fmt: skip
EDGES: tuple[object, ...] = (
    None, True, False, 0, -1, 1, 32_767, 32_768, 65_535, 65_536, 2**31 - 1, 2**31, -(2**31), 2**53, 2**63 - 1,
    2**63, -(2**63), 2**64, 10**50, 0.5, -0.0, 1e-320, 1.7e308, 100, 100.4, 101, "", " ", "0", "null", "\x00",
    "a\x00b", "\ud800", "\udfff\ud800", "\U0010ffff", "e\u0301", "\u202e", "'; DROP TABLE events; --",
    "=cmd|' /C calc'!A0",
    "<script>", "../..", "/%00/%2e%2e", "http://", "http://[::1", "//", "?utm_source=a&utm_source=\x00#x",
    "mailto:a@example.com", "javascript:0", "data:,", "x" * 300, "é" * 3_000, "/" + "%C3%A9" * 900,
    "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:60Z", "2026-02-30T00:00:00Z",
    "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-7fff-bfff-ffffffffffff", [], {}, [[]], {"": ""},
    {"a": None}, {"a": {"b": 1}}, {"tag": "a", "class": {}, "text": "\x00"}, {"a": 2**63}, {"a": "x" * 2_001},
)  # fmt: skip


class Body(NamedTuple):
    """One request: how many inputs it has, where it goes, its Content-Encoding, and who of many sends it."""

    inputs: int
    path: str
    encoding: str
    content: bytes
    browser: int = 0


class Fuzz:
    """Makes requests, the same for the same `seed`."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._values = [*EDGES, *_draw(seed)]
        self._texts = [value for value in self._values if isinstance(value, str)]
        self._kinds: list[Callable[[], Body]] = [
            self._single, self._single, self._spoiled, self._noise, self._compressed, self._deep,
        ]  # fmt: skip

    def request(self, documents: int) -> Body:
        """A batch of that many documents, or with none a body of some other kind."""
        # A visitor each: one who makes all visits is another test.
        browser = self._random.randrange(BROWSERS)
        if not documents:
            return self._random.choice(self._kinds)()._replace(browser=browser)
        lines = [self._document() for _ in range(documents)]
        return Body(documents, "/api/analytics/batch", "", b"\n".join(lines), browser)

    def _event(self) -> dict[str, object]:
        pick, now = self._random, time.time_ns() // 1_000_000
        found: dict[str, object] = {
            "event_type": pick.choice(("page_view", "click", "time_spent", "signup")),
            "page": f"/{pick.randrange(200)}",
            "session_id": f"s{pick.randrange(2_000)}",
        }
        if pick.random() < 0.5:
            at = now - pick.randrange(8 * DAY_MS) + 900_000
            found["timestamp"] = datetime.fromtimestamp(at / 1000, UTC).isoformat()
            found["event_id"] = str(uuid.UUID(int=pick.getrandbits(128), version=4))
        for _ in range(pick.choice((0, 0, 1, 1, 2, 3, 6))):
            found[pick.choice(FIELDS)] = pick.choice(self._values)
        if pick.random() < 0.1:
            found["props"] = {
                pick.choice(self._texts)[:300]: pick.choice(self._values) for _ in range(pick.randrange(33))
            }
        return found

    def _document(self) -> bytes:
        """One line of a batch: an event, now and then with its bytes spoiled."""
        text = json.dumps(self._event(), ensure_ascii=self._random.random() < 0.5)
        found = text.encode(errors="surrogatepass")
        if self._random.random() < 0.1:
            found = self._spoil(found)
        return found.replace(b"\n", b" ") or b"{"

    def _spoil(self, content: bytes) -> bytes:
        pick, found = self._random, bytearray(content)
        for _ in range(pick.randrange(1, 4)):
            place = pick.randrange(len(found) + 1)
            match pick.randrange(4):
                case 0:
                    del found[place:]
                case 1:
                    found[place:place] = pick.randbytes(pick.randrange(1, 8))
                case 2:
                    del found[place : place + pick.randrange(1, 20)]
                case _:
                    found[place:place] = found[: pick.randrange(1, 40)]
        return bytes(found)

    def _path(self) -> str:
        return self._random.choice(("/api/analytics", "/api/analytics", "/api/analytics/batch"))

    def _single(self) -> Body:
        return Body(1, "/api/analytics", "", self._document())

    def _spoiled(self) -> Body:
        return Body(1, self._path(), "", self._spoil(self._document()))

    def _noise(self) -> Body:
        return Body(1, self._path(), "", self._random.randbytes(self._random.choice((0, 1, 2, 30, 3_000))))

    def _compressed(self) -> Body:
        pick, content = self._random, self._document()
        encoding = pick.choice(("gzip", "zstd", "deflate", "identity", "br", "gzip, zstd"))
        match encoding:
            case "gzip":
                content = gzip.compress(content, 1)
            case "zstd":
                content = zstandard.compress(content, 1)
            case "deflate":
                content = zlib.compress(content, 1)
        if pick.random() < 0.5:
            content = self._spoil(content)
        return Body(1, self._path(), encoding, content)

    def _deep(self) -> Body:
        pick = self._random
        depth, opening = pick.choice((10, 1_000, 50_000)), pick.choice((b"[", b'{"a":', b'{"props":'))
        return Body(
            1, self._path(), "", opening * depth + pick.choice((b"", b"1", b"]" * depth, b"}" * depth))
        )


def _draw(seed: int) -> list[object]:
    """JSON values, as hypothesis finds them."""
    texts = st.text(st.characters(), max_size=60)
    leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
    values = st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=8,
    )
    found: list[object] = []

    @drawn_from(seed)
    @settings(
        max_examples=STOCK, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(values)
    def collect(value: object) -> None:
        found.append(value)

    collect()
    return found
