"""Visits that go on past midnight UTC, when the visitor's hash changes.

In the first 30 minutes of a day an event carries yesterday's hash too. Where a visit under that hash is going
on, the event belongs to it, and so do later ones of the same visitor until the visit ends. Otherwise the old
hash is forgotten. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from portfolio_analytics.consumer.visits.visit import PAUSE_MS

Key = tuple[int, int]  # site and visitor


class Arrival(NamedTuple):
    """What decides whose event it is. `number` is the caller's own."""

    number: int
    site_id: int
    visitor: int
    before: int | None
    time: int


def resolve(
    arrivals: Iterable[Arrival],
    continues: Mapping[Key, int],
    active: Mapping[Key, list[tuple[int, int]]],
) -> tuple[dict[int, int], dict[Key, int]]:
    """Whose events these are.

    `continues` says which visitors are known to go on under an older hash, `active` when the visits of the
    older hashes began and ended (Unix milliseconds). Returns the visitor of each event that is not its own
    one, by number, and the continuations that were found.
    """
    spans = {key: list(times) for key, times in active.items()}
    owners: dict[int, int] = {}
    found: dict[Key, int] = {}
    for arrival in sorted(arrivals, key=lambda a: (a.time, a.number)):
        key = (arrival.site_id, arrival.visitor)
        before = arrival.before if arrival.before is not None else found.get(key, continues.get(key))
        older = (arrival.site_id, before) if before is not None else None
        if older is not None and _goes_on(spans.get(older, []), arrival.time):
            owners[arrival.number] = older[1]
            spans[older].append((arrival.time, arrival.time))
            if continues.get(key) != older[1]:
                found[key] = older[1]
        elif key in spans:
            spans[key].append((arrival.time, arrival.time))
    return owners, found


def _goes_on(spans: list[tuple[int, int]], time: int) -> bool:
    return any(start - PAUSE_MS <= time <= end + PAUSE_MS for start, end in spans)
