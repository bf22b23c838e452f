"""What a batch changes of visits: those that go, and those that stand in their place. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from portfolio_analytics.consumer.rollups.store import TotalKey
from portfolio_analytics.consumer.visits.visit import Visit, merge_visits
from portfolio_analytics.consumer.visits.window import Key


def merged(stored: list[Visit], new: list[Visit]) -> tuple[list[Visit], list[Visit]]:
    """The stored visits that go, and the visits that stand in their place."""
    actors = {(visit.site_id, visit.actor) for visit in new}
    touched = [visit for visit in stored if (visit.site_id, visit.actor) in actors]
    together = merge_visits([*touched, *new])
    kept = {id(visit) for visit in together}
    was = {id(visit) for visit in touched}
    return (
        [visit for visit in touched if id(visit) not in kept],
        [visit for visit in together if id(visit) not in was],
    )


def differing(stored: list[Visit], new: list[Visit]) -> tuple[list[Visit], list[Visit]]:
    """The stored visits that are wrong, and those that should stand in their place."""
    old = {visit.key: visit for visit in stored}
    now = {visit.key: visit for visit in new}
    return (
        [visit for key, visit in old.items() if now.get(key) != visit],
        [visit for key, visit in now.items() if old.get(key) != visit],
    )


def by_visitor(visits: Iterable[Visit]) -> dict[Key, list[Visit]]:
    """Visits by site and visitor."""
    found: dict[Key, list[Visit]] = defaultdict(list)
    for visit in visits:
        found[visit.site_id, visit.visitor].append(visit)
    return found


def total_changes(before: list[Visit], after: list[Visit]) -> Counter[TotalKey]:
    """What to add to the numbers of events by site, local day and type."""
    changes: Counter[TotalKey] = Counter()
    for visits, sign in ((before, -1), (after, 1)):
        for visit in visits:
            for number, day in visit.days.items():
                for kind, n in day.types.items():
                    changes[visit.site_id, number, kind] += sign * n
    return changes
