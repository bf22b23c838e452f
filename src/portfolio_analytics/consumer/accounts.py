"""Accounts: visits and rollups, kept true to the events that were stored.

What a batch's events make is merged with the stored visits of everyone concerned, and what that changes is
added to the rollups: `cells(after) - cells(before)`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import repeat
from typing import Any

import psycopg

from portfolio_analytics.consumer.batch import Item
from portfolio_analytics.consumer.beside import nothing
from portfolio_analytics.consumer.dictionaries.dictionary import Client, Content, Page
from portfolio_analytics.consumer.dictionaries.store import Dictionary, store_new
from portfolio_analytics.consumer.enrich.origin import Origin
from portfolio_analytics.consumer.rollups import store as rollup_store
from portfolio_analytics.consumer.rollups.rollup import CellChanges, Cells
from portfolio_analytics.consumer.site import Site
from portfolio_analytics.consumer.visits import store as visit_store
from portfolio_analytics.consumer.visits.change import by_visitor, differing, merged, total_changes
from portfolio_analytics.consumer.visits.store import Lock
from portfolio_analytics.consumer.visits.visit import PAUSE_MS, Visit, visits_of
from portfolio_analytics.consumer.visits.window import Key, Window, hull, wider_windows, windows_of


class Accounts:
    """Those of one database, over one connection."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._pages = Dictionary(Page)
        self._clients = Dictionary(Client)
        self._origins = Dictionary(Origin)

    def learn(self, items: Mapping[int, list[Item]]) -> None:
        """Have the words of `items` (by site) in the dictionaries. To be called between transactions."""
        for dictionary in (self._pages, self._clients, self._origins):
            dictionary.make_room()
        pages: dict[Key, Page] = {}
        clients: dict[Key, Client] = {}
        origins: dict[Key, Origin] = {}
        for site_id, found in items.items():
            pages |= self._pages.new(site_id, {item.page for item in found})
            clients |= self._clients.new(site_id, {item.client for item in found})
            origins |= self._origins.new(site_id, {i.origin for i in found if i.origin is not None})
        store_new(self._connection, (self._pages, pages), (self._clients, clients), (self._origins, origins))

    def count(
        self,
        cursor: psycopg.Cursor[Any],
        new: list[Visit],
        locks: dict[Key, Lock],
        slot: int,
        meanwhile: Callable[[], None],
    ) -> None:
        """Merge the visits `new` with the stored ones, and add what changed to the rollups under `slot`.

        `meanwhile` is done while PostgreSQL adds.
        """
        actors = {(visit.site_id, visit.actor) for visit in new}
        people = {(visit.site_id, visit.visitor) for visit in new}
        self._settle(
            cursor,
            lambda stored: merged(stored, new),
            people,
            actors - people,
            windows_of(new),
            locks,
            slot,
            meanwhile,
        )
        rollup_store.add_totals(cursor, total_changes([], new), slot)

    def recount(
        self,
        cursor: psycopg.Cursor[Any],
        actors: set[Key],
        span: Window,
        sites: Mapping[int, Site],
        locks: dict[Key, Lock],
    ) -> int:
        """Make the visits of `actors` that touch `span` anew from their rows; how many visits changed.

        `locks` holds the actors; whoever else is concerned is locked too.
        """
        while True:
            touched = visit_store.load_visits(
                cursor,
                dict.fromkeys(actors, hull(span, Window(span.low - PAUSE_MS, span.high + PAUSE_MS))),
                visit_store.long_since(locks),
                by_actor=True,
            )
            rows = visit_store.load_rows(cursor, actors, Window(span.low - PAUSE_MS, span.high + PAUSE_MS))
            edges = [time for visit in touched for time in (visit.start, visit.end)]
            edges += [row.time for row in rows]
            wider = Window(min(edges, default=span.low), max(edges, default=span.high))
            if span.low <= wider.low and wider.high <= span.high:
                break
            span = hull(span, wider)
        new = visits_of(visit_store.row_event(row, sites[row.site_id].time_zone) for row in rows)
        before, after = differing(touched, new)
        if before or after:
            people = {(visit.site_id, visit.visitor) for visit in (*before, *after)}
            self._settle(
                cursor,
                lambda stored: (before, after),
                people,
                set(),
                windows_of([*before, *after]),
                locks,
                0,
                nothing,
            )
            rollup_store.add_totals(cursor, total_changes(before, after), 0)
        return len(after) + len(before)

    def _settle(
        self,
        cursor: psycopg.Cursor[Any],
        change: Callable[[list[Visit]], tuple[list[Visit], list[Visit]]],
        people: set[Key],
        sessions: set[Key],
        windows: dict[Key, Window],
        locks: dict[Key, Lock],
        slot: int,
        meanwhile: Callable[[], None],
    ) -> None:
        """Replace the visits that `change` says by those it says, given the stored ones of everyone
        concerned, and add what that changes to the rollups.
        """
        while True:
            unlocked = people - locks.keys()
            if unlocked:
                locks.update(visit_store.lock_keys(cursor, unlocked))
            stored = _load(cursor, people, sessions, locks, windows)
            before, after = change(stored)
            found = {(visit.site_id, visit.visitor) for visit in (*before, *after)}
            wider = wider_windows(windows, (*before, *after))
            if found <= locks.keys() and not wider:
                break
            # A visit reaches further back, or belongs to somebody else, than the events told: look again.
            people |= found
            windows.update(wider)
        visit_store.write_visits(cursor, before, after)
        changes = self._changed_cells(stored, before, after, people | found)
        rollup_store.add_rollups(
            cursor, changes, slot, lambda site, page: self._pages[site, page].path, meanwhile
        )

    def _changed_cells(
        self, stored: list[Visit], before: list[Visit], after: list[Visit], people: set[Key]
    ) -> dict[int, Cells]:
        gone = {visit.key for visit in before}
        unchanged: dict[Key, list[Visit]] = defaultdict(list)
        for visit in stored:
            if visit.key not in gone and (visit.site_id, visit.visitor) in people:
                unchanged[visit.site_id, visit.visitor].append(visit)
        old, new = by_visitor(before), by_visitor(after)
        self._load_dictionaries((*before, *after, *(v for visits in unchanged.values() for v in visits)))
        changes: dict[int, CellChanges] = {}
        for person in people:
            site_id = person[0]
            found = changes.get(site_id)
            if found is None:
                found = changes[site_id] = CellChanges(
                    partial(self._look_up, self._clients, site_id),
                    partial(self._look_up, self._origins, site_id),
                )
            found.change(old.get(person, []), new.get(person, []), unchanged.get(person, []))
        return {site_id: found.cells() for site_id, found in changes.items()}

    @staticmethod
    def _look_up(dictionary: Dictionary[Content], site_id: int, number: int) -> Content:
        return dictionary[site_id, number]

    def _load_dictionaries(self, visits: Iterable[Visit]) -> None:
        pages: set[Key] = set()
        clients: set[Key] = set()
        origins: set[Key] = set()
        for visit in visits:
            clients.add((visit.site_id, visit.client_id))
            if visit.origin_id is not None:
                origins.add((visit.site_id, visit.origin_id))
            for day in visit.days.values():
                pages.update(zip(repeat(visit.site_id), day.pages, strict=False))
        self._pages.load(self._connection, pages)
        self._clients.load(self._connection, clients)
        self._origins.load(self._connection, origins)


def _load(
    cursor: psycopg.Cursor[Any],
    people: set[Key],
    sessions: set[Key],
    locks: Mapping[Key, Lock],
    windows: Mapping[Key, Window],
) -> list[Visit]:
    """The stored visits of everyone concerned: by visitor, and by actor where that is a session."""
    since = visit_store.long_since(locks)
    found = visit_store.load_visits(
        cursor, {key: windows[key] for key in people if key in windows}, since, by_actor=False
    )
    found += visit_store.load_visits(cursor, {key: windows[key] for key in sessions}, since, by_actor=True)
    return list({visit.key: visit for visit in found}.values())
