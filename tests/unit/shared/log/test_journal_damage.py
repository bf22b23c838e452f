"""A torn or corrupt journal: the rest is delivered, what is lost is named, offsets stay unique."""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path

import pytest

from portfolio_analytics.shared.log.journal import JournalReader
from portfolio_analytics.shared.log.journal_file import JournalDamaged, JournalFile
from portfolio_analytics.shared.log.journal_tables import PAGE_BYTES
from portfolio_analytics.shared.log.protocol import LogRecord

COUNT = 400


def value_of(number: int) -> bytes:
    return b"value-%05d-" % number + b"." * (number % 50) + (os.urandom(6000) if number % 97 == 0 else b"")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of 400 records, some of them larger than a page, all merged from the WAL into the file."""
    path = tmp_path / "journal.db"
    file = JournalFile(path)
    file.open()
    for start in range(0, COUNT, 50):
        file.append([(b"key", value_of(number)) for number in range(start, start + 50)])
    file.close()
    assert not path.with_name("journal.db-wal").exists()
    return path


def read_all(path: Path) -> tuple[list[LogRecord], list[tuple[int, int]]]:
    """The records in it, and the gaps reported as (first lost, first after)."""
    gaps: list[tuple[int, int]] = []
    reader = JournalReader(path)
    reader.on_assigned = lambda topic_id, partitions: dict.fromkeys(partitions, 0)
    reader.on_gap = lambda partition, wanted, resumed: gaps.append((wanted, resumed))
    reader.open()
    records: list[LogRecord] = []
    while batch := reader.poll(100, 0):
        records += batch
    reader.close()
    return records, gaps


def missing(records: list[LogRecord], gaps: list[tuple[int, int]]) -> set[int]:
    """What is not delivered; checks that the gaps name just that."""
    lost = set(range(COUNT)) - {record.offset for record in records}
    named = {offset for first, after in gaps for offset in range(first, after)}
    assert lost <= named
    assert not named & {record.offset for record in records}
    return lost


def overwrite(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def page_of(path: Path, content: bytes) -> int:
    """Where the page begins that holds `content`."""
    return path.read_bytes().index(content) // PAGE_BYTES * PAGE_BYTES


def test_a_changed_byte_makes_one_record_empty_and_the_rest_is_delivered(path: Path) -> None:
    overwrite(path, path.read_bytes().index(b"value-00123-"), b"VALUE")
    records, gaps = read_all(path)
    assert gaps == []
    assert [record.offset for record in records] == list(range(COUNT))
    assert [record.offset for record in records if record.value is None] == [123]
    assert records[123].key is None


def test_a_destroyed_page_is_skipped_and_its_records_are_named(path: Path) -> None:
    overwrite(path, page_of(path, b"value-00123-"), os.urandom(PAGE_BYTES))
    records, gaps = read_all(path)
    lost = missing(records, gaps)
    assert 123 in lost
    assert len(lost) < 150
    # Meeting the damage marks the file: whoever is next alone in it repairs it.
    records_after, gaps_after = read_all(path)
    assert missing(records_after, gaps_after) == lost
    assert list(path.parent.glob("journal.db.damaged-*"))
    assert_usable(path)


def test_a_destroyed_inner_page_costs_no_record_after_the_repair(path: Path) -> None:
    content = path.read_bytes()
    inner = [at for at in range(0, len(content), PAGE_BYTES) if content[at] == 0x05]
    assert inner
    for at in inner:
        overwrite(path, at, os.urandom(PAGE_BYTES))
    file = JournalFile(path)
    file.open()
    file.close()
    records, gaps = read_all(path)
    assert missing(records, gaps) == set()
    assert_usable(path)


def test_a_torn_file_keeps_what_is_left(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // PAGE_BYTES * PAGE_BYTES + 1000)
    records, gaps = read_all(path)
    lost = missing(records, gaps)
    assert 0 < len(lost) < COUNT
    assert [record.offset for record in records if record.offset < 50] == list(range(50))
    assert_usable(path)


def test_a_destroyed_header_costs_no_record(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = JournalFile(path)
    before.open()
    topic_id = before.topic_id
    before.close()
    overwrite(path, 0, b"\0" * 100)
    with caplog.at_level(logging.ERROR):
        records, gaps = read_all(path)
    assert missing(records, gaps) == set()
    assert [record.value for record in records][:97:96] == [records[0].value, value_of(96)]
    after = JournalFile(path)
    after.open()
    assert after.topic_id == topic_id
    after.close()
    assert "400 records were kept" in caplog.text
    assert_usable(path)


def test_what_is_only_in_the_wal_is_saved_too(path: Path, tmp_path: Path) -> None:
    file = JournalFile(path)
    file.open()
    file.append([(b"key", b"only in the WAL %d" % n) for n in range(20)])
    # As after a kill -9: the WAL stays. A copy is taken while the file is open.
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("journal.db", "journal.db-wal"):
        (copy / name).write_bytes((tmp_path / name).read_bytes())
    file.close()
    overwrite(copy / "journal.db", 0, os.urandom(100))
    records, _ = read_all(copy / "journal.db")
    assert [record.value for record in records[COUNT:]] == [b"only in the WAL %d" % n for n in range(20)]
    assert len(records) == COUNT + 20


def test_a_torn_wal_loses_nothing_that_was_committed_before(path: Path, tmp_path: Path) -> None:
    file = JournalFile(path)
    file.open()
    file.append([(b"key", b"committed")])
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "journal.db").write_bytes(path.read_bytes())
    wal = path.with_name("journal.db-wal").read_bytes()
    (copy / "journal.db-wal").write_bytes(wal + os.urandom(5000))
    file.close()
    records, gaps = read_all(copy / "journal.db")
    assert records[-1].value == b"committed"
    assert len(records) == COUNT + 1
    assert gaps == []


def test_a_file_in_use_is_not_replaced(path: Path) -> None:
    used = JournalFile(path)
    used.open()
    overwrite(path, page_of(path, b"value-00123-"), os.urandom(PAGE_BYTES))
    records, gaps = read_all(path)
    assert 123 in missing(records, gaps)
    other = JournalFile(path)
    other.open()
    other.close()
    assert not list(path.parent.glob("journal.db.damaged-*"))
    assert used.append([(b"key", b"goes on")]) == COUNT
    used.close()


def test_a_repair_that_was_interrupted_is_finished(path: Path) -> None:
    overwrite(path, 0, b"\0" * 100)
    broken = path.read_bytes()
    records, _ = read_all(path)
    # The state right before the swap: the repaired file beside the damaged one.
    os.rename(path, f"{path}.repaired")
    path.write_bytes(broken)
    again, gaps = read_all(path)
    assert again == records
    assert missing(again, gaps) == set()


def test_a_file_of_another_format_is_refused(path: Path) -> None:
    db = sqlite3.connect(path)
    with db:
        db.execute("UPDATE meta SET value = '99' WHERE name = 'format'")
    db.close()
    with pytest.raises(Exception, match="format 99"):
        JournalFile(path).open()


def test_damage_at_the_end_stops_writers_until_the_next_start(path: Path) -> None:
    file = JournalFile(path)
    file.open()
    overwrite(path, page_of(path, b"value-00399-"), os.urandom(PAGE_BYTES))
    with pytest.raises(JournalDamaged, match="next start repairs"):
        file.append([(b"key", b"x")])
    file.close()
    records, gaps = read_all(path)
    assert 399 in missing(records, gaps)
    assert_usable(path)


def assert_usable(path: Path) -> None:
    """It takes records, at offsets that no record had before, and they can be read."""
    file = JournalFile(path)
    file.open()
    offset = file.append([(b"key", b"after the repair")])
    assert offset >= COUNT
    assert [record.value for record in file.read(offset, 10)] == [b"after the repair"]
    file.close()
