"""A realistic, seeded history: visitors with habits, sources and devices, over up to 12 months.

Popularity of pages, sources and countries falls off as in real sites (Zipf); a third of the visitors bounce;
sessions are absent, as with the cookieless tracker.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from itertools import accumulate

from portfolio_analytics.shared.log.protocol import LogRecord
from portfolio_analytics.shared.record import EventRecord, encode_record

DAY_MS = 86_400_000
PAGES = [f"/{kind}/{number}" for number in range(150) for kind in ("blog", "docs")]
SOURCES = [
    None, None, None, "https://www.google.com/", "https://news.ycombinator.com/", "https://duckduckgo.com/",
    "https://chatgpt.com/", "https://www.reddit.com/r/programming/", "https://github.com/",
    "https://www.linkedin.com/", "https://t.co/abc", *(f"https://site{n}.example/page" for n in range(40)),
]  # fmt: skip
COUNTRIES = ["US", "DE", "IN", "GB", "FR", "BR", "CA", "JP", "NL", "ES", "PL", "SE", "IT", "AU", "KR", "CH"]
CAMPAIGNS = ["", "", "", "", "", "", "?utm_source=newsletter&utm_medium=email&utm_campaign=spring"]
SCREENS = [390, 414, 768, 1366, 1440, 1536, 1920, 2560]
_SAFARI = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.4 Safari/605.1.15"
)
_PIXEL = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Mobile Safari/537.36"
)
AGENTS = [
    *(
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
        f"Chrome/{number}.0.0.0 Safari/537.36"
        for number in range(118, 132)
    ),
    *(
        f"Mozilla/5.0 (iPhone; CPU iPhone OS {number}_1 like Mac OS X) AppleWebKit/605.1.15 "
        f"(KHTML, like Gecko) "
        f"Version/{number}.1 Mobile/15E148 Safari/604.1"
        for number in range(15, 19)
    ),
    *(
        f"Mozilla/5.0 (X11; Linux x86_64; rv:{number}.0) Gecko/20100101 Firefox/{number}.0"
        for number in range(118, 132)
    ),
    _SAFARI,
    _PIXEL,
]


def history(
    events: int, *, days: int, end_ms: int, site: str = "bench.example", seed: int = 1, first_offset: int = 0
) -> Iterator[LogRecord]:
    """About `events` events of visits over `days` days up to `end_ms`, in the order of their time."""
    dice = random.Random(seed)
    a_day = events / days
    offset = first_offset
    for day in range(days):
        start = (end_ms // DAY_MS - days + 1 + day) * DAY_MS
        found: list[EventRecord] = []
        while len(found) < a_day:
            found.extend(_visit(dice, site, start))
        for event in sorted(found, key=lambda event: event.time):
            yield LogRecord(0, offset, event.at, b"bench", encode_record(event))
            offset += 1


def _zipf(items: list[object]) -> list[float]:
    return list(accumulate(1 / (rank + 1) for rank in range(len(items))))


_PAGE_WEIGHTS = _zipf(list(PAGES))
_SOURCE_WEIGHTS = _zipf(list(SOURCES))
_COUNTRY_WEIGHTS = _zipf(list(COUNTRIES))


def _visit(dice: random.Random, site: str, day_start: int) -> list[EventRecord]:
    time = day_start + int(min(max(dice.gauss(0.58, 0.2), 0.0), 0.97) * DAY_MS)
    common = {
        "site": site,
        "visitor": dice.getrandbits(63),
        "user_agent": dice.choice(AGENTS),
        "screen_width": dice.choice(SCREENS),
        "country": dice.choices(COUNTRIES, cum_weights=_COUNTRY_WEIGHTS)[0],
    }
    referrer = dice.choices(SOURCES, cum_weights=_SOURCE_WEIGHTS)[0]
    events = []
    for number in range(1 if dice.random() < 0.35 else dice.randint(2, 6)):
        page = dice.choices(PAGES, cum_weights=_PAGE_WEIGHTS)[0]
        stay = dice.randint(3_000, 120_000)
        query = dice.choice(CAMPAIGNS) if number == 0 else ""
        events.append(
            _event(
                dice, time, "page_view", page + query, referrer=referrer if number == 0 else None, **common
            )
        )
        if dice.random() < 0.25:
            events.append(_event(dice, time + stay // 2, "click", page, **common))
        events.append(
            _event(
                dice,
                time + stay,
                "time_spent",
                page,
                duration_ms=stay,
                scroll_depth=dice.randint(5, 100),
                **common,
            )
        )
        time += stay + dice.randint(500, 60_000)
    return events


def _event(dice: random.Random, time: int, kind: str, page: str, **fields: object) -> EventRecord:
    identity = uuid.UUID(
        int=(time << 80) | 0x7 << 76 | dice.getrandbits(12) << 64 | 0x2 << 62 | dice.getrandbits(62)
    )
    return EventRecord(id=identity, type=kind, page=page, time=time, at=time, day=time // DAY_MS, **fields)  # type: ignore[arg-type]
