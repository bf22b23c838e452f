"""Known traffic for the dashboard: who came when and did what, so that the numbers are known too."""

from __future__ import annotations

import json
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.integration.service import ADMIN_TOKEN, wait_for

COUNTED_SECONDS = 30.0

HISTORY = "history.example"
MARCH = f"?site={HISTORY}&period=custom&from=2025-03-01&to=2025-03-31"
"""The month of `history`. February has half as many visits, March 2024 a quarter."""

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36"
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/26.1 Mobile/15E148 Safari/604.1"
)

Event = dict[str, Any]


class Traffic:
    """Sends events to a service as an importer may, and waits until they are counted."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._sent: dict[str, int] = {}

    def send(self, site: str, events: list[Event]) -> list[str]:
        """Send `events` of `site`; their ids, once the numbers hold them all."""
        ids = []
        for start in range(0, len(events), 500):
            batch = [event | {"site": site} for event in events[start : start + 500]]
            answer = self.ask("/api/analytics/batch", batch)
            assert {result["status"] for result in answer["results"]} == {"success"}, answer
            ids += [result["event_id"] for result in answer["results"]]
        self._sent[site] = self._sent.get(site, 0) + len(events)
        wait_for(
            lambda: self.counted(site) == self._sent[site],
            COUNTED_SECONDS,
            lambda: f"{self._sent[site]} events of {site} to be counted; there are {self.counted(site)}",
        )
        return ids

    def counted(self, site: str) -> int:
        """How many events of `site` the service has counted."""
        answer = self.ask(f"/api/stats?site={site}")
        return int(answer["total_events"])

    def ask(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """Call the API as the administrator."""
        request = urllib.request.Request(
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


def visit(
    start: datetime,
    pages: list[str],
    *,
    country: str = "DE",
    agent: str = CHROME,
    referrer: str | None = None,
    also: list[Event] | None = None,
) -> list[Event]:
    """One visitor's page views, a minute apart, and `also` a minute after them."""
    who = {
        "visitor": str(uuid.uuid4()),
        "session_id": uuid.uuid4().hex,
        "country": country,
        "user_agent": agent,
        "screen_width": 390 if agent is IPHONE else 1920,
    }
    steps: list[Event] = [{"event_type": "page_view", "page": page} for page in pages]
    steps += [{"page": pages[-1]} | event for event in also or []]
    if referrer:
        steps[0]["referrer"] = referrer
    return [
        who | step | {"timestamp": (start + timedelta(minutes=number)).isoformat()}
        for number, step in enumerate(steps)
    ]


def now_visit(pages: list[str], **details: Any) -> list[Event]:
    """A visit whose page views happened just now, all at once."""
    moment = datetime.now(UTC) - timedelta(seconds=1)
    return [event | {"timestamp": moment.isoformat()} for event in visit(moment, pages, **details)]


def history() -> list[Event]:
    """March 2025, 31 days of 4 visits each; see the table in test_numbers."""
    events: list[Event] = []
    for day in days("2025-03-01", 31):
        events += visit(day, ["/", "/about"], referrer="https://www.google.com/")
        events += visit(day + timedelta(hours=1), ["/"], country="US", agent=FIREFOX)
        events += visit(
            day + timedelta(hours=2),
            ["/pricing?utm_source=letter&utm_medium=email&utm_campaign=spring", "/signup"],
            country="US",
            agent=IPHONE,
            also=[{"event_type": "signup", "props": {"plan": "free"}}],
        )
        events += visit(day + timedelta(hours=3), ["/pricing", "/", "/about"], country="FR")
    for day in days("2025-02-01", 28):
        events += visit(day, ["/", "/about"])
        events += visit(day, ["/"])
    for day in days("2024-03-01", 31):
        events += visit(day, ["/"])
    return events


def days(first: str, count: int) -> Iterator[datetime]:
    """Noon, UTC, of `count` days."""
    start = datetime.fromisoformat(f"{first}T12:00:00+00:00")
    return (start + timedelta(days=number) for number in range(count))
