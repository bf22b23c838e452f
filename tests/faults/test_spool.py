"""A spool whose limit or whose disk is reached, before brokers that are not there. Rows 9, 10 and 11.

What is in the spool is read from its file, as the drain would.
"""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from portfolio_analytics.shared.log.journal_file import JournalFile
from portfolio_analytics.shared.record import EventRecord, decode_record
from tests.faults.load import uuid7
from tests.faults.process import Server, eventually
from tests.ports import free_ports

TITLE = "x" * 500


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB, of which the spool leaves some free."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def producer(database: str, folder: Path, spool: Path, **environment: str) -> Server:
    """A producer whose brokers are away."""
    port, nobody = free_ports(2)
    return Server(
        "producer",
        ["producer"],
        {
            "DATABASE_URL": database,
            "DATA_DIR": str(folder / "data"),
            "KAFKA_BROKER": f"127.0.0.1:{nobody}",
            "SPOOL_DIR": str(spool),
            "RATE_LIMIT_ADDRESS": "0",
            "WORKERS": "1",
            **environment,
        },
        folder,
        port,
    )


def post(server: Server, event_id: uuid.UUID) -> tuple[int, dict[str, object], str | None]:
    """Status, answer, and Retry-After."""
    event = {"event_id": str(event_id), "event_type": "page_view", "page": "/", "title": TITLE}
    request = urllib.request.Request(f"{server.url}/api/analytics", json.dumps(event).encode())
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer), None
    except urllib.error.HTTPError as error:
        return error.code, json.load(error), error.headers["Retry-After"]


def new_id() -> uuid.UUID:
    return uuid7(time.time_ns() // 1_000_000)


def fill(server: Server, most: int) -> tuple[set[uuid.UUID], uuid.UUID]:
    """Send until one is refused: the ids of those that were taken, and the one that was not."""
    taken: set[uuid.UUID] = set()
    for _ in range(most):
        event_id = new_id()
        status, answer, retry_after = post(server, event_id)
        if status != 202:
            assert status == 503, answer
            assert answer["status"] == "error"
            assert retry_after is not None
            assert int(retry_after) >= 1
            return taken, event_id
        assert answer["message"] == "Event spooled"
        assert (answer["partition"], answer["offset"]) == (None, None)
        taken.add(event_id)
    raise AssertionError(f"{most} events were taken")


def in_spool(spool: Path) -> list[uuid.UUID]:
    """The ids of the events in the file, in order."""
    file = JournalFile(spool / "spool.sqlite")
    file.open()
    try:
        records = [decode_record(found.value) for found in file.read(0, 100_000) if found.value]
    finally:
        file.close()
    return [found.id for found in records if isinstance(found, EventRecord)]


def test_a_full_spool_is_503_and_holds_what_was_answered(database: str, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    with producer(database, tmp_path, spool, SPOOL_MAX_BYTES=str(1 << 18)) as server:
        taken, refused = fill(server, 5_000)
        assert len(taken) > 50
        # Full is full: nothing is dropped to make room, and the answer stays the same.
        assert [post(server, new_id())[0] for _ in range(5)] == [503] * 5
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(f"{server.url}/api/health/ready", timeout=10)
        server.kill()
        found = in_spool(spool)
        assert len(found) == len(set(found))
        assert taken <= set(found)
        assert refused not in found
    assert "Traceback" not in server.output(), server.output()


def test_a_spool_whose_disk_is_full_fails_and_then_takes_the_retry(
    database: str, tmp_path: Path, small_disk: Path
) -> None:
    """The first flush fails and is no success; with room again the same event is taken, once."""
    spool = small_disk / "spool"
    with producer(database, tmp_path, spool) as server:
        first = new_id()
        assert post(server, first)[0] == 202
        ballast = small_disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)) == 4096:
                    pass
            except OSError:
                pass
        taken, refused = fill(server, 5_000)
        assert {post(server, refused)[0] for _ in range(3)} == {503}
        ballast.unlink()
        eventually(lambda: post(server, refused)[0] == 202, 20, server.output)
        server.kill()
        found = in_spool(spool)
        assert {first, refused} | taken <= set(found)
        assert found.count(refused) == 1
    assert "Traceback" not in server.output(), server.output()


def test_a_torn_spool_still_gives_what_is_whole(database: str, tmp_path: Path) -> None:
    """The producer starts on a spool with a changed byte, and names what is lost."""
    spool = tmp_path / "spool"
    with producer(database, tmp_path, spool) as server:
        sent = [new_id() for _ in range(20)]
        assert {post(server, event_id)[0] for event_id in sent} == {202}
        assert server.terminate() == 0
        file = spool / "spool.sqlite"
        content = file.read_bytes()
        victim = str(sent[7]).encode()
        assert content.count(victim) == 1
        file.write_bytes(content.replace(victim, b"!" * len(victim)))
        server.start()
        after = new_id()
        assert post(server, after)[0] == 202
        server.kill()
        assert set(in_spool(spool)) == {*sent, after} - {sent[7]}
