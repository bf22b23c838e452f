"""The bill of materials (CycloneDX): what an installation consists of, from the lock files.

`python scripts/sbom.py` writes requirements/sbom.cdx.json, which the wheel carries in its metadata.
"""

from __future__ import annotations

import base64
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
BILL = ROOT / "requirements" / "sbom.cdx.json"
PIN = re.compile(r"^([a-z0-9][a-z0-9-]*)==([^\s;]+)", re.MULTILINE)


def python_components() -> Iterator[dict[str, Any]]:
    """The packages of requirements/runtime.lock, which has their hashes file by file."""
    for name, version in PIN.findall((ROOT / "requirements" / "runtime.lock").read_text()):
        yield component("pypi", name, version)


def browser_components() -> Iterator[dict[str, Any]]:
    """What the front ends have bundled: the packages of their locks that are not for development."""
    found = {}
    for path in sorted((ROOT / "web").glob("*/package-lock.json")):
        for place, package in json.loads(path.read_text())["packages"].items():
            name = place.rpartition("node_modules/")[2]
            if not name or package.get("dev") or package.get("optional"):
                continue
            entry = component("npm", name, package["version"])
            algorithm, _, digest = package["integrity"].partition("-")
            content = base64.b64decode(digest).hex()
            entry["hashes"] = [{"alg": algorithm.upper().replace("SHA", "SHA-"), "content": content}]
            found[entry["purl"]] = entry
    yield from (found[purl] for purl in sorted(found))


def component(kind: str, name: str, version: str) -> dict[str, Any]:
    """One library; `kind` is the package URL's type."""
    purl = f"pkg:{kind}/{name.replace('@', '%40')}@{version}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def bill() -> str:
    """The whole document. The same locks give the same text, so it has neither a date nor a serial number."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    whole = component("pypi", project["name"], project["version"]) | {"type": "application"}
    parts = [*python_components(), *browser_components()]
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": whole},
        "components": parts,
        "dependencies": [{"ref": whole["bom-ref"], "dependsOn": [part["bom-ref"] for part in parts]}],
    }
    return json.dumps(document, indent=1) + "\n"


if __name__ == "__main__":
    BILL.write_text(bill())
