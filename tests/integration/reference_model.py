"""What every number means, in plain Python over a list of events: no SQL, no sums, nothing kept.

The engine's answers are compared with this. It shares the query's types with the engine, and no arithmetic.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from portfolio_analytics.stats.query import All, AnyOf, Done, Filter, Leaf, Not, Query
from portfolio_analytics.storage.funnels import Step

PAUSE_MS = 30 * 60 * 1000
Labels = tuple[str, ...]
Number = int | float | None
Members = dict[Any, Any]
Sums = dict[str, dict[Labels, Members]]


@dataclass(frozen=True)
class Goal:
    name: str
    event_type: str | None
    page_pattern: str | None


@dataclass(frozen=True)
class Event:
    """One event as it is stored. `origin` and `client` map dimension names to values."""

    id: str
    time: int
    actor: int
    visitor: int
    known: bool
    type: str
    page: str
    page_id: int
    host: str
    client_id: int
    client: dict[str, str] = field(hash=False)
    origin_id: int | None
    origin: dict[str, str] = field(hash=False)
    duration_ms: int
    scroll: int | None
    props: dict[str, str] = field(hash=False)


@dataclass(frozen=True)
class Visit:
    events: tuple[Event, ...]
    first: Event

    @property
    def start(self) -> int:
        return self.events[0].time

    @property
    def end(self) -> int:
        return self.events[-1].time

    @property
    def views(self) -> list[Event]:
        return [event for event in self.events if event.type == "page_view"]

    @property
    def bounced(self) -> bool:
        others = [e for e in self.events if e.type not in ("page_view", "time_spent")]
        return len(self.views) <= 1 and not others

    def value(self, name: str) -> str:
        match name:
            case "entry_page":
                views = self.views
                return min(views, key=lambda e: (e.time, e.page_id)).page if views else ""
            case "exit_page":
                views = self.views
                return max(views, key=lambda e: (e.time, e.page_id)).page if views else ""
            case "source" | "channel" | "referrer":
                return self.first.origin[name]
            case _ if name.startswith("utm_"):
                return self.first.origin[name]
            case "browser_version" | "os_version":
                version = self.first.client[name]
                return f"{self.first.client[name.removesuffix('_version')]} {version}" if version else ""
            case _:
                return self.first.client[name]


def visits_of(events: Iterable[Event]) -> list[Visit]:
    """Runs of one actor's events without a pause of more than 30 minutes."""
    unique = {event.id: event for event in events}
    by_actor: dict[int, list[Event]] = defaultdict(list)
    for event in unique.values():
        by_actor[event.actor].append(event)
    visits = []
    for mine in by_actor.values():
        mine.sort(key=lambda e: e.time)
        run: list[Event] = []
        for event in mine:
            if run and event.time - run[-1].time > PAUSE_MS:
                visits.append(_visit(run))
                run = []
            run.append(event)
        visits.append(_visit(run))
    return visits


def _visit(run: list[Event]) -> Visit:
    ties = [event for event in run if event.time == run[0].time]
    first = min(ties, key=lambda e: (e.origin_id is None, e.origin_id or 0, e.client_id, e.visitor))
    return Visit(tuple(run), first)


class Model:
    """One site's history."""

    def __init__(self, events: Iterable[Event], zone: str, goals: Sequence[Goal] = ()) -> None:
        self.visits = visits_of(events)
        self.zone = ZoneInfo(zone)
        self.goals = goals

    def answer(
        self, query: Query, start: datetime, end: datetime, unit: str | None
    ) -> list[tuple[Labels, tuple[Number, ...]]]:
        """Every group of `query` in [start, end) with its metrics, in the query's order, without a limit."""
        span = _Span(_ms(start), _ms(end), self.zone, unit)
        sums = self._sums(query.groups, query.filters, span)
        needed = set().union(*(_NEEDED[name] for name in query.metrics))
        groups = {key for name in needed for key, members in sums[name].items() if _total(name, members) != 0}
        if not query.dimensions:
            groups = {("",)}
        rows = []
        for key in groups:
            metrics = tuple(self._metric(name, query, key, sums, span) for name in query.metrics)
            rows.append((_in_order(query, key), metrics))
        return sorted(rows, key=lambda row: _order(query, row))

    def funnel(
        self, steps: Sequence[Step], filters: All, start: datetime, end: datetime, *, by_visit: bool
    ) -> tuple[list[tuple[int, Number, Number, Number]], int]:
        """Of each step how many reached it, share, drop-off and median seconds; and how many there are."""
        span = _Span(_ms(start), _ms(end), self.zone, None)
        mine: dict[object, list[Event]] = defaultdict(list)
        for visit in self.visits:
            of_events = All(tuple(child for child in filters.children if _by_event(child)))
            of_visit = All(tuple(child for child in filters.children if not _by_event(child)))
            holds_one = any(self._matches(of_events, visit, event) for event in visit.events)
            if not holds_one or not self._matches(of_visit, visit, visit.first):
                continue
            if by_visit and span.start <= visit.start < span.end:
                mine[visit.first.actor, visit.start] += visit.events
            elif not by_visit:
                for event in visit.events:
                    if span.start <= event.time < span.end:
                        day = "always" if visit.first.known else span.day(event.time)
                        mine[day, visit.first.visitor].append(event)
        ways = [_way(steps, events) for events in mine.values()]
        reached = [sum(len(way) > index for way in ways) for index in range(len(steps))]
        rows: list[tuple[int, Number, Number, Number]] = [
            (reached[0], _ratio(100 * reached[0], reached[0], 2), None, None)
        ]
        for index in range(1, len(steps)):
            took = sorted(way[index] - way[index - 1] for way in ways if len(way) > index)
            middle = took[(len(took) - 1) // 2] + took[len(took) // 2] if took else 0
            rows.append(
                (
                    reached[index],
                    _ratio(100 * reached[index], reached[0], 2),
                    _ratio(100 * (reached[index - 1] - reached[index]), reached[index - 1], 2),
                    _ratio(middle, 2000, 1) if took else None,
                )
            )
        return rows, len(mine)

    def _sums(self, groups: Sequence[str], tree: Filter, span: _Span) -> Sums:
        """Sets (as dicts) behind every sum, by (time label, group values ...)."""
        sums: Sums = defaultdict(lambda: defaultdict(dict))
        by_event = _by_event(tree) or any(g.startswith("event:") for g in groups)
        for number, visit in enumerate(self.visits):
            for event in visit.events:
                if not self._matches(tree, visit, event):
                    continue
                for values in self._values(groups, visit, event):
                    if span.start <= event.time < span.end:
                        self._count_event(sums, (span.label(event.time), *values), number, visit, event, span)
                    if by_event and span.start <= visit.start < span.end:
                        sums["starts"][span.label(visit.start), *values][number] = visit
        if not by_event:
            self._count_visits(sums["starts"], groups, tree, span)
        if not any(group.startswith("event:") for group in groups):
            sums["visits"] = sums["starts"]
        if "event:page" in groups:
            entered = [g.replace("event:page", "visit:entry_page") for g in groups]
            sums["starts"] = self._sums(entered, _by_entry(tree), span)["starts"]
        return sums

    def _count_visits(
        self, visits: dict[Labels, Members], groups: Sequence[str], tree: Filter, span: _Span
    ) -> None:
        for number, visit in enumerate(self.visits):
            if span.start <= visit.start < span.end and self._matches(tree, visit, visit.first):
                for values in self._values(groups, visit, visit.first):
                    visits[span.label(visit.start), *values][number] = visit

    def _count_event(
        self, sums: Sums, key: Labels, number: int, visit: Visit, event: Event, span: _Span
    ) -> None:
        person = visit.first.visitor
        known = visit.first.known
        sums["visitors"][key][("always", person) if known else (span.day(event.time), person)] = 1
        sums["visits"][key][number, span.day(event.time)] = visit
        sums["events"][key][event.id] = event
        if event.type == "page_view":
            sums["pageviews"][key][event.id] = event
        if event.type == "time_spent":
            sums["engaged"][key][event.id] = event
        if event.scroll is not None:
            place = (number, span.day(event.time), event.page_id)
            before = sums["scrolls"][key].get(place, -1)
            sums["scrolls"][key][place] = max(before, event.scroll)

    def _values(self, groups: Sequence[str], visit: Visit, event: Event) -> Iterator[Labels]:
        choices = [[value for value in self._group_values(group, visit, event) if value] for group in groups]
        yield from itertools.product(*choices)

    def _group_values(self, name: str, visit: Visit, event: Event) -> list[str]:
        if name == "event:goal":
            return [goal.name for goal in self.goals if _reaches(goal, event)]
        if name == "event:props":
            return [prop for prop, value in event.props.items() if value]
        return [self._value(name, visit, event)]

    def _value(self, name: str, visit: Visit, event: Event) -> str:
        level, _, rest = name.partition(":")
        if level == "visit":
            return visit.value(rest)
        if rest.startswith("props:"):
            return event.props.get(rest.removeprefix("props:"), "")
        return {"page": event.page, "name": event.type, "hostname": event.host}[rest]

    def _matches(self, tree: Filter, visit: Visit, event: Event) -> bool:
        match tree:
            case All(children):
                return all(self._matches(child, visit, event) for child in children)
            case AnyOf(children):
                return any(self._matches(child, visit, event) for child in children)
            case Not(child):
                return not self._matches(child, visit, event)
            case Done(child):
                return any(self._matches(child, visit, other) for other in visit.events)
            case Leaf():
                if tree.dimension == "event:goal":
                    return any(_compare(goal.name, tree) for goal in self.goals if _reaches(goal, event))
                return _compare(self._value(tree.dimension, visit, event), tree)

    def _metric(self, name: str, query: Query, key: Labels, sums: Sums, span: _Span) -> Number:
        def total(sum_name: str) -> int:
            return _total(sum_name, sums[sum_name].get(key, {}))

        match name:
            case "visitors" | "visits" | "pageviews" | "events":
                return total(name)
            case "views_per_visit":
                return _ratio(total("pageviews"), total("visits"), 2)
            case "bounce_rate":
                visits = sums["starts"].get(key, {}).values()
                return _ratio(100 * sum(visit.bounced for visit in visits), len(visits), 0)
            case "visit_duration":
                visits = sums["starts"].get(key, {}).values()
                return _ratio(sum(visit.end - visit.start for visit in visits), 1000 * len(visits), 0)
            case "scroll_depth":
                depths = sums["scrolls"].get(key, {}).values()
                return _ratio(sum(depths), len(depths), 0)
            case "time_on_page":
                spent = sum(event.duration_ms for event in sums["engaged"].get(key, {}).values())
                return _ratio(spent, 1000 * total("pageviews"), 0)
            case _:
                return _ratio(100 * total("visitors"), self._whole(name, query, key, span), 2)

    def _whole(self, share: str, query: Query, key: Labels, span: _Span) -> int:
        if share == "percentage":
            found = self._sums((), query.filters, replace(span, unit=None))
            return len(found["visitors"].get(("",), {}))
        rest = All(tuple(child for child in query.filters.children if not _of_conversion(child)))
        kept = [
            index
            for index, group in enumerate(query.groups)
            if share == "group_conversion_rate" and group != "event:goal" and "event:props" not in group
        ]
        found = self._sums([query.groups[index] for index in kept], rest, span)
        return len(found["visitors"].get((key[0], *(key[index + 1] for index in kept)), {}))


@dataclass(frozen=True)
class _Span:
    start: int
    end: int
    zone: ZoneInfo
    unit: str | None

    def local(self, time: int) -> datetime:
        return datetime.fromtimestamp(time / 1000, UTC).astimezone(self.zone)

    def day(self, time: int) -> str:
        return self.local(time).date().isoformat()

    def label(self, time: int) -> str:
        """The label of the bucket in which `time` lies; '' without buckets."""
        local = self.local(time)
        match self.unit:
            case None:
                return ""
            case "minute":
                return f"{local:%Y-%m-%d %H:%M}:00" + _fold(local)
            case "hour":
                return f"{local:%Y-%m-%d %H}:00:00" + _fold(local)
            case "day":
                return local.date().isoformat()
            case "week":
                monday = local.date() - timedelta(days=local.weekday())
                return max(monday, self.local(self.start).date()).isoformat()
            case _:
                return date(local.year, local.month, 1).isoformat()


_NEEDED = {
    "visitors": {"visitors"},
    "visits": {"visits"},
    "pageviews": {"pageviews"},
    "events": {"events"},
    "views_per_visit": {"pageviews", "visits"},
    "bounce_rate": {"starts"},
    "visit_duration": {"starts"},
    "scroll_depth": {"scrolls"},
    "time_on_page": {"engaged", "pageviews"},
    "percentage": {"visitors"},
    "conversion_rate": {"visitors"},
    "group_conversion_rate": {"visitors"},
}


def _total(name: str, members: Members) -> int:
    if name == "engaged":
        return sum(event.duration_ms for event in members.values())
    return len(members)


def _fold(local: datetime) -> str:
    return local.isoformat()[-6:] if local.fold else ""


def _ratio(a: int, b: int, decimals: int) -> Number:
    """a / b, rounded half up; nothing divided by nothing is None."""
    if b == 0:
        return None
    found = (Decimal(a) / Decimal(b)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    return float(found) if decimals else int(found)


def _compare(value: str, leaf: Leaf) -> bool:
    sensitive = leaf.case_sensitive
    if leaf.operator == "matches":
        flags = 0 if sensitive else re.IGNORECASE
        return any(re.search(pattern, value, flags) for pattern in leaf.values)
    wanted = [text if sensitive else text.lower() for text in leaf.values]
    value = value if sensitive else value.lower()
    if leaf.operator == "contains":
        return any(text in value for text in wanted)
    return value in wanted


def _reaches(goal: Goal, event: Event) -> bool:
    if goal.page_pattern is None:
        return event.type == goal.event_type
    pattern = ".*".join(re.escape(piece) for piece in goal.page_pattern.split("*"))
    return event.type == "page_view" and re.fullmatch(pattern, event.page, re.DOTALL) is not None


def _does(step: Step, event: Event) -> bool:
    if step.property is not None and event.props.get(step.property, "") != step.value:
        return False
    return _reaches(Goal("", step.event_type, step.page_pattern), event)


def _way(steps: Sequence[Step], events: Iterable[Event]) -> list[int]:
    """The times at which one visitor did step after step, as far as they came."""
    found = []
    for event in events:
        done = [number for number, step in enumerate(steps) if _does(step, event)]
        if done:
            found.append((event.time, done[::-1]))
    way: list[int] = []
    for time, done in sorted(found):
        if len(way) in done:
            way.append(time)
    return way


def _by_event(tree: Filter) -> bool:
    match tree:
        case Leaf(_, dimension):
            return dimension.startswith("event:")
        case Not(child):
            return _by_event(child)
        case All(children) | AnyOf(children):
            return any(map(_by_event, children))
        case Done():
            return False


def _of_conversion(tree: Filter) -> bool:
    match tree:
        case Leaf(_, dimension):
            return dimension == "event:goal" or dimension.startswith("event:props:")
        case Not(child):
            return _of_conversion(child)
        case All(children) | AnyOf(children):
            return any(map(_of_conversion, children))
        case Done():
            return False


def _by_entry(tree: Filter) -> Filter:
    match tree:
        case Leaf(_, "event:page"):
            return replace(tree, dimension="visit:entry_page")
        case Not(child):
            return Not(_by_entry(child))
        case All(children):
            return All(tuple(map(_by_entry, children)))
        case AnyOf(children):
            return AnyOf(tuple(map(_by_entry, children)))
    return tree


def _in_order(query: Query, key: Labels) -> Labels:
    """(time label, group values ...) in the order of the query's dimensions."""
    groups = dict(zip(query.groups, key[1:], strict=True))
    return tuple(groups[name] if name in groups else key[0] for name in query.dimensions)


def _order(query: Query, row: tuple[Labels, tuple[Number, ...]]) -> tuple[object, ...]:
    labels, metrics = row
    if query.time is not None:
        return (labels[query.dimensions.index(query.time)], labels)
    first = metrics[0]
    return (first is None, -(first or 0), labels)


def _ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)
