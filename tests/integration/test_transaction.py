"""The transaction against a real PostgreSQL: once, whatever is delivered how often and in which order."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from itertools import permutations

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from portfolio_analytics.consumer.batch import make_batch
from portfolio_analytics.consumer.erase import erase, subject_events
from portfolio_analytics.consumer.positions import Position, claim
from portfolio_analytics.consumer.proof.verify import verify
from portfolio_analytics.consumer.transaction import Outcome, Store
from portfolio_analytics.shared.errors import Fenced
from portfolio_analytics.shared.identity import known_visitor_id
from portfolio_analytics.shared.log.protocol import LogRecord
from portfolio_analytics.shared.record import (
    VISITOR_KNOWN,
    AttestRecord,
    EventRecord,
    encode_record,
    mark_spooled,
)
from portfolio_analytics.storage import sites, steps
from portfolio_analytics.storage.database import connect
from tests.faults.process import run_command
from tests.oracle import assert_exactly_once
from tests.records import DAY_MS, NOON, event, in_log

TOPIC = "topic"
MINUTE = 60_000


class Consumer:
    """One owner of partitions, as the worker is, without its loop."""

    def __init__(self, database: str, partitions: Sequence[int] = (0,)) -> None:
        self.connection = connect(database)
        self.store = Store(self.connection, TOPIC)
        self.held = claim(self.connection, TOPIC, partitions, "test")

    def take(self, records: Sequence[LogRecord]) -> Outcome:
        batch = make_batch(records, TOPIC)
        outcome = self.store.commit(batch, self.held, NOON)
        for partition, end in batch.ends.items():
            self.held[partition] = Position(end, self.held[partition].epoch)
        return outcome


@pytest.fixture
def consumer(database: str) -> Iterator[Consumer]:
    found = Consumer(database)
    yield found
    found.connection.close()


def totals(connection: psycopg.Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT type, sum(n)::int FROM event_totals GROUP BY 1").fetchall())


def total_cell(connection: psycopg.Connection, column: str) -> int:
    row = connection.execute(
        f"SELECT coalesce(sum({column}), 0)::int FROM rollups WHERE dimension = 0"
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_record_delivered_again_is_a_duplicate(consumer: Consumer, database: str) -> None:
    found = event()
    first = consumer.take(in_log([found]))
    second = consumer.take(in_log([found, found], first=1))
    assert (len(first.counted), first.duplicate) == (1, 0)
    assert (len(second.counted), second.duplicate) == (0, 2)
    assert totals(consumer.connection) == {"page_view": 1}
    assert_exactly_once(database, [found.id])


def test_the_same_id_on_two_sites_or_days_is_two_events(consumer: Consumer) -> None:
    found = uuid.uuid4()
    consumer.take(
        in_log([event(id=found), event(id=found, site="b.example"), event(id=found, time=NOON - DAY_MS)])
    )
    assert totals(consumer.connection) == {"page_view": 3}


def test_who_repeats_events_is_counted_right_from_the_first_repetition_on(
    consumer: Consumer, database: str
) -> None:
    """Duplicates are met by the insertion first, and looked for before it from then on."""
    sent = [event(visitor=number) for number in range(5)]
    consumer.take(in_log(sent))
    for number in range(3):
        sent += (more := [event(visitor=number), event(visitor=10 + number)])
        outcome = consumer.take(in_log([sent[0], *more, sent[4]], first=5 + 4 * number))
        assert (len(outcome.counted), outcome.duplicate) == (2, 2)
    assert totals(consumer.connection) == {"page_view": len(sent)}
    assert_exactly_once(database, [found.id for found in sent])


def test_an_event_that_two_owners_insert_at_once_is_counted_once(database: str) -> None:
    """The second waits for the first, and takes the event for a duplicate when that has committed."""
    first, second = Consumer(database, [0]), Consumer(database, [1])
    found, another = event(visitor=1), event(visitor=2)
    # Of another visitor, whose lock does not keep the two apart.
    again = event(id=found.id, time=found.time, visitor=3)
    outcomes: list[Outcome] = []
    late = threading.Thread(
        target=lambda: outcomes.append(second.take(in_log([again, another], partition=1)))
    )

    def overtake() -> None:
        late.start()
        with connect(database) as eye:
            deadline = time.monotonic() + 30
            while not eye.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():
                assert time.monotonic() < deadline, "the second owner waits for nothing"
                time.sleep(0.01)

    batch = make_batch(in_log([found]), TOPIC)
    first.store.commit(batch, first.held, NOON, overtake)
    late.join()
    assert [(len(outcome.counted), outcome.duplicate) for outcome in outcomes] == [(1, 1)]
    assert_exactly_once(database, [found.id, another.id])
    first.connection.close()
    second.connection.close()


def test_a_day_is_known_to_the_planner_once_it_has_rows(consumer: Consumer) -> None:
    """Autovacuum comes once a minute; until then a plan could read all of a day for a handful of keys."""
    consumer.take(in_log([event()]))
    known = "SELECT reltuples > 0 FROM pg_class WHERE oid = 'visits_20241004'::regclass"
    assert consumer.connection.execute(known).fetchone() == (True,)


def test_of_two_owners_one_commits_and_the_other_is_fenced(consumer: Consumer, database: str) -> None:
    records = in_log([event() for _ in range(50)])
    other = Consumer(database)
    with pytest.raises(Fenced):
        consumer.take(records)
    assert len(other.take(records).counted) == 50
    with pytest.raises(Fenced):
        consumer.take(records)
    other.connection.close()
    assert totals(consumer.connection) == {"page_view": 50}


def test_a_batch_that_fails_leaves_nothing(consumer: Consumer, database: str) -> None:
    consumer.take(in_log([event(type="click")]))
    # The last step of the transaction fails: the ledger's table is away.
    consumer.connection.execute("ALTER TABLE ledger RENAME TO ledger_away")
    with pytest.raises(psycopg.errors.UndefinedTable):
        consumer.take(in_log([event(), event(visitor=2)], first=1))
    consumer.connection.execute("ALTER TABLE ledger_away RENAME TO ledger")
    assert totals(consumer.connection) == {"click": 1}
    assert consumer.connection.execute("SELECT next FROM log_positions").fetchall() == [(1,)]
    assert len(consumer.take(in_log([event(), event(visitor=2)], first=1)).counted) == 2
    assert_exactly_once(database, [])


def test_latencies_of_a_batch_that_fails_are_stored_with_the_next(consumer: Consumer) -> None:
    consumer.take(in_log([event()]))
    consumer.store.note_latencies([NOON - 100], NOON)
    consumer.connection.execute("ALTER TABLE bad_rows RENAME TO bad_rows_away")
    bad = LogRecord(0, 1, NOON, b"key", b"bad")
    batch = make_batch([bad], TOPIC)
    for moment in (NOON + 2_000, NOON + 4_000):
        with pytest.raises(psycopg.errors.UndefinedTable):
            consumer.store.commit(batch, consumer.held, moment)
    consumer.connection.execute("ALTER TABLE bad_rows_away RENAME TO bad_rows")
    consumer.store.commit(batch, consumer.held, NOON + 6_000)
    consumer.store.flush_latencies(0)
    stored = consumer.connection.execute("SELECT sum(n)::int FROM latencies").fetchall()
    assert stored == [(1,)]


def test_visits_of_late_events_merge(consumer: Consumer, database: str) -> None:
    consumer.take(in_log([event(time=NOON, page="/a"), event(time=NOON + 60 * MINUTE, page="/c")]))
    assert total_cell(consumer.connection, "visits") == 2
    consumer.take(in_log([event(time=NOON + 30 * MINUTE, page="/b")], first=2))
    assert total_cell(consumer.connection, "visits") == 1
    assert total_cell(consumer.connection, "visitors") == 1
    assert total_cell(consumer.connection, "bounces") == 0
    assert total_cell(consumer.connection, "duration_ms") == 60 * MINUTE
    assert_exactly_once(database, [])


def test_a_visit_longer_than_a_day_goes_on(consumer: Consumer, database: str) -> None:
    """A page that reloads itself for three days is one visit, also when each batch sees one event."""
    for number in range(3 * 24 * 3):
        consumer.take(in_log([event(time=NOON + number * 20 * MINUTE)], first=number))
    assert total_cell(consumer.connection, "visits") == 1
    assert total_cell(consumer.connection, "visitors") == 4
    assert_exactly_once(database, [])


def test_a_visit_goes_on_past_midnight(consumer: Consumer, database: str) -> None:
    midnight = (NOON // DAY_MS + 1) * DAY_MS
    consumer.take(in_log([event(time=midnight - 5 * MINUTE, visitor=1)]))
    consumer.take(in_log([event(time=midnight + 5 * MINUTE, visitor=2, visitor_before=1)], first=1))
    consumer.take(in_log([event(time=midnight + 34 * MINUTE, visitor=2)], first=2))
    assert total_cell(consumer.connection, "visits") == 1
    # Later that day it is another visit, under the day's own hash.
    consumer.take(in_log([event(time=midnight + 300 * MINUTE, visitor=2)], first=3))
    assert total_cell(consumer.connection, "visits") == 2
    assert consumer.connection.execute("SELECT count(*) FROM visits WHERE visitor = 2").fetchall() == [(1,)]
    assert_exactly_once(database, [])


def test_yesterdays_hash_of_a_stranger_is_not_stored(consumer: Consumer) -> None:
    midnight = (NOON // DAY_MS + 1) * DAY_MS
    consumer.take(in_log([event(time=midnight + 5 * MINUTE, visitor=2, visitor_before=77)]))
    for table, column in (("events", "visitor"), ("events", "actor"), ("visits", "visitor")):
        rows = consumer.connection.execute(f"SELECT {column} FROM {table}").fetchall()
        assert rows == [(2,)]
    assert consumer.connection.execute("SELECT continues FROM visitors WHERE key = 2").fetchall() == [(None,)]


def test_a_session_is_a_visit_and_its_visitor_counts_once(consumer: Consumer, database: str) -> None:
    consumer.take(
        in_log([event(session="a"), event(session="b", time=NOON + 1), event(session="a", time=NOON + 2)])
    )
    assert total_cell(consumer.connection, "visits") == 2
    assert total_cell(consumer.connection, "visitors") == 1
    # An earlier event of a session from another address: the visit, and with it the visitor, changes.
    consumer.take(in_log([event(session="a", visitor=9, time=NOON - 1)], first=3))
    assert total_cell(consumer.connection, "visitors") == 2
    assert_exactly_once(database, [])


def test_attestations_count_once(consumer: Consumer) -> None:
    attest = encode_record(AttestRecord(worker="w", sequence=1, accepted={"5": 7}, refused={"5": {"x": 2}}))
    records = [LogRecord(0, offset, NOON, None, attest) for offset in range(3)]
    consumer.take(records[:2])
    consumer.take(records[2:])
    rows = consumer.connection.execute("SELECT kind, reason, n FROM ledger ORDER BY 1").fetchall()
    assert rows == [("accepted", "", 7), ("refused", "x", 2)]


def test_the_ledger_counts_acknowledgements_by_their_records(consumer: Consumer) -> None:
    """Of one event id: two tries of a client, one of which the log took before it was spooled, and which was
    sent twice from there; and a third try, spooled within the same millisecond. Three were attested.
    """
    first = event(worker="w")
    again = event(id=first.id, time=first.time, at=first.at + 1, worker="w")
    spooled = mark_spooled(encode_record(again), 7)
    other = mark_spooled(encode_record(again), 8)
    values = [encode_record(first), encode_record(again), spooled, spooled, other]
    consumer.take([LogRecord(0, offset, NOON, b"k", value) for offset, value in enumerate(values[:2])])
    consumer.take([LogRecord(0, offset, NOON, b"k", values[offset]) for offset in range(2, 5)])
    attest = encode_record(AttestRecord(worker="w", sequence=1, accepted={str(NOON // MINUTE): 3}))
    consumer.take([LogRecord(0, 5, NOON, None, attest)])
    rows = consumer.connection.execute("SELECT kind, n FROM ledger ORDER BY 1").fetchall()
    # The second batch cannot see the first copy of `again`, which is no row: it stays unattested.
    assert rows == [("accepted", 4), ("counted", 1), ("duplicate", 4)]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_record_that_stands_twice_is_one_acknowledgement_in_any_order(
    consumer: Consumer, order: tuple[int, ...]
) -> None:
    direct = encode_record(event(worker="w"))
    spooled = mark_spooled(direct, 5)
    values = [direct, spooled, spooled]
    for offset, place in enumerate(order):
        consumer.take([LogRecord(0, offset, NOON, b"k", values[place])])
    rows = consumer.connection.execute("SELECT kind, n FROM ledger ORDER BY 1").fetchall()
    assert rows == [("accepted", 2), ("counted", 1), ("duplicate", 2)]


def test_bad_records_are_kept_with_their_reason(consumer: Consumer, database: str) -> None:
    good = event()
    values = [
        b"{",
        b"\xff",
        b"",
        encode_record(good),
        b'{"kind":"new"}',
        encode_record(event(scroll_depth=999)),
    ]
    outcome = consumer.take([LogRecord(0, n, NOON, b"k", value) for n, value in enumerate(values)])
    assert outcome.rejected == {"undecodable": 3, "empty": 1, "out_of_range": 1}
    rows = consumer.connection.execute("SELECT log_offset, reason FROM bad_rows ORDER BY 1").fetchall()
    assert rows == [
        (0, "undecodable"), (1, "undecodable"), (2, "empty"), (4, "undecodable"), (5, "out_of_range"),
    ]  # fmt: skip
    assert_exactly_once(database, [good.id])


def test_a_record_of_the_original_service_is_read_as_it_is(consumer: Consumer, database: str) -> None:
    value = (
        b'{"event_type":"page_view","page":"/home?utm_source=x#top","session_id":"s1","timestamp":'
        b'"2024-10-04T11:59:00Z","user_agent":"Mozilla/5.0","screen_width":1920,"screen_height":1080}'
    )
    records = [LogRecord(0, offset, NOON, None, value) for offset in range(2)]
    assert len(consumer.take(records).counted) == 2
    assert consumer.connection.execute("SELECT DISTINCT path FROM pages").fetchall() == [("/home",)]
    assert total_cell(consumer.connection, "visits") == 1
    again = consumer.store.replay(make_batch(records, TOPIC), NOON)
    assert again == 0
    assert_exactly_once(database, [])


def test_replay_mends_a_deleted_row_and_nothing_else(consumer: Consumer, database: str) -> None:
    records = in_log([event(visitor=n % 5, time=NOON + n * MINUTE) for n in range(60)])
    consumer.take(records)
    consumer.connection.execute("DELETE FROM events WHERE log_offset IN (3, 59)")
    assert not verify(consumer.connection).clean
    assert consumer.store.replay(make_batch(records, TOPIC), NOON) == 2
    assert totals(consumer.connection) == {"page_view": 60}
    assert_exactly_once(database, [])


histories = st.lists(
    st.tuples(
        st.integers(0, 3),  # visitor
        st.integers(0, 200),  # quarters of an hour, over two days
        st.sampled_from(["page_view", "click", "time_spent"]),
        st.sampled_from(["/", "/a", "/b?utm_source=mail"]),
        st.sampled_from([None, None, "s1", "s2"]),
        st.sampled_from([None, "https://www.google.com/", "https://example.org/x"]),
        st.sampled_from([0, 2]),  # flags
    ),
    min_size=1,
    max_size=40,
)


@settings(
    max_examples=25,
    deadline=None,
    # Shrinking through a database takes minutes and seldom tells more than the seed.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(histories, st.integers(0, 2**32), st.sampled_from(["UTC", "Asia/Kathmandu", "America/New_York"]))
def test_any_delivery_gives_the_same(
    database: str, history: list[tuple[int, int, str, str, str | None, str | None, int]], seed: int, zone: str
) -> None:
    """Deliver, crash, retry, take over, double, reorder: the oracle holds after each history."""
    dice = random.Random(seed)
    site = f"{uuid.uuid4().hex}.example"
    events = [
        event(
            site=site, visitor=visitor, time=NOON + quarter * 15 * MINUTE, type=kind, page=page,
            session=session, referrer=referrer, flags=flags,
            duration_ms=1000 if kind == "time_spent" else None,
        )
        for visitor, quarter, kind, page, session, referrer, flags in history
    ]  # fmt: skip
    with connect(database) as setup:
        setup.execute("INSERT INTO sites (name, time_zone) VALUES (%s, %s)", [site, zone])
    _deliver(database, events, dice)
    with connect(database) as check:
        n = check.execute(
            "SELECT count(*) FROM events JOIN sites USING (site_id) WHERE name = %s", [site]
        ).fetchone()
        assert n == (len(events),)
    assert_exactly_once(database, [found.id for found in events])


def _deliver(database: str, events: list[EventRecord], dice: random.Random) -> None:
    """Both partitions get the events in some order, some twice, through consumers that come and go."""
    doubled = [*events, *dice.choices(events, k=dice.randint(0, len(events)))]
    dice.shuffle(doubled)
    with connect(database) as connection:
        first: dict[int, int] = dict(
            connection.execute("SELECT partition, coalesce(next, 0) FROM log_positions").fetchall()
        )
    half = dice.randint(0, len(doubled))
    logs = [
        in_log(part, number, first.get(number, 0))
        for number, part in enumerate((doubled[:half], doubled[half:]))
    ]
    consumers = [Consumer(database, (0, 1))]
    while any(logs):
        action = dice.random()
        if action < 0.2:
            # Another one takes over; the old one does not know yet.
            consumers.append(Consumer(database, (0, 1)))
        owner = dice.choice(consumers) if action < 0.4 else consumers[-1]
        wanted = [log[: dice.randint(0, 6)] for log in logs]
        records = [record for part in wanted for record in part]
        if not records:
            continue
        try:
            owner.take(records)
        except Fenced:
            assert owner is not consumers[-1]
        else:
            assert owner is consumers[-1]
            for log, part in zip(logs, wanted, strict=True):
                del log[: len(part)]
    for found in consumers:
        found.connection.close()


def test_what_was_erased_stays_erased(consumer: Consumer, database: str) -> None:
    midnight = (NOON // DAY_MS + 1) * DAY_MS
    kept = [event(visitor=5, time=midnight - n * MINUTE) for n in range(9)]
    gone = [
        *(event(visitor=1, time=midnight - n * MINUTE) for n in range(1, 9)),
        event(visitor=2, visitor_before=1, time=midnight + 5 * MINUTE),
        event(visitor=2, time=midnight + 20 * MINUTE),
        event(visitor=1, session="s", time=midnight - MINUTE),
    ]
    records = in_log([*kept, *gone])
    consumer.take(records)
    site_id = consumer.connection.execute("SELECT site_id FROM sites").fetchall()[0][0]
    assert len(list(subject_events(consumer.connection, site_id, [1]))) == len(gone)
    assert erase(consumer.store, site_id, [1]) == len(gone)
    assert list(subject_events(consumer.connection, site_id, [1])) == []
    assert totals(consumer.connection) == {"page_view": len(kept)}
    assert consumer.store.replay(make_batch(records, TOPIC), NOON) == 0
    outcome = consumer.take(in_log(gone, first=len(records)))
    assert outcome.rejected == {"erased": len(gone)}
    assert_exactly_once(database, [found.id for found in kept])
    # Who comes back later is counted again.
    later = event(visitor=1, time=4_000_000_000_000)
    assert len(consumer.take(in_log([later], first=100)).counted) == 1


def test_who_is_named_is_erased_under_every_name_of_the_site(consumer: Consumer, database: str) -> None:
    def arrives(site: str, first: int) -> None:
        known = known_visitor_id(site, "6f1c")
        consumer.take(
            in_log(
                [
                    event(site=site, session="s"),
                    event(site=site, visitor=known, flags=VISITOR_KNOWN),
                    event(site=site, visitor=first),
                ],
                first=first,
            )
        )

    arrives("example.com", 0)
    steps.run(consumer.connection, sites.rename("example.com", "new.example", "test"))
    arrives("new.example", 3)
    for name, value in (("--session", "s"), ("--visitor-id", "6f1c")):
        asked = ["erase", "--site", "New.example", name, value]
        status, shown = run_command([*asked, "--show"], {"DATABASE_URL": database})
        assert (status, len(shown.splitlines())) == (0, 2), shown
        status, told = run_command(asked, {"DATABASE_URL": database})
        assert (status, "Events erased: 2." in told) == (0, True), told
    assert_exactly_once(database, [])
    assert totals(consumer.connection) == {"page_view": 2}


def test_the_longest_texts_fit_their_keys(consumer: Consumer, database: str) -> None:
    """What cannot be compressed and stands in the keys of rollups: a key of an index has a limit."""
    dice = random.Random(1)

    def noise(length: int) -> str:
        return "".join(chr(dice.randrange(0x4E00, 0x9FFF)) for _ in range(length))

    found = [
        event(page="/" + noise(3_900)),
        event(type=noise(300), site=noise(300)),
        event(page="/?" + "&".join(f"utm_{name}={noise(700)}" for name in ("source", "campaign", "term"))),
        event(referrer=f"https://{noise(60)}.example/{noise(3_000)}"),
        event(country=noise(50), region=noise(50), city=noise(100)),
    ]
    assert len(consumer.take(in_log(found)).counted) == len(found)
    assert_exactly_once(database, [one.id for one in found])
