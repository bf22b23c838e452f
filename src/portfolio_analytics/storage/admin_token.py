"""The ADMIN_TOKEN that `run` makes for itself: a file in the data folder that only its owner reads."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from portfolio_analytics.settings import Secret
from portfolio_analytics.shared.errors import SettingsError

FILE_NAME = "admin-token"
MIN_LENGTH = 16


def load_or_create(data_dir: Path) -> Secret:
    """The token kept in `data_dir`, made there (mode 0600) when there is none.

    The file appears whole or not at all, and of several processes that start at once all get the same one.
    Raises OSError when the folder cannot be used, SettingsError when the file holds no token.
    """
    path = data_dir / FILE_NAME
    if not path.exists():
        _create(path)
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    token = path.read_text(encoding="utf-8").strip()
    if len(token) < MIN_LENGTH:
        raise SettingsError(
            [f"{path}: has less than {MIN_LENGTH} characters; delete it to have a new one made"]
        )
    return Secret(token)


def _create(path: Path) -> None:
    """Write a new token beside `path`, then link it there unless another process was first."""
    descriptor, name = tempfile.mkstemp(prefix=f".{FILE_NAME}-", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"pa_{secrets.token_urlsafe(32)}\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(name, path)
        except FileExistsError:
            return
    finally:
        os.unlink(name)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
