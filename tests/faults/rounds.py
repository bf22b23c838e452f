"""Random rounds: steady load, every few seconds a random fault at a random component, then the oracle."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from portfolio_analytics.storage.database import connect
from portfolio_analytics.storage.embedded import EmbeddedPostgres
from tests.faults.load import Load
from tests.faults.pipeline import Pipeline, wait_until_stored
from tests.faults.postgres_proxy import PostgresProxy
from tests.faults.process import Process, Server
from tests.oracle import assert_exactly_once, stored_ids

HURT_SECONDS = (0.5, 4.0)
REST_SECONDS = (0.5, 2.0)
COUNTED_SECONDS = 180.0
STARTING_SECONDS = 20.0


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

    def table(self, seed: int) -> str:
        """The figures for people."""
        lines = [f"seed {seed}, {self.rounds} rounds, {self.faults.total()} faults"]
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
        return "\n".join([*lines, f"  {'longest answer':<28}{self.longest:>10.2f} s"])


class Rounds:
    """Faults at the components of `pipeline`, whose database is `server` behind `proxy`.

    `chance` makes every choice; the same seed makes the same faults in the same order.
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
        self._faults: dict[str, Callable[[], None]] = {
            "consumer killed": lambda: self._kill(self._chance.choice(pipeline.consumers)),
            "consumer ended": lambda: self._terminate(self._chance.choice(pipeline.consumers)),
            "consumer stopped": lambda: self._pause(self._chance.choice(pipeline.consumers)),
            "producer killed": lambda: self._kill(self._chance.choice(pipeline.producers)),
            "producer ended": lambda: self._terminate(self._chance.choice(pipeline.producers)),
            "broker killed": self._kill_broker,
            "broker restarted": self._restart_broker,
            "broker stopped": self._pause_broker,
            "all brokers killed": self._kill_brokers,
            "PostgreSQL restarted": self._restart_server,
            "database connections cut": self._cut,
            "database slow": self._delay,
            "database deaf": self._deafen,
            "database away": self._away,
            "answer to COMMIT lost": self._lose_commit,
        }

    def run(self, rounds: int, *, rate: float, faults: int, batch: int = 1) -> None:
        """So many rounds of so many faults each under `rate` events a second; raises when a round fails."""
        for number in range(1, rounds + 1):
            self._round(rate, faults, batch)
            found = self.figures
            print(
                f"round {number}: {found.acknowledged:,} acknowledged, {found.lost} lost, "
                f"{found.doubled} doubled, {found.faults.total()} faults",
                flush=True,
            )

    def _round(self, rate: float, faults: int, batch: int) -> None:
        with Load(self._pipeline.ports, rate=rate, streams=4, batch=batch, patience=120.0) as load:
            load.grow(int(rate / 2), 120)
            for _ in range(faults):
                name = self._chance.choice(list(self._faults))
                self.figures.faults[name] += 1
                self._faults[name]()
                time.sleep(self._chance.uniform(*REST_SECONDS))
            self._mend()
            load.grow(int(rate / 2), 120)
        self._judge(load)

    def _judge(self, load: Load) -> None:
        found = self.figures
        found.rounds += 1
        found.acknowledged += len(load.acknowledged)
        found.spooled += load.spooled
        found.longest = max(found.longest, *(answer.seconds for answer in load.answers))
        try:
            wait_until_stored(self._url, load.acknowledged, COUNTED_SECONDS)
        finally:
            with connect(self._url) as connection:
                stored = stored_ids(connection)
            found.stored = len(stored)
            found.lost += len(load.acknowledged - set(stored))
            found.doubled += len(stored) - len(set(stored))
        assert_exactly_once(self._url, load.acknowledged)

    def _mend(self) -> None:
        """Whatever a fault left behind is put right; each has done so itself, unless something died."""
        self._proxy.delay = 0.0
        self._proxy.hear()
        self._proxy.come_back()
        self._pipeline.kafka.wait_until_whole(120)
        for process in self._pipeline.processes:
            assert process.alive, f"{process.name} ended by itself:\n{process.output()[-3000:]}"

    def _hurt(self) -> None:
        time.sleep(self._chance.uniform(*HURT_SECONDS))

    def _kill(self, process: Process) -> None:
        process.kill()
        self._start(process)

    def _terminate(self, process: Process) -> None:
        # One that is still starting has no handler for the signal yet.
        starting = process.age < STARTING_SECONDS
        status = process.terminate()
        assert status == 0 or (starting and status == -signal.SIGTERM), (
            f"{process.name} ended with status {status}:\n{process.output()[-3000:]}"
        )
        self._start(process)

    def _start(self, process: Process) -> None:
        self._hurt()
        # A producer is ready later, when what it needs is there; the others take its events meanwhile.
        Process.start(process)
        if isinstance(process, Server):
            process.wait_until_ready()

    def _pause(self, process: Process) -> None:
        process.pause()
        # Sometimes for longer than its session, so that others take over and it comes back to be fenced.
        time.sleep(self._chance.choice((1.0, 3.0, 13.0)))
        process.resume()

    def _kill_broker(self) -> None:
        node = self._chance.choice(list(self._pipeline.kafka.nodes))
        self._pipeline.kafka.kill(node)
        self._hurt()
        self._pipeline.kafka.restart(node)

    def _restart_broker(self) -> None:
        self._pipeline.kafka.restart(self._chance.choice(list(self._pipeline.kafka.nodes)))

    def _pause_broker(self) -> None:
        node = self._chance.choice(list(self._pipeline.kafka.nodes))
        self._pipeline.kafka.pause(node)
        self._hurt()
        self._pipeline.kafka.resume(node)

    def _kill_brokers(self) -> None:
        for node in self._pipeline.kafka.nodes:
            self._pipeline.kafka.kill(node)
        self._hurt()
        for node in self._pipeline.kafka.nodes:
            self._pipeline.kafka.restart(node, wait=False)
        self._pipeline.kafka.wait_until_whole(120)

    def _restart_server(self) -> None:
        self._server.stop()
        self._hurt()
        self._server.start()
        self._proxy.lead_to(self._server.dsn)
        self._url = self._server.dsn

    def _cut(self) -> None:
        for _ in range(self._chance.randint(1, 5)):
            self._proxy.cut()
            time.sleep(0.2)

    def _delay(self) -> None:
        self._proxy.delay = self._chance.choice((0.005, 0.02, 0.05))
        self._hurt()
        self._proxy.delay = 0.0

    def _deafen(self) -> None:
        self._proxy.deafen()
        self._hurt()
        self._proxy.hear()

    def _away(self) -> None:
        self._proxy.go_away()
        self._hurt()
        self._proxy.come_back()

    def _lose_commit(self) -> None:
        self._proxy.lose_answer_of(lambda _, statement: statement == "COMMIT")
        self._proxy.reached.wait(5)
