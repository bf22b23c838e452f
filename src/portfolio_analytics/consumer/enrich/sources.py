"""Sources: which site, app or service a host or a utm_source stands for. The table is sources.txt."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

# What may follow the name in "name.*": a top-level domain, or a country's second-level one.
_COUNTRY = re.compile(r"(?:[a-z]{2,3}|(?:com?|net|org)\.[a-z]{2})\Z")


class Source(NamedTuple):
    """A place that visits come from. `kind` is search, social, video, email, ai, shopping, ... or other."""

    name: str
    kind: str


class SourceTable(NamedTuple):
    """Lower-case host, `name` of "name.*" and utm_source -> source; `paid` are names of advertisements."""

    hosts: dict[str, Source]
    international: dict[str, Source]
    names: dict[str, Source]
    paid: frozenset[str]


def read_sources(lines: Iterable[str]) -> SourceTable:
    """Read the table's lines. Raises ValueError when two sources claim one host or name."""
    table = SourceTable({}, {}, {}, frozenset())
    paid: set[str] = set()
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        name, kind, *columns = (column.strip() for column in line.split("|"))
        hosts, names, advertisements = (*(column.split() for column in columns), [], [])[:3]
        source = Source(name, kind)
        for host in hosts:
            bare = host.removesuffix(".*")
            _claim(table.hosts if bare == host else table.international, bare, source)
        for alias in {name.lower(), *names, *advertisements}:
            _claim(table.names, alias, source)
        paid.update(advertisements)
    return table._replace(paid=frozenset(paid))


def source_of_host(host: str) -> Source | None:
    """The source that a lower-case host, or the nearest domain above it, belongs to."""
    table = _table()
    rest = host
    while rest:
        name, _, tail = rest.partition(".")
        found = table.hosts.get(rest)
        if found is None and tail and _COUNTRY.match(tail):
            found = table.international.get(name)
        if found is not None:
            return found
        rest = tail
    return None


def source_of_name(name: str) -> Source | None:
    """The source that a utm_source names, in any case: by a name of its own or by its host."""
    lowered = name.lower()
    return _table().names.get(lowered) or (source_of_host(lowered) if "." in lowered else None)


def names_advertisements(name: str) -> bool:
    """Whether a utm_source is one that only paid traffic carries, such as "google-ads"."""
    return name.lower() in _table().paid


@lru_cache(maxsize=1)
def _table() -> SourceTable:
    text = files(__package__).joinpath("sources.txt").read_text("utf-8")
    return read_sources(text.splitlines())


def _claim(owners: dict[str, Source], key: str, source: Source) -> None:
    if key in owners:
        raise ValueError(f"{source.name} and {owners[key].name} both claim {key!r}")
    owners[key] = source
