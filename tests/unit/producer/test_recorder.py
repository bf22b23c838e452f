"""From an event to its record: what stands in the log, and that the consumer can take every one."""

from __future__ import annotations

import contextlib
import ipaddress
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio_analytics.consumer.decode import decode
from portfolio_analytics.producer.address import Places
from portfolio_analytics.producer.decode import decode_event
from portfolio_analytics.producer.event import ClientEvent
from portfolio_analytics.producer.limits import Limits
from portfolio_analytics.producer.policy import Policy
from portfolio_analytics.producer.recorder import NotReady, Prepared, Recorder
from portfolio_analytics.producer.salts import Salts
from portfolio_analytics.producer.sender import Sender
from portfolio_analytics.producer.sites import Sites
from portfolio_analytics.producer.visitor import DAY_MS
from portfolio_analytics.shared.access import Principal
from portfolio_analytics.shared.errors import InvalidEvent
from portfolio_analytics.shared.log.protocol import LogRecord
from portfolio_analytics.shared.record import (
    IMPORTED,
    TIME_FROM_RECEIPT,
    VISITOR_KNOWN,
    EventRecord,
    decode_record,
    log_key,
)
from portfolio_analytics.storage.sites import Policy as SitePolicy

NOW = 1_768_473_000_000  # 2026-01-15T10:30:00Z
MIDNIGHT = NOW // DAY_MS * DAY_MS
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/120.0.0.0 Safari/537.36"
README_EXAMPLE = b"""{
  "event_type": "page_view",
  "page": "/projects",
  "session_id": "session_1736937000_abc123",
  "timestamp": "2025-01-15T10:30:00Z",
  "user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36",
  "screen_width": 1920,
  "screen_height": 1080
}"""
UNLIMITED = Limits(0, 0, 0)
IMPORTER = Principal("importer", frozenset({"import"}))


def recorder(days: range | None = None, limits: Limits = UNLIMITED, **policy: bool) -> Recorder:
    today = NOW // DAY_MS
    salts = Salts()
    salts.keep({day: bytes([day % 256]) * 16 for day in days or range(today - 1, today + 3)}, today)
    chosen = {"consent_required": False, "block_automation": False, **policy}
    return Recorder("w1", Policy(**chosen), Sites(None, 50), salts, Places(None), limits, ["lang"])


def sender(
    address: str = "8.8.8.8",
    user_agent: str = CHROME,
    origin_host: str | None = "example.com",
    signal: str | None = None,
    principal: Principal | None = None,
) -> Sender:
    return Sender(address, user_agent, origin_host, signal, principal)


def record(
    body: bytes | dict[str, object], by: Sender | None = None, now: int = NOW, rec: Recorder | None = None
) -> EventRecord:
    if isinstance(body, dict):
        body = msgspec.json.encode({"event_type": "page_view", "page": "/", **body})
    prepared = (rec or recorder()).prepare(decode_event(body), by or sender(), now)
    assert isinstance(prepared, Prepared), prepared
    found = decode_record(prepared.value)
    assert isinstance(found, EventRecord)
    assert found.id == prepared.event_id
    assert prepared.key == log_key(found.site, found.session, found.visitor, found.visitor_before)
    return found


def ignored(body: dict[str, object], by: Sender | None = None, rec: Recorder | None = None) -> str:
    encoded = msgspec.json.encode({"event_type": "page_view", "page": "/", **body})
    reason = (rec or recorder()).prepare(decode_event(encoded), by or sender(), NOW)
    assert isinstance(reason, str)
    return reason


def test_the_original_readmes_example() -> None:
    found = record(README_EXAMPLE, sender(origin_host=None, user_agent="curl/8.5.0"))
    assert (found.site, found.type, found.page, found.host) == ("default", "page_view", "/projects", None)
    assert (found.time, found.at, found.day) == (NOW, NOW, NOW // DAY_MS)
    assert found.flags == TIME_FROM_RECEIPT
    assert (found.session, found.screen_width, found.screen_height) == (
        "session_1736937000_abc123",
        1920,
        1080,
    )
    assert found.user_agent == "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36"
    assert (found.country, found.worker) == ("US", "w1")


def test_the_original_websites_events() -> None:
    click = record(
        {
            "event_type": "click",
            "element": {"tag": "a", "id": None, "class": {"baseVal": "icon"}, "text": "My work " * 100},
        }
    )
    assert click.target is not None
    assert (click.target.tag, click.target.id, click.target.class_) == ("a", None, None)
    assert click.target.text == ("My work " * 100)[:200]
    spent = record({"event_type": "time_spent", "duration_seconds": 45.5})
    assert spent.duration_ms == 45_500
    assert record({"element": {"tag": None}}).target is None


@pytest.mark.parametrize(
    ("body", "origin_host", "site", "host"),
    [
        ({}, None, "default", None),
        ({}, "example.com", "example.com", None),
        ({"site": "Shop.Example"}, "example.com", "shop.example", "example.com"),
        ({"site": "shop.example"}, "shop.example", "shop.example", None),
        ({"page": "https://www.example.com/a"}, "example.com", "example.com", "www.example.com"),
        ({"page": "https://www.example.com/a"}, None, "default", "www.example.com"),
        ({"site": ""}, "example.com", "example.com", None),
        ({"site": None}, None, "default", None),
    ],
)
def test_site_and_host(body: dict[str, object], origin_host: str | None, site: str, host: str | None) -> None:
    found = record(body, sender(origin_host=origin_host))
    assert (found.site, found.host) == (site, host)


def test_what_is_cleaned() -> None:
    found = record(
        {
            "page": "/a?utm_source=x&lang=de&token=secret#secret",
            "referrer": "https://News.example/x?id=secret",
            "title": "T" * 1000,
            "user_agent": "U" * 1000,
            "target": "mailto:secret@example.com",
            "props": {"kept": "yes", "none": None, "n": 2**63 - 1},
            "scroll_depth": 49.6,
            "duration_ms": 12.5,
        }
    )
    assert (found.page, found.referrer) == ("/a?utm_source=x&lang=de", "https://news.example/x")
    assert found.title is not None
    assert len(found.title) == 500
    assert found.user_agent is not None
    assert len(found.user_agent) == 512
    assert found.target is not None
    assert found.target.href == "mailto:"
    assert found.props == {"kept": "yes", "n": 2**63 - 1}
    assert (found.scroll_depth, found.duration_ms) == (50, 12)


@pytest.mark.parametrize("kind", ["signup", "Kauf abgeschlossen", "🎉", "x" * 120])
def test_custom_names(kind: str) -> None:
    assert record({"event_type": kind}).type == kind


@pytest.mark.parametrize("kind", ["a\nb", "\x07", "a\u2028b", "\x00a\n"])
def test_names_that_cannot_be_printed_are_422(kind: str) -> None:
    with pytest.raises(InvalidEvent) as caught:
        record({"event_type": kind})
    assert caught.value.field == "event_type"


def test_policy_comes_before_everything_that_could_make_a_site() -> None:
    bot = sender(user_agent="Googlebot/2.1")
    assert ignored({}, bot) == "bot"
    assert ignored({"user_agent": "Googlebot/2.1"}) == "bot"
    assert ignored({"user_agent": CHROME}, bot) == "bot"
    assert ignored({}, sender(signal="gpc")) == "gpc"
    assert ignored({"consent": "denied"}) == "consent"
    assert ignored({}, rec=recorder(consent_required=True)) == "consent"
    assert ignored({}, sender(user_agent="curl/8"), recorder(block_automation=True)) == "automation"
    assert record({"consent": "granted", "consent_version": "3"}).consent == "granted"
    sites = Sites(None, max_sites=1)
    rec = Recorder("w", Policy(False, False), sites, Salts(), Places(None), UNLIMITED, ())
    assert ignored({"site": "made-by-a-bot.example"}, bot, rec) == "bot"
    assert sites.find("other.example").is_new


def test_who_has_a_token_is_never_checked_for_bots() -> None:
    known = Principal("server", frozenset({"ingest"}))
    for rec in (recorder(), recorder(block_automation=True)):
        by = sender(user_agent="Googlebot/2.1", principal=known)
        assert record({"user_agent": "curl/8"}, by, rec=rec).user_agent == "curl/8"


def test_site_exclusions() -> None:
    sites = Sites(None, 50)
    sites.replace([SitePolicy("example.com", "example.com", [], ["192.0.2.0/24"], ["/admin/*"], False)])
    salts = Salts()
    salts.keep({NOW // DAY_MS: b"s" * 16}, NOW // DAY_MS)
    rec = Recorder("w", Policy(False, False), sites, salts, Places(None), UNLIMITED, ())
    assert ignored({}, sender("192.0.2.9"), rec) == "excluded"
    assert ignored({"page": "/admin/users"}, rec=rec) == "excluded"
    assert record({"page": "/"}, rec=rec).page == "/"


def test_what_one_event_names_is_not_taken_for_what_another_does() -> None:
    rec, by = recorder(), sender(origin_host=None)
    bodies: list[dict[str, object]] = [
        {},
        {"user_agent": "Googlebot/2.1"},
        {"user_agent": "Firefox/140.0"},
        {"site": "shop.example"},
        {"page": "https://www.example.com/a"},
        {"page": "https://www.example.com/a", "site": "shop.example", "user_agent": "Firefox/140.0"},
        {"visitor_id": "abc", "consent": "granted"},
        {"consent": "denied"},
    ]

    def prepared(body: dict[str, object], by: Sender) -> tuple[object, ...] | str:
        encoded = msgspec.json.encode({"event_type": "page_view", "page": "/", **body})
        found = rec.prepare(decode_event(encoded), by, NOW)
        if isinstance(found, str):
            return found
        event = decode_record(found.value)
        assert isinstance(event, EventRecord)
        return event.site, event.host, event.user_agent, event.visitor, event.flags, event.country, event.page

    alone = [prepared(body, sender(origin_host=None)) for body in bodies]
    assert [prepared(body, by) for body in [*bodies, *bodies]] == [*alone, *alone]
    assert len(set(alone)) == len(alone)
    assert (alone[1], alone[-1]) == ("bot", "consent")


def test_a_batch_makes_no_more_sites_than_there_may_be() -> None:
    today = NOW // DAY_MS
    salts = Salts()
    salts.keep({today: bytes(16)}, today)
    rec = Recorder("w1", Policy(False, False), Sites(None, 1), salts, Places(None), UNLIMITED, [])
    by = sender()
    late: dict[str, object] = {"event_id": str(UUID(int=1 << 64)), "timestamp": "2020-01-01T00:00:00Z"}
    with pytest.raises(InvalidEvent, match="timestamp"):
        record({"site": "first.example", **late}, by, rec=rec)
    assert record({"site": "second.example"}, by, rec=rec).site == "second.example"
    with pytest.raises(InvalidEvent, match="MAX_SITES"):
        record({"site": "first.example"}, by, rec=rec)


def test_one_visitor_has_one_hash_a_day_and_site() -> None:
    first = record({})
    assert record({"page": "/b"}, now=NOW + 3_600_000).visitor == first.visitor
    assert record({}, sender("8.8.4.4")).visitor != first.visitor
    assert record({}, sender(user_agent="other")).visitor != first.visitor
    assert record({"site": "other.example"}).visitor != first.visitor
    assert record({}, now=NOW + DAY_MS).visitor != first.visitor
    assert record({"page": "https://www.example.com/"}).visitor == first.visitor


def test_after_midnight_yesterdays_hash_is_the_key_for_30_minutes() -> None:
    rec = recorder()
    before = record({}, now=MIDNIGHT - 1, rec=rec)
    soon = record({}, now=MIDNIGHT + 29 * 60_000, rec=rec)
    later = record({}, now=MIDNIGHT + 30 * 60_000, rec=rec)
    assert soon.visitor_before == before.visitor
    assert soon.visitor == later.visitor != before.visitor
    assert before.visitor_before is None
    assert later.visitor_before is None
    with_session = record({"session_id": "s"}, now=MIDNIGHT, rec=rec)
    assert with_session.visitor_before is None


def test_no_salt_no_hash() -> None:
    tomorrow = NOW // DAY_MS + 1
    rec = recorder(range(tomorrow, tomorrow + 1))
    with pytest.raises(NotReady):
        record({}, rec=rec)
    assert record({}, now=NOW + DAY_MS, rec=rec).visitor


def test_a_known_visitor_needs_consent() -> None:
    known = record({"visitor_id": "me", "consent": "granted"})
    assert known.flags & VISITOR_KNOWN
    assert record({"visitor_id": "me", "consent": "granted"}, now=NOW + DAY_MS).visitor == known.visitor
    assert record({"visitor_id": "me"}).visitor == record({}).visitor
    assert not record({"visitor_id": "me"}).flags & VISITOR_KNOWN


def test_an_importer_may_say_who_where_and_when() -> None:
    old: dict[str, object] = {"timestamp": "2015-05-17T10:05:03Z", "visitor": "v1", "country": "de"}
    found = record(old, sender("192.0.2.1", principal=IMPORTER))
    assert (found.time, found.country, found.flags) == (1_431_857_103_000, "DE", IMPORTED)
    assert found.visitor != record({**old, "visitor": "v2"}, sender(principal=IMPORTER)).visitor
    assert found.visitor == record(old, sender("198.51.100.1", principal=IMPORTER)).visitor
    assert record({"visitor": "v1"}, sender("8.8.8.8", principal=IMPORTER)).country is None


@pytest.mark.parametrize(
    "principal",
    [
        None,
        Principal("reader", frozenset({"read", "ingest"})),
        Principal("other", frozenset({"import"}), site="other.example"),
    ],
)
def test_nobody_else_may(principal: Principal | None) -> None:
    body: dict[str, object] = {"timestamp": "2015-05-17T10:05:03Z", "visitor": "v1", "country": "de"}
    found = record(body, sender(principal=principal))
    assert (found.time, found.flags, found.country) == (NOW, TIME_FROM_RECEIPT, "US")
    assert found.visitor == record({}).visitor
    assert record({"visitor": 5, "country": [1]}, sender(principal=principal)).country == "US"


def test_a_token_lifts_the_limit_of_its_own_site_alone() -> None:
    rec = recorder(limits=Limits(0, 1, 0))
    own: dict[str, object] = {"site": "own.example"}
    other: dict[str, object] = {"site": "other.example"}
    for principal in (
        Principal("server", frozenset({"ingest"}), site="own.example"),
        Principal("everywhere", frozenset({"import"})),
    ):
        for _ in range(15):
            record(own, sender(principal=principal), rec=rec)
    for principal in (
        Principal("server", frozenset({"ingest"}), site="own.example"),
        Principal("reader", frozenset({"read"})),
    ):
        fresh = recorder(limits=Limits(0, 1, 0))
        for _ in range(10):
            record(other, sender(principal=principal), rec=fresh)
        with pytest.raises(InvalidEvent) as caught:
            record(other, sender(principal=principal), rec=fresh)
        assert caught.value.status == 429


@pytest.mark.parametrize("field", [{"visitor": 5}, {"visitor": ""}, {"country": "Germany"}, {"country": 49}])
def test_an_importers_mistakes_are_422(field: dict[str, object]) -> None:
    with pytest.raises(InvalidEvent) as caught:
        record(field, sender(principal=IMPORTER))
    assert caught.value.status == 422


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
documents = st.fixed_dictionaries(
    {"event_type": texts, "page": texts},
    optional={
        "session_id": texts,
        "timestamp": texts | st.datetimes().map(lambda t: f"{t.isoformat()}Z"),
        "user_agent": texts,
        "screen_width": st.integers(),
        "duration_seconds": st.floats(allow_nan=False, allow_infinity=False),
        "duration_ms": st.floats(-10, 2**33),
        "scroll_depth": st.floats(-1, 101),
        "site": texts,
        "referrer": texts.map("https://".__add__) | texts,
        "title": texts,
        "target": texts | st.dictionaries(st.sampled_from(["tag", "id", "class", "text", "href"]), scalars),
        "props": st.dictionaries(texts, scalars, max_size=4),
        "consent": st.sampled_from(["granted", "denied"]),
        "visitor_id": texts,
        "visitor": scalars,
        "country": scalars,
        "event_id": st.uuids().map(str),
    },
)
addresses = st.ip_addresses().map(str)


@given(documents, addresses, st.booleans(), st.integers(MIDNIGHT - DAY_MS, MIDNIGHT + 2 * DAY_MS))
def test_the_consumer_can_take_every_record(
    document: dict[str, object], address: str, importing: bool, now: int
) -> None:
    by = sender(address, principal=IMPORTER if importing else None)
    with contextlib.suppress(InvalidEvent):
        event = decode_event(msgspec.json.encode(document))
        prepared = recorder().prepare(event, by, now)
        if isinstance(prepared, str):
            return
        found = decode(LogRecord(0, 7, now, prepared.key, prepared.value), "topic")
        assert isinstance(found, EventRecord), found
        assert b"\\u0000" not in prepared.value
        assert len(prepared.key) + len(prepared.value) < 1_000_000


def test_the_largest_event_fits_the_log() -> None:
    """The worst of everything: control characters take six bytes each in JSON."""
    worst = ClientEvent(
        event_type="🙂" * 120,
        page="/" + "\x01" * 60_000,
        session_id="\x01" * 128,
        user_agent="\x01" * 60_000,
        referrer="https://h/" + "\x01" * 60_000,
        title="\x01" * 60_000,
        props={"\x01" * 298 + f"{n:02}": "\x01" * 2000 for n in range(30)},
        event_id=UUID(int=NOW << 80 | 0x7 << 76 | 0b10 << 62),
        consent="granted",
        consent_version="\x01" * 64,
    )
    prepared = recorder().prepare(worst, sender(), NOW)
    assert isinstance(prepared, Prepared)
    assert len(prepared.value) < 1_000_000


@given(addresses)
def test_no_address_is_in_any_record(address: str) -> None:
    parsed = ipaddress.ip_address(address)
    prepared = recorder().prepare(decode_event(README_EXAMPLE), sender(address), NOW)
    assert isinstance(prepared, Prepared)
    for spelling in (address, parsed.exploded, str(int(parsed)), parsed.packed.hex()):
        if len(spelling) > 6:  # a shorter one is found in anything
            assert spelling.encode() not in prepared.key + prepared.value
