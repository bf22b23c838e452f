"""What tests leave outside their own folders is taken away when they end.

As root, the database of a DATA_DIR that its unprivileged user may not enter, as pytest's private folders are,
is kept below /var/lib, and a file in DATA_DIR names the place.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

NAMED_IN = "postgresql.location"
ROOT = "/var/lib/portfolio-analytics"


@pytest.fixture(scope="session", autouse=True)
def _no_database_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    yield
    for name in tmp_path_factory.getbasetemp().rglob(NAMED_IN):
        place = Path(name.read_text("utf-8").strip())
        if str(place.parent).startswith(ROOT):
            shutil.rmtree(place, ignore_errors=True)
