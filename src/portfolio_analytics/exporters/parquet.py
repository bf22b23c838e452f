"""Parquet, through pyarrow: row groups of bounded size, written as they are full."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from portfolio_analytics.exporters.columns import COLUMNS, Kind, Row

GROUP = 50_000
"""Events of a row group, which are held until it is written."""

_TYPES = {
    Kind.TEXT: pa.string(),
    Kind.OPTIONAL: pa.string(),
    Kind.JSON: pa.string(),
    Kind.NUMBER: pa.int64(),
    Kind.TIME: pa.timestamp("ms", tz="UTC"),
    Kind.DATE: pa.date32(),
}

SCHEMA = pa.schema([(column.name, _TYPES[column.kind]) for column in COLUMNS])


class Parquet:
    """One Parquet file; JSON columns hold their text."""

    def __init__(self) -> None:
        self._written = _Written()
        self._writer = pq.ParquetWriter(self._written, SCHEMA, compression="zstd")
        self._waiting: list[Row] = []

    def begin(self) -> bytes:
        """The file's first bytes."""
        return self._written.take()

    def rows(self, rows: Sequence[Row]) -> bytes:
        """The row group, when it is full."""
        self._waiting += rows
        if len(self._waiting) >= GROUP:
            self._write()
        return self._written.take()

    def end(self) -> bytes:
        """The last row group and the footer, without which nothing can be read."""
        if self._waiting:
            self._write()
        self._writer.close()
        return self._written.take()

    def _write(self) -> None:
        columns = zip(*self._waiting, strict=True)
        arrays = [
            pa.array(values, _TYPES[column.kind]) for column, values in zip(COLUMNS, columns, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA), row_group_size=GROUP * 2)
        self._waiting = []


class _Written(io.RawIOBase):
    """A file that gives away what was written to it, and remembers how much that was."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._pieces.append(piece)
        self._size += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._size

    def take(self) -> bytes:
        """What was written since the last time."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken
