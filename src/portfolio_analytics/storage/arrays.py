"""Long arrays as parameters, written as PostgreSQL reads them (its manual, "Array Input and Output Syntax").

A driver adapts a list value by value, at several times the cost.
"""

from __future__ import annotations

from collections.abc import Iterable


def numbers(values: Iterable[int]) -> str:
    """An array of numbers."""
    return f"{{{','.join(map(str, values))}}}"


def texts(values: Iterable[str]) -> str:
    """An array of texts."""
    return "{" + ",".join([f'"{value}"' for value in map(_escaped, values)]) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
