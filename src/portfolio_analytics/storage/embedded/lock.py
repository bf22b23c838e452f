"""The lock that makes one live process the launcher of a directory."""

import fcntl
import os
import weakref
from pathlib import Path

from portfolio_analytics.storage.embedded.errors import AlreadyRunning
from portfolio_analytics.storage.embedded.files import open_private


class DirectoryLock:
    """An exclusive lock on a directory, held by this process until `release` or its death.

    The kernel lets go of it when the process ends, however it ends. Programs that the process starts do
    not inherit it, and processes that it forks drop their copy at once.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock. Raises AlreadyRunning where another live launcher has it, and OSError."""
        descriptor = open_private(self.directory / "postgresql.lock", os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise _already_running(self.directory, holder) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        _held.add(self)

    def release(self) -> None:
        """Let go of the lock. The file stays: to remove it would let two launchers lock two files."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            self.drop()

    def drop(self) -> None:
        """Close this process's copy; the lock itself goes with the last copy."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            _held.discard(self)


_held: weakref.WeakSet[DirectoryLock] = weakref.WeakSet()


def _drop_in_child() -> None:
    # A forked worker shares the lock: if it outlived a killed launcher, no other could ever start.
    for lock in list(_held):
        lock.drop()


os.register_at_fork(after_in_child=_drop_in_child)


def _holder(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    return int(text) if text.isdecimal() else None


def _already_running(directory: Path, pid: int | None) -> AlreadyRunning:
    holder = f"process {pid}" if pid else "another process"
    return AlreadyRunning(
        f"{holder} already runs the embedded database in {directory}: stop it first, or set another DATA_DIR",
        pid,
    )
