"""The demo: believable traffic for a running service, so that a newcomer sees numbers move."""

from __future__ import annotations

import heapq
import random
import signal
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.status import Status

from portfolio_analytics.demo.visits import EVENTS_A_VISIT, Step, daily_rhythm, make_visit
from portfolio_analytics.importers.service import (
    MAX_EVENTS,
    Service,
    ServiceError,
    encode_event,
    kind_of_answer,
)

TICK = 0.25
WARM_UP = 60.0
PATIENCE = 60.0
VISITS_A_DAY = 150
HISTORY_BATCH = 500


def run_demo(
    url: str,
    token: str | None,
    site: str,
    rate: float,
    duration: float | None,
    *,
    days: int = 0,
    console: Console,
) -> int:
    """Send made-up visits to `site` at `url`, about `rate` events a second, for `duration` seconds.

    Without `duration` it goes on until Ctrl-C. With a token that has import scope the visitors come from
    several countries, and `days` fills that many past days first. Returns the shell's exit status: 0, or 1
    when the service takes nothing.
    """
    try:
        service = Service(
            url,
            token,
            patience=PATIENCE,
            on_wait=lambda seconds, reason: console.print(
                f"waiting {seconds:.1f} s: {reason}", style="yellow", markup=False, soft_wrap=True
            ),
        )
    except ServiceError as error:
        console.print(str(error), style="red", markup=False)
        return 1
    demo = _Demo(service, site, random.Random(), known=token is not None, console=console)  # noqa: S311 - a game
    console.print(
        f"Sending made-up visits to {url} as the site {site!r}, about {rate:g} events a second"
        f"{'' if duration is None else f' for {duration:g} s'}; Ctrl-C ends it.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if token is None:
        console.print(
            "Without a token all visitors come from this machine: no countries, no past days.", soft_wrap=True
        )
    try:
        with _interruptible(demo):
            if days and token is not None:
                demo.fill_past(days)
            demo.go_live(rate, duration)
    except KeyboardInterrupt:
        pass
    except ServiceError as error:
        console.print(str(error), style="red", markup=False)
        return 1
    finally:
        service.close()
        console.print(demo.summary(), highlight=False, soft_wrap=True)
    return 0


@contextmanager
def _interruptible(demo: _Demo) -> Iterator[None]:
    """Ctrl-C ends the demo at once; where Python drops the exception (in a finalizer), within a tick."""

    def interrupt(_number: int, _frame: object) -> None:
        demo.ends = True
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Demo:
    """One run: what is under way and what was answered."""

    def __init__(
        self, service: Service, site: str, dice: random.Random, *, known: bool, console: Console
    ) -> None:
        self._service = service
        self._site = site
        self._dice = dice
        self._known = known
        self._console = console
        self._answers: Counter[str] = Counter()
        self._visits = 0
        self.ends = False

    def summary(self) -> str:
        """What was sent and what became of it."""
        taken = self._answers["success"]
        others = ", ".join(f"{n:,} {kind}" for kind, n in self._answers.items() if kind != "success")
        return f"{taken:,} events of {self._visits:,} visits were taken{f' ({others})' if others else ''}."

    def fill_past(self, days: int) -> None:
        """Send `days` past days of visits, the oldest first."""
        columns = (TextColumn("past days"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=self._console) as bar:
            task = bar.add_task("", total=days)
            now = datetime.now(UTC)
            for ago in range(days, 0, -1):
                if self.ends:
                    return
                batch: list[bytes] = []
                for moment in past_visits(self._dice, now - timedelta(days=ago)):
                    for step in self._new_visit():
                        at = moment + timedelta(seconds=step.after)
                        if at < now:
                            batch.append(encode_event(self._event(step, at)))
                    if len(batch) >= HISTORY_BATCH:
                        self._send(batch)
                        batch = []
                self._send(batch)
                bar.advance(task)

    def go_live(self, rate: float, duration: float | None) -> None:
        """Send visits as they happen, until `duration` seconds have passed.

        The visits of the last minute come first, so that all kinds of events come from the beginning on.
        """
        numbers = count()
        due: list[tuple[float, int, Step]] = []
        start = time.monotonic()
        end = None if duration is None else start + duration
        next_visit = start - WARM_UP
        with Status("", console=self._console) as status:
            while not self.ends and (end is None or time.monotonic() < end):
                now = time.monotonic()
                while next_visit <= now:
                    for step in self._new_visit():
                        heapq.heappush(due, (next_visit + step.after, next(numbers), step))
                    next_visit += self._dice.expovariate(rate / EVENTS_A_VISIT)
                batch: list[bytes] = []
                while due and due[0][0] <= now and len(batch) < MAX_EVENTS:
                    at, _, step = heapq.heappop(due)
                    moment = datetime.now(UTC) - timedelta(seconds=now - at)
                    batch.append(encode_event(self._event(step, moment)))
                self._send(batch)
                status.update(self.summary())
                if len(batch) < MAX_EVENTS:
                    time.sleep(TICK)

    def _new_visit(self) -> Iterator[Step]:
        self._visits += 1
        return make_visit(self._dice, known=self._known)

    def _event(self, step: Step, at: datetime) -> dict[str, Any]:
        # The id is made once and sent again with a retry; it needs the time beside it.
        return step.fields | {
            "site": self._site,
            "event_id": str(uuid.uuid4()),
            "timestamp": at.isoformat(timespec="milliseconds"),
        }

    def _send(self, batch: list[bytes]) -> None:
        if batch:
            self._answers.update(kind_of_answer(answer) for answer in self._service.send(batch))


def past_visits(dice: random.Random, day: datetime) -> list[datetime]:
    """When the visits of the 24 hours from `day` on begin, in order, busier in the afternoon (UTC)."""
    # Weekends are quieter, and no two days are the same.
    busy = (0.6 if day.weekday() >= 5 else 1.0) * dice.uniform(0.75, 1.25)
    hours = dice.choices(
        range(24), [daily_rhythm((day.hour + hour) % 24) for hour in range(24)], k=round(VISITS_A_DAY * busy)
    )
    return sorted(day + timedelta(hours=hour, seconds=dice.uniform(0, 3600)) for hour in hours)
