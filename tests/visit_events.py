"""Made-up events of one site, as visits are made of them."""

from __future__ import annotations

from hypothesis import strategies as st

from portfolio_analytics.consumer.visits.visit import PAUSE_MS, VisitEvent

DAY_MS = 86_400_000


def an_event(time: int, kind: str = "page_view", page: int = 1, **fields: int) -> VisitEvent:
    """An event at `time` (ms), by actor, visitor and client 1 and from nowhere unless `fields` say it."""
    return (
        1,
        fields.get("actor", 1),
        time,
        fields.get("origin") is None,
        fields.get("origin") or 0,
        fields.get("client", 1),
        fields.get("visitor", 1),
        fields.get("known", 0) == 1,
        page,
        time // DAY_MS,
        kind,
        fields.get("duration", 0),
        fields.get("scroll", -1),
    )


events = st.lists(
    st.builds(
        an_event,
        time=st.integers(0, 40).map(lambda n: n * PAUSE_MS // 4),
        kind=st.sampled_from(["page_view", "click", "time_spent"]),
        page=st.integers(1, 4),
        actor=st.integers(1, 2),
        visitor=st.integers(1, 3),
        known=st.integers(0, 1),
        client=st.integers(1, 2),
        origin=st.sampled_from([None, 5, 6]),
        duration=st.integers(0, 1000),
        scroll=st.integers(-1, 100),
    ),
    max_size=25,
)
