"""Questions about funnels: what is understood, and what is wrong with the others."""

from __future__ import annotations

from typing import Any

import pytest

from portfolio_analytics.shared.http import ApiError
from portfolio_analytics.stats import funnel as f
from portfolio_analytics.stats import query as q
from portfolio_analytics.storage.funnels import Step

VIEW, SIGNUP = {"page_pattern": "/pricing*"}, {"event_type": "signup"}
RIGHT: dict[str, Any] = {"site_id": "A.example", "date_range": "7d", "steps": [VIEW, SIGNUP]}


def test_steps_as_they_stand() -> None:
    steps = [VIEW, {**SIGNUP, "property": "plan", "value": "pro"}]
    found = f.parse({**RIGHT, "steps": steps, "by": "visit"})
    assert found == f.Question(
        q.Query("a.example", ("visits",), q.DateRange("7d")),
        None,
        (Step(page_pattern="/pricing*"), Step("signup", None, "plan", "pro")),
    )
    assert found.by_visit


def test_the_name_of_a_funnel_and_filters_that_choose_visits() -> None:
    of_visit, of_event = ["is", "visit:country", ["DE"]], ["is", "event:page", ["/"]]
    found = f.parse({**RIGHT, "steps": None, "funnel": "Sale", "filters": [of_event, of_visit]})
    page = q.Leaf("is", "event:page", ("/",), path="filters[0]")
    country = q.Leaf("is", "visit:country", ("DE",), path="filters[1]")
    assert found.query.filters == q.All((country, q.Done(q.All((page,)))))
    assert (found.name, found.steps, found.by_visit) == ("Sale", (), False)


WRONG: list[tuple[Any, str]] = [
    (None, ""),
    ([], ""),
    ({"step": []}, "step"),
    ({"metrics": ["visitors"]}, "metrics"),
    ({"site_id": None}, "site_id"),
    ({"date_range": "week"}, "date_range"),
    ({"filters": [["is", "event:weather", ["/"]]]}, "filters[0][1]"),
    ({"by": "person"}, "by"),
    ({"by": ["visit"]}, "by"),
    ({"by": None}, "by"),
    ({"funnel": "Sale"}, "funnel"),
    ({"steps": None}, "funnel"),
    ({"steps": None, "funnel": 7}, "funnel"),
    ({"steps": None, "funnel": "a\x00"}, "funnel"),
    ({"steps": {}}, "steps"),
    ({"steps": []}, "steps"),
    ({"steps": [VIEW]}, "steps"),
    ({"steps": [VIEW] * 9}, "steps"),
    ({"steps": [VIEW, "signup"]}, "steps[1]"),
    ({"steps": [VIEW, {}]}, "steps[1]"),
    ({"steps": [VIEW, VIEW | SIGNUP]}, "steps[1]"),
    ({"steps": [VIEW, {"goal": "Signup"}]}, "steps[1]"),
    ({"steps": [VIEW, {"event_type": 1}]}, "steps[1].event_type"),
    ({"steps": [{"event_type": ""}, VIEW]}, "steps[0].event_type"),
    ({"steps": [{"page_pattern": "a\x00"}, VIEW]}, "steps[0].page_pattern"),
    ({"steps": [{"page_pattern": "\ud800"}, VIEW]}, "steps[0].page_pattern"),
    ({"steps": [{"page_pattern": "/" * 501}, VIEW]}, "steps[0].page_pattern"),
    ({"steps": [VIEW, {**SIGNUP, "property": "plan"}]}, "steps[1]"),
    ({"steps": [VIEW, {**SIGNUP, "value": "pro"}]}, "steps[1]"),
    ({"steps": [VIEW, {**SIGNUP, "property": "plan", "value": " "}]}, "steps[1].value"),
]


@pytest.mark.parametrize(("part", "field"), WRONG, ids=str)
def test_a_wrong_question_names_its_part(part: Any, field: str) -> None:
    with pytest.raises(ApiError) as caught:
        f.parse(RIGHT | part if isinstance(part, dict) else part)
    assert (caught.value.status, caught.value.code, caught.value.field) == (400, "invalid_query", field)
    assert caught.value.message.endswith(".")
