"""How many processor cores this process may use: what the machine has, less what it was denied."""

from __future__ import annotations

import math
import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def usable_cores(root: Path = ROOT, membership: Path = MEMBERSHIP) -> int:
    """A share of a core counts as a whole one, so this is at least 1.

    `root` is where control groups (version 2, or 1 with its `cpu` folder) are mounted; `membership` says in
    which of them this process is.
    """
    quotas = [quota for folder in _groups(root, membership) if (quota := _quota(folder)) is not None]
    return min([len(os.sched_getaffinity(0)), *map(math.ceil, quotas)])


def _groups(root: Path, membership: Path) -> list[Path]:
    """The group of this process and those around it: each may have a limit."""
    found = [root, root / "cpu"]
    for line in (_read(membership) or "").splitlines():
        _, controllers, name = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            within = root if not controllers else root / "cpu"
            group = within / name.lstrip("/")
            found += [group, *(folder for folder in group.parents if folder.is_relative_to(within))]
    return found


def _quota(folder: Path) -> float | None:
    """The cores that a group may use in all; None where it has no limit."""
    second = _read(folder / "cpu.max")
    if second is None:
        quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
    else:
        quota, _, period = second.partition(" ")
    try:
        cores = float(quota or "") / float(period or "")
    except (ValueError, ZeroDivisionError):
        return None
    return cores if cores > 0 else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
