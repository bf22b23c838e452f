"""Which origins may read."""

from __future__ import annotations

from portfolio_analytics.producer.cors import Cors

ALLOW = "access-control-allow-origin"


def test_a_star_allows_every_origin() -> None:
    cors = Cors(["*"])
    for origin in ("https://a.example", "null", None):
        for headers in (cors.json(origin), cors.grant(origin), cors.preflight(origin, "POST")):
            assert (ALLOW, "*") in headers
            assert ("vary", "Origin") in headers


def test_a_list_allows_its_own() -> None:
    cors = Cors(["https://a.example"])
    for headers in (cors.json("https://a.example"), cors.preflight("https://a.example", "POST")):
        assert (ALLOW, "https://a.example") in headers
        assert ("vary", "Origin") in headers


def test_others_get_no_allow_header_but_vary() -> None:
    cors = Cors(["https://a.example"])
    for origin in ("https://b.example", "https://a.example.evil", "http://a.example", "null", "", None):
        for headers in (cors.json(origin), cors.grant(origin), cors.preflight(origin, "POST")):
            assert not any(name.startswith("access-control") for name, _ in headers)
            assert ("vary", "Origin") in headers


def test_a_page_of_another_origin_may_read_when_to_come_back() -> None:
    for cors in (Cors(["*"]), Cors(["https://example.com"])):
        assert ("access-control-expose-headers", "Retry-After") in cors.json("https://example.com")
