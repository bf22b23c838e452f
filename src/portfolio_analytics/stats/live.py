"""What goes on now at one site, shared by all who watch: states, the messages that lead to them. Pure.

A message is one server-sent event. `snapshot` replaces what a listener knew, `update` brings new events and
the new figures. Its id is this feed's name and a number: a listener that comes back with Last-Event-ID is
told what it missed, as long as that is remembered here.
"""

from __future__ import annotations

import datetime
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from portfolio_analytics.stats.latency import Latency, latency

MINUTES: Final = 30
LATEST: Final = 20
REMEMBERED: Final = 60
MINUTE_MS: Final = 60_000

_encode = msgspec.json.Encoder().encode


class LiveMinute(msgspec.Struct, frozen=True):
    """One minute; its beginning in Unix milliseconds."""

    minute: int
    visitors: int
    pageviews: int


class LiveEvent(msgspec.Struct, frozen=True):
    """One event, without anything that tells whose it is; `time` in Unix milliseconds.

    `source` is its visit's; None: not known, direct, or of a visit that began before yesterday (UTC).
    """

    id: str
    site: str
    time: int
    type: str
    page: str | None = None
    source: str | None = None
    country: str | None = None
    browser: str | None = None
    device: str | None = None


class Figures(msgspec.Struct, frozen=True):
    """Visitors of the last 5 minutes, the last 30 minutes one by one, latency of the last 5 minutes."""

    visitors: int
    minutes: tuple[LiveMinute, ...]
    latency_ms: Latency


class Message(msgspec.Struct, frozen=True):
    """The data of a server-sent event; `events` latest first."""

    visitors: int
    minutes: tuple[LiveMinute, ...]
    latency_ms: Latency
    events: tuple[LiveEvent, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look into the database found."""

    visitors: int
    minutes: dict[int, tuple[int, int]]
    events: tuple[LiveEvent, ...]
    latencies: dict[int, int]

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> Reading:
        """From the row of storage/sql/stats_live.sql."""
        visitors, minutes, events, latencies = row
        return cls(
            visitors,
            {int(minute): (counts[0], counts[1]) for minute, counts in minutes.items()},
            tuple(LiveEvent(**event) for event in events),
            {int(bucket): n for bucket, n in latencies.items()},
        )


@dataclass(frozen=True, slots=True)
class _Tick:
    number: int
    figures: Figures
    fresh: tuple[LiveEvent, ...]


class Feed:
    """The states of one site. `name` tells this feed from those of other processes."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._ticks: deque[_Tick] = deque(maxlen=REMEMBERED)
        self._minutes: dict[int, tuple[int, int]] = {}
        self._latest: tuple[LiveEvent, ...] = ()

    @property
    def number(self) -> int:
        """The number of the newest state; 0 before the first."""
        return self._ticks[-1].number if self._ticks else 0

    def take(self, reading: Reading, now: datetime.datetime) -> bool:
        """Go on to what was read at `now`; whether anything is new.

        A reading may hold the last minutes alone: older ones stay as they were read before.
        """
        current = int(now.timestamp() * 1000) // MINUTE_MS * MINUTE_MS
        first = current - (MINUTES - 1) * MINUTE_MS
        self._minutes = {m: c for m, c in (self._minutes | reading.minutes).items() if m >= first}
        minutes = tuple(
            LiveMinute(minute, *self._minutes.get(minute, (0, 0)))
            for minute in range(first, current + 1, MINUTE_MS)
        )
        figures = Figures(reading.visitors, minutes, latency(reading.latencies))
        known = {event.id for event in self._latest}
        fresh = tuple(event for event in reading.events if event.id not in known)
        if self._ticks and not fresh and figures == self._ticks[-1].figures:
            return False
        self._latest = reading.events[:LATEST]
        self._ticks.append(_Tick(self.number + 1, figures, fresh))
        return True

    def heard(self, last_event_id: str | None) -> int:
        """The number that a Last-Event-ID of this feed names; 0 for any other."""
        name, _, number = (last_event_id or "").rpartition("-")
        if name != self._name or not (number.isascii() and number.isdigit() and len(number) < 16):
            return 0
        return int(number)

    def message(self, after: int) -> bytes:
        """The server-sent event that brings a listener from the state `after` to the newest."""
        newest = self._ticks[-1]
        missed = [tick for tick in self._ticks if tick.number > after]
        if not missed or missed[0].number != after + 1 or after < 1:
            return self._event("snapshot", newest, self._latest)
        fresh = tuple(event for tick in reversed(missed) for event in tick.fresh)
        return self._event("update", newest, fresh)

    def _event(self, kind: str, tick: _Tick, events: tuple[LiveEvent, ...]) -> bytes:
        figures = tick.figures
        data = _encode(Message(figures.visitors, figures.minutes, figures.latency_ms, events))
        return b"id: %s-%d\nevent: %s\ndata: %s\n\n" % (self._name.encode(), tick.number, kind.encode(), data)
