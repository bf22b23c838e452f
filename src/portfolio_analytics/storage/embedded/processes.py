"""The operating-system processes of an embedded cluster: found by what they say they are, ended for sure."""

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from portfolio_analytics.storage.embedded.errors import StartFailed

_PROC = Path("/proc")
_POLL_SECONDS = 0.02
_QUIT_SECONDS = 2.0


def find_processes(mark: str, uid: int) -> set[int]:
    """Return the ids of the PostgreSQL processes of user `uid` whose command line contains `mark`.

    Dead processes that nobody has collected yet are not counted.
    """
    candidates = (int(entry.name) for entry in os.scandir(_PROC) if entry.name.isdecimal())
    return still_running(candidates, mark, uid)


def still_running(pids: Iterable[int], mark: str, uid: int) -> set[int]:
    """Return those of `pids` that are, now, what `find_processes` looks for."""
    return {pid for pid in pids if _is_marked(_command(pid), mark) and _owner(pid) == uid}


def end_processes(mark: str, uid: int, leader: int | None, patience: float) -> None:
    """End every process that `find_processes` finds, and return when none is left.

    `leader` is the postmaster, if there is one: it is asked for a fast shutdown and given `patience`
    seconds; without one the others are given a moment to notice. Then they are told to quit, then killed.
    Raises StartFailed where a process outlives even that.
    """
    pids = find_processes(mark, uid)
    if leader in pids:
        _send([leader], signal.SIGINT)
    else:
        patience = min(patience, 1.0)
    for step in (None, signal.SIGQUIT, signal.SIGKILL):
        if step is not None:
            pids = find_processes(mark, uid)
            _send(pids, step)
            patience = _QUIT_SECONDS
        if _wait_until_gone(pids, mark, uid, patience) and not find_processes(mark, uid):
            return
    left = ", ".join(str(pid) for pid in sorted(find_processes(mark, uid)))
    raise StartFailed(
        f"PostgreSQL processes {left} of an earlier run do not end: end them by hand, then try again"
    )


def _wait_until_gone(pids: set[int], mark: str, uid: int, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while still_running(pids, mark, uid):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _command(pid: int) -> str:
    # The working directory would say more, but a container's root may not read that of another user.
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _owner(pid: int) -> int | None:
    try:
        status = (_PROC / str(pid) / "status").read_text(errors="replace")
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("Uid:"):
            return int(line.split()[2])
    return None


def _is_marked(command: str, mark: str) -> bool:
    program = command.split("\0", maxsplit=1)[0]
    ours = program.startswith("postgres: ") or Path(program).name in {"postgres", "initdb"}
    return ours and mark in command
