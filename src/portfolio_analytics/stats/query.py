"""One question to the statistics, typed and checked. Pure.

`parse` reads the Plausible Stats API v2 language from decoded JSON. Whatever is wrong with a query is an
ApiError 400 `invalid_query` whose `field` is a path such as `filters[0][1]`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from portfolio_analytics.shared.http import ApiError
from portfolio_analytics.stats import dimension
from portfolio_analytics.stats.metric import (
    CONVERSION_RATE,
    GROUP_CONVERSION_RATE,
    METRICS,
    PERCENTAGE,
    VIEWS_PER_VISIT,
)

MAX_LIMIT: Final = 10_000
MAX_DIMENSIONS: Final = 5
MAX_LEAVES: Final = 50
MAX_DEPTH: Final = 8
MAX_VALUES: Final = 500
MAX_TEXT: Final = 2_000
MAX_OFFSET: Final = 10_000_000

COMPARISONS: Final = ("previous_period", "year_over_year", "custom")
_NEGATIONS: Final = {"is_not": "is", "contains_not": "contains", "matches_not": "matches"}
_OPERATORS: Final = ("is", "contains", "matches")
_KEYWORDS: Final = ("day", "month", "year", "all")
_COUNTED = re.compile(r"([1-9]\d{0,3})(d|mo)")
_KEYS: Final = (
    "site_id",
    "metrics",
    "date_range",
    "dimensions",
    "filters",
    "order_by",
    "include",
    "pagination",
)


@dataclass(frozen=True, slots=True)
class Leaf:
    """`dimension` has one of `values`, under a positive operator. `path` is where it stands in the query."""

    operator: str
    dimension: str
    values: tuple[str, ...]
    case_sensitive: bool = True
    path: str = "filters"


@dataclass(frozen=True, slots=True)
class Not:
    """What `child` is not."""

    child: Filter


@dataclass(frozen=True, slots=True)
class All:
    """What all children are. Without children: everything."""

    children: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """What any of the children is."""

    children: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """Visits that hold an event which is `child`."""

    child: Filter


Filter = Leaf | Not | All | AnyOf | Done

Bound = datetime.date | datetime.datetime


@dataclass(frozen=True, slots=True)
class DateRange:
    """`keyword` (day, 7d, month, 6mo, all ..., counted back from `today`), or from `first` to `last`.

    Dates are whole local days, both included; datetimes are instants, the last excluded.
    """

    keyword: str | None = None
    first: Bound | None = None
    last: Bound | None = None
    today: datetime.date | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same question of another time. `range` only when the mode is `custom`."""

    mode: str
    range: DateRange | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """Sort by a metric or dimension of the query."""

    key: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A checked question about one site."""

    site: str
    metrics: tuple[str, ...]
    date_range: DateRange
    dimensions: tuple[str, ...] = ()
    filters: All = All(())
    order_by: tuple[Order, ...] = ()
    limit: int = MAX_LIMIT
    offset: int = 0
    comparison: Comparison | None = None
    time_labels: bool = False
    total_rows: bool = False

    @property
    def time(self) -> str | None:
        """The time dimension, if there is one."""
        return next((name for name in self.dimensions if is_time(name)), None)

    @property
    def groups(self) -> tuple[str, ...]:
        """The dimensions but for time."""
        return tuple(name for name in self.dimensions if not is_time(name))


def invalid(message: str, field: str) -> ApiError:
    """A query that cannot be answered."""
    return ApiError(400, "invalid_query", message, field)


def is_time(name: str) -> bool:
    """Whether a dimension is one of time."""
    return name == dimension.TIME or (
        name.startswith("time:") and name.removeprefix("time:") in dimension.TIME_UNITS
    )


def parse(body: Any) -> Query:
    """The query in decoded JSON `body`. Raises ApiError 400."""
    if not isinstance(body, dict):
        raise invalid("A query is a JSON object.", "")
    for key in body:
        if key not in _KEYS:
            raise invalid(f"There is no {key!r} in a query.", str(key))
    include = _include(body.get("include"))
    pagination = _object(body.get("pagination"), "pagination", ("limit", "offset"))
    dimensions = _names(body.get("dimensions"), "dimensions", _dimension, MAX_DIMENSIONS)
    metrics = _names(body.get("metrics"), "metrics", _metric, len(METRICS))
    if not metrics:
        raise invalid("A query needs at least one metric.", "metrics")
    query = Query(
        site=site_name(body.get("site_id"), "site_id"),
        metrics=metrics,
        date_range=date_range(body.get("date_range"), "date_range"),
        dimensions=dimensions,
        filters=parse_filters(body.get("filters"), "filters"),
        order_by=_orders(body.get("order_by"), (*metrics, *dimensions)),
        limit=_integer(pagination.get("limit", MAX_LIMIT), "pagination.limit", 1, MAX_LIMIT),
        offset=_integer(pagination.get("offset", 0), "pagination.offset", 0, MAX_OFFSET),
        comparison=include[0],
        time_labels=include[1],
        total_rows=include[2],
    )
    check(query)
    return query


def check(query: Query) -> None:
    """Raises ApiError 400 for parts that do not go together."""
    if sum(map(is_time, query.dimensions)) > 1:
        raise invalid("A query takes one time dimension.", "dimensions")
    if query.time_labels and query.time is None:
        raise invalid("Time labels need a time dimension.", "include.time_labels")
    for index, metric in enumerate(query.metrics):
        problem = _unfit(metric, query)
        if problem:
            raise invalid(problem, f"metrics[{index}]")


def _unfit(metric: str, query: Query) -> str | None:
    if metric == VIEWS_PER_VISIT and by_event(query):
        return (
            "views_per_visit is of whole visits: it goes with neither event dimensions nor filters on them."
        )
    if metric == PERCENTAGE and not query.groups:
        return "percentage needs a dimension other than time."
    if metric in (CONVERSION_RATE, GROUP_CONVERSION_RATE) and not (
        dimension.GOAL in query.dimensions or any(names_goal(f) for f in query.filters.children)
    ):
        return f"{metric} needs the dimension event:goal or a filter on it."
    if metric == GROUP_CONVERSION_RATE and not query.groups:
        return "group_conversion_rate needs a dimension other than time."
    return None


def by_event(query: Query) -> bool:
    """Whether the query looks at single events: by an event dimension, or a filter on one."""
    return any(dimension.level(name) == "event" for name in query.groups) or is_by_event(query.filters)


def is_by_event(tree: Filter) -> bool:
    """Whether a filter depends on the event (`has_done` depends on the visit alone)."""
    return any(dimension.level(leaf.dimension) == "event" for leaf in leaves(tree, into_done=False))


def names_goal(tree: Filter) -> bool:
    """Whether a filter asks for a goal of the event itself."""
    return any(leaf.dimension == dimension.GOAL for leaf in leaves(tree, into_done=False))


def has_done(tree: Filter) -> bool:
    """Whether a filter asks what else was done in a visit."""
    return any(isinstance(part, Done) for part in _parts(tree))


def leaves(tree: Filter, *, into_done: bool = True) -> Iterator[Leaf]:
    """Every comparison in a filter."""
    match tree:
        case Leaf():
            yield tree
        case Not(child):
            yield from leaves(child, into_done=into_done)
        case All(children) | AnyOf(children):
            for child in children:
                yield from leaves(child, into_done=into_done)
        case Done(child):
            if into_done:
                yield from leaves(child)


def site_name(value: Any, field: str) -> str:
    """A site's name as it can be looked up."""
    name = text_of(value, field) if value is not None else ""
    if not name or len(name) > 255:
        raise invalid("This needs a site's name, such as example.com.", field)
    return name.lower()


def whole_number(text: str, field: str, low: int, high: int) -> int:
    """A parameter's number. Raises ApiError 400."""
    if not (text.isascii() and text.isdigit() and len(text) < 9 and low <= int(text) <= high):
        raise invalid(f"This must be a whole number from {low} to {high}.", field)
    return int(text)


# Dates


def date_range(value: Any, field: str) -> DateRange:
    """`"7d"` and the like, or `[from, to]`."""
    if isinstance(value, str):
        if value in _KEYWORDS or _COUNTED.fullmatch(value):
            return DateRange(value)
        raise invalid(
            f"{value[:40]!r} is no date range such as day, 7d, 30d, month, 6mo, 12mo, year, all.", field
        )
    if not isinstance(value, list) or len(value) != 2:
        raise invalid("A date range is a word such as '30d', or [from, to].", field)
    first, last = (bound(item, f"{field}[{index}]") for index, item in enumerate(value))
    if isinstance(first, datetime.datetime) != isinstance(last, datetime.datetime):
        raise invalid("A date range goes from a date to a date, or from a time to a time.", field)
    if first > last or (first == last and isinstance(first, datetime.datetime)):
        raise invalid("A date range must end after it begins.", field)
    return DateRange(None, first, last)


def bound(value: Any, field: str) -> Bound:
    """An ISO 8601 date, or a time with its offset from UTC."""
    text = text_of(value, field)
    try:
        found: Bound = (
            datetime.date.fromisoformat(text) if len(text) == 10 else datetime.datetime.fromisoformat(text)
        )
    except ValueError:
        raise invalid(
            "This is neither a date (2026-01-31) nor a time (2026-01-31T10:00:00+01:00).", field
        ) from None
    if isinstance(found, datetime.datetime) and found.tzinfo is None:
        raise invalid("A time needs its offset from UTC, such as Z or +01:00.", field)
    if not 1971 <= found.year <= 9000:
        raise invalid("Dates lie between 1971 and 9000.", field)
    return found


# Filters


def parse_filters(value: Any, field: str) -> All:
    """A list of filters, all of which must hold."""
    found = All(tuple(_filter(item, path, 1) for item, path in _items(value, field, MAX_LEAVES)))
    if sum(1 for _ in leaves(found)) > MAX_LEAVES:
        raise invalid(f"A query takes at most {MAX_LEAVES} comparisons.", field)
    return found


def _filter(value: Any, path: str, depth: int) -> Filter:
    if depth > MAX_DEPTH:
        raise invalid(f"Filters nest at most {MAX_DEPTH} deep.", path)
    if not isinstance(value, list) or len(value) < 2:
        raise invalid("A filter is a list such as ['is', 'visit:country', ['DE']].", path)
    operator = value[0]
    if not isinstance(operator, str):
        raise invalid("An operator is text.", f"{path}[0]")
    if operator in ("and", "or", "not", "has_done", "has_not_done"):
        if len(value) != 2:
            raise invalid(f"'{operator}' is followed by one value.", path)
        return _combination(operator, value[1], f"{path}[1]", depth + 1)
    if operator in _OPERATORS or operator in _NEGATIONS:
        return _comparison(value, path)
    raise invalid("There is no such operator.", f"{path}[0]")


def _combination(operator: str, value: Any, path: str, depth: int) -> Filter:
    if operator in ("and", "or"):
        children = tuple(_filter(item, at, depth) for item, at in _items(value, path, MAX_LEAVES))
        if not children:
            raise invalid(f"'{operator}' needs at least one filter.", path)
        return All(children) if operator == "and" else AnyOf(children)
    child = _filter(value, path, depth)
    if operator == "not":
        return Not(child)
    if any(isinstance(part, Done) for part in _parts(child)):
        raise invalid("has_done does not hold another has_done.", path)
    return Done(child) if operator == "has_done" else Not(Done(child))


def _parts(tree: Filter) -> Iterator[Filter]:
    yield tree
    match tree:
        case Not(child) | Done(child):
            yield from _parts(child)
        case All(children) | AnyOf(children):
            for child in children:
                yield from _parts(child)


def _comparison(value: list[Any], path: str) -> Filter:
    if not 3 <= len(value) <= 4:
        raise invalid("A comparison is [operator, dimension, [values]].", path)
    name = value[1]
    if not isinstance(name, str) or not dimension.is_filter(name) or not is_clean(name):
        raise invalid(f"There is no dimension {str(name)[:60]!r} to filter on.", f"{path}[1]")
    values = tuple(text_of(item, at) for item, at in _items(value[2], f"{path}[2]", MAX_VALUES))
    if not values:
        raise invalid("A comparison needs at least one value.", f"{path}[2]")
    options = _object(value[3] if len(value) == 4 else None, f"{path}[3]", ("case_sensitive",))
    operator = _NEGATIONS.get(value[0], value[0])
    if operator == "matches" and name == dimension.GOAL:
        raise invalid("event:goal takes is and contains.", f"{path}[0]")
    sensitive = _flag(options.get("case_sensitive", True), f"{path}[3].case_sensitive")
    leaf = Leaf(operator, name, values, sensitive, path)
    return Not(leaf) if value[0] in _NEGATIONS else leaf


# The other parts


def _include(value: Any) -> tuple[Comparison | None, bool, bool]:
    include = _object(value, "include", ("comparisons", "time_labels", "total_rows", "imports"))
    _flag(include.get("imports", False), "include.imports")
    return (
        _comparison_of(include.get("comparisons")),
        _flag(include.get("time_labels", False), "include.time_labels"),
        _flag(include.get("total_rows", False), "include.total_rows"),
    )


def _comparison_of(value: Any) -> Comparison | None:
    if value is None:
        return None
    found = _object(value, "include.comparisons", ("mode", "date_range"))
    mode = found.get("mode")
    if mode not in COMPARISONS:
        raise invalid(f"A mode is one of {', '.join(COMPARISONS)}.", "include.comparisons.mode")
    field = "include.comparisons.date_range"
    if mode != "custom":
        if found.get("date_range") is not None:
            raise invalid("Only the mode custom takes a date range.", field)
        return Comparison(mode)
    return Comparison(mode, date_range(found.get("date_range"), field))


def _orders(value: Any, keys: tuple[str, ...]) -> tuple[Order, ...]:
    orders = []
    for item, path in _items(value, "order_by", MAX_DIMENSIONS + len(METRICS)):
        if not isinstance(item, list) or len(item) != 2:
            raise invalid("An order is a list such as ['visitors', 'desc'].", path)
        if item[0] not in keys:
            raise invalid("Only the query's own metrics and dimensions can be sorted by.", f"{path}[0]")
        if item[1] not in ("asc", "desc"):
            raise invalid("An order is 'asc' or 'desc'.", f"{path}[1]")
        orders.append(Order(item[0], item[1] == "desc"))
    return tuple(orders)


def _names(value: Any, field: str, check_name: Any, most: int) -> tuple[str, ...]:
    names: list[str] = []
    for item, path in _items(value, field, most):
        check_name(item, path)
        if item in names:
            raise invalid(f"{item!r} is there twice.", path)
        names.append(item)
    return tuple(names)


def _metric(value: Any, path: str) -> None:
    if not isinstance(value, str) or value not in METRICS:
        raise invalid(f"A metric is one of {', '.join(METRICS)}.", path)


def _dimension(value: Any, path: str) -> None:
    if not isinstance(value, str) or not (is_time(value) or dimension.is_group(value)) or not is_clean(value):
        raise invalid(f"There is no dimension {str(value)[:60]!r}.", path)


def _items(value: Any, field: str, most: int) -> list[tuple[Any, str]]:
    """The items of a list with their paths; no list is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise invalid("This must be a list.", field)
    if len(value) > most:
        raise invalid(f"This takes at most {most} entries.", field)
    return [(item, f"{field}[{index}]") for index, item in enumerate(value)]


def _object(value: Any, field: str, keys: tuple[str, ...]) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid("This must be an object.", field)
    for key in value:
        if key not in keys:
            raise invalid(f"There is no {key!r} here; there are {', '.join(keys)}.", f"{field}.{key}")
    return value


def _integer(value: Any, field: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise invalid(f"This must be a whole number from {low} to {high}.", field)
    return value


def _flag(value: Any, field: str) -> bool:
    if not isinstance(value, bool):
        raise invalid("This must be true or false.", field)
    return value


def text_of(value: Any, field: str) -> str:
    """`value`, which is text that the database can hold."""
    if not isinstance(value, str) or not is_clean(value):
        raise invalid(f"This must be text of at most {MAX_TEXT} characters.", field)
    return value


def is_clean(text: str) -> bool:
    """Whether it can be asked for."""
    # PostgreSQL's text holds no NUL; lone surrogates cannot be sent to it.
    return len(text) <= MAX_TEXT and "\x00" not in text and not any("\ud800" <= ch <= "\udfff" for ch in text)
