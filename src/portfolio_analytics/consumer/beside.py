"""Two things at a time: a statement, which is waiting for PostgreSQL, and work that needs no database."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Found = TypeVar("Found")


def beside(statement: Callable[[], Found], work: Callable[[], None]) -> Found:
    """What `statement` returns; `work` is done meanwhile. Raises what either raises, once both have ended."""
    if work is nothing:
        return statement()
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(statement)
        work()
        return found.result()


def nothing() -> None:
    """No work."""
