"""Dictionaries of repeated strings: pages, origins, clients.

An id is a 64-bit hash of the content, so that any consumer makes it without asking. The chance that two of
ten million contents share an id is 3 in a million (birthday bound n^2 / 2^65).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Generic, NamedTuple, TypeVar

import msgspec


class Page(NamedTuple):
    """A page of a site."""

    path: str


class Client(NamedTuple):
    """What is known of a browser and where it is."""

    browser: str
    browser_version: str
    os: str
    os_version: str
    device: str
    screen: str
    country: str
    region: str
    city: str


Content = TypeVar("Content", bound=tuple[str, ...])


class Word(msgspec.Struct, Generic[Content], eq=False):
    """A content and its id. Told apart by what it is, not by what it says: a set of words costs little."""

    id: int
    content: Content


def word(content: Content) -> Word[Content]:
    """The word for a content."""
    return Word(content_id(*content), content)


def content_id(*content: str) -> int:
    """A signed 64-bit id of a tuple of strings (BLAKE2b)."""
    joined = "\x00".join(content).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(joined, digest_size=8).digest(), "big", signed=True)
