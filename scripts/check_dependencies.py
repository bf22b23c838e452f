"""Is every package that the code imports declared in pyproject.toml? Run where all of them are installed."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parent.parent
OURS = {"portfolio_analytics", "tests", "bench", "hatch_build", "sbom"}


def imported(folder: Path) -> Iterator[tuple[str, Path]]:
    """The top-level modules that the files of `folder` import from outside, with the file of each."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Import(names=names):
                    modules = [alias.name for alias in names]
                case ast.ImportFrom(module=str(module), level=0):
                    modules = [module]
                case _:
                    continue
            for module in modules:
                top = module.partition(".")[0]
                if top not in OURS and top not in sys.stdlib_module_names:
                    yield top, path


def names(requirements: list[str]) -> set[str]:
    """The normalised names of a list of requirements."""
    return {normal(re.split(r"[\[<>=!~; ]", requirement)[0]) for requirement in requirements}


def normal(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def problems(folder: Path, declared: set[str]) -> Iterator[str]:
    """One line for each import whose distribution is not among `declared`."""
    known = packages_distributions()
    for module, path in imported(folder):
        distributions = {normal(name) for name in known.get(module, [])}
        if not distributions & declared:
            yield f"{path.relative_to(ROOT)}: {module} ({', '.join(distributions) or '?'}) is not declared"


def main() -> int:
    """Print every problem; 1 when there is one."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    product = names(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        product |= names(extra)
    tools = set(product)
    for group in pyproject["dependency-groups"].values():
        tools |= names([requirement for requirement in group if isinstance(requirement, str)])
    found = [*problems(ROOT / "src", product)]
    for folder in ("tests", "bench", "scripts"):
        found += problems(ROOT / folder, tools)
    print("\n".join(found) or "every import is declared")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
