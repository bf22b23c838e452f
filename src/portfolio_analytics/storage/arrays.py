"""Long arrays as parameters, packed in PostgreSQL's binary form: a third of what writing them as text costs.

The layout is that of `array_recv` in PostgreSQL's source: dimensions, a flag for nulls, the elements' type,
then each dimension's size and first index, then each element's length and bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct

import psycopg
from psycopg import pq
from psycopg.adapt import Dumper

_HEAD = Struct("!iiiii")
_LENGTH = Struct("!i")
_INT8, _TEXT = 20, 25
_INT8S, _TEXTS = 1016, 1009


class Numbers(bytes):
    """A bigint[]."""


class Texts(bytes):
    """A text[]."""


def numbers(values: Iterable[int]) -> Numbers:
    """An array of numbers, to be cast where it is not one of bigint. Raises struct.error beyond 64 bits."""
    found = tuple(values)
    flat = [8] * (2 * len(found))
    flat[1::2] = found
    return Numbers(_HEAD.pack(1, 0, _INT8, len(found), 1) + Struct("!" + "iq" * len(found)).pack(*flat))


def texts(values: Iterable[str]) -> Texts:
    """An array of texts."""
    found = [value.encode() for value in values]
    parts = [part for value in found for part in (_LENGTH.pack(len(value)), value)]
    return Texts(_HEAD.pack(1, 0, _TEXT, len(found), 1) + b"".join(parts))


class _NumbersDumper(Dumper):
    format = pq.Format.BINARY
    oid = _INT8S

    def dump(self, obj: Numbers) -> Numbers:
        return obj


class _TextsDumper(Dumper):
    format = pq.Format.BINARY
    oid = _TEXTS

    def dump(self, obj: Texts) -> Texts:
        return obj


psycopg.adapters.register_dumper(Numbers, _NumbersDumper)
psycopg.adapters.register_dumper(Texts, _TextsDumper)
