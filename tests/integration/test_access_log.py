"""Access logs through the real service: counted once, resumable, and no address anywhere."""

from __future__ import annotations

import gzip
import itertools
import os
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import crawleruseragents  # type: ignore[import-untyped]
import pytest
from rich.console import Console

from portfolio_analytics.doctor.log import look_at_journal
from portfolio_analytics.importers.access_log import ImportProblem, ImportSummary, import_access_log
from portfolio_analytics.importers.report import run_access_log_import
from portfolio_analytics.importers.service import Result, Service, ServiceError
from portfolio_analytics.storage.database import connect
from tests.databases import new_database
from tests.integration.service import ADMIN_TOKEN, RunningService, wait_for
from tests.ports import free_port

VISIBLE_SECONDS = 60.0
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0"

_sites = (f"log-{number}.example" for number in itertools.count())


@pytest.fixture(scope="module")
def running(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service for this module; each test has a site of its own."""
    with (
        new_database(postgres_url) as url,
        RunningService(url, tmp_path_factory.mktemp("service"), free_port()) as service,
    ):
        yield service


@pytest.fixture
def site() -> str:
    return next(_sites)


def page_views(running: RunningService, site: str) -> int:
    """How many page views of `site` are counted, in rows and in rollups alike."""
    with connect(running.database_url) as connection:
        [(rows, rolled)] = connection.execute(
            "SELECT (SELECT count(*) FROM events JOIN sites USING (site_id) WHERE name = %(site)s),"
            " (SELECT coalesce(sum(pageviews), 0) FROM rollups JOIN sites USING (site_id)"
            "  WHERE name = %(site)s AND dimension = 0)",
            {"site": site},
        ).fetchall()
    assert rows == rolled
    return int(rows)


def counted(running: RunningService, site: str, expected: int) -> bool:
    """Wait until all that is in the log now is counted; whether it is `expected` page views then."""
    log = look_at_journal(running.data_dir / "journal.sqlite")
    assert log is not None

    def caught_up() -> bool:
        with connect(running.database_url) as connection:
            rows = connection.execute("SELECT next FROM log_positions").fetchall()
        return bool(rows) and (rows[0][0] or 0) >= log.held[0].high

    wait_for(caught_up, VISIBLE_SECONDS, lambda: "the consumer to catch up")
    return page_views(running, site) == expected


def visitors_a_day(running: RunningService, site: str) -> dict[str, int]:
    with connect(running.database_url) as connection:
        rows = connection.execute(
            "SELECT day::text, sum(visitors)::int FROM rollups JOIN sites USING (site_id)"
            " WHERE name = %s AND dimension = 0 GROUP BY 1",
            [site],
        ).fetchall()
    return dict(rows)


def send(path: Path, site: str, running: RunningService, state: Path) -> ImportSummary:
    with Service(running.url, ADMIN_TOKEN) as service:
        return import_access_log(path, site, service, state=state)


def log_line(number: int, *, address: str | None = None, day: int = 17) -> str:
    """A page view; each number has a second, a page and (of 50) an address of its own."""
    at = f"{day:02d}/May/2015:{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d} +0000"
    return (
        f'{address or f"198.51.100.{number % 50}"} - - [{at}] "GET /page-{number % 7} HTTP/1.1" 200 5'
        f' "https://www.google.com/" "{FIREFOX}"\n'
    )


def write(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("".join(lines))
    return path


def test_a_real_log_twice(running: RunningService, site: str, tmp_path: Path) -> None:
    if "SAMPLE_ACCESS_LOG" not in os.environ:
        pytest.skip("SAMPLE_ACCESS_LOG does not name an access log")
    log = Path(os.environ["SAMPLE_ACCESS_LOG"])

    # The independent count: the same definition in a few lines of its own.
    expected, visitors, addresses = 0, defaultdict(set), set()
    for text in log.read_text("utf-8", "replace").splitlines():
        addresses.add(text.split(" ")[0])
        if not (
            parts := re.fullmatch(r'(\S+) .*\[(\d+)/May/2015:.*\] "GET (/\S*) .*" (200|304) .* "(.*)"', text)
        ):
            continue
        address, day, target, _, agent = parts.groups()
        path, _, query = target.partition("?")
        extension = path.rpartition(".")[2] if "." in path.rpartition("/")[2] else "html"
        file = re.fullmatch(r"(?=\d*[A-Za-z])\w{1,5}", extension) and extension.lower() not in (
            "html", "xhtml", "htm", "php",
        )  # fmt: skip
        bot = crawleruseragents.is_crawler(agent) or not re.match(
            r"Mozilla/\d.\d+ \(|Opera|\w*Links|Lynx|.*MIDP-", agent
        )
        contact = re.search(r"http|www\.|@\w|bot\b|spider|crawl|fetch|favicon|\bfeed", agent, re.IGNORECASE)
        if file or bot or contact or "flav=" in query or path.endswith(("/feed", "/rss", "/atom")):
            continue
        expected += 1
        visitors[f"2015-05-{day}"].add((address, agent))

    once = send(log, site, running, tmp_path)
    assert once.page_views == expected > 1000
    assert sum(once.lines.values()) == 10_000
    assert once.answers == {"success": expected}
    assert counted(running, site, expected)
    assert visitors_a_day(running, site) == {day: len(people) for day, people in visitors.items()}

    packed = tmp_path / "again.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    twice = send(packed, site, running, tmp_path)
    assert twice.lines == once.lines
    assert twice.answers == {"success": expected}
    assert counted(running, site, expected)
    assert visitors_a_day(running, site) == {day: len(people) for day, people in visitors.items()}

    assert_no_address(running, addresses, [tmp_path])


def assert_no_address(running: RunningService, addresses: set[str], folders: Sequence[Path]) -> None:
    """No address stands in the log, in a table, in the output, or in what the importer keeps."""

    def seen(content: bytes) -> set[str]:
        return {
            found.decode() for found in re.findall(rb"(?<![\d.])(?:\d+\.){3}\d+(?![\d.])", content)
        } & addresses

    assert seen(b"an address: " + min(addresses).encode())
    files = [
        file
        for folder in folders
        for file in folder.rglob("*")
        if file.suffix in (".key", ".lock", ".checkpoint")
    ]
    files += [file for file in running.data_dir.rglob("*") if file.is_file()]
    assert any(file.name.startswith("journal") and file.stat().st_size > 100_000 for file in files)
    for file in files:
        assert not seen(file.read_bytes()), file
    assert not seen(running.output().encode())
    with connect(running.database_url) as connection:
        tables = connection.execute(
            "SELECT quote_ident(relname) FROM pg_class"
            " WHERE relkind IN ('r', 'p') AND relnamespace = 'analytics'::regnamespace AND NOT relispartition"
        ).fetchall()
        assert len(tables) > 10
        for (table,) in tables:
            with (
                connection.cursor() as cursor,
                cursor.copy(f"COPY (SELECT * FROM {table}) TO STDOUT".encode()) as rows,
            ):
                for row in rows:
                    assert not seen(bytes(row)), table


def test_equal_lines_are_events_of_their_own(running: RunningService, site: str, tmp_path: Path) -> None:
    lines = [log_line(7)] * 3 + [log_line(7, address="203.0.113.9")] + [log_line(8)]
    log = write(tmp_path / "access.log", lines)
    send(log, site, running, tmp_path)
    assert counted(running, site, 5)
    send(log, site, running, tmp_path)
    assert counted(running, site, 5)


class BreaksOff(Service):
    """A service to whom the line is cut after some batches, as by Ctrl-C."""

    def __init__(self, url: str, batches: int) -> None:
        super().__init__(url, ADMIN_TOKEN)
        self.left = batches

    def send(self, events: Sequence[bytes]) -> list[Result]:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return super().send(events)


@pytest.mark.parametrize("packed", [False, True])
def test_an_import_goes_on_where_it_was(
    running: RunningService, site: str, tmp_path: Path, packed: bool
) -> None:
    text = "".join(log_line(number) for number in range(3500)).encode()
    log = tmp_path / "access.log"
    log.write_bytes(gzip.compress(text) if packed else text)
    with BreaksOff(running.url, 2) as service, pytest.raises(KeyboardInterrupt):
        import_access_log(log, site, service, state=tmp_path)
    assert counted(running, site, 2000)

    log = log.rename(tmp_path / "access.log.1")
    summary = send(log, site, running, tmp_path)
    assert summary.resumed
    assert summary.page_views == 3500
    assert summary.answers == {"success": 3500}
    assert counted(running, site, 3500)
    # The salts of both halves were the same, so nobody is two people.
    assert visitors_a_day(running, site) == {"2015-05-17": 50}
    assert not list(tmp_path.glob("*.checkpoint*"))


def test_a_log_that_changed_is_read_from_its_beginning(
    running: RunningService, site: str, tmp_path: Path
) -> None:
    log = write(tmp_path / "access.log", [log_line(number) for number in range(1500)])
    with BreaksOff(running.url, 1) as service, pytest.raises(KeyboardInterrupt):
        import_access_log(log, site, service, state=tmp_path)
    # The same first line, but other lines behind it.
    write(log, [log_line(0), *(log_line(number, day=18) for number in range(1500))])
    summary = send(log, site, running, tmp_path)
    assert not summary.resumed
    assert counted(running, site, 2500)


def test_the_service_comes_up_late(
    postgres_url: str, database: str, site: str, tmp_path: Path, free_port: int
) -> None:
    log = write(tmp_path / "access.log", [log_line(number) for number in range(10)])
    service = RunningService(database, tmp_path, free_port)
    waits: list[str] = []
    starter = threading.Thread(target=service.start)

    def on_wait(_seconds: float, reason: str) -> None:
        if not waits:
            starter.start()
        waits.append(reason)

    try:
        with Service(service.url, ADMIN_TOKEN, on_wait=on_wait) as client:
            summary = import_access_log(log, site, client, state=tmp_path)
        starter.join()
        assert waits
        assert summary.answers == {"success": 10}
        assert counted(service, site, 10)
    finally:
        if starter.ident is not None:
            starter.join()
        service.stop()


def test_patience_ends(site: str, tmp_path: Path, free_port: int) -> None:
    log = write(tmp_path / "access.log", [log_line(0)])
    with (
        Service(f"http://127.0.0.1:{free_port}", ADMIN_TOKEN, patience=0.2) as client,
        pytest.raises(ServiceError, match="did not take a batch"),
    ):
        import_access_log(log, site, client, state=tmp_path)


def test_a_wrong_token_is_said_at_once(running: RunningService, site: str, tmp_path: Path) -> None:
    log = write(tmp_path / "access.log", [log_line(0)])
    with Service(running.url, "x" * 20) as client, pytest.raises(ServiceError, match="401"):
        import_access_log(log, site, client, state=tmp_path)


def test_lines_from_the_future_are_rejected_and_counted(
    running: RunningService, site: str, tmp_path: Path
) -> None:
    future = log_line(1).replace("2015", "2099")
    log = write(tmp_path / "access.log", [log_line(0), future])
    summary = send(log, site, running, tmp_path)
    assert summary.answers == {"success": 1, "rejected: time_out_of_range": 1}
    assert counted(running, site, 1)


def test_a_torn_gzip_file_is_a_problem_and_goes_on_when_it_is_whole(
    running: RunningService, site: str, tmp_path: Path
) -> None:
    whole = gzip.compress("".join(log_line(number) for number in range(3000)).encode())
    log = tmp_path / "access.log.gz"
    log.write_bytes(whole[:-1000])
    with pytest.raises(ImportProblem, match="not complete"):
        send(log, site, running, tmp_path)
    log.write_bytes(whole)
    assert send(log, site, running, tmp_path).answers == {"success": 3000}
    assert counted(running, site, 3000)


def test_two_imports_of_one_log_at_once(running: RunningService, site: str, tmp_path: Path) -> None:
    log = write(tmp_path / "access.log", [log_line(number) for number in range(10)])
    problems = []

    class StartsAnother(Service):
        def send(self, events: Sequence[bytes]) -> list[Result]:
            with pytest.raises(ImportProblem, match="being imported already") as caught:
                send(log, site, running, tmp_path)
            problems.append(caught.value)
            return super().send(events)

    with StartsAnother(running.url, ADMIN_TOKEN) as service:
        import_access_log(log, site, service, state=tmp_path)
    assert len(problems) == 1
    assert counted(running, site, 10)


def test_the_command_says_how_many_lines_went_where(
    running: RunningService, site: str, tmp_path: Path
) -> None:
    bot = log_line(3).replace(
        FIREFOX, "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
    )
    image = log_line(4).replace("/page-4", "/a.png")
    log = write(tmp_path / "access.log", [log_line(0), log_line(1), bot, image, "nonsense\n"])
    console = Console(record=True, width=100, file=(tmp_path / "output").open("w"))
    status = run_access_log_import(log, site, running.url, ADMIN_TOKEN, state=tmp_path, console=console)
    console.file.close()
    assert status == 0
    said = Counter(
        {
            parts[1].strip(): int(parts[2])
            for line in console.export_text().splitlines()
            if len(parts := line.split("│")) == 4
        }
    )
    assert said["page view"] == 2
    assert said["bot, feed reader or program"] == 1
    assert said["asset or download"] == 1
    assert said["not in the combined format"] == 1
    assert said["all"] == 5
    assert said["success"] == 2
    assert counted(running, site, 2)


def test_the_command_without_a_token_or_a_file(running: RunningService, site: str, tmp_path: Path) -> None:
    console = Console(record=True, file=(tmp_path / "output").open("w"))
    missing = tmp_path / "missing.log"
    assert run_access_log_import(missing, site, running.url, None, state=tmp_path, console=console) == 1
    assert (
        run_access_log_import(missing, site, running.url, ADMIN_TOKEN, state=tmp_path, console=console) == 1
    )
    console.file.close()
    said = console.export_text()
    assert "needs a token" in said
    assert "No such file" in said
