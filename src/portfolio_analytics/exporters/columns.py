"""The columns of an export: what is stored of an event, with words in place of the dictionaries' ids."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """What a column holds, and as what a row read for it has it."""

    TEXT = "text"  # str; None only where the event has no origin
    OPTIONAL = "text or nothing"  # str or None, which differ
    NUMBER = "number"  # int or None
    TIME = "time"  # int, Unix milliseconds
    DATE = "date"  # datetime.date
    JSON = "json"  # str or None


class Column(NamedTuple):
    """A column's name, what it holds, and where a query finds it."""

    name: str
    kind: Kind
    sql: str


Row = tuple[object, ...]
"""One event's values, in the order of COLUMNS."""


def _time(name: str) -> Column:
    return Column(name, Kind.TIME, f"(extract(epoch FROM e.{name}) * 1000)::bigint")


COLUMNS: tuple[Column, ...] = (
    Column("site", Kind.TEXT, "s.name"),
    Column("time_zone", Kind.TEXT, "s.time_zone"),
    Column("event_id", Kind.TEXT, "e.event_id::text"),
    Column("day", Kind.DATE, "e.day"),
    _time("time"),
    _time("accepted_at"),
    _time("counted_at"),
    Column("type", Kind.TEXT, "e.type"),
    Column("page", Kind.TEXT, "p.path"),
    Column("host", Kind.OPTIONAL, "e.host"),
    Column("title", Kind.OPTIONAL, "e.title"),
    Column("visitor", Kind.NUMBER, "e.visitor"),
    Column("actor", Kind.NUMBER, "e.actor"),
    Column("flags", Kind.NUMBER, "e.flags"),
    Column("consent", Kind.OPTIONAL, "e.consent"),
    Column("duration_ms", Kind.NUMBER, "e.duration_ms"),
    Column("scroll_depth", Kind.NUMBER, "e.scroll_depth"),
    Column("target", Kind.JSON, "e.target::text"),
    Column("props", Kind.JSON, "e.props::text"),
    *(
        Column(name, Kind.TEXT, f"o.{name}")
        for name in (
            "referrer", "source", "channel",
            "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content",
        )
    ),
    *(
        Column(name, Kind.TEXT, f"c.{name}")
        for name in (
            "browser", "browser_version", "os", "os_version", "device", "screen", "country", "region", "city",
        )
    ),
    Column("log_partition", Kind.NUMBER, "e.log_partition"),
    Column("log_offset", Kind.NUMBER, "e.log_offset"),
)  # fmt: skip

NAMES = tuple(column.name for column in COLUMNS)
