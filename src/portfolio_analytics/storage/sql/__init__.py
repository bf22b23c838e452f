"""Named SQL files, one a query."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import LiteralString


@cache
def statement(name: str) -> LiteralString:
    """The text of `name`.sql."""
    file = resources.files(__name__).joinpath(f"{name}.sql")
    return file.read_text(encoding="utf-8")
