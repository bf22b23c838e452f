"""The checkpoint of an import: how far it is, and the random salts that hash its visitors.

Kept in one file of mode 0600 for each (log, site), replaced as a whole, and overwritten before it is
removed when the import is done, so that no one can hash an address again. The key that makes event ids is
kept apart from it, for ever: with it the same line has the same id in every run.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path

import msgspec

KEY_BYTES = 32
SALT_BYTES = 16


class Progress(msgspec.Struct):
    """How far an import is.

    `offset` counts the bytes of the (decompressed) log up to which every page view was acknowledged,
    `digest` is a keyed hash of those bytes, `salts` are by UTC day (ISO 8601), `answers` the intake's
    answers so far by their kind.
    """

    offset: int = 0
    digest: bytes = b""
    salts: dict[str, bytes] = {}
    answers: dict[str, int] = {}


class Checkpoint:
    """The file that holds a Progress."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Progress:
        """What was saved last; a fresh start where nothing was, or nothing that can be read."""
        try:
            return msgspec.msgpack.decode(self._path.read_bytes(), type=Progress)
        except (FileNotFoundError, msgspec.DecodeError):
            return Progress()

    def save(self, progress: Progress) -> None:
        """Store `progress` durably, in place of what was there."""
        _write(self._path, msgspec.msgpack.encode(progress))

    def destroy(self) -> None:
        """Overwrite the salts and remove the file."""
        with suppress(FileNotFoundError):
            with self._path.open("r+b") as file:
                file.write(bytes(self._path.stat().st_size))
                file.flush()
                os.fsync(file.fileno())
            self._path.unlink()


def site_key(folder: Path, site: str) -> bytes:
    """The secret key of `site`'s event ids, made on first use in `folder`. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{_name(site.encode())}.key"
    with suppress(FileNotFoundError):
        key = path.read_bytes()
        if len(key) == KEY_BYTES:
            return key
    key = secrets.token_bytes(KEY_BYTES)
    _write(path, key)
    return key


def checkpoint_path(folder: Path, site: str, key: bytes, first_line: bytes) -> Path:
    """Where the checkpoint of the log that begins with `first_line` is, whatever the log is called."""
    log = hashlib.blake2b(first_line, key=key, digest_size=16).digest()
    return folder / f"{_name(site.encode() + bytes(1) + log)}.checkpoint"


def state_folder(environ: dict[str, str] | os._Environ[str]) -> Path:
    """Where imports keep their state: DATA_DIR/imports where DATA_DIR is set, else the XDG state folder."""
    data_dir = environ.get("DATA_DIR", "").strip()
    if data_dir:
        return Path(data_dir).expanduser().absolute() / "imports"
    base = environ.get("XDG_STATE_HOME") or os.path.join(environ.get("HOME", "/"), ".local", "state")
    return Path(base) / "portfolio-analytics" / "imports"


def _name(of: bytes) -> str:
    return hashlib.blake2b(of, digest_size=12).hexdigest()


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_name(f"{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
