"""The whole service as its users start it: `portfolio-analytics run`, with a database that is given."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

START_SECONDS = 60.0
STOP_SECONDS = 30.0
ADMIN_TOKEN = "the-token-of-these-tests"


class RunningService:
    """`run` on a free port with its state in `folder`; ended by its process id."""

    def __init__(self, database_url: str, folder: Path, port: int) -> None:
        self.database_url = database_url
        self.data_dir = folder / "data"
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._output = folder / "service.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it takes events."""
        environment = os.environ | {
            "DATABASE_URL": self.database_url,
            "DATA_DIR": str(self.data_dir),
            "PORT": str(self._port),
            "ADMIN_TOKEN": ADMIN_TOKEN,
        }
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "portfolio_analytics", "run"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        wait_for(self._ready, START_SECONDS, lambda: f"the service to start:\n{self.output()}")

    def stop(self) -> None:
        """End it in order."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(STOP_SECONDS)
            self._process = None

    def output(self) -> str:
        """All that it has printed."""
        return self._output.read_text("utf-8", "replace")

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.output()
        try:
            with urllib.request.urlopen(f"{self.url}/api/health/ready", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return False


def wait_for(condition: Callable[[], bool], seconds: float, what: Callable[[], str]) -> None:
    """Ask until `condition` holds; fails with `what` when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what()}"
        time.sleep(0.05)
