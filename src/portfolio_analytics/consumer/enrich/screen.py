"""Screens: the class of a screen by its width."""

from __future__ import annotations

# The upper bounds (exclusive, in CSS pixels) that Plausible and Umami use.
_CLASSES = ((576, "Mobile"), (992, "Tablet"), (1440, "Laptop"))


def screen_class(width: int | None) -> str:
    """Mobile, Tablet, Laptop or Desktop for a width in CSS pixels; '' where it is not known."""
    if not width or width < 0:
        return ""
    for bound, name in _CLASSES:
        if width < bound:
            return name
    return "Desktop"
