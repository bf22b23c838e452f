"""Lines of access logs: what they say and what becomes of them."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio_analytics.importers import access_line
from portfolio_analytics.importers.access_line import judge, read_line, read_time

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0"


def line(
    request: str = "GET / HTTP/1.1",
    status: int = 200,
    agent: str = FIREFOX,
    referrer: str = "-",
    address: str = "192.0.2.7",
    time: str = "17/May/2015:10:05:03 +0000",
    rest: str = "",
) -> bytes:
    return f'{address} - - [{time}] "{request}" {status} 512 "{referrer}" "{agent}"{rest}\n'.encode()


def test_all_parts() -> None:
    raw = line("GET /a?b=c HTTP/1.1", 304, referrer="https://some.example/", rest=' "10.0.0.1"')
    found = read_line(raw)
    assert found is not None
    assert found.address == "192.0.2.7"
    assert found.time == datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)
    assert (found.method, found.target, found.status) == ("GET", "/a?b=c", 304)
    assert (found.referrer, found.user_agent) == ("https://some.example/", FIREFOX)
    # What is hashed names no address, a forwarded one behind the user agent neither.
    assert raw == b"192.0.2.7" + found.content + b' "10.0.0.1"\n'


def test_escapes_and_other_bytes() -> None:
    found = read_line(line(r"GET /caf\xc3\xa9\"x HTTP/1.1", agent=r"Mozilla/5.0 (\\ \"q\" \x41)"))
    assert found is not None
    assert found.target == '/cafÃ©"x'
    assert found.user_agent == 'Mozilla/5.0 (\\ "q" A)'
    broken = read_line(line().replace(b"GET /", b"GET /\xff"))
    assert broken is not None
    assert broken.target == "/�"


def test_a_user_name_and_an_ipv6_address() -> None:
    raw = line(address="2001:db8::1").replace(b" - - ", b" - Ada [Admin] ")
    found = read_line(raw)
    assert found is not None
    assert found.address == "2001:db8::1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("17/May/2015:10:05:03 +0200", datetime(2015, 5, 17, 8, 5, 3, tzinfo=UTC)),
        ("31/Dec/2016:23:59:60 +0000", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("01/Jan/2024:00:15:00 -0345", datetime(2024, 1, 1, 4, 0, tzinfo=UTC)),
        ("30/Feb/2015:10:05:03 +0000", None),
        ("17/Mai/2015:10:05:03 +0000", None),
        ("01/Jan/0001:00:00:00 +2300", None),
        ("01/Jan/2020:00:00:00 +9999", None),
        ("17/May/2015:10:05:03", None),
    ],
)
def test_times(text: str, expected: datetime | None) -> None:
    assert read_time(text) == expected


JUDGED = [
    (line(), access_line.PAGE_VIEW),
    (line(status=304), access_line.PAGE_VIEW),
    (line("GET /a.html HTTP/1.1"), access_line.PAGE_VIEW),
    (line("GET /release-1.3 HTTP/1.1"), access_line.PAGE_VIEW),
    (line("GET /people/ada.lovelace HTTP/1.1"), access_line.PAGE_VIEW),
    (line("GET /index.php?file=a.png HTTP/2.0"), access_line.PAGE_VIEW),
    (line("GET /old"), access_line.PAGE_VIEW),
    (line("GET /a b HTTP/1.1"), access_line.PAGE_VIEW),
    (line(agent="Opera/9.80 (X11; Linux x86_64) Presto/2.12.388 Version/12.16"), access_line.PAGE_VIEW),
    (line("HEAD / HTTP/1.1"), access_line.NO_GET),
    (line("POST / HTTP/1.1"), access_line.NO_GET),
    (line(status=404), access_line.UNSUCCESSFUL),
    (line(status=301), access_line.UNSUCCESSFUL),
    (line(status=206), access_line.UNSUCCESSFUL),
    (line("GET /robots.txt HTTP/1.1"), access_line.ROBOTS),
    (line("GET /feed/ HTTP/1.1"), access_line.FEED),
    (line("GET /blog/tags/puppet?flav=rss20 HTTP/1.1"), access_line.FEED),
    (line("GET /atom.xml HTTP/1.1"), access_line.FEED),
    (line("GET /a.png HTTP/1.1"), access_line.ASSET),
    (line("GET /a.JS?v=1 HTTP/1.1"), access_line.ASSET),
    (line("GET /sitemap.xml HTTP/1.1"), access_line.ASSET),
    (line("GET /files/a.tar.gz HTTP/1.1"), access_line.ASSET),
    (line(agent="-"), access_line.BOT),
    (line(agent="Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"), access_line.BOT),
    (line(agent="Mozilla/5.0 (compatible; Ezooms/1.0; help@moz.com)"), access_line.BOT),
    (line(agent="UniversalFeedParser/4.2"), access_line.BOT),
    (line(agent="curl/8.4.0"), access_line.BOT),
    (line("GET http://other.example/ HTTP/1.1"), access_line.MALFORMED),
    (line("-", 408), access_line.MALFORMED),
    (line(time="yesterday"), access_line.MALFORMED),
    (b"\n", access_line.MALFORMED),
    (line()[:-30], access_line.MALFORMED),
]


@pytest.mark.parametrize(("raw", "reason"), JUDGED)
def test_judge(raw: bytes, reason: str) -> None:
    assert judge(read_line(raw)) == reason


@pytest.mark.parametrize(
    "raw",
    [
        b"1 - " + b"[" * 60_000,
        b"1 - - [x] " + b'"' * 60_000,
        b'1 - - [x] "' + b"\\a" * 30_000,
        b"1 - " + b'[a] "' * 12_000,
        b"1 " * 30_000,
        line().rstrip()[:-1] + b"\\\\" * 30_000,
    ],
    ids=["brackets", "quotes", "escapes", "times", "words", "backslashes"],
)
def test_made_up_lines_cost_no_more_than_their_length(raw: bytes) -> None:
    start = time.process_time()
    assert read_line(raw) is None
    # Quadratic matching takes minutes here.
    assert time.process_time() - start < 2.0


@given(st.binary(max_size=500))
def test_any_bytes_are_judged(raw: bytes) -> None:
    assert judge(read_line(raw)) == access_line.MALFORMED


@given(st.text(max_size=200), st.text(max_size=100), st.text(max_size=100))
def test_any_fields_are_judged(target: str, referrer: str, agent: str) -> None:
    judge(read_line(line(f"GET /{target} HTTP/1.1", agent=agent, referrer=referrer)))
