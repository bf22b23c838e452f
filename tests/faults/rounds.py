"""Random rounds: steady load, random faults at random components, often several at once, then the oracle."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg

from portfolio_analytics.storage.database import connect
from portfolio_analytics.storage.embedded import EmbeddedPostgres
from tests.faults.load import Load, uuid7
from tests.faults.pipeline import Pipeline, number
from tests.faults.postgres_proxy import PostgresProxy
from tests.faults.process import STOP_SECONDS, Process, Server, end_postgres, eventually
from tests.oracle import assert_exactly_once, stored_ids

HURT_SECONDS = (0.5, 4.0)
APART_SECONDS = (0.0, 3.0)
BEYOND_SESSION_SECONDS = 13.0
COUNTED_SECONDS = 180.0
STARTING_SECONDS = 20.0
WHOLE_SECONDS = 180.0

Fault = Callable[[random.Random], None]
"""Hurts a component, as the given generator chooses, and puts it right again."""


@dataclass(slots=True)
class Figures:
    """What came of some rounds."""

    rounds: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    spooled: int = 0
    stored: int = 0
    lost: int = 0
    doubled: int = 0
    longest: float = 0.0
    seconds: float = 0.0
    verified: bool = False

    def table(self, seed: int) -> str:
        """The figures for people."""
        lines = [f"seed {seed}, {self.rounds} rounds, {self.faults.total()} faults, {self.seconds:.0f} s"]
        lines += [f"  {name:<28}{count:>8}" for name, count in sorted(self.faults.items())]
        lines += [
            f"  {name:<28}{value:>12,}"
            for name, value in (
                ("acknowledged", self.acknowledged),
                ("of these spooled (202)", self.spooled),
                ("stored", self.stored),
                ("lost", self.lost),
                ("doubled", self.doubled),
            )
        ]
        lines.append(f"  {'longest answer':<28}{self.longest:>10.2f} s")
        lines.append(f"  {'whole history verified':<28}{'yes' if self.verified else 'no':>12}")
        return "\n".join(lines)


class Rounds:
    """Faults at the components of `pipeline`, whose database is `server` behind `proxy`.

    `seed` makes every choice; the same one makes the same faults in the same order.
    """

    def __init__(
        self, pipeline: Pipeline, server: EmbeddedPostgres, proxy: PostgresProxy, url: str, seed: int
    ) -> None:
        self.figures = Figures()
        self._pipeline = pipeline
        self._server = server
        self._proxy = proxy
        self._url = url
        self._chance = random.Random(seed)
        self._acknowledged: set[uuid.UUID] = set()
        self._enough = threading.Event()
        # By component: of each at most one fault at a time, so that each knows what it puts right.
        self._faults: dict[str, Mapping[str, Fault]] = {
            "consumer": {
                "consumer killed": lambda chance: self._kill(chance.choice(pipeline.consumers), chance),
                "process of a consumer killed": lambda chance: self._kill_one(
                    chance.choice(pipeline.consumers), chance
                ),
                "consumer ended": lambda chance: self._terminate(chance.choice(pipeline.consumers), chance),
                "consumer stopped": lambda chance: self._pause(
                    chance.choice(pipeline.consumers), chance.choice((1.0, 3.0, BEYOND_SESSION_SECONDS))
                ),
            },
            "producer": {
                "producer killed": lambda chance: self._kill(chance.choice(pipeline.producers), chance),
                "producer ended": lambda chance: self._terminate(chance.choice(pipeline.producers), chance),
                "producer stopped": lambda chance: self._pause(
                    chance.choice(pipeline.producers), chance.uniform(*HURT_SECONDS)
                ),
            },
            "brokers": {
                "broker killed": self._kill_broker,
                "broker restarted": self._restart_broker,
                "broker stopped": self._pause_broker,
                "all brokers killed": self._kill_brokers,
            },
            "PostgreSQL": {
                "PostgreSQL restarted": lambda chance: self._restart_server(chance, signal.SIGINT),
                "PostgreSQL killed": lambda chance: self._restart_server(chance, signal.SIGKILL),
            },
            "connections": {
                "database connections cut": self._cut,
                "database slow": self._delay,
                "database deaf": self._deafen,
                "database away": self._away,
                "answer to COMMIT lost": self._lose_commit,
            },
        }

    def stop(self) -> None:
        """Let the round under way be the last one."""
        self._enough.set()

    def run(self, rounds: int, *, rate: float, faults: int, batch: int = 1) -> None:
        """So many rounds of one to `faults` faults each, under `rate` events a second; then the whole oracle.

        Raises when a round fails.
        """
        began = time.monotonic()
        found = self.figures
        try:
            while found.rounds < rounds and not self._enough.is_set():
                self._round(rate, faults, batch)
                found.seconds = time.monotonic() - began
                print(
                    f"round {found.rounds}: {found.acknowledged:,} acknowledged, {found.lost} lost, "
                    f"{found.doubled} doubled, {found.faults.total()} faults, {found.seconds:.0f} s",
                    flush=True,
                )
        finally:
            # Also of the rounds before one that failed.
            self._judge_all()

    def _round(self, rate: float, faults: int, batch: int) -> None:
        start_ms = time.time_ns() // 1_000_000
        with (
            Load(self._pipeline.ports, rate=rate, streams=4, batch=batch, patience=120.0) as load,
            ThreadPoolExecutor(faults) as hands,
        ):
            load.grow(int(rate / 2), 120)
            components = self._chance.sample(list(self._faults), self._chance.randint(1, faults))
            for under_way in [hands.submit(self._hurt, *self._choose(name)) for name in components]:
                under_way.result()
            self._mend()
            load.grow(int(rate / 2), 120)
        self._judge(load, start_ms)

    def _choose(self, component: str) -> tuple[Fault, random.Random]:
        """A fault and a generator of its own, so that others at the same time do not change its choices."""
        name = self._chance.choice(list(self._faults[component]))
        self.figures.faults[name] += 1
        return self._faults[component][name], random.Random(self._chance.getrandbits(64))

    @staticmethod
    def _hurt(fault: Fault, chance: random.Random) -> None:
        time.sleep(chance.uniform(*APART_SECONDS))
        fault(chance)

    def _judge(self, load: Load, start_ms: int) -> None:
        """What this round's load was told, against the rows that are there since; the sums, over all rows."""
        found = self.figures
        found.rounds += 1
        found.acknowledged += len(load.acknowledged)
        found.spooled += load.spooled
        found.longest = max(found.longest, *(answer.seconds for answer in load.answers))
        self._acknowledged |= load.acknowledged
        stored: list[uuid.UUID] = []
        with connect(self._url) as connection:

            def is_complete() -> bool:
                stored[:] = _ids_since(connection, start_ms)
                return load.acknowledged <= set(stored)

            def missing() -> str:
                return f"{len(load.acknowledged - set(stored))} of {len(load.acknowledged)} events"

            try:
                eventually(is_complete, COUNTED_SECONDS, missing, pause=0.3)
            finally:
                found.stored += len(stored)
                found.lost += len(load.acknowledged - set(stored))
                found.doubled += len(stored) - len(set(stored))
            difference = number(
                connection, "SELECT (SELECT sum(n) FROM event_totals) - (SELECT count(*) FROM events)"
            )
        assert difference == 0, f"the totals have {difference:+} events more than there are rows"
        assert found.doubled == 0

    def _judge_all(self) -> None:
        """Every event of every round once more, and all that is derived against all rows."""
        found = self.figures
        with connect(self._url) as connection:
            stored = stored_ids(connection)
        found.stored = len(stored)
        found.lost = len(self._acknowledged - set(stored))
        found.doubled = len(stored) - len(set(stored))
        assert_exactly_once(self._url, self._acknowledged)
        found.verified = True

    def _mend(self) -> None:
        """Each fault has put right what it did; what is left is to wait, and to see that nothing died."""
        self._pipeline.kafka.wait_until_whole(WHOLE_SECONDS)
        for process in self._pipeline.processes:
            assert process.alive, f"{process.name} ended by itself:\n{process.output()[-3000:]}"

    def _kill(self, process: Process, chance: random.Random) -> None:
        process.kill()
        self._start(process, chance)

    def _kill_one(self, process: Process, chance: random.Random) -> None:
        """A worker, which is started again, or who keeps them, without whom they end."""
        victim = chance.choice(process.tree())
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        if victim == process.pid:
            process.wait(STOP_SECONDS)
            self._start(process, chance)

    def _terminate(self, process: Process, chance: random.Random) -> None:
        # One that is still starting has no handler for the signal yet.
        starting = process.age < STARTING_SECONDS
        status = process.terminate()
        assert status == 0 or (starting and status == -signal.SIGTERM), (
            f"{process.name} ended with status {status}:\n{process.output()[-3000:]}"
        )
        self._start(process, chance)

    @staticmethod
    def _start(process: Process, chance: random.Random) -> None:
        _suffer(chance)
        Process.start(process)
        if isinstance(process, Server):
            process.wait_until_ready()

    @staticmethod
    def _pause(process: Process, seconds: float) -> None:
        process.pause()
        # A consumer sometimes for longer than its session, so that it comes back to be fenced.
        time.sleep(seconds)
        process.resume()

    def _kill_broker(self, chance: random.Random) -> None:
        node = chance.choice(list(self._pipeline.kafka.nodes))
        self._pipeline.kafka.kill(node)
        _suffer(chance)
        self._pipeline.kafka.restart(node, wait=False)

    def _restart_broker(self, chance: random.Random) -> None:
        self._pipeline.kafka.restart(chance.choice(list(self._pipeline.kafka.nodes)), wait=False)

    def _pause_broker(self, chance: random.Random) -> None:
        node = chance.choice(list(self._pipeline.kafka.nodes))
        self._pipeline.kafka.pause(node)
        _suffer(chance)
        self._pipeline.kafka.resume(node)

    def _kill_brokers(self, chance: random.Random) -> None:
        for node in self._pipeline.kafka.nodes:
            self._pipeline.kafka.kill(node)
        _suffer(chance)
        for node in self._pipeline.kafka.nodes:
            self._pipeline.kafka.restart(node, wait=False)

    def _restart_server(self, chance: random.Random, how: signal.Signals) -> None:
        end_postgres(self._server, how)
        _suffer(chance)
        self._server.start()

    def _cut(self, chance: random.Random) -> None:
        for _ in range(chance.randint(1, 5)):
            self._proxy.cut()
            time.sleep(0.2)

    def _delay(self, chance: random.Random) -> None:
        self._proxy.delay = chance.choice((0.005, 0.02, 0.05))
        _suffer(chance)
        self._proxy.delay = 0.0

    def _deafen(self, chance: random.Random) -> None:
        self._proxy.deafen()
        _suffer(chance)
        self._proxy.hear()

    def _away(self, chance: random.Random) -> None:
        self._proxy.go_away()
        _suffer(chance)
        self._proxy.come_back()

    def _lose_commit(self, _chance: random.Random) -> None:
        self._proxy.lose_answer_of(lambda _, statement: statement == "COMMIT")
        self._proxy.reached.wait(5)


def _suffer(chance: random.Random) -> None:
    time.sleep(chance.uniform(*HURT_SECONDS))


def _ids_since(connection: psycopg.Connection, start_ms: int) -> list[uuid.UUID]:
    """The id of every row of an event made since; ids begin with their time (RFC 9562, 5.7)."""
    first = uuid.UUID(int=uuid7(start_ms).int >> 80 << 80)
    return [row[0] for row in connection.execute("SELECT event_id FROM events WHERE event_id >= %s", [first])]
