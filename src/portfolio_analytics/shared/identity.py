"""Numbers that stand for people: the same name gives the same number in producer, consumer and commands."""

from __future__ import annotations

from hashlib import blake2b


def actor_id(site: str, session: str) -> int:
    """The actor of a session that the client names."""
    return _named(site, session, b"session")


def known_visitor_id(site: str, visitor_id: str) -> int:
    """The visitor of a persistent id that a page sends with consent."""
    return _named(site, visitor_id, b"known")


def imported_visitor_id(site: str, name: str) -> int:
    """The visitor that an importer names."""
    return _named(site, name, b"import")


def _named(site: str, name: str, person: bytes) -> int:
    """A signed 64-bit number: BLAKE2b (RFC 7693) with a personalisation of its own for each use."""
    state = blake2b(f"{site}\0{name}".encode("utf-8", "surrogatepass"), digest_size=8, person=person)
    return int.from_bytes(state.digest(), "big", signed=True)
