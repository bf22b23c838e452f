"""Which requests with a cookie come from our own page, and what the cookie is called where."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from portfolio_analytics.shared.access import check_same_origin, cookie_name
from portfolio_analytics.shared.http import ApiError


def request(scheme: str = "https", host: str = "stats.example", **headers: str) -> Request:
    sent = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Request(
        {
            "type": "http",
            "method": "POST",
            "scheme": scheme,
            "path": "/",
            "query_string": b"",
            "server": None,
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        }
    )


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        ({"sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "same-origin", "origin": "https://public.example"}, True),  # a proxy renamed us
        ({"sec_fetch_site": "same-site"}, False),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": "none"}, False),
        ({"sec_fetch_site": "cross-site", "origin": "https://stats.example"}, False),
        ({"origin": "https://stats.example"}, True),
        ({"origin": "http://STATS.example"}, True),
        ({"origin": "https://stats.example.evil.example"}, False),
        ({"origin": "https://stats.example:8443"}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"referer": "https://stats.example/dashboard"}, False),
        ({}, False),
    ],
)
def test_same_origin(headers: dict[str, str], same: bool) -> None:
    if same:
        check_same_origin(request(**headers))
        return
    with pytest.raises(ApiError) as caught:
        check_same_origin(request(**headers))
    assert (caught.value.status, caught.value.code) == (403, "cross_site")


@pytest.mark.parametrize(
    ("asked", "plain"),
    [
        (request("http", "127.0.0.1:8080"), True),
        (request("http", "127.8.8.8"), True),
        (request("http", "localhost:8080"), True),
        (request("http", "[::1]:8080"), True),
        (request("https", "localhost:8080"), False),
        (request("http", "localhost", x_forwarded_proto="https"), False),
        (request("http", "192.0.2.1:8080"), False),
        (request("http", "stats.example"), False),
        (request("http", "127.0.0.1.evil.example"), False),
        (request("https", "stats.example"), False),
    ],
)
def test_the_cookie_is_bound_to_https_but_on_loopback(asked: Request, plain: bool) -> None:
    assert cookie_name(asked).startswith("__Host-") is not plain
