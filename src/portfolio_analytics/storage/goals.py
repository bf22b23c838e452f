"""Goals: an event's type, or a page, whose visitors a site counts as converted.

Functions return steps: carry them out with `steps.run` or `steps.run_async`.
"""

from __future__ import annotations

import msgspec

from portfolio_analytics.shared.errors import InvalidValue, NameTaken, UnknownName
from portfolio_analytics.storage import audit, sites
from portfolio_analytics.storage.steps import Query, Steps

MAX_TEXT = 500

_CREATE = """
    INSERT INTO goals (site_id, name, event_type, page_pattern)
    VALUES (%(site_id)s, %(name)s, %(event_type)s, %(page_pattern)s)
    ON CONFLICT (site_id, name) DO NOTHING
    RETURNING name, event_type, page_pattern"""
_LIST = "SELECT name, event_type, page_pattern FROM goals WHERE site_id = %(site_id)s ORDER BY name"
_DELETE = "DELETE FROM goals WHERE site_id = %(site_id)s AND name = %(name)s RETURNING goal_id"


class Goal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Either `event_type`, or `page_pattern` where * stands for any run of characters."""

    name: str
    event_type: str | None = None
    page_pattern: str | None = None


def create(site: str, goal: Goal, actor: str) -> Steps[Goal]:
    """A new goal of a site. Raises UnknownName, InvalidValue, NameTaken."""
    _check(goal)
    site_id = yield from sites.site_id_of(site)
    rows = yield Query(_CREATE, {**msgspec.structs.asdict(goal), "site_id": site_id})
    if not rows:
        raise NameTaken("goal_exists", f"There is a goal {goal.name!r} already.", "name")
    yield from audit.record(actor, "goal.create", site_id, site, goal=goal.name)
    return Goal(**rows[0])


def list_all(site: str) -> Steps[list[Goal]]:
    """The goals of a site by name. Raises UnknownName."""
    site_id = yield from sites.site_id_of(site)
    rows = yield Query(_LIST, {"site_id": site_id})
    return [Goal(**row) for row in rows]


def delete(site: str, name: str, actor: str) -> Steps[None]:
    """End a goal. Raises UnknownName."""
    site_id = yield from sites.site_id_of(site)
    rows = yield Query(_DELETE, {"site_id": site_id, "name": name})
    if not rows:
        raise UnknownName("unknown_goal", f"There is no goal {name!r}.", "name")
    yield from audit.record(actor, "goal.delete", site_id, site, goal=name)


def is_text(value: str) -> bool:
    """Whether a name, a type or a pattern can be kept."""
    return bool(value.strip()) and len(value) <= MAX_TEXT and value.isprintable()


def _check(goal: Goal) -> None:
    if (goal.event_type is None) == (goal.page_pattern is None):
        message = "A goal has either an event_type or a page_pattern."
        raise InvalidValue("invalid_goal", message, "event_type")
    for field, value in msgspec.structs.asdict(goal).items():
        if value is not None and not is_text(value):
            message = f"{field} has 1 to {MAX_TEXT} printable characters."
            raise InvalidValue("invalid_goal", message, field)
