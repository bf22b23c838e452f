"""The folders that must outlive a restart: whether they would, and whether there is room."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from portfolio_analytics.doctor.check import Check, Status

GIB = 1 << 30
FULL_BYTES = 256 << 20
LOW_BYTES = 2 * GIB
LOW_SHARE = 0.05

_IN_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """A folder as it is. `existing` is the folder itself or the nearest one above it that exists."""

    path: Path
    existing: Path
    writable: bool
    free_bytes: int
    total_bytes: int
    file_system: str


def look_at_disk(path: Path) -> DiskFacts:
    """The facts of `path`, which need not exist yet. Raises OSError."""
    existing = path
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    space = os.statvfs(existing)
    mounts = Path("/proc/self/mountinfo")
    return DiskFacts(
        path=path,
        existing=existing,
        writable=os.access(existing, os.W_OK | os.X_OK),
        free_bytes=space.f_bavail * space.f_frsize,
        total_bytes=space.f_blocks * space.f_frsize,
        file_system=file_system_of(existing.resolve(), mounts.read_text() if mounts.exists() else ""),
    )


def file_system_of(path: Path, mountinfo: str) -> str:
    """The type of the file system that holds `path`, by /proc/self/mountinfo (proc(5)); '' unknown."""
    best, kind = -1, ""
    for line in mountinfo.splitlines():
        fields, separator, described = line.partition(" - ")
        if not separator:
            continue
        point = Path(_ESCAPE.sub(lambda found: chr(int(found[1], 8)), fields.split()[4]))
        # A later mount on the same point hides the one before.
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), described.split()[0]
    return kind


def judge_disk(name: str, facts: DiskFacts, *, must_persist: bool) -> list[Check]:
    """Findings about the folder of the setting `name`.

    `must_persist` says that acknowledged events may stand in it alone: then a file system in memory fails.
    """
    if not facts.writable:
        return [Check(name, "fail", f"{facts.path} cannot be written.", f"Give its user {facts.existing}.")]
    return [_lifetime(name, facts, must_persist), _space(name, facts)]


def _lifetime(name: str, facts: DiskFacts, must_persist: bool) -> Check:
    if facts.file_system in _IN_MEMORY:
        status: Status = "fail" if must_persist else "warn"
        return Check(
            name,
            status,
            f"{facts.path} is in memory ({facts.file_system}): what it holds is gone after a restart.",
            f"Set {name} to a folder on a disk.",
        )
    if facts.file_system == "overlay":
        return Check(
            name,
            "warn",
            f"{facts.path} is on a container's own layer (overlay), which goes when the container does.",
            f"Mount a volume and set {name} to it.",
        )
    kind = f" ({facts.file_system})" if facts.file_system else ""
    return Check(name, "ok", f"{facts.path} is on a disk that lasts{kind}.")


def _space(name: str, facts: DiskFacts) -> Check:
    free = f"{facts.free_bytes / GIB:.1f} GiB of {facts.total_bytes / GIB:.1f} GiB are free for {facts.path}"
    if facts.free_bytes < FULL_BYTES:
        return Check(name, "fail", f"{free}: full, or nearly so.", "Make room, or set RETENTION_DAYS.")
    if facts.free_bytes < LOW_BYTES or facts.free_bytes < facts.total_bytes * LOW_SHARE:
        return Check(name, "warn", f"{free}.", "Make room soon, or set RETENTION_DAYS.")
    return Check(name, "ok", f"{free}.")
