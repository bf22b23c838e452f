"""A real Apache Kafka cluster on loopback, of one or three KRaft nodes, that a test can hurt.

Every node has a PLAINTEXT listener. With `sasl=True` each also has SASL_SSL with SCRAM-SHA-256, and
the first node one more SASL_SSL listener for each kind of bad certificate. All processes are ended by
their pid: by `stop`, or by a small guard process when the test process itself is killed.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._scram import (
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from tests.kafka.certificates import BAD, make_certificates
from tests.kafka.distribution import Distribution, get_distribution, locked

USER = "analytics"
PASSWORD = "correct horse, battery=staple"
HEAP_MB = 320
# What goes well takes a few seconds; on a machine that has four times as much to do as it can, a minute.
START_SECONDS = 180.0

# When the pipe from the tests ends, no one is left to end the brokers: this does.
_GUARD = """
import os, signal, sys
pids = set()
for line in sys.stdin:
    sign, pid = line[0], int(line[1:])
    (pids.add if sign == "+" else pids.discard)(pid)
for pid in pids:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""


class KafkaCluster:
    """`brokers` nodes (1 or 3) with their data below `directory`; nodes are numbered from 1.

    Use it as a context manager, or call `start` and `stop`. With `optimise` a broker compiles what it does
    often as thoroughly as in production: it costs half a minute of a core, and then a request takes half.
    """

    def __init__(
        self,
        directory: Path,
        *,
        brokers: int = 1,
        sasl: bool = False,
        message_max_bytes: int = 1_048_588,
        optimise: bool = False,
    ) -> None:
        self.brokers = brokers
        self.sasl = sasl
        self.directory = directory
        self.nodes = range(1, brokers + 1)
        self.certificates: dict[str, Path] = {}
        self._message_max_bytes = message_max_bytes
        self._optimise = optimise
        self._passwords: dict[str, str] = {}
        self._distribution: Distribution | None = None
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._guard: subprocess.Popen[str] | None = None
        self._cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        names = ["plain", "controller", *(["sasl"] if sasl else [])]
        self._reservations: list[socket.socket] = []
        self._ports = {node: {name: self._reserve_port() for name in names} for node in self.nodes}
        if sasl:
            self._ports[1] |= {kind: self._reserve_port() for kind in BAD}

    # --- addresses and settings for clients

    @property
    def bootstrap(self) -> str:
        """The addresses that clients are meant to use: SASL_SSL's with `sasl`, else PLAINTEXT's."""
        return self._addresses("sasl" if self.sasl else "plain")

    @property
    def plain_bootstrap(self) -> str:
        """The PLAINTEXT addresses, which the cluster always has."""
        return self._addresses("plain")

    def bad_bootstrap(self, kind: str) -> str:
        """The address that shows a certificate of a bad `kind`: expired, wrong_host or other_ca."""
        return f"127.0.0.1:{self._ports[1][kind]}"

    @property
    def ca_file(self) -> Path:
        """The certificate of the authority that signed the brokers' certificates."""
        return self.certificates["ca"]

    def client_settings(self) -> dict[str, str | int | float | bool]:
        """librdkafka's settings for `bootstrap`."""
        settings: dict[str, str | int | float | bool] = {"bootstrap.servers": self.bootstrap}
        if self.sasl:
            settings |= {
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "SCRAM-SHA-256",
                "sasl.username": USER,
                "sasl.password": PASSWORD,
                "ssl.ca.location": str(self.ca_file),
            }
        return settings

    def admin(self) -> AdminClient:
        """An admin client on the PLAINTEXT listeners."""
        return self.admin_of(self.plain_bootstrap)

    @staticmethod
    def admin_of(bootstrap: str) -> AdminClient:
        """An admin client of a PLAINTEXT cluster."""
        return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def _addresses(self, listener: str) -> str:
        return ",".join(f"127.0.0.1:{self._ports[node][listener]}" for node in self.nodes)

    # --- starting and stopping

    def start(self) -> None:
        """Start every node and wait until the cluster is whole. Raises KafkaMissing, TimeoutError."""
        self._distribution = get_distribution()
        _ensure_class_archive(self._distribution)
        self._start_with(self._distribution)

    def _start_with(self, distribution: Distribution, *java_options: str) -> None:
        self._distribution = distribution
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.sasl and not self.certificates:
            self.certificates = make_certificates(self.directory)
        self._guard = subprocess.Popen(
            [sys.executable, "-c", _GUARD], stdin=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            for node in self.nodes:
                self._format(node)
                self._launch(node, java_options)
            self.wait_until_whole()
            if self.sasl:
                self.create_user(USER, PASSWORD)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every node at once, by force: the data is not needed any more. May be called twice."""
        for process in self._processes.values():
            process.kill()
        for node in list(self._processes):
            self._reap(node, 10.0)
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
            self._guard.wait()
            self._guard = None
        for reservation in self._reservations:
            reservation.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- hurting it

    def kill(self, node: int) -> None:
        """SIGKILL one node; returns when it is gone."""
        self._processes[node].kill()
        self._reap(node, 10.0)

    def shut_down(self, node: int) -> None:
        """SIGTERM one node and wait: it hands its partitions over first."""
        self._processes[node].terminate()
        self._reap(node, 30.0)

    def restart(self, node: int, *, wait: bool = True) -> None:
        """Start a node that was killed (or shut it down first), on its old data."""
        if node in self._processes:
            self.shut_down(node)
        self._launch(node)
        if wait:
            self.wait_until_whole()

    def pause(self, node: int) -> None:
        """SIGSTOP one node: its connections stay open and nothing answers."""
        os.kill(self._processes[node].pid, signal.SIGSTOP)

    def resume(self, node: int) -> None:
        """SIGCONT one node."""
        os.kill(self._processes[node].pid, signal.SIGCONT)

    @property
    def running(self) -> list[int]:
        """The nodes whose process is there."""
        return [node for node, process in self._processes.items() if process.poll() is None]

    @property
    def pids(self) -> list[int]:
        """The processes of the nodes that run."""
        return [self._processes[node].pid for node in self.running]

    # --- users and topics

    def create_user(self, name: str, password: str) -> None:
        """Make a SCRAM-SHA-256 user, or give it a new password."""
        credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
        self._alter_user(UserScramCredentialUpsertion(name, credential, password.encode()))
        self._wait_for_user(name, password, admitted=True)
        self._passwords[name] = password

    def remove_user(self, name: str) -> None:
        """Remove a user. Connections that are open stay; new ones are refused."""
        self._alter_user(UserScramCredentialDeletion(name, ScramMechanism.SCRAM_SHA_256))
        self._wait_for_user(name, self._passwords.pop(name), admitted=False)

    def _alter_user(self, change: UserScramCredentialUpsertion | UserScramCredentialDeletion) -> None:
        admin = self.admin()
        for future in admin.alter_user_scram_credentials([change]).values():
            future.result(timeout=60)

    def _wait_for_user(self, name: str, password: str, *, admitted: bool) -> None:
        """Wait until every node has heard of a user, or of its removal. Raises TimeoutError."""
        for node in self.running:
            wait_for(
                lambda node=node: self._admits(node, name, password) is admitted,  # type: ignore[misc]
                START_SECONDS,
                f"node {node} to {'admit' if admitted else 'refuse'} {name}",
            )

    def _admits(self, node: int, name: str, password: str) -> bool | None:
        """Whether a node takes a user and password; None when it does not say."""
        said: list[int] = []
        settings: dict[str, Any] = self.client_settings() | {
            "bootstrap.servers": f"127.0.0.1:{self._ports[node]['sasl']}",
            "sasl.username": name,
            "sasl.password": password,
            "log_level": 0,
        }
        client = AdminClient(settings | {"error_cb": lambda error: said.append(error.code())})
        for _ in range(10):
            try:
                client.list_topics(timeout=0.5)
            except KafkaException:
                client.poll(0)
            else:
                return True
            if KafkaError._AUTHENTICATION in said:
                return False
        return None

    def wait_until_whole(self, seconds: float = START_SECONDS) -> None:
        """Wait until every node is in the metadata and leads or follows in sync. Raises TimeoutError."""
        admin = self.admin()

        def whole() -> bool:
            nonlocal admin
            for node, process in self._processes.items():
                if process.poll() is not None:
                    raise RuntimeError(f"Kafka node {node} ended:\n{self.output(node)[-3000:]}")
                if not _listens(self._ports[node]["plain"]):
                    return False
            try:
                known = admin.list_topics(timeout=5)
            except KafkaException:
                # A client that a starting node told of no brokers may be lost for good.
                admin = self.admin()
                return False
            partitions = [p for topic in known.topics.values() for p in topic.partitions.values()]
            return len(known.brokers) == len(self._processes) and all(
                p.leader >= 0 and len(p.isrs) >= min(len(p.replicas), len(self._processes))
                for p in partitions
            )

        wait_for(whole, seconds, f"{len(self._processes)} Kafka nodes to be ready")

    def output(self, node: int) -> str:
        """What a node printed."""
        return (self.directory / f"node-{node}.log").read_text(errors="replace")

    # --- one node

    def _format(self, node: int) -> None:
        assert self._distribution is not None
        data = self.directory / f"data-{node}"
        if data.exists():
            return
        data.mkdir()
        directory_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        (data / "meta.properties").write_text(
            f"version=1\ncluster.id={self._cluster_id}\nnode.id={node}\ndirectory.id={directory_id}\n"
        )
        shutil.copy(self._distribution.bootstrap_checkpoint, data)
        (self.directory / f"node-{node}.properties").write_text(self._properties(node))

    def _launch(self, node: int, java_options: tuple[str, ...] = ()) -> None:
        found = self._distribution
        assert found is not None
        archive = [f"-XX:SharedArchiveFile={found.class_archive}"] if found.class_archive.exists() else []
        command = [
            found.java,
            *(java_options or archive),
            "-Xshare:auto",
            "-Xms64m",
            f"-Xmx{HEAP_MB}m",
            "-XX:+UseSerialGC",
            *(() if self._optimise else ("-XX:TieredStopAtLevel=1",)),
            "-XX:-UsePerfData",
            "-Djava.awt.headless=true",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
            "-cp",
            found.jars,
            "kafka.Kafka",
            str(self.directory / f"node-{node}.properties"),
        ]
        with (self.directory / f"node-{node}.log").open("ab") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        self._processes[node] = process
        self._tell_guard("+", process.pid)

    def _reserve_port(self) -> int:
        """A port that is free, that no other cluster of these tests takes, and that no outgoing connection
        is given: a node keeps its own while it is down, and a client that dials it must not reach itself.
        """
        while True:
            port = random.SystemRandom().randrange(20_000, 32_000)
            reservation = socket.socket(socket.AF_UNIX)
            with socket.socket() as probe:
                try:
                    reservation.bind(f"\0portfolio-analytics-tests-{port}")
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    reservation.close()
                    continue
            self._reservations.append(reservation)
            return port

    def _reap(self, node: int, seconds: float) -> None:
        process = self._processes.pop(node)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._tell_guard("-", process.pid)

    def _tell_guard(self, sign: str, pid: int) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.write(f"{sign}{pid}\n")
            self._guard.stdin.flush()

    def _properties(self, node: int) -> str:
        ports, replicas = self._ports[node], min(3, self.brokers)
        listeners = {"PLAINTEXT": ports["plain"]}
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"}
        secured = {"SASL_SSL": "good"} if self.sasl else {}
        if self.sasl:
            listeners["SASL_SSL"] = ports["sasl"]
        for kind in BAD:
            if kind in ports:
                listeners[kind.upper()] = ports[kind]
                secured[kind.upper()] = kind
        settings: dict[str, object] = {
            "process.roles": "broker,controller",
            "node.id": node,
            "log.dirs": self.directory / f"data-{node}",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": ",".join(
                f"{n}@127.0.0.1:{self._ports[n]['controller']}" for n in self.nodes
            ),
            "listeners": ",".join(
                f"{name}://127.0.0.1:{port}"
                for name, port in {**listeners, "CONTROLLER": ports["controller"]}.items()
            ),
            "advertised.listeners": ",".join(
                f"{name}://127.0.0.1:{port}" for name, port in listeners.items()
            ),
            "inter.broker.listener.name": "PLAINTEXT",
            "sasl.enabled.mechanisms": "SCRAM-SHA-256",
            # A small cluster that notices quickly, and yet does not take a starved node for a dead one: then
            # controllers are elected without end, and nothing is answered meanwhile.
            "auto.create.topics.enable": "false",
            "broker.heartbeat.interval.ms": 500,
            "broker.session.timeout.ms": 5000,
            "controller.quorum.election.timeout.ms": 1500,
            "controller.quorum.fetch.timeout.ms": 3000,
            "controller.quorum.election.backoff.max.ms": 500,
            "replica.lag.time.max.ms": 6000,
            "replica.fetch.wait.max.ms": 200,
            "replica.fetch.backoff.ms": 100,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "log.segment.delete.delay.ms": 200,
            "log.cleaner.dedupe.buffer.size": 4 << 20,
            "log.cleaner.io.buffer.size": 64 << 10,
            "message.max.bytes": self._message_max_bytes,
            "num.network.threads": 2,
            "num.io.threads": 2,
            "num.recovery.threads.per.data.dir": 1,
            "background.threads": 2,
            "controlled.shutdown.max.retries": 1,
            "offsets.topic.num.partitions": 2,
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.num.partitions": 1,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 1,
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": 1,
        }
        for name, certificate in secured.items():
            prefix = f"listener.name.{name.lower()}."
            protocols[name] = "SASL_SSL"
            settings[prefix + "ssl.keystore.type"] = "PEM"
            settings[prefix + "ssl.keystore.location"] = self.certificates[certificate]
            settings[prefix + "scram-sha-256.sasl.jaas.config"] = (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            )
        settings["listener.security.protocol.map"] = ",".join(f"{n}:{p}" for n, p in protocols.items())
        return "".join(f"{name}={value}\n" for name, value in settings.items())


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until `condition` holds. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _ensure_class_archive(found: Distribution) -> None:
    """Let a node run once and leave its loaded classes behind: every later start takes half the time."""
    if found.class_archive.exists() or found.class_archive.with_suffix(".failed").exists():
        return
    with locked(found.directory / "archive.lock"):
        if found.class_archive.exists():
            return
        directory = found.directory / f"archive-{os.getpid()}"
        made = directory / "classes.jsa"
        node = KafkaCluster(directory)
        try:
            node._start_with(found, f"-XX:ArchiveClassesAtExit={made}")
            node.shut_down(1)
        finally:
            node.stop()
        if made.exists():
            os.rename(made, found.class_archive)
        else:
            found.class_archive.with_suffix(".failed").touch()
        shutil.rmtree(directory, ignore_errors=True)
