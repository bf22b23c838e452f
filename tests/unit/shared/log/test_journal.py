"""The journal's own promises: several processes, sudden death, full disks, one reader."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from portfolio_analytics.shared.errors import LogFull, LogUnavailable
from portfolio_analytics.shared.log import journal_file
from portfolio_analytics.shared.log.journal import JournalReader, JournalWriter
from portfolio_analytics.shared.log.journal_file import JournalFile
from portfolio_analytics.shared.log.protocol import Appended, LogRecord

# Appends "<name>.<n>" for ever, some at once, and prints each value with its offset when it is acknowledged.
WRITER = """
import asyncio, sys
from pathlib import Path
from portfolio_analytics.shared.log.journal import JournalWriter

async def one(writer, name, count):
    for n in range(count):
        value = f"{name}.{n}"
        appended = await writer.append(b"key", value.encode())
        print(value, appended.offset, flush=True)

async def main(path, name, count, streams):
    writer = JournalWriter(Path(path))
    await writer.open()
    await asyncio.gather(*(one(writer, f"{name}-{stream}", count) for stream in range(streams)))
    await writer.close(5)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def start_writer(path: Path, name: str, count: int, streams: int = 8) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", WRITER, str(path), name, str(count), str(streams)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def read_all(path: Path, start: int | None = None) -> list[LogRecord]:
    reader = JournalReader(path)
    reader.on_assigned = lambda topic_id, partitions: dict.fromkeys(partitions, start)
    reader.open()
    records: list[LogRecord] = []
    while batch := reader.poll(1000, 0):
        records += batch
    reader.close()
    return records


async def append(path: Path, *values: bytes) -> list[int]:
    writer = JournalWriter(path)
    await writer.open()
    offsets = [(await writer.append(b"key", value)).offset for value in values]
    await writer.close(5)
    return offsets


def test_kill_9_of_a_writer_loses_nothing_that_was_acknowledged(path: Path) -> None:
    acknowledged: dict[str, int] = {}
    for life in range(3):
        writer = start_writer(path, f"life-{life}", 1_000_000)
        assert writer.stdout is not None
        for _ in range(300):
            value, offset = writer.stdout.readline().split()
            acknowledged[value] = int(offset)
        writer.kill()
        rest = writer.communicate()[0]
        whole_lines = rest.splitlines() if rest.endswith("\n") else rest.splitlines()[:-1]
        acknowledged.update({value: int(offset) for value, offset in map(str.split, whole_lines)})
    stored = {(record.value or b"").decode(): record.offset for record in read_all(path)}
    assert len(acknowledged) >= 900
    assert acknowledged.items() <= stored.items()


def test_processes_that_write_at_once_share_the_offsets(path: Path) -> None:
    writers = [start_writer(path, name, 50) for name in ("a", "b", "c")]
    reader = JournalReader(path)
    reader.open()
    records: list[LogRecord] = []
    end = time.monotonic() + 60
    while len(records) < 3 * 8 * 50 and time.monotonic() < end:
        records += reader.poll(100, 0.5)
    said = [line.split() for writer in writers for line in writer.communicate()[0].splitlines()]
    assert reader.poll(100, 0) == []
    reader.close()
    assert [record.offset for record in records] == list(range(3 * 8 * 50))
    assert {value: int(offset) for value, offset in said} == {
        (record.value or b"").decode(): record.offset for record in records
    }


async def test_records_of_one_moment_share_a_commit(path: Path) -> None:
    writer = JournalWriter(path)
    await writer.open()
    watching = JournalFile(path)
    watching.open()
    commits, last = 0, watching.version()
    waiting = [writer.append(b"key", b"x") for _ in range(500)]
    while not all(asyncio.isfuture(one) and one.done() for one in waiting):
        await asyncio.sleep(0)
        version = watching.version()
        commits, last = commits + (version != last), version
    assert commits <= 2
    watching.close()
    await writer.close(5)


async def test_a_waiter_that_gave_up_disturbs_no_one(path: Path) -> None:
    writer = JournalWriter(path)
    await writer.open()
    waiting = [asyncio.ensure_future(writer.append(b"key", b"%d" % n)) for n in range(100)]
    for one in waiting[::2]:
        one.cancel()
    assert [(await one).offset for one in waiting[1::2]] == list(range(1, 100, 2))
    await writer.close(5)


def test_the_topic_id_is_made_once(path: Path) -> None:
    ids = set()
    for _ in range(2):
        file = JournalFile(path)
        file.open()
        ids.add(file.topic_id)
        file.close()
    assert len(ids) == 1
    assert len(ids.pop()) == 32


async def test_only_its_owner_can_read_the_file(path: Path) -> None:
    await append(path, b"x")
    assert {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {
        file.name: 0o600 for file in path.parent.iterdir()
    }


# --- one reader


def test_a_second_reader_is_refused_and_told_who_reads(path: Path) -> None:
    first, second = JournalReader(path), JournalReader(path)
    first.open()
    with pytest.raises(LogUnavailable, match=f"pid {os.getpid()}"):
        second.open()
    first.close()
    second.open()
    second.close()


def test_a_reader_that_was_killed_leaves_the_journal_free(path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from portfolio_analytics.shared.log.journal import *; "
        "r = JournalReader(Path(sys.argv[1])); r.open(); print('open', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "open\n"
    with pytest.raises(LogUnavailable, match=f"pid {other.pid}"):
        JournalReader(path).open()
    other.kill()
    other.communicate()
    assert read_all(path) == []


def test_an_idle_reader_costs_next_to_nothing(path: Path) -> None:
    reader = JournalReader(path)
    reader.open()
    before = time.thread_time()
    reader.poll(10, 1.0)
    assert time.thread_time() - before < 0.05
    reader.close()


def test_a_record_of_another_process_is_seen_within_milliseconds(path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from portfolio_analytics.shared.log.journal_file import JournalFile\n"
        "f = JournalFile(Path(sys.argv[1])); f.open()\n"
        "for _ in range(20): time.sleep(0.05); f.append([(b'k', str(time.time()).encode())])"
    )
    reader = JournalReader(path)
    reader.open()
    other = subprocess.Popen([sys.executable, "-c", program, str(path)])
    delays: list[float] = []
    while len(delays) < 20:
        delays += [time.time() - float(record.value or 0) for record in reader.poll(10, 20)]
    other.wait()
    reader.close()
    assert sorted(delays)[10] < 0.03


# --- trimming


async def test_trim_deletes_what_is_both_consumed_and_old(path: Path) -> None:
    await append(path, *(b"%d" % n for n in range(10)))
    reader = JournalReader(path)
    reader.open()
    now = int(time.time() * 1000)
    assert reader.trim(before_offset=10, before_ms=now - 60_000) == 0
    assert reader.trim(before_offset=0, before_ms=now + 60_000) == 0
    assert reader.trim(before_offset=4, before_ms=now + 60_000) == 4
    assert reader.watermarks().low == 4
    reader.close()
    assert [record.offset for record in read_all(path)] == list(range(4, 10))


def test_trim_gives_its_space_back(path: Path) -> None:
    file = JournalFile(path)
    file.open()
    for _ in range(20):
        file.append([(b"key", os.urandom(1000))] * 500)
    full = file.used_bytes()
    while file.trim(10_000, 2**62):
        pass
    assert file.used_bytes() < full / 50
    file.close()
    assert path.stat().st_size < full / 10


def test_the_consumers_position_is_noted(path: Path) -> None:
    reader = JournalReader(path)
    reader.open()
    reader.poll(1, 0)
    reader.commit({0: 3})
    reader.commit({0: 7})
    reader.close()
    file = JournalFile(path)
    file.open()
    assert file.consumed() == 7
    file.close()


# --- no space, no lock, no file


async def test_at_its_limit_the_journal_says_full_and_takes_records_again_after_trimming(path: Path) -> None:
    writer = JournalWriter(path, max_bytes=300_000)
    await writer.open()
    taken = 0
    results = await writer.append_many([(b"key", os.urandom(5000))])
    while isinstance(results[0], Appended):
        taken += 1
        results = await writer.append_many([(b"key", os.urandom(5000))])
    assert isinstance(results[0], LogFull)
    assert 40 < taken < 60
    assert "limit" in (await writer.healthy() or "")
    assert [record.offset for record in read_all(path)] == list(range(taken))
    reader = JournalReader(path)
    reader.open()
    reader.trim(taken, 2**62)
    reader.close()
    assert await writer.append(b"key", b"x") == (0, taken)
    assert await writer.healthy() is None
    await writer.close(5)


FILLER = """
import asyncio, os, resource, sys
from pathlib import Path
from portfolio_analytics.shared.errors import LogFull
from portfolio_analytics.shared.log.journal import JournalWriter

async def main(path, limit):
    writer = JournalWriter(Path(path))
    await writer.open()
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    taken = 0
    try:
        while taken < 5000:
            offset = (await writer.append(b"key", os.urandom(3000))).offset
            assert offset == taken
            taken += 1
    except LogFull:
        print("full", await writer.healthy() is not None, taken)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    else:
        Path(path).with_name("ballast").unlink()
    print("again", (await writer.append(b"key", b"after")).offset, await writer.healthy())
    await writer.close(5)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def fill(path: Path, limit: int) -> int:
    said = subprocess.run(
        [sys.executable, "-c", FILLER, str(path), str(limit)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert said[:2] == ["full", "True"]
    taken = int(said[2])
    assert said[3:] == ["again", str(taken), "None"]
    return taken


def test_a_quota_that_is_reached_is_full_and_passes(path: Path) -> None:
    taken = fill(path, 1_000_000)
    assert taken > 50
    assert [record.offset for record in read_all(path)] == list(range(taken + 1))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_full_is_full_and_passes(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(36 << 20))
    taken = fill(small_disk / "journal.db", 0)
    assert taken > 50
    assert [record.offset for record in read_all(small_disk / "journal.db")] == list(range(taken + 1))


async def test_a_locked_journal_is_waited_for_and_then_given_up(path: Path) -> None:
    await append(path, b"0")
    writer = JournalWriter(path, busy_timeout=1.0)
    await writer.open()
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.ensure_future(writer.append(b"key", b"1"))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    other.execute("ROLLBACK")
    assert (await waiting).offset == 1
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LogUnavailable, match="locked"):
        await writer.append(b"key", b"2")
    assert "locked" in (await writer.healthy() or "")
    other.execute("ROLLBACK")
    other.close()
    assert (await writer.append(b"key", b"2")).offset == 2
    await writer.close(5)


async def test_a_stopped_process_does_not_hold_the_others_up_for_ever(path: Path) -> None:
    other = start_writer(path, "other", 1_000_000)
    assert other.stdout is not None
    other.stdout.readline()
    writer = JournalWriter(path, busy_timeout=0.5)
    await writer.open()
    try:
        for _ in range(5):
            other.send_signal(signal.SIGSTOP)
            with suppress(LogUnavailable):  # it was stopped within its commit
                await writer.append(b"key", b"mine")
            other.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.02)
        await writer.append(b"key", b"mine")
    finally:
        other.kill()
        other.communicate()
        await writer.close(5)


async def test_a_directory_that_is_missing_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "not mounted" / "journal.db"
    writer = JournalWriter(path)
    await writer.open()
    assert "No such file or directory" in (await writer.healthy() or "")
    with pytest.raises(LogUnavailable):
        await writer.append(b"key", b"x")
    assert not path.parent.exists()
    path.parent.mkdir()
    assert await writer.append(b"key", b"x") == (0, 0)
    assert await writer.healthy() is None
    await writer.close(5)


async def test_a_journal_that_is_removed_takes_nothing_until_it_is_made_again(path: Path) -> None:
    writer = JournalWriter(path)
    await writer.open()
    await writer.append(b"key", b"old")
    for file in list(path.parent.iterdir()):
        file.unlink()
    with pytest.raises(LogUnavailable, match="removed"):
        await writer.append(b"key", b"lost for ever if acknowledged")
    assert await writer.append(b"key", b"new") == (0, 0)
    await writer.close(5)
    assert [record.value for record in read_all(path)] == [b"new"]


async def test_a_directory_that_goes_away_while_it_is_in_use_passes(tmp_path: Path) -> None:
    """As when a volume is taken away: it is told, and the journal goes on once it is back."""
    path = tmp_path / "volume" / "journal.db"
    path.parent.mkdir()
    writer = JournalWriter(path)
    await writer.open()
    await writer.append(b"key", b"old")
    shutil.rmtree(path.parent)
    writer._last_commit = 0  # long ago, so that health is found out anew
    for _ in range(2):
        assert "No such file or directory" in (await asyncio.wait_for(writer.healthy(), 10) or "")
    with pytest.raises(LogUnavailable):
        await asyncio.wait_for(writer.append(b"key", b"x"), 10)
    path.parent.mkdir()
    assert await asyncio.wait_for(writer.append(b"key", b"new"), 10) == (0, 0)
    assert await writer.healthy() is None
    await writer.close(5)


async def test_large_records_are_read_a_few_at_a_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backlog of them must not take all memory there is."""
    monkeypatch.setattr(journal_file, "READ_BYTES", 1 << 20)
    values = [str(n).encode().ljust(100_000) for n in range(200)]
    writer = JournalWriter(path)
    await writer.open()
    await writer.append_many([(b"key", value) for value in values])
    await writer.close(5)
    reader = JournalReader(path)
    reader.open()
    read: list[bytes | None] = []
    while len(read) < len(values):
        some = reader.poll(15_000, 5.0)
        assert 0 < len(some) <= journal_file.READ_ROWS
        read += [record.value for record in some]
    reader.close()
    assert read == values
