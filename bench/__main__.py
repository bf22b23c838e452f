"""`make bench`: measure everything, print one table, write bench/results.json and bench/RESULTS.md."""

from __future__ import annotations

import json
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from bench.consumer import measure_consumer
from bench.figure import Figure
from bench.intake import measure_intake, measure_start
from bench.machine import describe
from bench.query import fill, measure_disk, measure_queries
from bench.size import measure_size
from portfolio_analytics.storage.database import conninfo
from portfolio_analytics.storage.embedded import EmbeddedPostgres
from portfolio_analytics.storage.migrate import migrate

HERE = Path(__file__).parent


def main() -> None:
    """Measure; QUICK=1 in the environment makes it a smoke run of about a minute."""
    quick = os.environ.get("QUICK", "") not in ("", "0")
    rounds, seconds = (2, 2.0) if quick else (5, 8.0)
    events, days = (20_000, 30) if quick else (int(os.environ.get("EVENTS", "1000000")), 365)
    now_ms = int(time.time() * 1000)
    sections: dict[str, list[Figure]] = {}
    with tempfile.TemporaryDirectory(prefix="pa-bench-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres(Path(folder) / "data") as server:
            pid = _server_pid(server.directory)
            database = _fresh(server.dsn, "intake")
            _add(
                sections,
                "Intake, journal",
                measure_intake(database, {}, "journal", seconds=seconds, rounds=rounds),
            )
            database = _fresh(server.dsn, "consumer")
            consumed = measure_consumer(
                database, pid, now_ms, events=5_000 if quick else 40_000, rounds=rounds
            )
            _add(sections, "Consumer", consumed)
            database = _fresh(server.dsn, "history")
            fill(database, now_ms, events=events, days=days)
            _add(sections, "Queries", measure_queries(database, events=events, rounds=rounds + 1))
            _add(sections, "Disk", measure_disk(database))
    _add(sections, "Start", measure_start(rounds=1 if quick else 3))
    _add(sections, "Size", measure_size())
    _write(sections, quick)


def _fresh(dsn: str, name: str) -> str:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    database = conninfo(make_conninfo(dsn, dbname=name))
    with psycopg.connect(database, autocommit=True) as connection:
        migrate(connection)
    return database


def _server_pid(directory: Path) -> int:
    return int((directory / "postmaster.pid").read_text(encoding="ascii").splitlines()[0])


def _add(sections: dict[str, list[Figure]], title: str, figures: list[Figure]) -> None:
    sections[title] = figures
    print(f"\n{title}")
    for found in figures:
        spread = f"  ({_number(found.low)} to {_number(found.high)})" if found.rounds > 1 else ""
        print(f"  {found.name:<62} {_number(found.value):>10} {found.unit}{spread}")


def _write(sections: dict[str, list[Figure]], quick: bool) -> None:
    machine = describe()
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    (HERE / "results.json").write_text(
        json.dumps(
            {
                "date": when,
                "quick": quick,
                "machine": machine,
                "figures": {
                    title: [found.as_dict() for found in figures] for title, figures in sections.items()
                },
            },
            indent=1,
        )
        + "\n",
        encoding="utf-8",
    )
    lines = [
        "# Results",
        "",
        f"Measured on {when}{' (a smoke run: the figures mean little)' if quick else ''}, everything on one "
        "machine: "
        + ", ".join(f"{name} {value}" for name, value in machine.items())
        + ". Medians, with the spread over the rounds; what is compared was measured in turn.",
    ]
    for title, found in sections.items():
        lines += ["", f"## {title}", "", "| what | median | from | to |", "|---|---:|---:|---:|"]
        lines += [
            f"| {one.name} | {_number(one.value)} {one.unit} | {_number(one.low)} | {_number(one.high)} |"
            for one in found
        ]
    (HERE / "RESULTS.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"\nWritten: {HERE / 'RESULTS.md'}")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
