"""The build hook on a small front end of its own: what is built, when it is built again, what is packed."""

import gzip
import json
from pathlib import Path

import pytest

import hatch_build

BUILD = """
const fs = require("fs");
fs.mkdirSync("dist/assets", { recursive: true });
fs.appendFileSync("../builds.log", "built\\n");
fs.writeFileSync("dist/index.html", fs.readFileSync("src/index.html"));
fs.writeFileSync("dist/assets/picture.png", "not text");
if (fs.existsSync("src/extra.js")) fs.writeFileSync("dist/extra.js", "extra");
"""


@pytest.fixture
def dashboard(tmp_path: Path) -> Path:
    """A web/dashboard without dependencies, in a project of its own; web/tracker is not there."""
    folder = tmp_path / "web" / "dashboard"
    (folder / "src").mkdir(parents=True)
    package = {"name": "small", "version": "1.0.0", "scripts": {"build": "rm -rf dist && node build.cjs"}}
    (folder / "package.json").write_text(json.dumps(package))
    lock = {"name": "small", "version": "1.0.0", "lockfileVersion": 3, "packages": {"": package}}
    (folder / "package-lock.json").write_text(json.dumps(lock))
    (folder / "build.cjs").write_text(BUILD)
    (folder / "src" / "index.html").write_text("<p>one</p>" * 50)
    return folder


def build(folder: Path) -> tuple[dict[str, bytes], int]:
    """Run the hook; what the package then holds by name, and how often the front end has been built."""
    root = folder.parent.parent
    said: list[str] = []
    hatch_build.build(root, said.append)
    assert "web/tracker is not there: left out" in said
    place = root / "src" / "portfolio_analytics" / "web"
    files = {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    return files, len((root / "web" / "builds.log").read_text().splitlines())


def test_text_is_packed_with_a_gzip_copy_and_nothing_else_is(dashboard: Path) -> None:
    files, _ = build(dashboard)
    assert set(files) == {"dashboard/index.html", "dashboard/index.html.gz", "dashboard/assets/picture.png"}
    assert gzip.decompress(files["dashboard/index.html.gz"]) == files["dashboard/index.html"]


def test_the_same_sources_give_the_same_bytes_on_another_day(dashboard: Path) -> None:
    first, _ = build(dashboard)
    (dashboard / "dist" / hatch_build.STAMP).unlink()
    second, builds = build(dashboard)
    assert builds == 2
    assert second == first


def test_nothing_is_built_when_nothing_has_changed(dashboard: Path) -> None:
    build(dashboard)
    _, builds = build(dashboard)
    assert builds == 1


def test_a_changed_source_is_built_again(dashboard: Path) -> None:
    build(dashboard)
    (dashboard / "src" / "index.html").write_text("<p>two</p>")
    files, builds = build(dashboard)
    assert builds == 2
    assert files["dashboard/index.html"] == b"<p>two</p>"


def test_what_is_no_longer_built_leaves_the_package(dashboard: Path) -> None:
    extra = dashboard / "src" / "extra.js"
    extra.write_text("")
    assert "dashboard/extra.js" in build(dashboard)[0]
    extra.unlink()
    assert "dashboard/extra.js" not in build(dashboard)[0]


def test_a_failed_build_ends_the_packaging_and_shows_why(
    dashboard: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (dashboard / "build.cjs").write_text("console.log('the reason'); process.exit(3)")
    with pytest.raises(SystemExit, match="dashboard: npm run build failed"):
        build(dashboard)
    assert "the reason" in capfd.readouterr().err
    assert not (dashboard.parent.parent / "src").exists()
