"""Where an embedded cluster lives and which user runs it.

PostgreSQL refuses to run as root. So where the launcher is root, the server gets an unprivileged account:
the owner of the cluster where there is one, else the owner of the data directory, else `postgres`, else
`nobody`. That account must be able to enter the data directory. Where none of them is, the cluster goes to
a folder of its own under /var/lib, and the data directory keeps a note of where that is: no mode of a
directory that exists is ever changed.
"""

import hashlib
import os
import pwd
import re
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from portfolio_analytics.storage.embedded.errors import UnusableDirectory
from portfolio_analytics.storage.embedded.files import read_private, sync_directory, write_private

CLUSTER_NAME = "postgresql"
_FALLBACK_ROOTS = (Path("/var/lib/portfolio-analytics"), Path("/var/lib/portfolio-analytics-database"))
_LOCATION_NAME = "postgresql.location"


@dataclass(frozen=True, slots=True)
class Account:
    """An operating-system user, other than root, that runs the server."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where the cluster is and who runs it.

    home: the folder that holds the cluster: the data directory, or the one used instead
    account: the user that the server is dropped to, None where the launcher is not root
    notice: one line for the user where home is not the data directory, else None
    """

    home: Path
    account: Account | None
    notice: str | None = None

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.home / CLUSTER_NAME

    @property
    def uid(self) -> int:
        """The user id of the server."""
        return self.account.uid if self.account else os.geteuid()


def make_data_dir(data_dir: Path) -> None:
    """Make `data_dir`, with its parents, unless it exists; an existing one is left as it is.

    A new one is private (mode 0700). As root it is open for passing through, and for nothing else, to the
    group of the account that will run the server (mode 0710). Raises UnusableDirectory or OSError.
    """
    if data_dir.exists():
        if not data_dir.is_dir():
            raise UnusableDirectory(f"{data_dir} is not a directory: set DATA_DIR to a directory")
        return
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    data_dir.mkdir(mode=0o700)
    if os.geteuid() == 0:
        account = _candidates(data_dir)[0]
        os.chown(data_dir, -1, account.gid)
        data_dir.chmod(0o710)


def find_place(data_dir: Path) -> Place:
    """Decide where the cluster of `data_dir` (an absolute, existing directory) is or will be.

    As root this can make a folder under /var/lib and note it in `data_dir`.
    Raises UnusableDirectory where there is no usable place, and OSError.
    """
    if (data_dir / "PG_VERSION").exists():
        raise UnusableDirectory(
            f"{data_dir} is itself the data directory of a PostgreSQL server:"
            " set DATA_DIR to a directory of its own, or DATABASE_URL to use that server"
        )
    home = _recorded_home(data_dir) or data_dir
    notice = None if home == data_dir else _fallback_notice(data_dir, home)
    if os.geteuid() != 0:
        _check_own(home / CLUSTER_NAME)
        return Place(home, None, notice)
    if holds_cluster(home / CLUSTER_NAME):
        return Place(home, _account_of(home), notice)
    candidates = _candidates(data_dir)
    for account in candidates:
        if can_enter(account, home):
            return Place(home, account, notice)
    if home != data_dir:
        raise _unreachable(home, candidates[0])
    home = _make_fallback_home(data_dir, candidates[0])
    write_private(data_dir / _LOCATION_NAME, str(home))
    return Place(home, candidates[0], _fallback_notice(data_dir, home))


def holds_cluster(directory: Path) -> bool:
    """Whether `directory` is a PostgreSQL data directory. Raises OSError where it cannot be read."""
    return (directory / "PG_VERSION").exists()


def can_enter(account: Account, *paths: Path) -> bool:
    """Whether `account` can enter each directory, or execute each file, of `paths`, by the kernel's word."""
    script = 'for path; do test -x "$path" || exit 1; done'
    answer = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *map(str, paths)],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        env={},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return answer.returncode == 0


def _recorded_home(data_dir: Path) -> Path | None:
    text = read_private(data_dir / _LOCATION_NAME)
    if text is None:
        return None
    home = Path(text)
    # Root acts on this note, so it must not be able to send root anywhere else.
    if home.parent not in _FALLBACK_ROOTS:
        raise UnusableDirectory(
            f"{data_dir / _LOCATION_NAME} names no folder of this program: remove that file"
        )
    if not home.is_dir():
        raise UnusableDirectory(
            f"the database of {data_dir} was in {home}, which is gone:"
            f" bring it back, or remove {data_dir / _LOCATION_NAME} to begin with an empty one"
        )
    return home


def _check_own(cluster: Path) -> None:
    if cluster.exists() and cluster.stat().st_uid != os.geteuid():
        owner = _user_name(cluster.stat().st_uid)
        raise UnusableDirectory(
            f"{cluster} belongs to the user {owner}: run as root or as {owner}, or set another DATA_DIR"
        )


def _account_of(home: Path) -> Account:
    state = (home / CLUSTER_NAME).stat()
    if state.st_uid == 0:
        raise UnusableDirectory(
            f"{home / CLUSTER_NAME} belongs to root, and PostgreSQL does not run as root:"
            f" give it back to its user (chown -R {_candidates(home)[0].name} {home / CLUSTER_NAME})"
        )
    account = Account(_user_name(state.st_uid), state.st_uid, state.st_gid)
    if not can_enter(account, home):
        raise _unreachable(home, account)
    return account


def _unreachable(home: Path, account: Account) -> UnusableDirectory:
    return UnusableDirectory(
        f"the database is in {home}, and the user {account.name}, who runs it, may not enter there any more:"
        f" allow it on that directory and its parents (chmod o+x), or set another DATA_DIR"
    )


def _candidates(data_dir: Path) -> list[Account]:
    found = []
    owner = data_dir.stat().st_uid
    if owner != 0:
        found.append(_account(lambda: pwd.getpwuid(owner)))
    found += [_account(lambda: pwd.getpwnam("postgres")), _account(lambda: pwd.getpwnam("nobody"))]
    accounts = [account for account in found if account is not None]
    if not accounts:
        raise UnusableDirectory(
            "PostgreSQL does not run as root, and there is neither a user postgres nor nobody:"
            " create one, or start as another user"
        )
    return accounts


def _account(look_up: Callable[[], pwd.struct_passwd]) -> Account | None:
    try:
        entry = look_up()
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid) if entry.pw_uid else None


def _user_name(uid: int) -> str:
    account = _account(lambda: pwd.getpwuid(uid))
    return account.name if account else str(uid)


def _make_fallback_home(data_dir: Path, account: Account) -> Path:
    for root in _FALLBACK_ROOTS:
        if not root.exists():
            root.mkdir(parents=True)
            root.chmod(0o711)
        state = root.lstat()
        safe = stat.S_ISDIR(state.st_mode) and state.st_uid == 0 and not state.st_mode & 0o022
        if safe and can_enter(account, root):
            return _make_home_in(root, data_dir)
    raise UnusableDirectory(
        f"the user {account.name}, who would run PostgreSQL, may enter neither {data_dir} nor"
        f" {_FALLBACK_ROOTS[0]}: allow it on one of them and its parents (chmod o+x)"
    )


def _make_home_in(root: Path, data_dir: Path) -> Path:
    label = re.sub(r"[^A-Za-z0-9.-]", "_", data_dir.name)[:40]
    name = f"{label}-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]}"
    number = 1
    home = root / name
    # A data directory that was deleted and made again begins empty: what an earlier one left is not its own.
    while home.exists() and any(home.iterdir()):
        number += 1
        home = root / f"{name}-{number}"
    home.mkdir(exist_ok=True)
    home.chmod(0o711)
    sync_directory(root)
    return home


def _fallback_notice(data_dir: Path, home: Path) -> str:
    return (
        f"the database of {data_dir} is kept in {home}, because the unprivileged user that runs PostgreSQL"
        f" may not enter {data_dir}: keep and back up both"
    )
