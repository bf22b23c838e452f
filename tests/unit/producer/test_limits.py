"""Who is limited, and who is not."""

from __future__ import annotations

import pytest

from portfolio_analytics.producer.limits import Limits, may_exceed
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
    limits = Limits(2, 0)
    assert taken(limits, sender("8.8.8.8")) == 20
    assert taken(limits, sender("8.8.8.9")) == 0  # the same network
    assert taken(limits, sender("9.9.9.9"), events=5) == 4
    assert taken(limits, sender("2a00:1450::1")) == 20


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "192.168.1.1", "::1", "fd00::1", "", "unknown"])
def test_addresses_of_no_public_network_are_not(address: str) -> None:
    assert taken(Limits(1, 0), sender(address)) == 100


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
    assert taken(Limits(1, 0), sender("8.8.8.8", principal)) == (100 if of_network else 10)
    assert may_exceed(principal, "a.example") is of_site


def test_nothing_is_where_the_rate_is_0() -> None:
    assert taken(Limits(0, 0), sender("8.8.8.8")) == 100


def test_a_site_is_limited() -> None:
    limits = Limits(0, 1)
    for _ in range(10):
        limits.site("a.example", 1000.0)
    with pytest.raises(InvalidEvent) as caught:
        limits.site("a.example", 1000.0)
    assert caught.value.status == 429
    limits.site("b.example", 1000.0)
    limits.site("a.example", 1001.0)
