"""Visits do not depend on the order in which events arrive, nor on how they are cut into batches."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from portfolio_analytics.consumer.visits.visit import (
    PAUSE_MS,
    Visit,
    VisitEvent,
    decode_days,
    encode_days,
    is_bounce,
    merge_visits,
    visits_of,
)
from tests.visit_events import an_event, events


@given(events, st.randoms(use_true_random=False))
def test_order_makes_no_difference(found: list[VisitEvent], dice: object) -> None:
    shuffled = found[:]
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert visits_of(shuffled) == visits_of(found)


@given(events, st.lists(st.integers(0, 25), max_size=4))
def test_batches_make_no_difference(found: list[VisitEvent], cuts: list[int]) -> None:
    visits: list[Visit] = []
    edges = [0, *sorted(cuts), len(found)]
    for start, end in pairwise(edges):
        visits = merge_visits([*visits, *visits_of(found[start:end])])
    assert visits == visits_of(found)


@given(events)
def test_events_add_up(found: list[VisitEvent]) -> None:
    visits = visits_of(found)
    assert sum(visit.events for visit in visits) == len(found)
    assert sum(visit.pageviews for visit in visits) == sum("page_view" in event for event in found)
    for visit in visits:
        assert decode_days(encode_days(visit.days)) == visit.days


def test_a_pause_of_thirty_minutes_still_continues() -> None:
    assert len(visits_of([an_event(0), an_event(PAUSE_MS)])) == 1
    assert len(visits_of([an_event(0), an_event(PAUSE_MS + 1)])) == 2


def test_a_late_event_joins_two_visits() -> None:
    apart = visits_of([an_event(0, page=1), an_event(2 * PAUSE_MS, page=3)])
    joined = merge_visits([*apart, *visits_of([an_event(PAUSE_MS, page=2)])])
    assert [(v.start, v.end, v.entry_page, v.exit_page, v.pageviews) for v in joined] == [
        (0, 2 * PAUSE_MS, 1, 3, 3)
    ]


def test_entry_and_exit_are_page_views() -> None:
    (visit,) = visits_of([an_event(0, "click", 9), an_event(5, page=2), an_event(9, "time_spent", 8)])
    assert (visit.entry_page, visit.exit_page) == (2, 2)


def test_bounce() -> None:
    assert is_bounce(visits_of([an_event(0), an_event(9, "time_spent")])[0])
    assert not is_bounce(visits_of([an_event(0), an_event(9, "click")])[0])
    assert not is_bounce(visits_of([an_event(0), an_event(9)])[0])
