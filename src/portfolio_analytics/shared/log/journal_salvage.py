"""Reads records out of a journal file that SQLite itself cannot read any more.

Every page of the file (in the WAL's version where there is one) is looked at by itself, by SQLite's
published file format. Whether something is a record is decided by its own CRC-32, so that nothing is
invented; pages that are gone take only their own records with them.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from pathlib import Path

Row = tuple[int, int, int, bytes, bytes]
"""Offset, time in ms, CRC, key, value."""

WAL_HEADER, FRAME_HEADER = 32, 24
TABLE_LEAF, INDEX_LEAF = 0x0D, 0x0A
INTEGER_BYTES = (0, 1, 2, 3, 4, 6, 8)
COLUMNS = 5

_Column = int | bytes | None


class _Pages:
    """The pages of a database with its WAL, by number from 1."""

    def __init__(self, path: Path, page_bytes: int) -> None:
        self._page_bytes = page_bytes
        self._file = path.read_bytes() if path.stat().st_size < page_bytes else _map(path)
        wal = Path(f"{path}-wal")
        self._wal = _map(wal) if wal.exists() and wal.stat().st_size > WAL_HEADER else b""
        self._frames = self._find_frames()
        self.count = max([len(self._file) // page_bytes, *self._frames])

    def _find_frames(self) -> dict[int, int]:
        """Page number -> where its last version begins, among the frames of the WAL's present round."""
        salt, frames = self._wal[16:24], {}
        for start in range(WAL_HEADER, len(self._wal) - self._page_bytes, FRAME_HEADER + self._page_bytes):
            number = int.from_bytes(self._wal[start : start + 4], "big")
            if self._wal[start + 8 : start + 16] == salt and 0 < number < 1 << 31:
                frames[number] = start + FRAME_HEADER
        return frames

    def page(self, number: int) -> bytes:
        """A page's bytes; fewer than a page where the file ends."""
        start = self._frames.get(number)
        if start is not None:
            return self._wal[start : start + self._page_bytes]
        start = (number - 1) * self._page_bytes
        return self._file[start : start + self._page_bytes]


def salvage(path: Path, page_bytes: int, crc: Callable[[int, int, bytes, bytes], int]) -> Iterator[Row]:
    """Every record in the file whose `crc` is right, in no order; a record may come twice."""
    pages = _Pages(path, page_bytes)
    for number in range(1, pages.count + 1):
        page = pages.page(number)
        for offset, columns in _cells(page, number, pages, TABLE_LEAF):
            if len(columns) != COLUMNS:
                continue
            _, time_ms, found, key, value = columns
            if (
                isinstance(time_ms, int)
                and isinstance(found, int)
                and isinstance(key, bytes)
                and isinstance(value, bytes)
                and crc(offset, time_ms, key, value) == found
            ):
                yield offset, time_ms, found, key, value


def salvage_meta(path: Path, page_bytes: int) -> dict[str, set[str]]:
    """Names and the values that were found for them, old ones among them."""
    pages = _Pages(path, page_bytes)
    meta: dict[str, set[str]] = {}
    for number in range(1, pages.count + 1):
        for _, columns in _cells(pages.page(number), number, pages, INDEX_LEAF):
            if len(columns) == 2 and isinstance(columns[0], bytes) and isinstance(columns[1], bytes):
                name, value = (
                    column.decode("utf-8", "replace") for column in columns if isinstance(column, bytes)
                )
                meta.setdefault(name, set()).add(value)
    return meta


def _map(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _cells(page: bytes, number: int, pages: _Pages, kind: int) -> Iterator[tuple[int, list[_Column]]]:
    """The row ids and columns on a leaf page; cells that make no sense are left out."""
    start = 100 if number == 1 else 0  # the file's own header comes first on page 1
    if len(page) <= start + 8 or page[start] != kind:
        return
    count = int.from_bytes(page[start + 3 : start + 5], "big")
    for place in range(count):
        pointer = start + 8 + 2 * place
        try:
            at = int.from_bytes(page[pointer : pointer + 2], "big")
            size, at = _varint(page, at)
            row_id, at = _varint(page, at) if kind == TABLE_LEAF else (0, at)
            yield row_id, _columns(_payload(page, at, size, pages, kind))
        except (IndexError, ValueError):
            continue


def _payload(page: bytes, at: int, size: int, pages: _Pages, kind: int) -> bytes:
    """A cell's content, which goes on in a chain of overflow pages when it is large."""
    usable = len(page)
    most = usable - 35 if kind == TABLE_LEAF else (usable - 12) * 64 // 255 - 23
    if size <= most:
        return page[at : at + size]
    least = (usable - 12) * 32 // 255 - 23
    local = least + (size - least) % (usable - 4)
    local = local if local <= most else least
    content = bytearray(page[at : at + local])
    following = int.from_bytes(page[at + local : at + local + 4], "big")
    while len(content) < size:
        overflow = pages.page(following) if following else b""
        if len(overflow) < usable:
            raise ValueError("the chain of overflow pages ends early")
        content += overflow[4 : 4 + size - len(content)]
        following = int.from_bytes(overflow[:4], "big")
    return bytes(content)


def _columns(payload: bytes) -> list[_Column]:
    header, at = _varint(payload, 0)
    columns: list[_Column] = []
    body = header
    while at < header:
        kind, at = _varint(payload, at)
        column, body = _column(payload, kind, body)
        columns.append(column)
    return columns


def _column(payload: bytes, kind: int, body: int) -> tuple[_Column, int]:
    if kind == 0:
        return None, body
    if kind in (8, 9):
        return kind - 8, body
    size = INTEGER_BYTES[kind] if kind < len(INTEGER_BYTES) else (kind - 12) // 2
    content = payload[body : body + size]
    if len(content) != size or kind in (7, 10, 11):
        raise ValueError("not a record of ours")
    value: _Column = int.from_bytes(content, "big", signed=True) if kind < len(INTEGER_BYTES) else content
    return value, body + size


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(9):
        byte = content[at + place]
        if place == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError("unreachable")
