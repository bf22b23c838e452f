"""Commands of the product as processes of their own, that a test can kill, stop, continue and end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from portfolio_analytics.storage.embedded import EmbeddedPostgres

START_SECONDS = 90.0
STOP_SECONDS = 40.0
COMMAND_SECONDS = 180.0
OURS = ("KAFKA", "SPOOL", "DATABASE", "DATA_DIR", "PORT", "WORKERS", "SITES", "DEAD_LETTER")


def environment_for(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with `settings`, and nothing else in it that the product reads."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return inherited | dict(settings)


def run_command(arguments: Sequence[str], settings: Mapping[str, str]) -> tuple[int, str]:
    """The exit status of `portfolio-analytics ARGUMENTS`, and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "portfolio_analytics", *arguments],
        env=environment_for(settings) | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


class Process:
    """`portfolio-analytics ARGUMENTS` with `environment`; what it prints goes to `output_file`.

    Ended by its process id, with whatever it has started.
    """

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str], folder: Path):
        self.name = name
        self.output_file = folder / f"{name}.log"
        self._arguments = [sys.executable, "-m", "portfolio_analytics", *arguments]
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    @property
    def age(self) -> float:
        """Seconds since its last start."""
        return time.monotonic() - self._started

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, f"{self.name} does not run"
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def use(self, settings: Mapping[str, str]) -> None:
        """From its next start on, with these settings too."""
        self._environment |= settings

    def start(self) -> None:
        """Start it, with nothing of the tests' own environment that the product reads."""
        assert not self.alive
        self._started = time.monotonic()
        with self.output_file.open("ab") as output:
            self._process = subprocess.Popen(
                self._arguments,
                env=environment_for(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def tree(self) -> list[int]:
        """The process ids of it and of all that it has started, parents first."""
        return _tree(self.pid)

    def kill(self) -> None:
        """kill -9 of it and all that it has started, at once."""
        self._signal_all(signal.SIGKILL)
        self._reap()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal_all(signal.SIGCONT)

    def terminate(self) -> int:
        """SIGTERM, and its exit status. What does not end in time is killed, and the test fails."""
        assert self._process is not None
        self._process.terminate()
        try:
            status = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end on SIGTERM:\n{self.output()}") from None
        self._process = None
        return status

    def wait(self, seconds: float) -> int:
        """Its exit status, once it has ended by itself."""
        assert self._process is not None
        status = self._process.wait(seconds)
        self._process = None
        return status

    def end(self) -> None:
        """End it in whatever state it is."""
        if self.alive:
            self.kill()
        self._process = None

    def output(self) -> str:
        """All that it has printed."""
        return self.output_file.read_text("utf-8", "replace") if self.output_file.exists() else ""

    def _signal_all(self, number: signal.Signals) -> None:
        for process in self.tree():
            with suppress(ProcessLookupError):
                os.kill(process, number)

    def _reap(self) -> None:
        assert self._process is not None
        self._process.wait(STOP_SECONDS)
        self._process = None


class Server(Process):
    """A process that serves HTTP at `url`: the producer, or everything in one."""

    def __init__(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, port: int
    ) -> None:
        super().__init__(name, arguments, {**environment, "HOST": "127.0.0.1", "PORT": str(port)}, folder)
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def start(self) -> None:
        """Start it and wait until it takes events."""
        super().start()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Wait until it takes events."""

        def ready() -> bool:
            assert self.alive, f"{self.name} ended:\n{self.output()}"
            try:
                with urllib.request.urlopen(f"{self.url}/api/health/ready", timeout=5):
                    return True
            except (urllib.error.URLError, OSError):
                return False

        eventually(ready, START_SECONDS, lambda: f"{self.name} to be ready:\n{self.output()}")


def _tree(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(found for child in children for found in _tree(child))]


def end_postgres(server: EmbeddedPostgres, how: signal.Signals) -> None:
    """SIGINT: PostgreSQL's fast shutdown. SIGKILL of its first process: the others end by themselves."""
    os.kill(int((server.directory / "postmaster.pid").read_text().split()[0]), how)
    eventually(lambda: not server.running, 30, "the server to be gone")


def eventually(
    condition: Callable[[], bool],
    seconds: float,
    what: Callable[[], str] | str,
    *,
    pause: float = 0.05,
) -> None:
    """Ask every `pause` seconds until `condition` holds; fails with `what` when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, (
            f"waited {seconds:.0f} s for {what if isinstance(what, str) else what()}"
        )
        time.sleep(pause)
