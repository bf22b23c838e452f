"""What batches change of rollups adds up to what the visits say, however the events are cut into batches."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio_analytics.consumer.dictionaries.dictionary import Client
from portfolio_analytics.consumer.enrich.origin import Origin
from portfolio_analytics.consumer.rollups.rollup import CellChanges, Cells, add, cells
from portfolio_analytics.consumer.visits.change import by_visitor, merged
from portfolio_analytics.consumer.visits.visit import PAUSE_MS, Visit, VisitEvent, visits_of
from tests.visit_events import an_event

# Few visitors with many visits each, of which some say who they are.
crowds = st.lists(
    st.builds(
        an_event,
        time=st.integers(0, 40).map(lambda n: n * PAUSE_MS // 4),
        kind=st.sampled_from(["page_view", "click"]),
        page=st.integers(1, 3),
        actor=st.integers(1, 6),
        visitor=st.integers(1, 2),
        client=st.integers(1, 2),
        origin=st.sampled_from([None, 5]),
        known=st.integers(0, 1),
    ),
    max_size=25,
)


def client(number: int) -> Client:
    return Client("Firefox", str(number), "Linux", "", "Desktop", "", "IN", "", "")


def origin(number: int) -> Origin:
    return Origin("example.com", f"Source {number}", "Referral", "", "", "", "", "")


def changes_of(batches: list[list[VisitEvent]]) -> tuple[Cells, list[Visit]]:
    """All that the batches change, one after the other; the visits that are there in the end."""
    total: Cells = {}
    stored: list[Visit] = []
    for batch in batches:
        before, after = merged(stored, visits_of(batch))
        gone = {visit.key for visit in before}
        others = [visit for visit in stored if visit.key not in gone]
        changes = CellChanges(client, origin)
        old, new, rest = by_visitor(before), by_visitor(after), by_visitor(others)
        for person in old.keys() | new.keys():
            changes.change(old.get(person, []), new.get(person, []), rest.get(person, []))
        add(total, changes.cells())
        stored = [*others, *after]
    return total, stored


def expected(visits: list[Visit]) -> Cells:
    total: Cells = {}
    for found in by_visitor(visits).values():
        add(total, cells(found, client, origin))
    return total


@settings(max_examples=400)
@given(crowds, st.lists(st.integers(0, 25), max_size=6))
def test_changes_add_up_to_the_cells(found: list[VisitEvent], cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(found)]
    total, visits = changes_of([found[start:end] for start, end in pairwise(edges)])
    assert {key: cell for key, cell in total.items() if cell} == expected(visits)


def test_of_a_visitor_with_many_visits_a_few_are_looked_at() -> None:
    """One more of a thousand sessions asks the dictionaries for a few of them alone."""
    asked = []

    def asking(number: int) -> Client:
        asked.append(number)
        return client(number)

    others = visits_of(an_event(0, actor=actor) for actor in range(2, 1_000))
    changes = CellChanges(asking, origin)
    changes.change([], visits_of([an_event(PAUSE_MS)]), others)
    assert len(asked) <= 2
    changed = changes.cells()
    add(changed, expected(others))
    assert changed == expected([*others, *visits_of([an_event(PAUSE_MS)])])
