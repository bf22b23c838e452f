"""Funnels: steps that visitors do one after the other, of which a site wants to know how many go on.

Functions return steps of database work: carry them out with `steps.run` or `steps.run_async`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from psycopg.types.json import Jsonb

from portfolio_analytics.shared.errors import InvalidValue, NameTaken, UnknownName
from portfolio_analytics.storage import audit, sites
from portfolio_analytics.storage.goals import MAX_TEXT, is_text
from portfolio_analytics.storage.steps import Query, Steps

FEWEST: Final = 2
MOST: Final = 8

_CREATE = """
    INSERT INTO funnels (site_id, name, steps) VALUES (%(site_id)s, %(name)s, %(steps)s)
    ON CONFLICT (site_id, name) DO NOTHING RETURNING name"""
_LIST = "SELECT name, steps FROM funnels WHERE site_id = %(site_id)s ORDER BY name"
_DELETE = "DELETE FROM funnels WHERE site_id = %(site_id)s AND name = %(name)s RETURNING name"


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Reached as a goal is: by `event_type`, or `page_pattern` where * stands for any run of characters.

    With `property`, only by an event whose property of that name is `value`.
    """

    event_type: str | None = None
    page_pattern: str | None = None
    property: str | None = None
    value: str | None = None


class Funnel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name, and the steps in their order."""

    name: str
    steps: Annotated[list[Step], Meta(min_length=FEWEST, max_length=MOST)]


def create(site: str, funnel: Funnel, actor: str) -> Steps[Funnel]:
    """A new funnel of a site. Raises UnknownName, InvalidValue, NameTaken."""
    _check(funnel)
    site_id = yield from sites.site_id_of(site)
    yield from _insert(site_id, funnel)
    yield from audit.record(actor, "funnel.create", site_id, site, funnel=funnel.name)
    return funnel


def change(site: str, name: str, funnel: Funnel, actor: str) -> Steps[Funnel]:
    """`funnel` in place of the one called `name`. Raises UnknownName, InvalidValue, NameTaken."""
    _check(funnel)
    site_id = yield from sites.site_id_of(site)
    yield from _take_away(site_id, name)
    yield from _insert(site_id, funnel)
    yield from audit.record(actor, "funnel.change", site_id, site, funnel=funnel.name, before=name)
    return funnel


def list_all(site: str) -> Steps[list[Funnel]]:
    """The funnels of a site by name. Raises UnknownName."""
    site_id = yield from sites.site_id_of(site)
    rows = yield Query(_LIST, {"site_id": site_id})
    return [Funnel(row["name"], steps_of(row["steps"])) for row in rows]


def delete(site: str, name: str, actor: str) -> Steps[None]:
    """End a funnel. Raises UnknownName."""
    site_id = yield from sites.site_id_of(site)
    yield from _take_away(site_id, name)
    yield from audit.record(actor, "funnel.delete", site_id, site, funnel=name)


def steps_of(stored: object) -> list[Step]:
    """The steps in decoded JSON. Raises msgspec.ValidationError."""
    return msgspec.convert(stored, list[Step])


def check_steps(steps: Sequence[Step]) -> None:
    """Raises InvalidValue, which names the part of `steps`."""
    if not FEWEST <= len(steps) <= MOST:
        raise InvalidValue("invalid_funnel", f"A funnel has {FEWEST} to {MOST} steps.", "steps")
    for index, step in enumerate(steps):
        place = f"steps[{index}]"
        if (step.event_type is None) == (step.page_pattern is None):
            message = "A step has either an event_type or a page_pattern."
            raise InvalidValue("invalid_funnel", message, place)
        if (step.property is None) != (step.value is None):
            message = "A property of a step goes with the value that it must have."
            raise InvalidValue("invalid_funnel", message, place)
        for field, text in msgspec.structs.asdict(step).items():
            _check_text(text, f"{place}.{field}")


def _check(funnel: Funnel) -> None:
    _check_text(funnel.name, "name")
    check_steps(funnel.steps)


def _check_text(text: str | None, field: str) -> None:
    if text is not None and not is_text(text):
        message = f"{field} has 1 to {MAX_TEXT} printable characters."
        raise InvalidValue("invalid_funnel", message, field)


def _insert(site_id: int, funnel: Funnel) -> Steps[None]:
    steps = Jsonb(msgspec.to_builtins(funnel.steps))
    rows = yield Query(_CREATE, {"site_id": site_id, "name": funnel.name, "steps": steps})
    if not rows:
        raise NameTaken("funnel_exists", f"There is a funnel {funnel.name!r} already.", "name")


def _take_away(site_id: int, name: str) -> Steps[None]:
    rows = yield Query(_DELETE, {"site_id": site_id, "name": name})
    if not rows:
        raise UnknownName("unknown_funnel", f"There is no funnel {name!r}.", "name")
