"""The transaction: a batch becomes rows, visits, rollups and a new position, all of it or none.

The order within it:

1. advance the positions, which fences every other owner (positions.py);
2. lock the sites' state, and the visitors and actors of the batch;
3. give events that go on past midnight to yesterday's visitor (visits/continuation.py);
4. insert the events; what was there already is a duplicate (events/store.py);
5. merge the visits of what was really inserted with the stored ones, and
6. add `cells(after) - cells(before)` to the rollups (accounts.py);
7. add to the ledger, keep the bad rows.

Every lock is taken in sorted order, so that consumers wait for each other but seldom deadlock; where they do,
PostgreSQL rolls one back and its batch is tried again.
"""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import psycopg

from portfolio_analytics.consumer import ledger
from portfolio_analytics.consumer.accounts import Accounts
from portfolio_analytics.consumer.admission import admit, reject, suppressions
from portfolio_analytics.consumer.bad_rows.table import add_bad_rows
from portfolio_analytics.consumer.batch import Batch, Item
from portfolio_analytics.consumer.beside import nothing
from portfolio_analytics.consumer.decode import Rejected
from portfolio_analytics.consumer.events.store import insert_events
from portfolio_analytics.consumer.positions import Position, advance
from portfolio_analytics.consumer.site import Site, find_sites, lock_sites
from portfolio_analytics.consumer.visits import store as visit_store
from portfolio_analytics.consumer.visits.continuation import Arrival, resolve
from portfolio_analytics.consumer.visits.local_day import local_day
from portfolio_analytics.consumer.visits.store import Lock, to_date
from portfolio_analytics.consumer.visits.visit import PAUSE_MS, Visit, VisitEvent, visits_of
from portfolio_analytics.consumer.visits.window import Key, Window
from portfolio_analytics.shared.errors import StorageUnavailable
from portfolio_analytics.shared.record import VISITOR_KNOWN
from portfolio_analytics.storage.partitions import ensure_days, learn_days

DAY_MS = 86_400_000
# Who sends events twice does so again: for so many batches duplicates are looked for before the insertion.
LOOK_FOR = 50
LATENCIES_MS = 1_000
UNSTORABLE = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.ProgramLimitExceeded,
    struct.error,
    ValueError,
    OverflowError,
)
"""What is raised for a record that cannot be stored, whoever tries and however often."""

# Every query of the transaction wants its index, whatever the planner makes of long parameters.
# A consumer that hangs within its transaction is ended before those who wait for its locks give up.
SESSION = """
SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off;
SET enable_bitmapscan = off; SET enable_material = off; SET jit = off;
SET lock_timeout = '20s'; SET idle_in_transaction_session_timeout = '15s'; SET statement_timeout = '120s';
"""


class Outcome(NamedTuple):
    """What became of a batch. `counted` has when each counted event was accepted (Unix milliseconds)."""

    counted: list[int]
    duplicate: int
    rejected: Counter[str]


class Store:
    """Carries batches out on one connection."""

    def __init__(
        self, connection: psycopg.Connection[Any], topic_id: str, *, horizon_days: int | None = None
    ) -> None:
        self.connection = connection
        self.topic_id = topic_id
        self._horizon_days = horizon_days
        self._accounts = Accounts(connection)
        self._ensured: set[int] = set()
        self._unlearned: set[int] = set()
        self._latencies: Counter[tuple[int, int]] = Counter()
        self._latencies_due_ms = 0
        self._looking = 0
        connection.execute(SESSION)

    def commit(
        self,
        batch: Batch,
        held: Mapping[int, Position],
        now_ms: int,
        meanwhile: Callable[[], None] = nothing,
    ) -> Outcome:
        """Store `batch`, which begins at the positions `held`. `meanwhile` is done while PostgreSQL works.

        Raises Fenced when another consumer owns a partition now, psycopg.DataError for a record that cannot
        be stored, other psycopg errors when the database fails; nothing is changed then.
        """
        items, expired = self._within_horizon(batch.items, now_ms)
        self._prepare(items)
        latencies_due = now_ms >= self._latencies_due_ms
        with self.connection.transaction(), self.connection.cursor() as cursor:
            advance(self.connection, self.topic_id, held, batch.ends)
            outcome = self._store(cursor, items, [*batch.rejected, *expired], batch, meanwhile)
            if latencies_due:
                ledger.add_latencies(cursor, self._latencies, min(batch.ends))
        if latencies_due:
            self._latencies.clear()
            self._latencies_due_ms = now_ms + LATENCIES_MS
        if self._unlearned and outcome.counted:
            learn_days(self.connection, map(to_date, self._unlearned))
            self._unlearned.clear()
        return outcome

    def replay(self, batch: Batch, now_ms: int) -> int:
        """Store what is missing of `batch`, without a position and without the ledger; how many rows were.

        A row that is missing may still stand in visits and rollups, so the visits are counted anew from rows.
        """
        return self._fill(batch.items, now_ms, settled=False)

    def restore(self, items: list[Item], now_ms: int) -> int:
        """Store what is missing of `items` that were counted once already; how many rows were missing.

        Whose visit they belong to is settled. What is from before a site's reset is taken back, since
        somebody asks for it; what was erased, is past the retention, or is of a deleted site is not.
        """
        return self._fill(items, now_ms, settled=True)

    def _fill(self, items: list[Item], now_ms: int, *, settled: bool) -> int:
        items, _ = self._within_horizon(items, now_ms)
        if not items:
            return 0
        self._prepare(items)
        with self.connection.transaction(), self.connection.cursor() as cursor:
            sites, locks, items, _ = self._admitted(cursor, items, settled=settled)
            fresh = insert_events(cursor, items, looking=True).fresh
            if fresh:
                times = [item.event.time for item in fresh]
                actors = {(item.site_id, item.actor) for item in fresh}
                self._accounts.recount(cursor, actors, Window(min(times), max(times)), sites, locks)
        return len(fresh)

    def lock(self, cursor: psycopg.Cursor[Any], keys: set[Key]) -> dict[Key, Lock]:
        """Lock visitors and actors until the caller's transaction ends; their sites' state with them."""
        lock_sites(cursor, {site_id for site_id, _ in keys})
        return visit_store.lock_keys(cursor, keys)

    def recount(self, actors: set[Key], span: Window) -> int:
        """Make the visits of `actors` that touch `span` anew from their rows; how many visits changed."""
        with self.connection.transaction(), self.connection.cursor() as cursor:
            return self.recount_within(cursor, actors, span)

    def recount_within(self, cursor: psycopg.Cursor[Any], actors: set[Key], span: Window) -> int:
        """`recount` within the caller's transaction."""
        sites = lock_sites(cursor, {site_id for site_id, _ in actors})
        return self._accounts.recount(cursor, actors, span, sites, visit_store.lock_keys(cursor, actors))

    def note_latencies(self, counted: Sequence[int], visible_ms: int) -> None:
        """Remember how long events took from acceptance to a commit at `visible_ms`; stored next time."""
        self._latencies.update(
            [(at // ledger.MINUTE_MS, ledger.latency_bucket(visible_ms - at)) for at in counted]
        )

    def flush_latencies(self, slot: int) -> None:
        """Store the latencies that no batch has taken along yet."""
        if not self._latencies:
            return
        with self.connection.transaction(), self.connection.cursor() as cursor:
            ledger.add_latencies(cursor, self._latencies, slot)
        self._latencies.clear()

    def _within_horizon(self, items: list[Item], now_ms: int) -> tuple[list[Item], list[Rejected]]:
        first = self._first_day(now_ms)
        if not first:
            return items, []
        kept, gone = [], []
        for item in items:
            # Rows are dropped by the identity day, their visits by the day of the time.
            if min(item.event.day, item.event.time // DAY_MS) >= first:
                kept.append(item)
            else:
                gone.append(reject(item, "expired", "The day of the event is beyond the retention."))
        return kept, gone

    def _first_day(self, now_ms: int) -> int:
        """The first day whose rows are kept: by the setting, and by what was dropped whatever the setting is
        now. A row of a day that was dropped would be counted again.
        """
        row = self.connection.execute("SELECT day - '1970-01-01'::date FROM row_horizon").fetchone()
        first = row[0] if row else 0
        return first if self._horizon_days is None else max(first, now_ms // DAY_MS - self._horizon_days)

    def _prepare(self, items: list[Item]) -> None:
        """What must be there before the transaction, and does no harm without it."""
        if not items:
            return
        by_site: dict[str, list[Item]] = defaultdict(list)
        for item in items:
            by_site[item.event.site].append(item)
        sites = find_sites(self.connection, by_site)
        days = {item.event.day for item in items} | {item.event.time // DAY_MS for item in items}
        if not days <= self._ensured:
            ensure_days(self.connection, map(to_date, days - self._ensured))
            self._unlearned |= days - self._ensured
            self._ensured |= days
        for name, found in by_site.items():
            for item in found:
                item.site_id = sites[name]
        self._accounts.learn({sites[name]: found for name, found in by_site.items()})

    def _store(
        self,
        cursor: psycopg.Cursor[Any],
        items: list[Item],
        rejected: list[Rejected],
        batch: Batch,
        meanwhile: Callable[[], None],
    ) -> Outcome:
        slot = min(batch.ends)
        sites, locks, items, turned_away = self._admitted(cursor, items)
        rejected = [*rejected, *turned_away]
        fresh, duplicates, copies = insert_events(cursor, items, looking=self._looking > 0)
        self._looking = LOOK_FOR if duplicates else max(0, self._looking - 1)
        if fresh:
            self._accounts.count(cursor, _visits(fresh, sites), locks, slot, meanwhile)
        entries = ledger.take_attestations(cursor, batch.attested)
        entries.update(ledger.entries_of(fresh, "counted"))
        entries.update(ledger.entries_of(duplicates, "duplicate"))
        # Their acknowledgement was attested once, and the ledger counts records.
        entries.update(ledger.entries_of(copies, "accepted"))
        entries.update(map(ledger.entry_of_rejected, rejected))
        ledger.add_entries(cursor, entries, slot)
        add_bad_rows(cursor, rejected, self.topic_id)
        return Outcome(
            [item.event.at for item in fresh], len(duplicates), Counter(found.reason for found in rejected)
        )

    def _admitted(
        self, cursor: psycopg.Cursor[Any], items: list[Item], *, settled: bool = False
    ) -> tuple[dict[int, Site], dict[Key, Lock], list[Item], list[Rejected]]:
        """Lock the sites and whom the events are of, turn away what is not to be counted, and, unless whose
        they are is `settled`, give what goes on past midnight to yesterday's visitor.
        """
        if not items:
            return {}, {}, [], []
        wanted = {item.site_id for item in items}
        sites = lock_sites(cursor, wanted)
        if len(sites) < len(wanted):
            # A reset gave a site another number after it was looked up: the next try finds it.
            raise StorageUnavailable("A site was reset a moment ago.")
        locks = visit_store.lock_keys(cursor, _keys(items))
        # Only now: an erasure writes its entry before it asks for these locks.
        kept, turned_away = admit(items, sites, suppressions(cursor, locks), settled=settled)
        if not settled:
            _continue_visits(cursor, kept, locks)
        return sites, locks, kept, turned_away


def _keys(items: list[Item]) -> set[Key]:
    """Whom to lock: the visitors and actors of the batch, and who they may go on from."""
    keys = {(item.site_id, item.visitor) for item in items}
    keys |= {(item.site_id, item.actor) for item in items if item.actor != item.visitor}
    keys |= {(i.site_id, i.event.visitor_before) for i in items if i.event.visitor_before is not None}
    return keys


def _continue_visits(cursor: psycopg.Cursor[Any], items: list[Item], locks: dict[Key, Lock]) -> None:
    """Give the events that go on past midnight UTC to yesterday's visitor."""
    known = {key: lock.continues for key, lock in locks.items() if lock.continues is not None}
    olders = {(i.site_id, i.event.visitor_before) for i in items if i.event.visitor_before is not None}
    olders |= {(key[0], older) for key, older in known.items()}
    if not olders or not items:
        return
    missing = {key for key in olders if key not in locks}
    if missing:
        locks.update(visit_store.lock_keys(cursor, missing))
    times = [item.event.time for item in items]
    span = Window(min(times) - PAUSE_MS, max(times) + PAUSE_MS)
    stored = visit_store.load_visits(
        cursor, dict.fromkeys(olders, span), visit_store.long_since(locks), by_actor=False
    )
    active: dict[Key, list[tuple[int, int]]] = {key: [] for key in olders}
    for visit in stored:
        active[visit.site_id, visit.visitor].append((visit.start, visit.end))
    owners, found = resolve(
        (
            Arrival(number, item.site_id, item.visitor, item.event.visitor_before, item.event.time)
            for number, item in enumerate(items)
        ),
        known,
        active,
    )
    for number, owner in owners.items():
        item = items[number]
        if item.actor == item.visitor:
            item.actor = owner
        item.visitor = owner
    visit_store.write_continuations(cursor, found)


def _visits(items: Iterable[Item], sites: Mapping[int, Site]) -> list[Visit]:
    return visits_of(_visit_event(item, sites[item.site_id].time_zone) for item in items)


def _visit_event(item: Item, time_zone: str) -> VisitEvent:
    event, origin = item.event, item.origin
    return (
        item.site_id,
        item.actor,
        event.time,
        origin is None,
        0 if origin is None else origin.id,
        item.client.id,
        item.visitor,
        event.flags & VISITOR_KNOWN != 0,
        item.page.id,
        local_day(event.time, time_zone),
        event.type,
        event.duration_ms or 0,
        -1 if event.scroll_depth is None else event.scroll_depth,
    )
