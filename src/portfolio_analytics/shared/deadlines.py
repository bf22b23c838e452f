"""Deadlines of many short waits, watched by one timer.

asyncio.timeout costs a timer a wait; here a wait is one entry in a dict, and a timer looks at all of
them four times a second. A task whose time is over is cancelled, and finds out that it was a deadline
by asking `passed`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, cast

TICKS_A_SECOND = 4

Waiting = asyncio.Task[object]


class Deadlines:
    """The running waits of one event loop; `start` once the loop runs."""

    def __init__(self) -> None:
        self._tick = 0
        self._ends: dict[Waiting, int] = {}
        self._passed: set[Waiting] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __len__(self) -> int:
        return len(self._ends)

    def start(self) -> None:
        """Begin to watch; called within the loop."""
        self._loop = loop = asyncio.get_running_loop()
        self._timer = loop.call_later(1 / TICKS_A_SECOND, self._watch, loop)

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def begin(self, seconds: float) -> Waiting:
        """Cancel the running task when it has not called `end` in `seconds` (a quarter more at most).

        Returns the task, for `end` and `passed`.
        """
        # Without its loop, CPython 3.11 asks the system for the process's id, each time.
        task = cast(Waiting, asyncio.current_task(self._loop))
        self._ends[task] = self._tick + int(seconds * TICKS_A_SECOND) + 1
        return task

    def end(self, task: Waiting) -> None:
        """The wait is over."""
        self._ends.pop(task, None)

    def passed(self, task: Waiting) -> bool:
        """Whether the cancellation that `task` just caught was its deadline; it is then taken back."""
        if task not in self._passed:
            return False
        self._passed.discard(task)
        task.uncancel()
        return True

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._tick += 1
        late = [task for task, end in self._ends.items() if end <= self._tick]
        for task in late:
            del self._ends[task]
            if task.cancel():
                self._passed.add(task)
        self._passed = {task for task in self._passed if not task.done()}
        self._timer = loop.call_later(1 / TICKS_A_SECOND, self._watch, loop)


class Patience:
    """Cancels futures that are not done `seconds` after they were given (a quarter of a second more at most).

    Nothing has to be told when a future is done, so a wait costs one append to a list.
    """

    def __init__(self, seconds: float) -> None:
        self._generations = int(seconds * TICKS_A_SECOND) + 1
        self._young: list[asyncio.Future[Any]] = []
        self._older: deque[list[asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to watch; called within the loop."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(1 / TICKS_A_SECOND, self._watch, loop)

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def watch(self, future: asyncio.Future[Any]) -> None:
        """Cancel `future` when its time is over."""
        self._young.append(future)

    def waiting(self) -> int:
        """How many futures are not done."""
        return sum(not f.done() for some in (self._young, *self._older) for f in some)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._older.append([future for future in self._young if not future.done()])
        self._young = []
        if len(self._older) > self._generations:
            for future in self._older.popleft():
                future.cancel()
        self._timer = loop.call_later(1 / TICKS_A_SECOND, self._watch, loop)
