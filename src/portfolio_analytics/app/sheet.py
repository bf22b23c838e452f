"""Where processes that are started together count: the sheet that `run` shares with its children."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHARED = "PORTFOLIO_ANALYTICS_SHEET"


def is_shared() -> bool:
    """Whether `run` started this process, together with what belongs to it."""
    return SHARED in os.environ


@contextmanager
def sheet_path() -> Iterator[Path]:
    """The sheet of the command that started this process, else one of its own, which goes with it."""
    shared = os.environ.get(SHARED)
    if shared is not None:
        yield Path(shared)
        return
    with tempfile.TemporaryDirectory(prefix="portfolio-analytics-") as folder:
        yield Path(folder) / "metrics"
