"""Dimensions: what a query can be broken down by and filtered on, as one table.

A dimension of level `visit` has one value in a visit, one of level `event` has one in an event (event:goal
has any number, event:props one for each property). A value that is '' is absent: a breakdown leaves it out, a
filter can name it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, LiteralString

from portfolio_analytics.stats.sums import EVENT_SUMS, SCROLL_SUMS, START_SUMS, VISITORS, VISITS

Level = Literal["visit", "event"]

DIRECT_SOURCE: Final = "Direct / None"
DIRECT_CHANNEL: Final = "Direct"

PROP_NAMES: Final = "event:props"
PROPS: Final = "event:props:"
GOAL: Final = "event:goal"
PAGE: Final = "event:page"
ENTRY_PAGE: Final = "visit:entry_page"

TIME: Final = "time"
TIME_UNITS: Final = ("minute", "hour", "day", "week", "month")

# The numbers under which the consumer stores rollups (consumer/rollups/rollup.py).
TOTAL_ROLLUP: Final = 0
PAGE_ROLLUP: Final = 1
ENTRY_PAGE_ROLLUP: Final = 2
EVENT_ROLLUP: Final = 21
EVENT_ROLLUPS: Final = dict.fromkeys((VISITORS, VISITS, "events"), EVENT_ROLLUP)


@dataclass(frozen=True, slots=True)
class Dictionary:
    """A table that holds the texts of ids."""

    table: LiteralString
    identity: LiteralString


PAGES: Final = Dictionary("pages", "page_id")
ORIGINS: Final = Dictionary("origins", "origin_id")
CLIENTS: Final = Dictionary("clients", "client_id")


@dataclass(frozen=True, slots=True)
class Dimension:
    """How one dimension is read.

    `value` is SQL over the alias `{d}` of `dictionary`, or of the row itself where there is no dictionary.
    `key` is the row's column that refers to the dictionary, `absent` the value where it is null. `rollups`
    says which sums a rollup holds, and under which number.
    """

    name: str
    level: Level
    value: LiteralString
    dictionary: Dictionary | None = None
    key: LiteralString = ""
    absent: str = ""
    rollups: dict[str, int] = field(default_factory=dict)


VISIT_SUMS: Final = frozenset({VISITORS, VISITS}) | START_SUMS | EVENT_SUMS


def _visit(
    name: str,
    dictionary: Dictionary,
    rollup: int,
    value: LiteralString,
    key: LiteralString = "",
    absent: str = "",
) -> Dimension:
    return Dimension(
        f"visit:{name}", "visit", value, dictionary, key or dictionary.identity, absent,
        dict.fromkeys(VISIT_SUMS, rollup),
    )  # fmt: skip


_VERSIONED: Final = "CASE WHEN {{d}}.{0}_version = '' THEN '' ELSE {{d}}.{0} || ' ' || {{d}}.{0}_version END"
_PAGE_ROLLUPS = dict.fromkeys({VISITORS, VISITS} | EVENT_SUMS | SCROLL_SUMS, PAGE_ROLLUP)

DIMENSIONS: Final[dict[str, Dimension]] = {
    dimension.name: dimension
    for dimension in (
        Dimension(PAGE, "event", "{d}.path", PAGES, "page_id", rollups=_PAGE_ROLLUPS),
        Dimension(
            "event:name", "event", "{d}.type", rollups=EVENT_ROLLUPS
        ),
        Dimension("event:hostname", "event", "coalesce({d}.host, %(site)s)"),
        _visit("entry_page", PAGES, ENTRY_PAGE_ROLLUP, "{d}.path", "entry_page"),
        _visit("exit_page", PAGES, 3, "{d}.path", "exit_page"),
        _visit("source", ORIGINS, 4, "{d}.source", absent=DIRECT_SOURCE),
        _visit("channel", ORIGINS, 5, "{d}.channel", absent=DIRECT_CHANNEL),
        _visit("referrer", ORIGINS, 6, "{d}.referrer"),
        _visit("utm_source", ORIGINS, 7, "{d}.utm_source"),
        _visit("utm_medium", ORIGINS, 8, "{d}.utm_medium"),
        _visit("utm_campaign", ORIGINS, 9, "{d}.utm_campaign"),
        _visit("utm_term", ORIGINS, 10, "{d}.utm_term"),
        _visit("utm_content", ORIGINS, 11, "{d}.utm_content"),
        _visit("country", CLIENTS, 12, "{d}.country"),
        _visit("region", CLIENTS, 13, "{d}.region"),
        _visit("city", CLIENTS, 14, "{d}.city"),
        _visit("device", CLIENTS, 15, "{d}.device"),
        _visit("browser", CLIENTS, 16, "{d}.browser"),
        _visit("browser_version", CLIENTS, 17, _VERSIONED.format("browser")),
        _visit("os", CLIENTS, 18, "{d}.os"),
        _visit("os_version", CLIENTS, 19, _VERSIONED.format("os")),
        _visit("screen", CLIENTS, 20, "{d}.screen"),
    )
}  # fmt: skip

# Sums that the rollup of totals holds; scroll depth is kept by page only, so it is summed over all pages.
TOTAL_ROLLUPS: Final = dict.fromkeys(VISIT_SUMS, TOTAL_ROLLUP) | dict.fromkeys(SCROLL_SUMS, PAGE_ROLLUP)


def is_group(name: str) -> bool:
    """Whether a query may group by `name` (time dimensions aside)."""
    return name == PROP_NAMES or is_filter(name)


def is_filter(name: str) -> bool:
    """Whether a query may filter on `name`."""
    return name in DIMENSIONS or name == GOAL or (name.startswith(PROPS) and len(name) > len(PROPS))


def level(name: str) -> Level:
    """Whether a dimension belongs to visits or to events."""
    return "visit" if name.startswith("visit:") else "event"
