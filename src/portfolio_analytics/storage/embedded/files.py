"""Small private files beside the embedded cluster: mode 0600, replaced whole, never through a symlink."""

import os
from pathlib import Path


def open_private(path: Path, flags: int) -> int:
    """Open `path` with `flags`, creating it with mode 0600, and return the file descriptor.

    The descriptor is not inherited by programs that are started. Raises OSError, also for a symlink.
    """
    return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def read_private(path: Path) -> str | None:
    """Return the stripped text of `path`, or None where there is no such file. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
        return file.read().strip()


def write_private(path: Path, text: str) -> None:
    """Replace `path` by `text` with mode 0600; after a crash it is the old or the new one. Raises OSError."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = open_private(draft, os.O_WRONLY | os.O_EXCL)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` durable. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
