"""The embedded server: started, adopted after a crash, stopped."""

import logging
import os
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg

from portfolio_analytics.storage.embedded.cluster import (
    DATABASE,
    ROLE,
    check_cluster,
    cluster_mark,
    make_cluster,
    new_password,
    read_password,
    remove_drafts,
    server_command,
    set_password,
    write_password,
)
from portfolio_analytics.storage.embedded.errors import (
    EmbeddedPostgresError,
    StartFailed,
    UnusableDirectory,
)
from portfolio_analytics.storage.embedded.files import open_private
from portfolio_analytics.storage.embedded.lock import DirectoryLock
from portfolio_analytics.storage.embedded.place import (
    CLUSTER_NAME,
    Place,
    find_place,
    holds_cluster,
    make_data_dir,
)
from portfolio_analytics.storage.embedded.processes import end_processes
from portfolio_analytics.storage.embedded.programs import find_programs, spawn_program, telling_line
from portfolio_analytics.storage.embedded.socket import (
    PORT,
    find_socket_folder,
    make_socket_folder,
    remove_socket_folder,
)

_POLL_SECONDS = 0.02
_LOG_KEPT_BYTES = 1 << 20
_PASSWORD_NAME = "postgresql.password"  # noqa: S105 - the name of a file
_LOG_NAME = "postgresql.log"
_SOCKET_RECORD_NAME = "postgresql.socket"

logger = logging.getLogger(__name__)


class EmbeddedPostgres:
    """PostgreSQL run by this process, its data in `data_dir`.

    One live process at a time can be the launcher of a directory. The server listens on a private unix socket
    only and asks for a password (SCRAM) that is kept in `data_dir` with mode 0600. A server that a killed
    launcher left behind is ended by the next `start`. As a context manager it starts and stops.

    data_dir: made if missing; nothing outside it is changed, except for a socket folder under /run or /tmp
        and, as root where the server's user may not enter `data_dir`, a folder under /var/lib
    start_timeout: seconds without any progress after which a start has failed; a recovery that goes on may
        take longer
    stop_timeout: seconds given to an orderly end, of this server or of one left behind, before it is forced;
        nothing that was committed is lost by force, the next start only takes longer

    directory: where the cluster really is; known for sure after `start`
    notice: one line for the user where the data is not kept in `data_dir`, else None
    """

    def __init__(self, data_dir: Path, *, start_timeout: float = 60.0, stop_timeout: float = 30.0) -> None:
        self._data_dir = data_dir.resolve()
        self._start_timeout = start_timeout
        self._stop_timeout = stop_timeout
        self._launcher = os.getpid()
        self._locks: list[DirectoryLock] = []
        self._place: Place | None = None
        self._mark: str | None = None
        self._socket_folder: Path | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._dsn: str | None = None
        self.directory = self._data_dir / CLUSTER_NAME
        self.notice: str | None = None

    @property
    def dsn(self) -> str:
        """The connection URL, password included. Raises EmbeddedPostgresError while not started."""
        if self._dsn is None:
            raise EmbeddedPostgresError("the embedded database is not started: call start() first")
        return self._dsn

    @property
    def running(self) -> bool:
        """Whether the server of this launcher is alive."""
        return self._server is not None and self._server.poll() is None

    def start(self) -> str:
        """Start the server, at first making the cluster and its database, and return `dsn` once it answers.

        Started already, it only returns. After a death of the server it starts it again, `dsn` unchanged.
        Raises AlreadyRunning, UnusableDirectory or StartFailed, and then nothing of it is left running; in a
        process that the launcher forked EmbeddedPostgresError.
        """
        if self._locks and os.getpid() != self._launcher:
            raise EmbeddedPostgresError("another process started this embedded database: use its dsn")
        if self.running:
            return self.dsn
        self._launcher = os.getpid()
        try:
            return self._start()
        except OSError as error:
            self.stop()
            raise _unusable(error, self._data_dir) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server in order, its clients disconnected, and let go of the directory; else do nothing.

        When it returns, no process of the server is left. In a process that the launcher forked it does
        nothing. Raises StartFailed where a process cannot even be killed.
        """
        if os.getpid() != self._launcher:
            return
        if self._server is not None:
            self._end_processes()
            self._server.wait()
            self._server = None
        if self._socket_folder is not None and self._place is not None:
            remove_socket_folder(self._data_dir / _SOCKET_RECORD_NAME, self._place.uid)
            self._socket_folder = None
        self._dsn = None
        self._mark = None
        while self._locks:
            self._locks.pop().release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> str:
        make_data_dir(self._data_dir)
        self._lock(self._data_dir)
        place = self._place = find_place(self._data_dir)
        self._lock(place.home)
        self._announce(place)
        check_cluster(place.cluster)
        self._clear_leftovers(place)
        programs = find_programs(place)
        password = self._prepare_cluster(programs, place)
        if self._socket_folder is None:
            self._socket_folder = make_socket_folder(self._data_dir / _SOCKET_RECORD_NAME, place.account)
        log = self._open_log()
        try:
            log_start = os.fstat(log).st_size
            command = server_command(programs, place, self._socket_folder)
            self._server = spawn_program(command, place.account, log=log)
            self._wait_until_ready(place.cluster, self._server, log, log_start)
        finally:
            os.close(log)
        self._dsn = _make_dsn(self._socket_folder, password)
        _check_answer(self._dsn, self._data_dir)
        return self._dsn

    def _lock(self, directory: Path) -> None:
        if all(lock.directory != directory for lock in self._locks):
            lock = DirectoryLock(directory)
            lock.acquire()
            self._locks.append(lock)

    def _announce(self, place: Place) -> None:
        self.directory = place.cluster
        if place.account is not None:
            logger.info("PostgreSQL runs as the unprivileged user %s", place.account.name)
        if place.notice is not None and place.notice != self.notice:
            logger.warning("%s", place.notice)
        self.notice = place.notice

    def _clear_leftovers(self, place: Place) -> None:
        if holds_cluster(place.cluster):
            self._mark = cluster_mark(place.cluster)
            self._end_processes()
            # All its processes are gone, so its number may by now be that of a stranger, for whom
            # PostgreSQL would wait for ever.
            (place.cluster / "postmaster.pid").unlink(missing_ok=True)
        if self._socket_folder is None:
            remove_socket_folder(self._data_dir / _SOCKET_RECORD_NAME, place.uid)
        remove_drafts(place)

    def _end_processes(self) -> None:
        if self._place is not None and self._mark is not None:
            leader = self._server.pid if self._server else _postmaster_state(self._place.cluster)[0]
            end_processes(self._mark, self._place.uid, leader, self._stop_timeout)

    def _prepare_cluster(self, programs: Path, place: Place) -> str:
        kept = read_password(self._data_dir / _PASSWORD_NAME)
        password = kept or new_password()
        if not holds_cluster(place.cluster):
            make_cluster(programs, place, password, self._start_timeout)
        elif kept is None:
            set_password(programs, place, password, self._start_timeout)
        if kept is None:
            write_password(self._data_dir / _PASSWORD_NAME, password)
        self._mark = cluster_mark(place.cluster)
        return password

    def _open_log(self) -> int:
        path = self._data_dir / _LOG_NAME
        if path.exists() and path.stat().st_size > _LOG_KEPT_BYTES:
            path.replace(path.with_name(f"{_LOG_NAME}.1"))
        return open_private(path, os.O_RDWR | os.O_APPEND)

    def _wait_until_ready(
        self, cluster: Path, server: subprocess.Popen[bytes], log: int, log_start: int
    ) -> None:
        progress: tuple[str, int] | None = None
        deadline = 0.0
        while True:
            if server.poll() is not None:
                raise StartFailed(f"PostgreSQL ended at its start: {self._log_reason(log, log_start)}")
            pid, status = _postmaster_state(cluster)
            if pid == server.pid and status == "ready":
                return
            if progress != (status, os.fstat(log).st_size):
                progress = (status, os.fstat(log).st_size)
                deadline = time.monotonic() + self._start_timeout
            if time.monotonic() > deadline:
                reason = self._log_reason(log, log_start)
                raise StartFailed(f"PostgreSQL made no progress for {self._start_timeout:g} s: {reason}")
            time.sleep(_POLL_SECONDS)

    def _log_reason(self, log: int, log_start: int) -> str:
        written = os.pread(log, 1 << 16, log_start).decode(errors="replace")
        return f"{telling_line(written)} (see {self._data_dir / _LOG_NAME})"


def running_dsn(data_dir: Path) -> str | None:
    """Return the connection URL of the embedded database that another process runs in `data_dir`.

    None where nothing seems to run there. The server may be just starting or just gone: connecting tells.
    Raises UnusableDirectory where this user may not read it.
    """
    try:
        folder = find_socket_folder(data_dir.resolve() / _SOCKET_RECORD_NAME)
        password = read_password(data_dir.resolve() / _PASSWORD_NAME)
    except OSError as error:
        raise _unusable(error, data_dir) from error
    return _make_dsn(folder, password) if folder and password else None


def _make_dsn(socket_folder: Path, password: str) -> str:
    return f"postgresql://{ROLE}:{password}@/{DATABASE}?host={quote(str(socket_folder), safe='')}&port={PORT}"


def _check_answer(dsn: str, data_dir: Path) -> None:
    try:
        psycopg.connect(dsn, connect_timeout=10).close()
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            raise UnusableDirectory(
                f"the database does not know the password in {data_dir / _PASSWORD_NAME}:"
                " remove that file and start again, a new one will be set"
            ) from error
        raise StartFailed(f"PostgreSQL is ready but does not answer: {error}") from error


def _postmaster_state(cluster: Path) -> tuple[int | None, str]:
    try:
        lines = (cluster / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return None, ""
    pid = int(lines[0]) if lines and lines[0].isdecimal() else None
    return pid, "".join(lines[7:8]).strip()


def _unusable(error: OSError, data_dir: Path) -> UnusableDirectory:
    advice = "" if not isinstance(error, PermissionError) else ": run as its owner, or set another DATA_DIR"
    path = error.filename or data_dir
    return UnusableDirectory(f"the embedded database cannot use {path}: {error.strerror or error}{advice}")
