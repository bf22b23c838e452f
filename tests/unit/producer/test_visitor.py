"""The visitor's hash: the same within a day, another one the next day, nothing to be computed from it."""

from __future__ import annotations

import os

import pytest

from portfolio_analytics.producer.salts import Salts
from portfolio_analytics.producer.visitor import (
    CARRY_OVER_MS,
    DAY_MS,
    SaltedHash,
    carries_over,
    imported_visitor,
    known_visitor,
    registrable_domain,
)
from portfolio_analytics.shared.record import VISITOR_KNOWN

PERSON = ("Mozilla/5.0", "192.0.2.1", "example.com", "example.com")


def test_one_salt_gives_one_person_one_hash() -> None:
    hashed = SaltedHash(b"s" * 16)
    assert hashed.of(*PERSON) == hashed.of(*PERSON) == SaltedHash(b"s" * 16).of(*PERSON)
    assert SaltedHash(b"t" * 16).of(*PERSON) != hashed.of(*PERSON)


@pytest.mark.parametrize("place", range(4))
def test_every_part_counts(place: int) -> None:
    other = [*PERSON]
    other[place] += "0"
    hashed = SaltedHash(b"s" * 16)
    assert hashed.of(*PERSON) != hashed.of(*other)


def test_parts_do_not_run_into_each_other() -> None:
    hashed = SaltedHash(b"s" * 16)
    assert hashed.of("a", "bc", "d", "e") != hashed.of("ab", "c", "d", "e")


def test_hashes_fill_a_signed_64_bit_column() -> None:
    hashed = SaltedHash(os.urandom(16))
    seen = [hashed.of("ua", str(n), "s", "d") for n in range(2000)]
    assert len(set(seen)) == 2000
    assert all(-(1 << 63) <= number < 1 << 63 for number in seen)
    assert 800 < sum(number < 0 for number in seen) < 1200


def test_yesterdays_hash_is_attached_for_30_minutes() -> None:
    midnight = 20_000 * DAY_MS
    assert carries_over(midnight)
    assert carries_over(midnight + CARRY_OVER_MS - 1)
    assert not carries_over(midnight + CARRY_OVER_MS)
    assert not carries_over(midnight - 1)


def test_a_known_visitor_is_the_same_on_every_day_and_another_on_another_site() -> None:
    visitor = known_visitor("a.example", "id-1")
    assert visitor == known_visitor("a.example", "id-1")
    assert visitor.flags == VISITOR_KNOWN
    assert visitor.before is None
    assert visitor.hash != known_visitor("b.example", "id-1").hash
    assert visitor.hash != imported_visitor("a.example", "id-1").hash
    assert imported_visitor("a.example", "id-1").flags == 0


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("www.example.co.uk", "example.co.uk"),
        ("a.b.example.com", "example.com"),
        ("one.github.io", "one.github.io"),
        ("localhost", "localhost"),
        ("", ""),
        ("[::1]", "[::1]"),
        ("blog", "blog"),
    ],
)
def test_registrable_domains(host: str, domain: str) -> None:
    assert registrable_domain(host) == domain


def test_salts_older_than_yesterday_are_forgotten() -> None:
    salts = Salts()
    salts.keep({10: b"a" * 16, 11: b"b" * 16}, today=10)
    assert salts.ready(10 * DAY_MS)
    assert salts.ready(12 * DAY_MS - 1)
    assert not salts.ready(12 * DAY_MS)
    salts.keep({12: b"c" * 16}, today=12)
    assert salts.of(10) is None
    assert salts.of(11) is not None
    assert salts.of(12) is not None


def test_a_salt_once_used_is_never_exchanged() -> None:
    salts = Salts()
    salts.keep({10: b"a" * 16}, today=10)
    first = salts.of(10)
    salts.keep({10: b"z" * 16}, today=10)
    assert salts.of(10) is first
