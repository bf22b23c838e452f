"""A realistic, seeded history: visitors with habits, sources and devices, over up to 12 months.

Popularity of pages, sources, campaigns and places falls off as in real sites (Zipf); a third of the visits
bounce; some visitors come back within the day; traffic grows over the year and falls at weekends. Events
carry what the tracker sends: a page view its title, a click the element; sessions are absent, as with the
cookieless tracker. Each day is drawn from a seed of its own, so that several processes can share a history.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Sequence
from itertools import accumulate

from portfolio_analytics.shared.log.protocol import LogRecord
from portfolio_analytics.shared.record import EventRecord, Target, encode_record

DAY_MS = 86_400_000
SITE = "bench.example"

_TOPICS = [
    "postgres", "kafka", "python", "privacy", "analytics", "dashboards", "deploying", "testing", "caching",
    "monitoring", "queues", "migrations", "typing", "security", "networking",
]  # fmt: skip
PAGES = ["/", "/pricing", "/docs", "/blog", "/about", "/signup"] + [
    f"/{('blog', 'docs', 'guides')[n % 3]}/{_TOPICS[n % 15]}/{_TOPICS[n // 15 % 15]}-part-{n}"
    for n in range(30_000)
]
SOURCES = [
    None, None, None, "https://www.google.com/", "https://news.ycombinator.com/", "https://duckduckgo.com/",
    "https://chatgpt.com/", "https://www.reddit.com/r/programming/", "https://github.com/",
    "https://www.linkedin.com/", "https://t.co/abc", *(f"https://site{n}.example/page" for n in range(400)),
]  # fmt: skip
COUNTRIES = ["US", "DE", "IN", "GB", "FR", "BR", "CA", "JP", "NL", "ES", "PL", "SE", "IT", "AU", "KR", "CH"]
PLACES = [
    (country, f"{country}-{number % 8 + 1:02d}", f"{country} Town {number}")
    for number in range(60)
    for country in COUNTRIES
]
CAMPAIGNS = [
    f"?utm_source={source}&utm_medium={medium}&utm_campaign=campaign-{number}"
    for number in range(40)
    for source, medium in (("newsletter", "email"), ("google", "cpc"), ("partner", "referral"))
]
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
PLANS = ["free", "free", "free", "pro", "team"]


def _zipf(items: Sequence[object]) -> list[float]:
    return list(accumulate(1 / (rank + 1) for rank in range(len(items))))


_PAGE_WEIGHTS = _zipf(PAGES)
_SOURCE_WEIGHTS = _zipf(SOURCES)
_PLACE_WEIGHTS = _zipf(PLACES)
_CAMPAIGN_WEIGHTS = _zipf(CAMPAIGNS)


def history(
    events: int,
    *,
    days: int,
    end_ms: int,
    site: str = SITE,
    seed: int = 1,
    first_offset: int = 0,
    partition: int = 0,
    only: range | None = None,
) -> Iterator[LogRecord]:
    """About `events` events over the `days` UTC days up to that of `end_ms`, in the order of their time.

    `only`: of those days, these numbers (0 is the first), as the records of `partition`.
    """
    first_day = end_ms // DAY_MS - days + 1
    shares = [_traffic(first_day + number, number / days) for number in range(days)]
    offset = first_offset
    for number in only if only is not None else range(days):
        wanted = round(events * shares[number] / sum(shares))
        found = _day(random.Random(f"{seed} {number}"), site, (first_day + number) * DAY_MS, wanted)
        for event in found:
            yield LogRecord(partition, offset, event.at, b"bench", encode_record(event))
            offset += 1


def _traffic(day: int, progress: float) -> float:
    """A day's share: more as the year goes on, less on Saturdays and Sundays (1970-01-01 was a Thursday)."""
    return (0.8 + 0.4 * progress) * (0.6 if (day + 3) % 7 >= 5 else 1.0)


def _day(dice: random.Random, site: str, start: int, wanted: int) -> list[EventRecord]:
    found: list[EventRecord] = []
    people: list[dict[str, object]] = []
    while len(found) < wanted:
        if people and dice.random() < 0.15:
            person = dice.choice(people)
        else:
            country, region, city = dice.choices(PLACES, cum_weights=_PLACE_WEIGHTS)[0]
            person = {
                "site": site,
                "visitor": dice.getrandbits(64) - (1 << 63),
                "user_agent": dice.choice(AGENTS),
                "screen_width": dice.choice(SCREENS),
                "country": country,
                "region": region,
                "city": city,
            }
            people.append(person)
        found += _visit(dice, start, person)
    return sorted(found[:wanted], key=lambda event: event.time)


def _visit(dice: random.Random, day_start: int, person: dict[str, object]) -> list[EventRecord]:
    time = day_start + int(min(max(dice.gauss(0.58, 0.2), 0.0), 0.97) * DAY_MS)
    referrer = dice.choices(SOURCES, cum_weights=_SOURCE_WEIGHTS)[0]
    query = dice.choices(CAMPAIGNS, cum_weights=_CAMPAIGN_WEIGHTS)[0] if dice.random() < 0.1 else ""
    many = 1 if dice.random() < 0.35 else dice.randint(2, 6)
    events = []
    for number, page in enumerate(dice.choices(PAGES, cum_weights=_PAGE_WEIGHTS, k=many)):
        stay = dice.randint(3_000, 120_000)
        title = f"{page.rpartition('/')[2].capitalize() or 'Home'} - Bench"
        landing = number == 0
        events.append(
            _event(
                dice, time, "page_view", page + query if landing else page,
                referrer=referrer if landing else None, title=title, **person,
            )
        )  # fmt: skip
        if dice.random() < 0.25:
            target = Target(tag="a", text="Read more", href=f"https://{person['site']}/blog")
            events.append(_event(dice, time + stay // 2, "click", page, target=target, **person))
        if dice.random() < 0.02:
            events.append(
                _event(dice, time + stay // 2, "signup", page, props={"plan": dice.choice(PLANS)}, **person)
            )
        depth = dice.randint(5, 100)
        events.append(
            _event(dice, time + stay, "time_spent", page, duration_ms=stay, scroll_depth=depth, **person)
        )
        time += stay + dice.randint(500, 60_000)
    return events


def _event(dice: random.Random, time: int, kind: str, page: str, **fields: object) -> EventRecord:
    identity = uuid.UUID(
        int=(time << 80) | 0x7 << 76 | dice.getrandbits(12) << 64 | 0x2 << 62 | dice.getrandbits(62)
    )
    return EventRecord(id=identity, type=kind, page=page, time=time, at=time, day=time // DAY_MS, **fields)  # type: ignore[arg-type]
