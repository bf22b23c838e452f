"""Access logs: page views out of a web server's log, through the running service's intake.

The same line is the same event in every run: an event's id is a keyed hash of the line without its address
and an ordinal among equal lines. Visitors are hashed with a random salt a day; no address leaves the process.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import ipaddress
import os
import secrets
import uuid
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import iptocc

from portfolio_analytics.importers.access_line import PAGE_VIEW, Line, judge, read_line
from portfolio_analytics.importers.checkpoint import (
    SALT_BYTES,
    Checkpoint,
    Progress,
    checkpoint_path,
    site_key,
)
from portfolio_analytics.importers.service import MAX_BYTES, MAX_EVENTS, Service, encode_event, kind_of_answer
from portfolio_analytics.shared.errors import AnalyticsError
from portfolio_analytics.shared.log.file_lock import FileLock

MAX_LINE = 64 * 1024
EQUALS_REMEMBERED = 200_000
LINES_A_REPORT = 1000

OnProgress = Callable[[int, int], None]
"""Told how many bytes of the file have been dealt with, and how many there are."""


class ImportProblem(AnalyticsError):
    """The log cannot be imported; what was sent so far stays and is not sent again."""


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What became of a log's lines.

    `lines` counts them by `judge`'s reasons, over the whole log; `answers` counts the intake's answers
    to the page views: success, "ignored: <reason>", "rejected: <field or code>". `resumed` says that an
    earlier, broken-off import was gone on with.
    """

    lines: dict[str, int] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    resumed: bool = False

    @property
    def page_views(self) -> int:
        """How many lines are page views."""
        return self.lines.get(PAGE_VIEW, 0)


def import_access_log(
    path: Path,
    site: str,
    service: Service,
    *,
    state: Path,
    on_progress: OnProgress = lambda done, total: None,
) -> ImportSummary:
    """Send the page views of the log at `path` (plain or gzip) to `service` as `site`'s.

    `state` is the folder that keeps the checkpoint and the key of the ids. After an interruption the next
    call goes on where this one was; a log that was imported to its end is sent again whole, and the service
    counts none of it twice. Memory does not grow with the log. Raises ImportProblem, ServiceError, OSError.
    """
    key = site_key(state, site)
    with path.open("rb") as file:
        place = checkpoint_path(state, site, key, _first_line(file))
        lock = FileLock(place.with_suffix(".lock"))
        if not lock.take():
            raise ImportProblem(f"{path} is being imported already ({lock.owner()})")
        try:
            run = _Import(site, key, service, Checkpoint(place))
            return run.whole(file, on_progress)
        finally:
            lock.release()


class _Import:
    """One pass over one log."""

    def __init__(self, site: str, key: bytes, service: Service, checkpoint: Checkpoint) -> None:
        self._site = site
        self._key = key
        self._service = service
        self._checkpoint = checkpoint
        self._progress = checkpoint.load()
        self._ids = EventIds(key)
        self._batch: list[bytes] = []
        self._batch_bytes = 0

    def whole(self, file: BinaryIO, on_progress: OnProgress) -> ImportSummary:
        total = os.fstat(file.fileno()).st_size
        resume_at = self._resume_offset(file)
        counts: Counter[str] = Counter()
        read = hashlib.blake2b(key=self._key, digest_size=16)
        offset = 0
        for number, raw in enumerate(_lines(file), 1):
            offset += len(raw)
            read.update(raw)
            line = read_line(raw)
            reason = judge(line)
            counts[reason] += 1
            if line is not None and reason == PAGE_VIEW:
                # Ids are made of the lines before too, so that an ordinal is the same after a resumption.
                event_id = self._ids.next(line.content)
                if offset > resume_at:
                    self._add(line, event_id)
            if self._full():
                self._send(offset, read.digest())
            if number % LINES_A_REPORT == 0:
                on_progress(file.tell(), total)
        self._send(offset, read.digest())
        on_progress(total, total)
        self._checkpoint.destroy()
        return ImportSummary(dict(counts), dict(self._progress.answers), resume_at > 0)

    def _resume_offset(self, file: BinaryIO) -> int:
        """The checkpoint's offset, where what lies before it is still what was read then; else 0."""
        wanted = self._progress.offset
        if wanted:
            read, offset = hashlib.blake2b(key=self._key, digest_size=16), 0
            for raw in _lines(file):
                read.update(raw)
                offset += len(raw)
                if offset >= wanted:
                    break
            if offset == wanted and read.digest() == self._progress.digest:
                return wanted
            self._progress = Progress()
        return 0

    def _add(self, line: Line, event_id: uuid.UUID) -> None:
        event = encode_event(page_view(line, self._site, event_id, self._salt(line.time)))
        self._batch.append(event)
        self._batch_bytes += len(event) + 1

    def _full(self) -> bool:
        # The intake's limits, less the longest event that one more line can become.
        return len(self._batch) >= MAX_EVENTS or self._batch_bytes > MAX_BYTES - 2 * MAX_LINE

    def _send(self, offset: int, digest: bytes) -> None:
        answers = Counter(self._progress.answers)
        if self._batch:
            answers.update(map(kind_of_answer, self._service.send(self._batch)))
            self._batch, self._batch_bytes = [], 0
        self._progress.offset, self._progress.digest = offset, digest
        self._progress.answers = dict(answers)
        self._checkpoint.save(self._progress)

    def _salt(self, time: datetime) -> bytes:
        """The day's salt. It is on disk before anything that was hashed with it is sent."""
        day = time.date().isoformat()
        salt = self._progress.salts.get(day)
        if salt is None:
            salt = secrets.token_bytes(SALT_BYTES)
            self._progress.salts[day] = salt
            self._checkpoint.save(self._progress)
        return salt


class EventIds:
    """The ids of the page views of one log, in the log's order.

    Of equal lines the first is number 0, the next number 1, ... For the ordinals the newest 200,000
    different lines are remembered; equal lines lie close together, since they carry the same second.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._seen: OrderedDict[bytes, int] = OrderedDict()

    def next(self, content: bytes) -> uuid.UUID:
        """The id of the next line with this `content` (a line without its address): a UUID version 8."""
        name = hashlib.blake2b(content, key=self._key, digest_size=16).digest()
        ordinal = self._seen.get(name, -1) + 1
        self._seen[name] = ordinal
        if len(self._seen) > EQUALS_REMEMBERED:
            self._seen.popitem(last=False)
        hashed = hashlib.blake2b(name + ordinal.to_bytes(8, "big"), key=self._key, digest_size=16).digest()
        number = int.from_bytes(hashed, "big")
        number = number & ~(0xF << 76) | 8 << 76
        return uuid.UUID(int=number & ~(0x3 << 62) | 0x2 << 62)


def page_view(line: Line, site: str, event_id: uuid.UUID, salt: bytes) -> dict[str, str]:
    """The event that the intake gets of a line: its visitor and country, not its address."""
    event = {
        "event_type": "page_view",
        "event_id": str(event_id),
        "site": site,
        "page": line.target,
        "timestamp": line.time.isoformat(),
        "visitor": visitor(line, salt),
    }
    if line.referrer is not None:
        event["referrer"] = line.referrer
    if line.user_agent is not None:
        event["user_agent"] = line.user_agent
    found = country(line.address)
    if found is not None:
        event["country"] = found
    return event


def visitor(line: Line, salt: bytes) -> str:
    """A 128-bit hash of address and user agent under the day's `salt`, in hexadecimal."""
    who = f"{line.address}\x00{line.user_agent or ''}".encode()
    return hashlib.blake2b(who, key=salt, digest_size=16).hexdigest()


@lru_cache(maxsize=8192)
def country(address: str) -> str | None:
    """The ISO 3166 country of an IP address; None for a host's name or where it is not known."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return None
    found: str | None = iptocc.country_code(address)
    return found


def _first_line(file: BinaryIO) -> bytes:
    for line in _lines(file):
        return line
    return b""


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a plain or gzip file from its beginning; what is longer than 64 KiB comes in pieces."""
    file.seek(0)
    compressed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    source: io.BufferedIOBase | BinaryIO = gzip.GzipFile(fileobj=file) if compressed else file
    try:
        while line := source.readline(MAX_LINE):
            yield line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ImportProblem(f"the gzip file is damaged or not complete: {error}") from None
