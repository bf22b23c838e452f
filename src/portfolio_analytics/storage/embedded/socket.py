"""The folder of the server's unix socket: private, and short, for a socket's path may have 107 bytes."""

import os
import re
import secrets
import stat
import tempfile
from pathlib import Path

from portfolio_analytics.storage.embedded.errors import UnusableDirectory
from portfolio_analytics.storage.embedded.files import read_private, write_private
from portfolio_analytics.storage.embedded.place import Account

_PREFIX = "portfolio-analytics-"
_SOCKET_NAME = ".s.PGSQL.5432"
_MAX_PATH_BYTES = 100
PORT = 5432


def make_socket_folder(record: Path, account: Account | None) -> Path:
    """Make a new folder with mode 0700 for `account` (None: this user), note it in `record`, return it.

    Raises UnusableDirectory where no folder for temporary files can take it, and OSError.
    """
    for base in _bases():
        folder = base / f"{_PREFIX}{secrets.token_hex(8)}"
        if len(os.fsencode(folder / _SOCKET_NAME)) > _MAX_PATH_BYTES:
            continue
        # Noted first, so that a crash right after leaves nothing that the next start does not find.
        write_private(record, str(folder))
        try:
            folder.mkdir(mode=0o700)
        except OSError:
            continue
        if account is not None:
            os.chown(folder, account.uid, account.gid)
        return folder
    raise UnusableDirectory("there is no place for the database's socket: make /tmp writable for this user")


def find_socket_folder(record: Path) -> Path | None:
    """Return the folder noted in `record` if a socket is in it, else None. Raises OSError."""
    folder = _noted_folder(record)
    return folder if folder and (folder / _SOCKET_NAME).is_socket() else None


def remove_socket_folder(record: Path, uid: int) -> None:
    """Remove the folder noted in `record`, if it belongs to `uid` or us, and the note. Raises OSError."""
    folder = _noted_folder(record)
    if folder and _is_private(folder, {uid, os.geteuid()}):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    record.unlink(missing_ok=True)


def _bases() -> list[Path]:
    # Only root can write to /run, and nothing cleans it while the machine runs.
    shared = [Path("/tmp"), Path(tempfile.gettempdir())]  # noqa: S108 - the folder in it is new and private
    return [Path("/run"), *shared] if os.geteuid() == 0 else shared


def _noted_folder(record: Path) -> Path | None:
    text = read_private(record)
    if text is None or not re.fullmatch(rf"{_PREFIX}[0-9a-f]{{16}}", Path(text).name):
        return None
    return Path(text)


def _is_private(folder: Path, owners: set[int]) -> bool:
    try:
        state = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(state.st_mode) and state.st_uid in owners and stat.S_IMODE(state.st_mode) == 0o700
