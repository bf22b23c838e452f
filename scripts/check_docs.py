"""Do the documents say what is there? Links lead somewhere, the README names every setting and no other."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)\s#]+)(#[^)\s]+)?\)")
READ = re.compile(r"""source\.(?:text|read|secret|(?:optional_)?integer|boolean|choice)\(\s*"([A-Z_]+)\"""")


def documents() -> Iterator[Path]:
    """Every Markdown file of the project."""
    yield from sorted(ROOT.glob("*.md"))
    yield from sorted((ROOT / "docs").rglob("*.md"))
    yield from sorted((ROOT / "deploy").rglob("*.md"))


def dead_links(document: Path) -> Iterator[str]:
    """The links of `document` to files that are not there."""
    for match in LINK.finditer(document.read_text()):
        target = match[1]
        if "://" not in target and not (document.parent / target).exists():
            yield f"{document.relative_to(ROOT)}: {target} is not there"


def settings_problems() -> Iterator[str]:
    """Settings that the README's table lacks, and those of its table that nobody reads."""
    read = set(READ.findall((ROOT / "src/portfolio_analytics/settings.py").read_text()))
    section = (ROOT / "README.md").read_text().split("## Configuration")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    told = set(re.findall(r"`([A-Z_]+)`", " ".join(rows)))
    yield from (f"README.md: the setting {name} is missing" for name in sorted(read - told))
    yield from (f"README.md: the setting {name} does not exist" for name in sorted(told - read))


def main() -> int:
    """Print every problem; 1 when there is one."""
    problems = [problem for document in documents() for problem in dead_links(document)]
    problems += settings_problems()
    print("\n".join(problems) or "documents are true to the tree")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
