"""scripts/check_audit.py fails on a finding: asked of services that answer as OSV's and npm's do."""

from __future__ import annotations

import gzip
import json
import runpy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pip_audit", reason="no pip-audit: it comes with requirements/dev.lock")


@pytest.fixture
def check_audit(repository: Path) -> Any:
    """The program, as a module."""
    return runpy.run_path(str(repository / "scripts/check_audit.py"))


@contextmanager
def service(answer: Callable[[Any], object]) -> Iterator[str]:
    """Answers a POST of JSON, compressed or not, with what `answer` makes of it."""

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            found = json.dumps(answer(json.loads(body))).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            self.wfile.write(found)

        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def osv(question: Any) -> object:
    """One package has a hole."""
    if question["package"]["name"] != "starlette":
        return {}
    affected = {
        "package": {"name": "starlette", "ecosystem": "PyPI"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}],
    }
    return {"vulns": [{"id": "PYSEC-0000-1", "modified": "2026-01-01T00:00:00Z", "affected": [affected]}]}


def test_a_hole_in_a_python_package_is_a_finding(check_audit: Any) -> None:
    with service(osv) as url:
        found = check_audit["audit_python"]([("--vulnerability-service", "osv", "--osv-url", url)])
    assert found.unaudited == []
    (problem,) = found.problems
    assert problem.startswith("starlette ")
    assert "PYSEC-0000-1" in problem
    assert "99.0" in problem


def test_a_hole_in_what_a_page_loads_is_a_finding(check_audit: Any, repository: Path) -> None:
    def npm(question: Any) -> object:
        advisory = {
            "id": 1, "url": "http://example.com", "title": "a hole", "severity": "high",
            "vulnerable_versions": "*", "cwe": [], "cvss": {"score": 7, "vectorString": None},
        }  # fmt: skip
        return {name: [advisory] for name in question if name == "preact"}

    with service(npm) as url:
        folder = repository / "web/dashboard"
        found = check_audit["audit_browser"](folder, f"--registry={url}", "--fetch-retries=0")
    assert "preact: high" in found.problems
    assert found.unaudited == []


def test_without_an_answer_it_is_said_what_went_unaudited(
    check_audit: Any, free_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = f"http://127.0.0.1:{free_port}"
    found = check_audit["audit_python"]([("--vulnerability-service", "osv", "--osv-url", nowhere)])
    audit, report = check_audit["Audit"], check_audit["report"]
    assert found == audit([], ["the Python packages"])
    assert report([found]) == 0
    assert capsys.readouterr().out.startswith("SKIPPED: no vulnerability data can be reached for the Python")
    assert report([found, audit(["a 1: X, mended in none"], [])]) == 1
    assert "a 1: X" in capsys.readouterr().out
    assert report([audit([], [])]) == 0
