"""The demo's visits: what the intake takes, in order, in believable amounts."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from portfolio_analytics.consumer.enrich.agent import parse_agent
from portfolio_analytics.consumer.enrich.origin import classify
from portfolio_analytics.demo.sender import VISITS_A_DAY, past_visits
from portfolio_analytics.demo.visits import EVENTS_A_VISIT, Step, make_visit


def visits(count: int, *, known: bool = True) -> list[list[Step]]:
    dice = random.Random(7)
    return [list(make_visit(dice, known=known)) for _ in range(count)]


def test_a_visit_begins_with_a_page_view_and_goes_forward() -> None:
    for steps in visits(200):
        assert steps[0].fields["event_type"] == "page_view"
        assert steps[0].after == 0.0
        assert [step.after for step in steps] == sorted(step.after for step in steps)
        assert len({step.fields["session_id"] for step in steps}) == 1
        assert all("referrer" not in step.fields for step in steps if step.after > 700)


def test_many_visits_are_varied() -> None:
    made = visits(2000)
    assert sum(map(len, made)) / len(made) == pytest.approx(EVENTS_A_VISIT, rel=0.1)
    kinds = Counter(step.fields["event_type"] for steps in made for step in steps)
    assert set(kinds) == {"page_view", "click", "time_spent", "contact_form"}
    first = [steps[0].fields for steps in made]
    agents = [parse_agent(fields["user_agent"]) for fields in first]
    assert {agent.device for agent in agents} == {"Desktop", "Mobile", "Tablet"}
    assert len({agent.browser for agent in agents}) >= 5
    channels = {
        origin.channel if origin else "Direct"
        for origin in (classify(f.get("referrer"), f["page"], "demo.example", None)[0] for f in first)
    }
    assert channels >= {"Direct", "Organic Search", "Paid Search", "Organic Social", "Email", "AI Assistants"}
    assert len({fields["country"] for fields in first}) >= 10
    assert len({fields["visitor"] for fields in first}) == len(first)


def test_without_import_scope_nothing_is_claimed_of_the_visitor() -> None:
    for steps in visits(20, known=False):
        assert not {"visitor", "country"} & {name for step in steps for name in step.fields}


def test_past_visits_fill_a_day_and_its_afternoon_most() -> None:
    day = datetime(2026, 3, 4, tzinfo=UTC)
    made = [moment for _ in range(20) for moment in past_visits(random.Random(_), day)]
    assert all(day <= moment < day + timedelta(days=1) for moment in made)
    assert 0.75 * VISITS_A_DAY <= len(made) / 20 <= 1.25 * VISITS_A_DAY
    afternoon = sum(12 <= moment.hour < 18 for moment in made)
    night = sum(moment.hour < 6 for moment in made)
    assert afternoon > 2 * night
