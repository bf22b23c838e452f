"""Reading an export back from CSV, NDJSON or Parquet, whichever the file's first bytes say it is."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from portfolio_analytics.exporters.columns import COLUMNS, Kind
from portfolio_analytics.exporters.formats import APOSTROPHE, ParquetUnavailable
from portfolio_analytics.importers.access_log import ImportProblem
from portfolio_analytics.importers.export_event import ExportedEvent

LONGEST_CELL = 16 << 20
PARQUET_MAGIC = b"PAR1"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # which spreadsheets put before what they save
BATCH = 5_000

_KINDS = {column.name: column.kind for column in COLUMNS}
_JSON = tuple(column.name for column in COLUMNS if column.kind is Kind.JSON)
_decode = msgspec.json.Decoder(ExportedEvent).decode

Place = tuple[int, int]
"""How far the reading is, and how far it goes: bytes, or events of a Parquet file."""


def read_export(path: Path) -> Iterator[tuple[ExportedEvent, Place]]:
    """The events of an export in the order of the file. Raises ImportProblem, ParquetUnavailable, OSError."""
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(len(PARQUET_MAGIC))
        file.seek(0)
        if first == PARQUET_MAGIC:
            events = _parquet(path)
        elif first[:1] == b"{":
            events = _ndjson(file, size)
        else:
            events = _csv(file, size)
        number = 0
        try:
            for found in events:
                number += 1
                yield found
        except (ValueError, csv.Error) as error:
            raise ImportProblem(f"{path.name}, event {number + 1}: {error}") from error


def _ndjson(file: BinaryIO, size: int) -> Iterator[tuple[ExportedEvent, Place]]:
    done = 0
    for line in file:
        done += len(line)
        if line.strip():
            yield _decode(line), (done, size)


def _csv(file: BinaryIO, size: int) -> Iterator[tuple[ExportedEvent, Place]]:
    csv.field_size_limit(LONGEST_CELL)
    file.seek(len(BYTE_ORDER_MARK) if file.read(3) == BYTE_ORDER_MARK else 0)
    reader = csv.DictReader((line.decode() for line in file), strict=True, restkey="")
    for cells in reader:
        yield _event({name: _value(name, cell) for name, cell in cells.items()}), (file.tell(), size)


def _parquet(path: Path) -> Iterator[tuple[ExportedEvent, Place]]:
    try:
        import pyarrow.parquet as pq  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra of 100 MB
    except ImportError:
        raise ParquetUnavailable(
            "Parquet needs pyarrow: pip install 'portfolio-analytics[parquet]'."
        ) from None
    done = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH):
            for values in batch.to_pylist():
                done += 1
                yield _event(values), (done, file.metadata.num_rows)


def _value(name: str, cell: Any) -> object:
    """What a CSV cell holds: an empty one nothing, unless it is of a column that always has text."""
    if not cell and _KINDS.get(name) is not Kind.TEXT:
        return None
    return cell.removeprefix(APOSTROPHE) if isinstance(cell, str) else cell


def _event(values: dict[str, Any]) -> ExportedEvent:
    for name in _JSON:
        if values.get(name) is not None:
            values[name] = msgspec.json.decode(values[name])
    return msgspec.convert(values, ExportedEvent, strict=False)
