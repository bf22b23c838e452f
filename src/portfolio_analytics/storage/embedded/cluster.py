"""The cluster itself: made whole or not at all, with one database and one role that owns it.

The role is an ordinary one, as on a database server of one's own. The superuser has no password and so cannot
log in; what needs it is done in single-user mode while no server runs.
"""

import os
import re
import secrets
import shutil
import time
from pathlib import Path

from portfolio_analytics.storage.embedded.errors import UnusableDirectory
from portfolio_analytics.storage.embedded.files import read_private, sync_directory, write_private
from portfolio_analytics.storage.embedded.place import Place, holds_cluster
from portfolio_analytics.storage.embedded.processes import end_processes
from portfolio_analytics.storage.embedded.programs import programs_version, run_program
from portfolio_analytics.storage.embedded.socket import PORT

DATABASE = "analytics"
ROLE = "analytics"
_SUPERUSER = "postgres"
_DRAFT_PREFIX = "postgresql.init-"
_REMOVAL_SECONDS = 5.0

# Written to postgresql.conf once: the owner of the machine may tune them there.
_FIRST_SETTINGS = {
    "shared_buffers": "128MB",
    "max_connections": "100",
    "jit": "off",
    "wal_compression": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
}

# Given at every start, above postgresql.conf: what promises and privacy rest on.
_FIXED_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_line_prefix": "%m [%p] ",
    # Errors go to the client that caused them. In the server's log their text could hold visitors' data.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_duration": "off",
    "log_min_duration_statement": "-1",
    "log_min_duration_sample": "-1",
    "log_transaction_sample_rate": "0",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_lock_waits": "off",
    "log_checkpoints": "off",
    # A recovery that goes on says so in the log, by which the launcher sees that it is alive.
    "log_startup_progress_interval": "5s",
}

_ACCESS_RULES = f"local all {ROLE} scram-sha-256\n"


def server_command(programs: Path, place: Place, socket_folder: Path) -> list[str | Path]:
    """Return the command line of the server of `place`, reachable through `socket_folder` only."""
    settings = _FIXED_SETTINGS | {
        "cluster_name": cluster_mark(place.cluster),
        "unix_socket_directories": str(socket_folder),
    }
    return [programs / "postgres", "-D", place.cluster, *_options("-c", settings)]


def cluster_mark(cluster: Path) -> str:
    """Return a name that all processes of `cluster` carry on their command line, wherever it is moved to."""
    state = cluster.stat()
    return f"portfolio-analytics-{state.st_dev:x}-{state.st_ino:x}"


def check_cluster(cluster: Path) -> None:
    """Raise UnusableDirectory where `cluster` exists and is not one that these programs can run."""
    if not holds_cluster(cluster):
        if cluster.exists() and (not cluster.is_dir() or any(cluster.iterdir())):
            raise UnusableDirectory(
                f"{cluster} is not a PostgreSQL cluster: move it away, or set another DATA_DIR"
            )
        return
    found = (cluster / "PG_VERSION").read_text(encoding="utf-8").strip()
    ours = programs_version().split(".")[0]
    if found != ours:
        raise UnusableDirectory(
            f"{cluster} was made by PostgreSQL {found}, and this version brings PostgreSQL {ours}:"
            f" export it with the version that made it and import it into another DATA_DIR"
        )


def make_cluster(programs: Path, place: Place, password: str, timeout: float) -> None:
    """Make the cluster of `place` with the database and its role.

    It is made and synced under another name, then renamed: a crash leaves a draft, which
    `remove_drafts` clears. Raises StartFailed or OSError.
    """
    draft = place.home / f"{_DRAFT_PREFIX}{secrets.token_hex(8)}"
    draft.mkdir(mode=0o700)
    try:
        if place.account is not None:
            os.chown(draft, place.account.uid, place.account.gid, follow_symlinks=False)
        _initialise(programs, place, draft, password, timeout)
        (draft / "cluster").rename(place.cluster)
        sync_directory(place.home)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def remove_drafts(place: Place) -> None:
    """Remove what a killed start left, its programs ended first. Raises StartFailed or OSError."""
    for draft in place.home.glob(f"{_DRAFT_PREFIX}*"):
        end_processes(str(draft), place.uid, None, 0)
        _remove_tree(draft)


def set_password(programs: Path, place: Place, password: str, timeout: float) -> None:
    """Give the role a new password; no server of the cluster may run. Raises StartFailed."""
    statement = f"ALTER ROLE {ROLE} PASSWORD '{password}'"
    _run_single_user(programs, place, place.cluster, [statement], timeout=timeout)


def read_password(path: Path) -> str | None:
    """Return the password kept in `path`, or None where there is none that `write_password` wrote."""
    text = read_private(path)
    return text if text and re.fullmatch(r"[A-Za-z0-9_-]{32,}", text) else None


def write_password(path: Path, password: str) -> None:
    """Keep `password` in `path` with mode 0600. Raises OSError."""
    write_private(path, password)


def new_password() -> str:
    """Return a new random password, of characters that need no quoting in SQL or in a URL."""
    return secrets.token_urlsafe(32)


def _remove_tree(folder: Path) -> None:
    # A child of the ended initdb may write for a moment more, until it notices.
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while folder.exists():
        try:
            shutil.rmtree(folder)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _initialise(programs: Path, place: Place, draft: Path, password: str, timeout: float) -> None:
    initdb = programs / "initdb"
    cluster = draft / "cluster"
    run_program(
        [
            initdb,
            f"--pgdata={cluster}",
            f"--username={_SUPERUSER}",
            "--auth-local=peer",
            "--auth-host=reject",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--data-checksums",
            "--no-sync",
            "--no-instructions",
            *_options("--set", _FIRST_SETTINGS),
        ],
        place.account,
        folder=draft,
        timeout=timeout,
    )
    statements = [
        f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{password}'",
        f"GRANT pg_monitor TO {ROLE}",
        f"CREATE DATABASE {DATABASE} OWNER {ROLE}",
    ]
    _run_single_user(programs, place, cluster, statements, timeout=timeout, fsync=False)
    # By the server's user, as all inside the cluster: root must not follow what that user may have put there.
    replace: list[str | Path] = ["/bin/sh", "-c", 'cat > "$1"', "sh", cluster / "pg_hba.conf"]
    run_program(replace, place.account, folder=draft, given=_ACCESS_RULES, timeout=timeout)
    # One pass at the end costs a tenth of syncing at every step.
    run_program([initdb, f"--pgdata={cluster}", "--sync-only"], place.account, folder=draft, timeout=timeout)


def _run_single_user(
    programs: Path, place: Place, cluster: Path, statements: list[str], *, timeout: float, fsync: bool = True
) -> None:
    settings = {
        "exit_on_error": "on",
        "fsync": "on" if fsync else "off",
        "log_min_error_statement": "panic",
        "log_checkpoints": "off",
    }
    run_program(
        [programs / "postgres", "--single", "-D", cluster, *_options("-c", settings), "postgres"],
        place.account,
        folder=Path("/"),
        given="".join(f"{statement}\n" for statement in statements),
        timeout=timeout,
    )


def _options(flag: str, settings: dict[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in (flag, f"{name}={value}")]
