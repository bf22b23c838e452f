"""The parts of the embedded PostgreSQL's launcher that need no server."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from portfolio_analytics.storage.embedded.cluster import (
    cluster_mark,
    new_password,
    read_password,
    write_password,
)
from portfolio_analytics.storage.embedded.errors import AlreadyRunning, EmbeddedPostgresError, StartFailed
from portfolio_analytics.storage.embedded.files import open_private, read_private, write_private
from portfolio_analytics.storage.embedded.lock import DirectoryLock
from portfolio_analytics.storage.embedded.place import find_place, make_data_dir
from portfolio_analytics.storage.embedded.processes import end_processes, find_processes
from portfolio_analytics.storage.embedded.programs import run_program, telling_line
from portfolio_analytics.storage.embedded.socket import (
    find_socket_folder,
    make_socket_folder,
    remove_socket_folder,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_private_file_is_replaced_whole_and_stays_private(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    assert read_private(path) is None
    path.write_text("an old one")
    path.chmod(0o644)
    path.with_name("secret.new").write_text("half of one")
    write_private(path, "a new one")
    assert read_private(path) == "a new one"
    assert mode(path) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_a_private_file_is_never_reached_through_a_symlink(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("somebody else's")
    link = tmp_path / "link"
    link.symlink_to(target)
    with pytest.raises(OSError, match="symbolic"):
        read_private(link)
    with pytest.raises(OSError, match="symbolic"):
        open_private(link, os.O_WRONLY)
    write_private(link, "ours")
    assert target.read_text() == "somebody else's"
    assert not link.is_symlink()


@pytest.mark.parametrize("text", ["", "short", "it's; DROP TABLE", "x" * 31, "ä" * 40])
def test_only_a_password_of_our_own_making_is_taken(tmp_path: Path, text: str) -> None:
    (tmp_path / "password").write_text(text)
    assert read_password(tmp_path / "password") is None


def test_a_password_is_kept(tmp_path: Path) -> None:
    password = new_password()
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", password)
    assert password != new_password()
    write_password(tmp_path / "password", password)
    assert read_password(tmp_path / "password") == password


def test_a_lock_is_for_one(tmp_path: Path) -> None:
    lock, other = DirectoryLock(tmp_path), DirectoryLock(tmp_path)
    lock.acquire()
    with pytest.raises(AlreadyRunning) as refusal:
        other.acquire()
    assert refusal.value.pid == os.getpid()
    lock.release()
    lock.release()
    other.acquire()
    other.release()


def test_a_lock_whose_holder_is_not_written_down(tmp_path: Path) -> None:
    lock = DirectoryLock(tmp_path)
    lock.acquire()
    (tmp_path / "postgresql.lock").write_text("rubbish")
    with pytest.raises(AlreadyRunning, match="another process") as refusal:
        DirectoryLock(tmp_path).acquire()
    assert refusal.value.pid is None
    lock.release()


def test_a_message_is_one_line() -> None:
    assert str(EmbeddedPostgresError("first\n  second\n")) == "first second"


def test_a_socket_folder_is_short_and_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    record = tmp_path / "record"
    folder = make_socket_folder(record, None)
    try:
        assert len(str(folder / ".s.PGSQL.5432")) <= 100
        assert mode(folder) == 0o700
        assert find_socket_folder(record) is None
        (folder / ".s.PGSQL.5432.lock").write_text("")
    finally:
        remove_socket_folder(record, os.geteuid())
    assert not folder.exists()
    assert not record.exists()
    remove_socket_folder(record, os.geteuid())


def test_only_a_folder_of_ours_is_removed(tmp_path: Path) -> None:
    record = tmp_path / "record"
    precious = tmp_path / "precious"
    open_to_all = tmp_path / ("portfolio-analytics-" + "0" * 16)
    link = tmp_path / ("portfolio-analytics-" + "1" * 16)
    for folder in (precious, open_to_all):
        folder.mkdir()
        (folder / "kept").write_text("")
    open_to_all.chmod(0o777)
    precious.chmod(0o700)
    link.symlink_to(precious)
    for noted in (precious, open_to_all, link, tmp_path / ("portfolio-analytics-" + "2" * 16)):
        write_private(record, str(noted))
        remove_socket_folder(record, os.geteuid())
        assert not record.exists()
    assert (precious / "kept").exists()
    assert (open_to_all / "kept").exists()


def test_a_cluster_keeps_its_mark_when_it_is_moved(tmp_path: Path) -> None:
    cluster = tmp_path / "one"
    cluster.mkdir()
    mark = cluster_mark(cluster)
    assert re.fullmatch(r"[a-z0-9-]{1,63}", mark)
    cluster.rename(tmp_path / "two")
    assert cluster_mark(tmp_path / "two") == mark
    cluster.mkdir()
    assert cluster_mark(cluster) != mark


def test_a_stranger_that_mentions_the_mark_is_left_alone() -> None:
    mark = "portfolio-analytics-test-of-strangers"
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", mark])
    try:
        assert find_processes(mark, os.geteuid()) == set()
        end_processes(mark, os.geteuid(), stranger.pid, 5)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_process_of_another_user_is_left_alone(tmp_path: Path) -> None:
    program = tmp_path / "postgres"
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([program, "60"])
    try:
        end = time.monotonic() + 10
        # The program's name is to be seen a moment after it was started.
        while find_processes(str(program), os.geteuid()) != {process.pid}:
            assert time.monotonic() < end, "the process is not found"
            time.sleep(0.01)
        assert find_processes(str(program), os.geteuid() + 1) == set()
        end_processes(str(program), os.geteuid(), process.pid, 5)
        assert process.wait() < 0
        assert find_processes(str(program), os.geteuid()) == set()
    finally:
        process.kill()
        process.wait()


def test_a_program_that_fails_is_named_with_its_reason(tmp_path: Path) -> None:
    script = "cat; echo; echo 'tool: error: the disk is full'; echo 'tool: removing things'; exit 1"
    with pytest.raises(StartFailed, match="sh failed: tool: error: the disk is full"):
        run_program(["/bin/sh", "-c", script], None, folder=tmp_path, given="input", timeout=10)


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("", "it wrote nothing"),
        ("one\n\ntwo\n", "two"),
        (
            "2026-01-01 00:00:00 UTC [7] FATAL:  disk full\n2026-01-01 00:00:00 UTC [7] PANIC:  lost",
            "FATAL:  disk full",
        ),
        ("fine\ninitdb: error: no locale\ninitdb: removing", "initdb: error: no locale"),
    ],
)
def test_the_line_that_tells(output: str, line: str) -> None:
    assert telling_line(output) == line


def test_a_program_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    script = "echo $$ > leader; sleep 60 & echo $! > child; wait"
    with pytest.raises(StartFailed, match="took longer than"):
        run_program(["/bin/sh", "-c", script], None, folder=tmp_path, timeout=0.2)
    for name in ("leader", "child"):
        pid = int((tmp_path / name).read_text())
        deadline = time.monotonic() + 5
        while _is_alive(pid):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def _is_alive(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def test_an_existing_directory_keeps_its_mode(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    data_dir.chmod(0o751)
    make_data_dir(data_dir)
    assert mode(data_dir) == 0o751


def test_a_new_directory_is_closed_to_others(tmp_path: Path) -> None:
    data_dir = tmp_path / "more" / "data"
    make_data_dir(data_dir)
    assert mode(data_dir) == (0o710 if os.geteuid() == 0 else 0o700)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_ordinary_user_stays_in_the_directory(tmp_path: Path) -> None:
    place = find_place(tmp_path)
    assert place.home == tmp_path
    assert place.account is None
    assert place.notice is None
