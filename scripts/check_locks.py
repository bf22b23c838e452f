"""Are the lock files whole? Every pin has hashes, no address is named, and they agree with each other."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import sbom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).parent.parent
LOCKS = ROOT / "requirements"
PIN = re.compile(r"^([a-z0-9][a-z0-9-]*)==(\S+)(?: ; [^\\]+)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")


def pins(path: Path) -> tuple[dict[str, str], list[str]]:
    """The versions that `path` pins by name, and what is wrong with the file."""
    found: dict[str, str] = {}
    wrong = []
    hashes = 1
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if pin := PIN.match(line):
            if not hashes:
                wrong.append(f"{path.name}:{number - 1}: a pin without a hash")
            found[pin[1]] = pin[2]
            hashes = 0
        elif HASH.match(line):
            hashes += 1
        else:
            wrong.append(f"{path.name}:{number}: neither a pin nor a hash: {line.strip()}")
    return found, wrong


def npm_lock_problems(path: Path) -> list[str]:
    """What is wrong with a package-lock.json: addresses, or packages without a hash."""
    text = path.read_text()
    wrong = [] if '"resolved":' not in text else [f"{path.relative_to(ROOT)}: names download addresses"]
    if '"integrity":' not in text:
        wrong.append(f"{path.relative_to(ROOT)}: has no hashes")
    return wrong


def bill_problems() -> list[str]:
    """What is wrong with the bill of materials."""
    if not sbom.BILL.is_file() or sbom.BILL.read_text() != sbom.bill():
        return [f"{sbom.BILL.name} is not of these locks: run python scripts/sbom.py"]
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom.bill())
    return [f"{sbom.BILL.name}: {wrong}"] if wrong else []


def main() -> int:
    """Print every problem; 1 when there is one."""
    problems = []
    everything, wrong = pins(LOCKS / "dev.lock")
    problems += wrong
    for name in ("runtime.lock", "build.lock"):
        part, wrong = pins(LOCKS / name)
        problems += wrong
        problems += [
            f"{name}: {package} {version} is {everything.get(package, 'missing')} in dev.lock"
            for package, version in part.items()
            if everything.get(package) != version
        ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime, _ = pins(LOCKS / "runtime.lock")
    for requirement in project["dependencies"]:
        name = re.split(r"[\[<>=!~; ]", requirement)[0]
        if name not in runtime:
            problems.append(f"runtime.lock: {name} of pyproject.toml is missing: run scripts/lock")
    for path in sorted((ROOT / "web").glob("*/package-lock.json")):
        problems += npm_lock_problems(path)
    problems += bill_problems()
    print("\n".join(problems) or "locks are whole")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
