"""One line of an access log in the combined format: what it says, and whether it is a page view."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import NamedTuple

import crawleruseragents  # type: ignore[import-untyped]

PAGE_VIEW = "page view"
MALFORMED = "not in the combined format"
NO_GET = "not a GET"
UNSUCCESSFUL = "not successful (status other than 200 and 304)"
ROBOTS = "robots.txt"
FEED = "feed"
ASSET = "asset or download"
BOT = "bot, feed reader or program"

_QUOTED = rb'[^"\\]*(?:\\.[^"\\]*)*'
_LINE = re.compile(
    # The user's name is bounded, or a line full of brackets would take quadratic time.
    rb'(?P<address>\S+)(?P<content> \S+ .{0,256}?\[(?P<time>[^]["]{1,40})\] '
    rb'"(?P<request>%b)" (?P<status>\d{3}) (?:\d+|-) "(?P<referrer>%b)" "(?P<agent>%b)")'
    % (_QUOTED, _QUOTED, _QUOTED)
)
_TIME = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\Z")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.))")
_CONTROL_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "v": "\v", "f": "\f"}

_PAGE_EXTENSIONS = frozenset(
    {"html", "htm", "xhtml", "shtml", "php", "asp", "aspx", "jsp", "jspx", "cgi", "cfm", "do"}
)
# A short ending with a letter in it is a file's; "/release-1.3" and "/people/ada.lovelace" are pages.
_EXTENSION = re.compile(r"\.(?=\d*[a-z])([a-z0-9]{1,5})\Z", re.IGNORECASE)
_FEED_PATH = re.compile(
    r"/(?:feeds?|rss2?|atom)/?\Z|\.(?:rss|atom|rdf)\Z|/(?:feed|rss2?|atom|index)\.xml\Z", re.IGNORECASE
)
_FEED_QUERY = re.compile(r"(?:\A|[&;])(?:feed=|(?:flav|format|type)=(?:rss|atom|feed))", re.IGNORECASE)

# Every browser of the last twenty years begins its user agent so; the rest are the old and the textual ones.
_BROWSER = re.compile(r"Mozilla/\d\.\d+ \(|Opera[/ ]|E?Links|Lynx|w3m|.*(?:MIDP-|UP\.Browser|Opera Mini)")
# No browser's user agent holds an address to write or to go to.
_CONTACT = re.compile(r"https?:|\bwww\.|[\w.]@\w|bot\b|spider|crawl|fetch|favicon|\bfeed", re.IGNORECASE)


class Line(NamedTuple):
    """A line's parts as text, unescaped.

    `content` is the line's bytes from after the address to the end of the user agent: what may be
    hashed and kept, since it names no address.
    """

    address: str
    content: bytes
    time: datetime
    method: str
    target: str
    status: int
    referrer: str | None
    user_agent: str | None


def read_line(raw: bytes) -> Line | None:
    """The parts of a line in the combined format (more fields may follow); None where it is not in it."""
    match = _LINE.match(raw)
    if match is None:
        return None
    time = read_time(match["time"].decode("ascii", "replace"))
    request = _text(match["request"]).split(" ")
    if time is None or len(request) < 2 or not request[1]:
        return None
    referrer, agent = _text(match["referrer"]), _text(match["agent"])
    return Line(
        address=match["address"].decode("ascii", "replace"),
        content=match["content"],
        time=time,
        method=request[0],
        # A target with unescaped spaces in it is still one target.
        target=" ".join(request[1:-1] if len(request) > 2 else request[1:]),
        status=int(match["status"]),
        referrer=None if referrer in ("", "-") else referrer,
        user_agent=None if agent.strip() in ("", "-") else agent,
    )


@lru_cache(maxsize=1024)
def read_time(text: str) -> datetime | None:
    """The time of "17/May/2015:10:05:03 +0200", in UTC; None where it is none. The locale plays no part."""
    match = _TIME.match(text)
    if match is None:
        return None
    day, month, year, hour, minute, second, sign, off_hours, off_minutes = match.groups()
    offset = timedelta(hours=int(off_hours), minutes=int(off_minutes))
    try:
        return datetime(
            int(year),
            _MONTHS.index(month) + 1,
            int(day),
            int(hour),
            int(minute),
            # A leap second has no number of its own in Unix time.
            min(int(second), 59),
            tzinfo=timezone(-offset if sign == "-" else offset),
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def judge(line: Line | None) -> str:
    """PAGE_VIEW, or why the line is none: the first reason that holds."""
    if line is None:
        return MALFORMED
    if line.method != "GET":
        return NO_GET
    if line.status not in (200, 304):
        return UNSUCCESSFUL
    path, _, query = line.target.partition("?")
    if not path.startswith("/"):
        return MALFORMED
    if path == "/robots.txt":
        return ROBOTS
    if _FEED_PATH.search(path) or _FEED_QUERY.search(query):
        return FEED
    extension = _EXTENSION.search(path)
    if extension is not None and extension[1].lower() not in _PAGE_EXTENSIONS:
        return ASSET
    return BOT if is_program(line.user_agent) else PAGE_VIEW


def is_program(user_agent: str | None) -> bool:
    """Whether a page was fetched by something other than a person's browser.

    Stricter than the intake: there an event shows that the page's script ran, here anything that fetches
    a page leaves a line.
    """
    return user_agent is None or _is_program(user_agent[:512])


@lru_cache(maxsize=8192)
def _is_program(user_agent: str) -> bool:
    return (
        _BROWSER.match(user_agent) is None
        or _CONTACT.search(user_agent) is not None
        or bool(crawleruseragents.is_crawler(user_agent))
    )


def _text(raw: bytes) -> str:
    """A quoted field's text: web servers write quotes, backslashes and control bytes with a backslash."""
    text = raw.decode("utf-8", "replace")
    return _ESCAPE.sub(_unescape, text) if "\\" in text else text


def _unescape(match: re.Match[str]) -> str:
    if match[1] is not None:
        return chr(int(match[1], 16))
    return _CONTROL_ESCAPES.get(match[2], match[2])
