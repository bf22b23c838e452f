"""The doctor: looks at settings, log, database, clocks and disks, and says what to do."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import msgspec
import psycopg
from rich.console import Console
from rich.table import Table
from rich.text import Text

from portfolio_analytics.app.log import kafka_settings
from portfolio_analytics.doctor.check import Check, exit_status
from portfolio_analytics.doctor.clock import judge_clock
from portfolio_analytics.doctor.database import (
    StoreFacts,
    judge_database,
    judge_store,
    look_at_database,
    look_at_store,
)
from portfolio_analytics.doctor.disk import judge_disk, look_at_disk
from portfolio_analytics.doctor.log import (
    LogEnds,
    judge_dead_letters,
    judge_journal,
    judge_kafka,
    judge_lag,
    log_problem,
    look_at_journal,
    look_at_kafka,
)
from portfolio_analytics.settings import Settings, journal_path, local_url
from portfolio_analytics.shared.errors import LogError, SettingsError, StorageUnavailable
from portfolio_analytics.shared.log.kafka import KafkaSettings, describe_topic
from portfolio_analytics.storage.database import connect, describe
from portfolio_analytics.storage.embedded import EmbeddedPostgresError, running_dsn

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def run_doctor(environ: Mapping[str, str], *, as_json: bool, console: Console) -> int:
    """Examine what `environ` describes and print the findings; the exit status is 1 when a check failed."""
    checks = examine(environ)
    if as_json:
        console.print_json(msgspec.json.encode({"checks": [check._asdict() for check in checks]}).decode())
    else:
        console.print(findings_table(checks))
    return exit_status(checks)


def examine(environ: Mapping[str, str]) -> list[Check]:
    """All findings. Whatever cannot be looked at is a finding itself."""
    try:
        settings = Settings.load(environ)
    except SettingsError as error:
        return [Check("settings", "fail", f"{problem}.", "Correct it.") for problem in error.problems]
    checks = [Check("settings", "ok", "All settings can be read."), *_service(settings), *_disks(settings)]
    database, store = _database(settings)
    log, ends = _log(settings)
    checks += database + log
    if ends is not None and store is not None:
        checks += judge_lag(ends, store.positions)
    return checks


def findings_table(checks: list[Check]) -> Table:
    """The findings as a person reads them."""
    table = Table(show_lines=False)
    for column in ("what", "how", "finding"):
        table.add_column(column, overflow="fold")
    for check in checks:
        finding = Text(check.sentence)
        if check.advice:
            finding.append(f"\n{check.advice}", style="bold")
        table.add_row(check.name, Text(check.status, style=_COLOURS[check.status]), finding)
    return table


def _service(settings: Settings) -> list[Check]:
    """What the service at HOST and PORT says of itself, and its clock."""
    place = local_url(settings)
    connection = http.client.HTTPConnection(urlsplit(place).netloc, timeout=5.0)
    try:
        connection.request("GET", "/api/health")
        response = connection.getresponse()
        content = response.read(1 << 16)
    except (OSError, http.client.HTTPException):
        return [Check("service", "warn", f"Nothing answers at {place}.", "Start it, unless that is meant.")]
    finally:
        connection.close()
    checks = [_health(place, response.status, content)]
    try:
        there = parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
    except ValueError:
        return checks
    # The header has whole seconds.
    return [*checks, judge_clock("the service", there + 0.5 - time.time())]


def _health(place: str, status: int, content: bytes) -> Check:
    if status == 200:
        return Check("service", "ok", f"The service at {place} is healthy.")
    try:
        reason = str(msgspec.json.decode(content)["error"])
    except (ValueError, KeyError, TypeError):
        reason = f"status {status}"
    return Check(
        "service", "fail", f"The service at {place} is not healthy: {reason}", "See the findings below."
    )


def _disks(settings: Settings) -> list[Check]:
    folders = []
    if not settings.kafka_broker or settings.database_url is None:
        folders.append(("DATA_DIR", settings.data_dir))
    if settings.spool_dir is not None:
        folders.append(("SPOOL_DIR", settings.spool_dir))
    checks = []
    for name, path in folders:
        try:
            checks += judge_disk(name, look_at_disk(path), must_persist=True)
        except OSError as error:
            checks.append(Check(name, "fail", f"{path} cannot be looked at: {error.strerror}.", "Check it."))
    return checks


def _database(settings: Settings) -> tuple[list[Check], StoreFacts | None]:
    try:
        url = settings.database_url.reveal() if settings.database_url else running_dsn(settings.data_dir)
        if url is None:
            sentence = "The embedded database does not run."
            return [
                Check("database", "warn", sentence, "Start `portfolio-analytics run`, then ask again.")
            ], None
        with connect(url, "portfolio-analytics doctor") as connection:
            return _examine_database(connection)
    except (StorageUnavailable, EmbeddedPostgresError) as error:
        return [
            Check("database", "fail", f"{str(error).rstrip('.')}.", "Check DATABASE_URL and the server.")
        ], None


def _examine_database(connection: psycopg.Connection) -> tuple[list[Check], StoreFacts | None]:
    try:
        facts = look_at_database(connection)
        checks = [*judge_database(facts), judge_clock("the database", facts.ahead_seconds)]
        if facts.pending:
            return checks, None
        store = look_at_store(connection)
        return [*checks, *judge_store(store)], store
    except psycopg.Error as error:
        return [Check("database", "fail", f"{describe(error)}.", "Check the rights of this role.")], None


def _dead_letters(settings: Settings, kafka: KafkaSettings) -> list[Check]:
    topic = settings.kafka_dead_letter_topic
    if topic is None:
        return []
    try:
        describe_topic(replace(kafka, topic=topic))
    except LogError as error:
        return [judge_dead_letters(topic, error)]
    return [judge_dead_letters(topic, None)]


def _log(settings: Settings) -> tuple[list[Check], LogEnds | None]:
    try:
        if settings.kafka_broker:
            kafka = kafka_settings(settings)
            topic, topic_ends = look_at_kafka(kafka)
            return [*judge_kafka(topic, kafka), *_dead_letters(settings, kafka)], topic_ends
        path = journal_path(settings)
        ends = look_at_journal(path)
        return judge_journal(ends, path), ends
    except LogError as error:
        return [log_problem(error)], None
