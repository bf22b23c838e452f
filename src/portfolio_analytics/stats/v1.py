"""The Plausible Stats API v1 read into queries. Pure.

Its parameters become the JSON of a v2 query, so that one parser checks both; an error's `field` is the
parameter that the part came from.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from portfolio_analytics.shared.http import ApiError
from portfolio_analytics.stats.query import Query, bound, invalid, is_time, parse, whole_number

DEFAULT_PERIOD: Final = "30d"
DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1_000
INTERVALS: Final = {
    "minute": "minute",
    "hour": "hour",
    "date": "day",
    "day": "day",
    "week": "week",
    "month": "month",
}

_CLAUSE = re.compile(r"\s*((?:visit|event):\w+(?::[^=!~]+?)?)\s*(==|!=|!~|~)(.*)", re.DOTALL)
_AND = re.compile(r"(?<!\\);")
_OR = re.compile(r"(?<!\\)\|")
_OPERATORS: Final = {"==": "is", "!=": "is_not", "~": "contains", "!~": "contains_not"}
_WILD: Final = {"is": "matches", "is_not": "matches_not"}


def aggregate(given: Mapping[str, str]) -> Query:
    """Totals; `compare=previous_period` puts the period before beside them."""
    body = _body(given)
    if given.get("compare"):
        body["include"] = {"comparisons": {"mode": given["compare"]}}
    return _query(given, body)


def timeseries(given: Mapping[str, str]) -> Query:
    """By time, in the unit that `interval` or else the period names."""
    period = given.get("period", DEFAULT_PERIOD)
    usual = "hour" if period == "day" else "month" if period in ("6mo", "12mo", "year") else "date"
    unit = INTERVALS.get(given.get("interval", usual))
    if unit is None:
        raise invalid(f"An interval is one of {', '.join(INTERVALS)}.", "interval")
    return _query(given, {**_body(given), "dimensions": [f"time:{unit}"]})


def breakdown(given: Mapping[str, str]) -> Query:
    """By one `property`, in pages of `limit`."""
    name = given.get("property", "")
    if not name or is_time(name):
        raise invalid("This needs a property such as visit:source or event:page.", "property")
    limit = whole_number(given.get("limit", str(DEFAULT_LIMIT)), "limit", 1, MAX_LIMIT)
    page = whole_number(given.get("page", "1"), "page", 1, 10_000)
    pagination = {"limit": limit, "offset": limit * (page - 1)}
    return _query(given, {**_body(given), "dimensions": [name], "pagination": pagination})


def filters(text: str) -> list[Any]:
    """`visit:browser==Firefox|Chrome;event:page!=/blog/**` as a list of v2 filters.

    `*` stands for any characters but /, `**` for any; a backslash before | or ; takes their meaning away.
    """
    found = []
    for clause in _AND.split(text):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise invalid(f"{clause[:60]!r} is no filter such as visit:country==DE.", "filters")
        name, operator = match[1], _OPERATORS[match[2]]
        values = [re.sub(r"\\([|;])", r"\1", value).strip() for value in _OR.split(match[3])]
        if operator in _WILD and any("*" in value for value in values):
            operator, values = _WILD[operator], [_pattern(value) for value in values]
        found.append([operator, name, values])
    return found


def _body(given: Mapping[str, str]) -> dict[str, Any]:
    metrics = given.get("metrics", "visitors")
    return {
        "site_id": given.get("site_id"),
        "metrics": [name.strip() for name in metrics.split(",")],
        "date_range": _range(given),
        "filters": filters(given["filters"]) if given.get("filters") else [],
    }


def _query(given: Mapping[str, str], body: dict[str, Any]) -> Query:
    try:
        query = parse(body)
    except ApiError as error:
        raise invalid(error.message, _parameter(given, error.field or "")) from None
    if given.get("period") == "custom" or not given.get("date"):
        return query
    today = bound(given["date"], "date")
    if isinstance(today, datetime.datetime):
        raise invalid("This is a date such as 2026-01-31.", "date")
    return replace(query, date_range=replace(query.date_range, today=today))


def _parameter(given: Mapping[str, str], field: str) -> str:
    """The parameter of v1 that became the part `field` of a v2 query."""
    if field.startswith("date_range"):
        return "date" if given.get("period") == "custom" else "period"
    if field.startswith("include"):
        return "compare"
    part = re.split(r"[.\[]", field, maxsplit=1)[0]
    return "property" if part == "dimensions" else part


def _range(given: Mapping[str, str]) -> Any:
    period = given.get("period", DEFAULT_PERIOD)
    if period != "custom":
        return period
    first, comma, last = given.get("date", "").partition(",")
    if not comma:
        raise invalid("The period custom needs date=2026-01-01,2026-01-31.", "date")
    return [first, last]


def _pattern(value: str) -> str:
    """A regular expression for a value with wildcards."""
    pieces = re.split(r"(\*\*?)", value)
    meant = {"**": ".*", "*": "[^/]*"}
    return "^" + "".join(meant.get(piece, re.escape(piece)) for piece in pieces) + "$"
