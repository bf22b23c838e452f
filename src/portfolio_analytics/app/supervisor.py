"""Child processes of one command: started, watched, started again, stopped together."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

logger = logging.getLogger(__name__)

SUPERVISED = "PORTFOLIO_ANALYTICS_SUPERVISED"
STOP_S = 20.0
RESTART_S = (0.5, 1.0, 2.0, 5.0, 10.0)
STEADY_S = 60.0


class Child:
    """One process that is kept running."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._arguments = [sys.executable, "-m", "portfolio_analytics", *arguments]
        self._environment = {**os.environ, **environment, SUPERVISED: "1"}
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._failures = 0
        self._not_before = 0.0

    @property
    def pid(self) -> int | None:
        """The process id it has now; None before its start, and between its end and the next one."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    def start(self) -> None:
        """Start it. Its standard input is a pipe that closes when this process dies, and then it ends."""
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            self._arguments, env=self._environment, stdin=subprocess.PIPE, start_new_session=True
        )

    def watch(self, now: float) -> None:
        """Start it again when it has ended, ever less eagerly when it keeps ending."""
        if self._process is None or self._process.poll() is None:
            return
        if self._not_before == 0.0:
            self._failures = 0 if now - self._started > STEADY_S else self._failures + 1
            pause = RESTART_S[min(self._failures, len(RESTART_S) - 1)]
            self._not_before = now + pause
            logger.error(
                "The %s ended with status %d; starting it again in %.1f s.",
                self.name,
                self._process.returncode,
                pause,
            )
        elif now >= self._not_before:
            self._not_before = 0.0
            self.start()

    def terminate(self) -> None:
        """Ask it to finish what it has begun and end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def join(self, deadline: float) -> None:
        """Wait for its end until `deadline` (monotonic), then kill it and its children."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            logger.warning("The %s did not end in time and is killed.", self.name)
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


class Supervisor:
    """Keeps children running until a signal, then stops them: those of the first stage first.

    `watch` is called besides, several times a second.
    """

    def __init__(self, stages: Sequence[Sequence[Child]], watch: Callable[[], None] = lambda: None) -> None:
        self._stages = stages
        self._watch = watch
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stop.set()

    def run(self) -> None:
        """Start all children, and return when `stop` was called and all of them have ended.

        Raises what `watch` raises, once all children have ended.
        """
        children = [child for stage in self._stages for child in stage]
        for child in children:
            child.start()
        try:
            while not self._stop.wait(0.2):
                self._watch()
                for child in children:
                    child.watch(time.monotonic())
        finally:
            # In their order: what takes events in ends before what counts them, so that all is counted.
            for stage in self._stages:
                for child in stage:
                    child.terminate()
                deadline = time.monotonic() + STOP_S
                for child in stage:
                    child.join(deadline)


class Stoppable(Protocol):
    """What can be asked to end."""

    def stop(self) -> None:
        """Ask it to end."""


def stop_on_signals(target: threading.Event | Stoppable) -> None:
    """SIGINT and SIGTERM call the target's stop method (or set the event)."""
    ask = target.set if isinstance(target, threading.Event) else target.stop

    def handle(_number: int, _frame: object) -> None:
        ask()

    signal.signal(signal.SIGINT, handle)
    signal.signal(signal.SIGTERM, handle)


def end_with_parent() -> None:
    """In a supervised process: end (by SIGTERM to itself) when the supervisor dies, even by kill -9."""
    if os.environ.pop(SUPERVISED, None) is None:
        return

    def wait() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="end-with-parent", daemon=True).start()


def end_well(loop: asyncio.AbstractEventLoop, drain: Callable[[], None]) -> None:
    """End streams when the server is asked to stop, and stop when the parent process is gone.

    The server has handlers for the signals in the loop, which go on being called: the loop hears of
    a signal by a file descriptor of its own.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: drain())
        signal.siginterrupt(number, False)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def end() -> None:
            loop.remove_reader(parent.sentinel)
            os.kill(os.getpid(), signal.SIGTERM)

        loop.add_reader(parent.sentinel, end)
