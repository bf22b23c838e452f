"""An import as a person sees it: a progress bar while it runs, then how many lines went where."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from portfolio_analytics.importers.access_line import PAGE_VIEW
from portfolio_analytics.importers.access_log import ImportProblem, ImportSummary, import_access_log
from portfolio_analytics.importers.service import Service, ServiceError


def run_access_log_import(
    path: Path, site: str, url: str, token: str | None, *, state: Path, console: Console
) -> int:
    """Import the log at `path` and say what became of its lines; the exit status for the shell.

    0: every page view was taken; 1: the import broke off and goes on when it is run again, or the
    service rejected page views.
    """
    if token is None:
        console.print("An import needs a token: set ADMIN_TOKEN, or give --token.", style="red")
        return 1
    again = "Run the same command again: it goes on from here."
    try:
        summary = _with_progress_bar(path, site, url, token, state, console)
    except (ImportProblem, ServiceError) as error:
        console.print(f"{error}\n{again}", style="red", markup=False, soft_wrap=True)
        return 1
    except OSError as error:
        console.print(f"{path}: {error.strerror or error}", style="red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print(f"Stopped. {again}")
        return 130
    for table in summary_tables(summary):
        console.print(table)
    return 0 if summary.answers.get("success", 0) == summary.page_views else 1


def summary_tables(summary: ImportSummary) -> list[Table]:
    """How many lines went where, and what the service answered."""
    lines = _table("Lines")
    for reason, count in sorted(summary.lines.items(), key=lambda item: (item[0] != PAGE_VIEW, -item[1])):
        lines.add_row(reason, f"{count:,}")
    lines.add_section()
    lines.add_row("all", f"{sum(summary.lines.values()):,}")
    answers = _table("Answers to the page views")
    answers.caption = "What was imported before is not counted again."
    answers.caption_justify = "left"
    for kind, count in sorted(summary.answers.items(), key=lambda item: -item[1]):
        answers.add_row(kind, f"{count:,}")
    return [lines, answers]


def _with_progress_bar(
    path: Path, site: str, url: str, token: str, state: Path, console: Console
) -> ImportSummary:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(path.name, total=None)

        def on_wait(seconds: float, reason: str) -> None:
            bar.console.print(
                f"waiting {seconds:.1f} s: {reason}", style="yellow", markup=False, soft_wrap=True
            )

        with Service(url, token, on_wait=on_wait) as service:
            return import_access_log(
                path,
                site,
                service,
                state=state,
                on_progress=lambda done, total: bar.update(task, completed=done, total=total),
            )


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", min_width=len(title) + 4)
    table.add_column("what")
    table.add_column("count", justify="right")
    return table
