"""The worker processes of one `consumer` command: started, watched, and told of as one consumer.

The partitions of a topic are shared among consumers, wherever they run; so one command can use all cores
of its machine by being several of them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack

from portfolio_analytics.app.consume import consume, database_url, migrate_patiently
from portfolio_analytics.app.cores import usable_cores
from portfolio_analytics.app.log_ends import log_ends
from portfolio_analytics.app.probe import Probe, serving
from portfolio_analytics.app.sheet import SHARED, sheet_path
from portfolio_analytics.app.supervisor import Child, Supervisor, end_with_parent, stop_on_signals
from portfolio_analytics.consumer.figures import is_hung, is_ready
from portfolio_analytics.settings import Settings
from portfolio_analytics.shared.metrics import CONSUMER, Row, Sheet


def consume_side_by_side(settings: Settings) -> None:
    """Consume with as many processes as `how_many` says, until SIGTERM or SIGINT.

    Raises SchemaTooNew, and SettingsError for what each of them would end over. One by itself is this
    process, and raises TooManyBadRows too; of several one that ends is started again.
    """
    workers = how_many(settings)
    if workers == 1:
        consume(settings)
        return
    end_with_parent()
    url = database_url(settings)
    stop = threading.Event()
    stop_on_signals(stop)
    with sheet_path() as path, ExitStack() as stack:
        # The address is this process's.
        environment = {"WORKERS": "1", "METRICS_PORT": "", SHARED: str(path)}
        children = [
            Child(f"consumer's worker {number}", ["consumer"], environment)
            for number in range(1, workers + 1)
        ]
        if settings.metrics_port is not None:
            sheet = Sheet(path, CONSUMER)
            probe = Probe(Workers(children, sheet), sheet, url, log_ends(settings))
            stack.enter_context(serving(settings.metrics_host, settings.metrics_port, probe.answer))
        if not migrate_patiently(url, stop):
            return
        supervisor = Supervisor([children])
        stop_on_signals(supervisor)
        if not stop.is_set():
            supervisor.run()


def how_many(settings: Settings) -> int:
    """WORKERS, else one a core as long as there are partitions for them. A journal has one reader."""
    if not settings.kafka_broker:
        return 1
    return settings.workers or min(usable_cores(), settings.kafka_partitions)


class Workers:
    """How the workers are, by what they count on `sheet`."""

    def __init__(self, children: Sequence[Child], sheet: Sheet) -> None:
        self._children = children
        self._sheet = sheet

    def problem(self) -> str | None:
        """Why not all of them count; None where all is well."""
        waiting = len(self._children) - sum(1 for row in self._rows() if is_ready(row))
        if not waiting:
            return None
        return (
            f"{waiting} of {len(self._children)} workers wait for the database or the log, or start; "
            "what they log says more"
        )

    def hung(self) -> bool:
        """Whether the loop of one of them has not come round for longer than anything it does may take."""
        return any(map(is_hung, self._rows()))

    def _rows(self) -> list[Row]:
        pids = [child.pid for child in self._children]
        rows = [self._sheet.row_of(pid) for pid in pids if pid is not None]
        return [row for row in rows if row is not None]
