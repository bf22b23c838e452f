"""Made-up visits to a made-up portfolio site. Everything follows from the dice that are given."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

EVENTS_A_VISIT = 4.6
"""About how many events a visit has, measured over many visits."""

_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_APPLE = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
_CHROME = "Chrome/142.0.0.0"
_SAFARI = "Version/26.1 Mobile/15E148 Safari/604.1"
_IPHONE = f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) {_APPLE} {_SAFARI}"
_IPAD = f"Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) {_APPLE} {_SAFARI}"
_GALAXY = (
    f"Mozilla/5.0 (Linux; Android 15; SM-S931B) {_WEBKIT} "
    "SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36"
)

# (user agent, screen width, screen height), weight
_DEVICES = (
    ((f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} {_CHROME} Safari/537.36", 1920, 1080), 24),
    (
        (
            f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} {_CHROME} Safari/537.36 Edg/142.0.0.0",
            1536,
            864,
        ),
        8,
    ),
    (("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0", 1366, 768), 5),
    ((f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_WEBKIT} {_CHROME} Safari/537.36", 1440, 900), 13),
    (
        (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_APPLE} Version/26.1 Safari/605.1.15", 1512, 982),
        8,
    ),
    (("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", 2560, 1440), 6),
    ((f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {_WEBKIT} {_CHROME} Safari/537.36", 1366, 768), 1),
    ((_IPHONE, 393, 852), 16),
    ((f"Mozilla/5.0 (Linux; Android 10; K) {_WEBKIT} {_CHROME} Mobile Safari/537.36", 412, 915), 16),
    ((_GALAXY, 384, 854), 4),
    ((_IPAD, 820, 1180), 3),
)

# (referrer, query of the entry page), weight
_ORIGINS = (
    ((None, ""), 34),
    (("https://www.google.com/", ""), 26),
    (("https://github.com/example/portfolio", ""), 8),
    (("https://www.linkedin.com/", ""), 7),
    (("https://news.ycombinator.com/item", ""), 6),
    (("https://duckduckgo.com/", ""), 4),
    (("https://chatgpt.com/", "?utm_source=chatgpt.com"), 4),
    (("https://www.bing.com/", ""), 3),
    (("https://www.reddit.com/r/webdev", ""), 3),
    (("https://dev.to/", ""), 2),
    (("https://www.perplexity.ai/", ""), 1),
    ((None, "?utm_source=newsletter&utm_medium=email&utm_campaign=november"), 4),
    (("https://www.google.com/", "?utm_source=google&utm_medium=cpc&utm_campaign=hire-me"), 2),
    (("https://t.co/", "?utm_source=twitter&utm_medium=social&utm_campaign=launch"), 2),
)

_COUNTRIES = (
    ("US", 28), ("DE", 12), ("IN", 11), ("GB", 9), ("FR", 6), ("NL", 5), ("BR", 5), ("CA", 5), ("JP", 4),
    ("PL", 3), ("ES", 3), ("SE", 3), ("AU", 3), ("NG", 2), ("UA", 1),
)  # fmt: skip

# page -> ((where a reader goes next, weight) ...); None: leaves
_FLOWS: dict[str, tuple[tuple[str | None, int], ...]] = {
    "/": (("/projects", 30), ("/blog", 20), ("/about", 14), ("/contact", 6), (None, 30)),
    "/projects": (
        ("/projects/analytics", 25),
        ("/projects/synth", 14),
        ("/", 8),
        ("/contact", 8),
        (None, 45),
    ),
    "/projects/analytics": (("/projects", 20), ("/contact", 14), ("/blog/exactly-once", 16), (None, 50)),
    "/projects/synth": (("/projects", 25), ("/about", 10), (None, 65)),
    "/blog": (("/blog/exactly-once", 28), ("/blog/small-tools", 20), ("/blog/css-grid", 12), (None, 40)),
    "/blog/exactly-once": (("/blog", 14), ("/projects/analytics", 16), ("/", 8), (None, 62)),
    "/blog/small-tools": (("/blog", 18), ("/about", 8), (None, 74)),
    "/blog/css-grid": (("/blog", 14), (None, 86)),
    "/about": (("/contact", 22), ("/projects", 22), (None, 56)),
    "/contact": (("/", 10), (None, 90)),
}
_ENTRIES = (
    ("/", 44), ("/blog/exactly-once", 20), ("/blog/small-tools", 10), ("/projects/analytics", 10),
    ("/blog/css-grid", 6), ("/projects", 6), ("/about", 4),
)  # fmt: skip
_TITLES = {
    "/": "Ada Example, engineer", "/projects": "Projects", "/projects/analytics": "Portfolio Analytics",
    "/projects/synth": "A synthesiser in 500 lines", "/blog": "Blog",
    "/blog/exactly-once": "Counting exactly once",
    "/blog/small-tools": "In praise of small tools", "/blog/css-grid": "A grid in ten minutes",
    "/about": "About", "/contact": "Contact",
}  # fmt: skip
_CLICKS = (
    ({"tag": "a", "id": "github", "text": "Source on GitHub", "href": "https://github.com/example"}, 5),
    ({"tag": "button", "id": "theme", "text": "Dark mode"}, 3),
    ({"tag": "a", "text": "Curriculum vitae", "href": "/cv.pdf"}, 2),
    ({"tag": "a", "text": "Write to me", "href": "mailto:"}, 1),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a visit, `after` seconds after the visit's beginning; `fields` are the intake's."""

    after: float
    fields: dict[str, Any]


def make_visit(dice: random.Random, *, known: bool) -> Iterator[Step]:
    """One visit's events in order: page views, scrolling and reading times, clicks.

    `known` adds the visitor and the country, which the intake takes with import scope alone.
    """
    user_agent, width, height = _pick(dice, _DEVICES)
    referrer, query = _pick(dice, _ORIGINS)
    same: dict[str, Any] = {
        "user_agent": user_agent,
        "screen_width": width,
        "screen_height": height,
        "session_id": f"demo-{dice.getrandbits(64):016x}",
    }
    if known:
        same["visitor"] = f"{dice.getrandbits(64):016x}"
        same["country"] = _pick(dice, _COUNTRIES)
    page: str | None = _pick(dice, _ENTRIES)
    now, path_query = 0.0, query
    while page is not None:
        here = same | {"page": page + path_query}
        if now == 0.0 and referrer:
            here["referrer"] = referrer
        yield Step(now, here | {"event_type": "page_view", "title": _TITLES[page]})
        reading = min(dice.lognormvariate(3.0, 0.8), 600.0)
        if dice.random() < 0.35:
            yield Step(now + reading / 2, here | {"event_type": "click", "target": _pick(dice, _CLICKS)})
        if page == "/contact" and dice.random() < 0.5:
            yield Step(now + reading * 0.9, here | {"event_type": "contact_form"})
        now += reading
        spent = {"duration_ms": round(reading * 1000), "scroll_depth": min(100, round(20 + reading * 1.6))}
        yield Step(now, here | {"event_type": "time_spent"} | spent)
        page, path_query = _pick(dice, _FLOWS[page]), ""
        now += 0.2


def daily_rhythm(hour: float) -> float:
    """How busy an hour of the day (0-24, UTC) is: 1 on average, most at 15:00, least at 3:00."""
    return 1.0 + 0.7 * math.cos((hour - 15.0) / 24.0 * 2.0 * math.pi)


def _pick(dice: random.Random, weighted: Sequence[tuple[T, int]]) -> T:
    things, weights = zip(*weighted, strict=True)
    return dice.choices(things, weights)[0]  # type: ignore[no-any-return]
