"""Who is limited, and who is not."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from portfolio_analytics.producer.daily_counts import DailyCounts
from portfolio_analytics.producer.limits import SESSIONS_OF_MANY, Limits, may_exceed
from portfolio_analytics.producer.sender import Sender
from portfolio_analytics.shared.access import Principal
from portfolio_analytics.shared.errors import InvalidEvent
from portfolio_analytics.shared.http import ApiError


def sender(address: str, principal: Principal | None = None) -> Sender:
    return Sender(address, "", None, None, principal)


def taken(limits: Limits, by: Sender, events: int = 1) -> int:
    """How many requests of so many events are taken at once, up to 100."""
    for count in range(100):
        try:
            limits.sender(by, events, 1000.0)
        except ApiError as error:
            assert (error.status, error.code) == (429, "rate_limited")
            assert int(error.headers["Retry-After"]) >= 1
            return count
    return 100


def test_a_public_network_is_limited_by_events() -> None:
    limits = Limits(2, 0, 0)
    assert taken(limits, sender("8.8.8.8")) == 20
    assert taken(limits, sender("8.8.8.9")) == 0  # the same network
    assert taken(limits, sender("9.9.9.9"), events=5) == 4
    assert taken(limits, sender("2a00:1450::1")) == 20


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "192.168.1.1", "::1", "fd00::1", "", "unknown"])
def test_addresses_of_no_public_network_are_not(address: str) -> None:
    assert taken(Limits(1, 0, 0), sender(address)) == 100


@pytest.mark.parametrize(
    ("scopes", "site", "of_network", "of_site"),
    [
        ({"ingest"}, None, True, True),
        ({"import", "read"}, None, True, True),
        ({"admin"}, None, True, True),
        ({"ingest"}, "a.example", True, True),
        ({"ingest"}, "b.example", True, False),
        ({"read"}, None, False, False),  # who may read may not send more than anybody
        ({"read"}, "a.example", False, False),
    ],
)
def test_tokens_that_may_send_are_not(
    scopes: set[str], site: str | None, of_network: bool, of_site: bool
) -> None:
    principal = Principal("t", frozenset(scopes), site)
    assert taken(Limits(1, 0, 0), sender("8.8.8.8", principal)) == (100 if of_network else 10)
    assert may_exceed(principal, "a.example") is of_site


def test_nothing_is_where_the_rate_is_0() -> None:
    assert taken(Limits(0, 0, 0), sender("8.8.8.8")) == 100


def test_a_site_is_limited() -> None:
    limits = Limits(0, 1, 0)
    for _ in range(10):
        limits.site("a.example", 1000.0)
    with pytest.raises(InvalidEvent) as caught:
        limits.site("a.example", 1000.0)
    assert caught.value.status == 429
    limits.site("b.example", 1000.0)
    limits.site("a.example", 1001.0)


NOW = 20_000 * 86_400_000


def visit(limits: Limits, site: str, visitor: int, session: str | None, now: int) -> str | None:
    """The session of an event by somebody of the public Internet."""
    by = sender("8.8.8.8")
    limits.sender(by, 1, 1000.0)
    return limits.visitor(by, site, visitor, session, now)


def test_who_is_limited_is_said_of_the_sender() -> None:
    principal = Principal("t", frozenset({"ingest"}))
    for by, expected in (
        (sender("8.8.8.8"), True),
        (sender("8.8.8.8", principal), False),
        (sender("127.0.0.1"), False),
    ):
        limits = Limits(0, 0, 1)
        limits.sender(by, 1, 1000.0)
        assert by.limited is expected
        limits.visitor(by, "a.example", 1, "s", NOW)
        with nullcontext() if not expected else pytest.raises(InvalidEvent):
            limits.visitor(by, "a.example", 1, "s", NOW)


def test_a_visitor_sends_so_much_a_day() -> None:
    limits = Limits(0, 0, 100)
    for number in range(100):
        visit(limits, "a.example", 1, None, NOW + number)
    with pytest.raises(InvalidEvent) as caught:
        visit(limits, "a.example", 1, None, NOW)
    assert (caught.value.status, caught.value.code) == (429, "rate_limited")
    visit(limits, "a.example", 2, None, NOW)
    visit(limits, "a.example", 1, None, NOW + 86_400_000)


def test_a_session_of_many_visitors_sends_no_more() -> None:
    """Another user agent for each event is another visitor, in one and the same visit."""
    limits = Limits(0, 0, 100)
    for number in range(100):
        visit(limits, "a.example", number, "s", NOW)
    with pytest.raises(InvalidEvent):
        visit(limits, "a.example", 100, "s", NOW)
    visit(limits, "b.example", 100, "s", NOW)


def test_the_sessions_of_many_are_of_a_bounded_number() -> None:
    limits = Limits(0, 0, 100_000)
    begun = [visit(limits, "a.example", 1, f"session {number}", NOW) for number in range(2_000)]
    assert begun == [f"session {number}" for number in range(2_000)]
    later = [visit(limits, "a.example", 1, f"session {number}", NOW) for number in range(20_000)]
    assert len(set(later)) == SESSIONS_OF_MANY
    # The same for the same session, in this worker and in others.
    assert visit(limits, "a.example", 1, "session 7", NOW) == later[7] == "one of many: 342"
    assert visit(limits, "a.example", 1, None, NOW) is None
    assert visit(limits, "a.example", 2, "session 7", NOW) == "session 7"


def test_no_limit_on_visitors_where_it_is_0() -> None:
    limits = Limits(0, 0, 0)
    assert {visit(limits, "a.example", 1, "s", NOW) for _ in range(100_000)} == {"s"}


def test_daily_counts_forget_who_came_least() -> None:
    counts = DailyCounts(capacity=1_000)
    for _ in range(500):
        counts.add(-1, 1)
    for key in range(100_000):
        counts.add(key, 1)
        assert len(counts) <= 1_000
    assert counts.add(-1, 1) == 501
    assert counts.add(-1, 2) == 1
    for key in range(5_000):
        for _ in range(30):
            counts.add(key, 2)  # all of them come often
    assert len(counts) <= 1_000
