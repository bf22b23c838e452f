"""What browsers download: the tracker and the dashboard, compressed."""

from __future__ import annotations

import gzip
from importlib.resources import files
from importlib.resources.abc import Traversable

from bench.figure import Figure, figure


def measure_size() -> list[Figure]:
    """Bytes after gzip -9 of the files as they are served; nothing where they were not built."""
    web = files("portfolio_analytics") / "web"
    if not web.is_dir():
        return []
    dashboard = sum(_compressed(file) for file in _below(web / "dashboard"))
    return [
        figure("tracker.js, compressed", "bytes", [_compressed(web / "tracker.js")]),
        figure("vitals.js (opt-in), compressed", "bytes", [_compressed(web / "vitals.js")]),
        figure("dashboard in all, compressed", "bytes", [dashboard]),
    ]


def _below(folder: Traversable) -> list[Traversable]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _below(entry)
        elif not entry.name.endswith(".gz"):
            found.append(entry)
    return found


def _compressed(file: Traversable) -> int:
    return len(gzip.compress(file.read_bytes(), 9))
