"""The visitor's hash: who came back today, without knowing who it is.

A keyed hash under the random salt of the UTC day over user agent, address, site and registrable domain.
The construction is Plausible's, with BLAKE2b (RFC 7693) in keyed mode in the place of SipHash: it is in the
standard library, is a pseudo-random function of the 128-bit key as SipHash is, and takes 0.6 us where a
SipHash would take 0.3 us and a dependency with a C extension.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

import msgspec
from publicsuffixlist import PublicSuffixList

from portfolio_analytics.shared.identity import imported_visitor_id, known_visitor_id
from portfolio_analytics.shared.record import VISITOR_KNOWN

DAY_MS = 86_400_000
CARRY_OVER_MS = 30 * 60_000
"""How long after midnight UTC yesterday's hash is attached, so that a visit can go on."""

SALT_BYTES = 16


class Visitor(msgspec.Struct, frozen=True, gc=False):
    """Signed 64-bit hashes of today and, soon after midnight, of yesterday; and the record's flag."""

    hash: int
    before: int | None
    flags: int


class SaltedHash:
    """The hash under one salt; made once a day, copied for every event."""

    def __init__(self, salt: bytes) -> None:
        self._state = blake2b(digest_size=8, key=salt, person=b"visitor")

    def of(self, user_agent: str, address: str, site: str, domain: str) -> int:
        """A signed 64-bit number."""
        state = self._state.copy()
        state.update(f"{user_agent}\0{address}\0{site}\0{domain}".encode())
        return int.from_bytes(state.digest(), "big", signed=True)


def carries_over(now: int) -> bool:
    """Whether `now` (Unix milliseconds) is in the first 30 minutes of its UTC day."""
    return now % DAY_MS < CARRY_OVER_MS


def known_visitor(site: str, visitor_id: str) -> Visitor:
    """The visitor that a page names itself, with consent: the same on every day."""
    return Visitor(known_visitor_id(site, visitor_id), None, VISITOR_KNOWN)


def imported_visitor(site: str, name: str) -> Visitor:
    """The visitor that an importer names."""
    return Visitor(imported_visitor_id(site, name), None, 0)


_suffixes = PublicSuffixList()


@lru_cache(maxsize=4096)
def registrable_domain(host: str) -> str:
    """example.co.uk of www.example.co.uk, by the public suffix list; the host itself when there is none."""
    return _suffixes.privatesuffix(host) or host
