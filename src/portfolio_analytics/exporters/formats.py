"""The formats of an export: rows become bytes. Pure.

CSV is that of RFC 4180 in UTF-8 with a head line. A spreadsheet takes a cell for a formula by its first
character: a cell that begins with one of `= + - @`, tab, carriage return or an apostrophe gets an apostrophe
before it, numbers too, and an import takes it away again. An empty cell is no value, a lone apostrophe an
empty text where the two differ.
"""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Sequence
from typing import Final, Literal, Protocol

import msgspec

from portfolio_analytics.exporters.columns import COLUMNS, NAMES, Kind, Row
from portfolio_analytics.shared.errors import AnalyticsError

FormatName = Literal["csv", "ndjson", "parquet"]

MEDIA_TYPES: Final = {
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}

APOSTROPHE: Final = "'"
ACTIVE: Final = ("=", "+", "-", "@", "\t", "\r", APOSTROPHE)
"""What a cell's first character must not be."""

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_encode = msgspec.json.Encoder().encode


class ParquetUnavailable(AnalyticsError):
    """The extra that reads and writes Parquet is not installed."""


class Format(Protocol):
    """Turns the rows of one export into bytes."""

    def begin(self) -> bytes: ...
    def rows(self, rows: Sequence[Row]) -> bytes: ...
    def end(self) -> bytes: ...


def make_format(name: str) -> Format:
    """A format for one export, by its name in MEDIA_TYPES. Raises ParquetUnavailable."""
    if name == "csv":
        return Csv()
    if name == "ndjson":
        return Ndjson()
    try:
        from portfolio_analytics.exporters.parquet import Parquet  # noqa: PLC0415 - an extra of 100 MB
    except ImportError:
        raise ParquetUnavailable(
            "Parquet needs pyarrow: pip install 'portfolio-analytics[parquet]'."
        ) from None
    return Parquet()


class Csv:
    """One line an event; see the module."""

    def begin(self) -> bytes:
        """The head line."""
        return _csv_lines([NAMES])

    def rows(self, rows: Sequence[Row]) -> bytes:
        """The events' lines."""
        return _csv_lines([list(map(_cell, _KINDS, row)) for row in rows])

    def end(self) -> bytes:
        """Nothing."""
        return b""


class Ndjson:
    """One JSON object a line; what an event does not have is null."""

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def rows(self, rows: Sequence[Row]) -> bytes:
        """The events' lines."""
        return b"".join(
            _encode(dict(zip(NAMES, map(_json_value, _KINDS, row), strict=True))) + b"\n" for row in rows
        )

    def end(self) -> bytes:
        """Nothing."""
        return b""


_KINDS = tuple(column.kind for column in COLUMNS)


def instant_text(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    moment = _EPOCH + datetime.timedelta(milliseconds=ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def inert(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return APOSTROPHE + cell if cell.startswith(ACTIVE) else cell


def _cell(kind: Kind, value: object) -> str:
    if value is None:
        return ""
    if kind is Kind.TIME and isinstance(value, int):
        return instant_text(value)
    if kind is Kind.OPTIONAL and value == "":
        return APOSTROPHE
    return inert(str(value))


def _json_value(kind: Kind, value: object) -> object:
    if kind is Kind.TIME and isinstance(value, int):
        return instant_text(value)
    if kind is Kind.JSON and isinstance(value, str):
        return msgspec.Raw(value.encode())
    return value


def _csv_lines(lines: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(lines)
    return text.getvalue().encode()
