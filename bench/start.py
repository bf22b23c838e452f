"""How long `run` takes until the first event is accepted."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path
from tempfile import mkdtemp

from bench.figure import Figure, figure
from bench.load import event_body
from bench.parts import Parts, Scale
from bench.service import our_service


def measure_start(parts: Parts, scale: Scale) -> list[Figure]:
    """Seconds from the start of the process: in an empty folder, and in one that was used before."""
    first: list[float] = []
    later: list[float] = []
    for _ in range(min(scale.rounds, 3)):
        folder = Path(mkdtemp(dir=parts.folder))
        folder.chmod(0o755)
        for values in (first, later):
            began = time.perf_counter()
            with our_service("run", {"DATA_DIR": str(folder / "data")}) as (_, port):
                post = urllib.request.Request(f"http://127.0.0.1:{port}/api/analytics", data=event_body())
                with urllib.request.urlopen(post, timeout=10):
                    values.append(time.perf_counter() - began)
    return [
        figure("run: first start to first event accepted", "s", first),
        figure("run: later start to first event accepted", "s", later),
    ]
