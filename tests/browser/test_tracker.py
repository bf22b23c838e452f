"""The tracker in real Chromium, on sites of its own, with a recording server in the producer's place.

Every test ends with the same three looks: no error in a page, nothing that the contract forbids, and, unless
the test provoked one, no event sent twice.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from hatch_build import build_part
from tests.browser.page_server import PageServer
from tests.browser.recording_server import RecordingServer

TRACKER = Path(__file__).resolve().parents[2] / "web" / "tracker"
LARGEST = 2200
# Long enough for a second copy of an event to arrive, were there one.
QUIET = 0.25

HIDE = """hidden => {
  const state = hidden ? "hidden" : "visible";
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
  document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
}"""
SCROLL = """depth => new Promise(done => {
  addEventListener("scroll", done, { once: true });
  scrollTo(0, depth);
})"""
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
STORED = "() => ({ ...localStorage, ...sessionStorage })"


@pytest.fixture(scope="module")
def dist() -> Path:
    build_part(TRACKER, print)
    return TRACKER / "dist"


@pytest.fixture
def collector(dist: Path) -> Iterator[RecordingServer]:
    server = RecordingServer(dist)
    yield server
    server.go_away()
    assert server.faults == []


@pytest.fixture
def site(collector: RecordingServer) -> Iterator[PageServer]:
    server = PageServer(collector.origin)
    yield server
    server.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A visitor with a profile of their own; every page must stay free of errors."""
    with visitor_of(chromium) as visitor:
        yield visitor


@contextmanager
def visitor_of(browser: Browser) -> Iterator[BrowserContext]:
    visitor = browser.new_context(viewport={"width": 1000, "height": 600})
    errors: list[str] = []
    visitor.on("weberror", lambda error: errors.append(str(error.error)))
    yield visitor
    visitor.close()
    assert errors == []


@pytest.fixture
def page(context: BrowserContext, site: PageServer) -> Page:
    return context.new_page()


def quiet(page: Page) -> None:
    page.wait_for_timeout(QUIET * 1000)


def open_page(page: Page, site: PageServer, collector: RecordingServer, path: str = "/") -> None:
    """Go there and wait until the visit has been recorded."""
    before = len(collector.of("page_view"))
    page.goto(site.origin + path)
    collector.wait(page_view=before + 1)


def open_page_and_be_answered(
    page: Page, site: PageServer, collector: RecordingServer, path: str = "/"
) -> None:
    """Go there and wait until the tracker knows that the visit has been recorded: it is in no queue."""
    with page.expect_event("requestfinished", lambda request: request.method == "POST"):
        open_page(page, site, collector, path)
    page.evaluate("new Promise(done => setTimeout(done))")


def stop_the_clock(page: Page) -> None:
    """The page's time stands still until the test moves it."""
    page.clock.install(time=NOON)
    page.clock.pause_at(NOON + timedelta(seconds=1))


def ids(events: list[dict[str, Any]]) -> list[str]:
    return [event["event_id"] for event in events]


# What is recorded


def test_size(dist: Path) -> None:
    size = len(gzip.compress((dist / "tracker.js").read_bytes(), compresslevel=9, mtime=0))
    assert size <= LARGEST, f"tracker.js is {size} bytes after gzip -9"


def test_page_view_says_where_when_and_from(page: Page, site: PageServer, collector: RecordingServer) -> None:
    page.goto(site.origin + "/about?utm_source=letter", referer="http://search.example/find?q=us")
    collector.wait(page_view=1)
    (event,) = collector.events
    assert event["event_type"] == "page_view"
    assert event["page"] == "/about?utm_source=letter"
    assert event["title"] == "About"
    assert event["referrer"].startswith("http://search.example/")
    assert (event["screen_width"], event["screen_height"]) == (1000, 600)
    assert abs(datetime.fromisoformat(event["timestamp"]).timestamp() - time.time()) < 10
    assert not {"site", "consent", "session_id", "visitor_id"} & event.keys()
    (delivery,) = collector.deliveries
    assert delivery.path == "/api/analytics"
    assert delivery.headers["Content-Type"] == "text/plain;charset=UTF-8"
    assert "Cookie" not in delivery.headers
    assert collector.paths == ["GET /tracker.js"], "a preflight, or a part that nobody asked for"


def test_each_kind_arrives_once(
    page: Page, context: BrowserContext, site: PageServer, collector: RecordingServer
) -> None:
    """A visit with one of everything: what arrived equals what was done."""
    open_page(page, site, collector)
    for selector in ("#outside", "#file", "#saved"):
        page.click(selector)
    page.click("#buy")
    page.click("#text")
    page.click("#role")
    page.click("#named")
    page.click("#named-link")
    page.click("#drawing rect")
    page.click("#mail")
    page.fill("#secret", "other@example.com")
    page.click("#send")
    page.fill("#query", "private")
    page.press("#query", "Enter")
    # The search form leads to the same page, as a visit of its own.
    collector.wait(page_view=3)
    page.evaluate("scrollTo(0, 1e6)")
    page.click("#inside >> nth=0", force=True)
    page.wait_for_url("**/about**")
    collector.wait(page_view=4)
    page.wait_for_timeout(150)
    for tab in context.pages:
        tab.close()
    # Home, about and the form's tab; the search was looked at too shortly to tell.
    collector.wait(time_spent=3)
    quiet_server(collector)

    titled = {event["event_type"] for event in collector.events if "title" in event}
    assert titled == {"page_view"}, "what happens on a page bears its title again"
    counts = collector.counts()
    counts.pop("time_spent")
    assert counts == {
        "page_view": 4,  # home, the form's new tab, the search, about
        "outbound_link": 1,
        "file_download": 2,
        "click": 5,  # buy, role, mail, the drawing's link, the form's button
        "teaser": 1,
        "prices_seen": 1,
        "form_submit": 1,
        "search": 1,
        "navigation": 1,
    }
    assert collector.repeats == 0
    targets = str([event.get("target") for event in collector.events])
    assert "example.com" not in targets
    assert "private" not in targets


def quiet_server(collector: RecordingServer) -> None:
    """Wait until nothing has arrived for a while."""
    seen = -1
    while seen != len(collector.deliveries):
        seen = len(collector.deliveries)
        time.sleep(QUIET)


def test_targets_say_what_was_clicked(page: Page, site: PageServer, collector: RecordingServer) -> None:
    open_page(page, site, collector)
    page.click("#label")
    page.click("#mail")
    page.click("#drawing rect")
    page.click("#send")
    collector.wait(form_submit=1)
    collector.wait(click=4)
    buy, mail, drawing, send = (event["target"] for event in collector.of("click"))
    assert buy == {"tag": "button", "id": "buy", "class": "primary", "text": "Buy now"}
    assert mail == {"tag": "a", "id": "mail", "class": None, "text": "Mail", "href": "mailto:"}
    assert send == {"tag": "input", "id": "send", "class": None, "text": "Send it"}
    assert drawing["class"] == "art"
    (form,) = (event["target"] for event in collector.of("form_submit"))
    assert form == {"tag": "form", "id": "signup", "class": None, "text": "newsletter"}


def test_middle_click_counts_right_click_does_not(
    page: Page, site: PageServer, collector: RecordingServer
) -> None:
    open_page(page, site, collector)
    page.click("#inside", button="right")
    page.click("#inside", button="middle")
    collector.wait(navigation=1)
    quiet(page)
    (event,) = collector.of("navigation")
    assert event["target"]["href"] == site.origin + "/about?from=home"
    assert event["target"]["text"] == "About us"


def test_click_inside_an_open_shadow_root(page: Page, site: PageServer, collector: RecordingServer) -> None:
    open_page(page, site, collector)
    page.evaluate(
        "document.body.prepend(document.createElement('x-card')); document.querySelector('x-card')"
        ".attachShadow({mode: 'open'}).innerHTML = '<button id=inner>Inner</button>'"
    )
    page.click("#inner")
    collector.wait(click=1)
    assert collector.of("click")[0]["target"]["id"] == "inner"


def test_a_page_cannot_swallow_a_click(page: Page, site: PageServer, collector: RecordingServer) -> None:
    open_page(page, site, collector)
    page.evaluate("document.addEventListener('click', event => event.stopImmediatePropagation(), true)")
    page.click("#buy")
    collector.wait(click=1)


def test_missing_page_is_tagged(page: Page, site: PageServer, collector: RecordingServer) -> None:
    open_page(page, site, collector, "/nowhere")
    collector.wait(not_found=1)
    assert collector.counts() == {"page_view": 1, "not_found": 1}
    assert collector.of("not_found")[0]["page"] == "/nowhere"


def test_own_events(page: Page, site: PageServer, collector: RecordingServer) -> None:
    site.options = 'data-site="shop.example"'
    open_page(page, site, collector)
    page.evaluate("const props = {plan: 'pro', seats: 3}; analytics.track('order', props); props.seats = 4")
    page.evaluate("analytics.pageview()")
    collector.wait(page_view=2)
    (order,) = collector.of("order")
    assert order["props"] == {"plan": "pro", "seats": 3}
    assert {event["site"] for event in collector.events} == {"shop.example"}


def test_endpoint_can_be_chosen(page: Page, site: PageServer, collector: RecordingServer) -> None:
    site.options = 'data-api="/first-party/api/analytics"'
    open_page(page, site, collector)
    page.evaluate("analytics.track('one'); analytics.track('two'); analytics.track('three')")
    collector.wait(page_view=1, one=1, two=1, three=1)
    paths = {delivery.path for delivery in collector.deliveries}
    assert paths == {"/first-party/api/analytics", "/first-party/api/analytics/batch"}


def test_script_included_twice_counts_once(page: Page, site: PageServer, collector: RecordingServer) -> None:
    open_page(page, site, collector)
    page.add_script_tag(url=collector.origin + "/tracker.js")
    page.click("#buy")
    collector.wait(click=1)
    quiet(page)
    assert collector.counts() == {"page_view": 1, "click": 1}


# Time and depth


def test_time_and_depth_are_sent_on_hide(page: Page, site: PageServer, collector: RecordingServer) -> None:
    stop_the_clock(page)
    open_page(page, site, collector)
    page.evaluate(SCROLL, 1e6)
    page.clock.run_for(600)
    page.evaluate(SCROLL, 0)
    page.evaluate(HIDE, True)
    collector.wait(time_spent=1)
    page.clock.run_for(700)
    page.evaluate(HIDE, False)
    page.clock.run_for(300)
    page.evaluate(HIDE, True)
    collector.wait(time_spent=2)
    first, second = collector.of("time_spent")
    assert first["duration_ms"] == 600
    assert first["scroll_depth"] == 100
    assert second["duration_ms"] == 300, "the hidden time was counted"
    assert second["scroll_depth"] < 50


def test_idle_time_is_not_counted(page: Page, site: PageServer, collector: RecordingServer) -> None:
    stop_the_clock(page)
    open_page(page, site, collector)
    page.clock.fast_forward(10_000)
    page.mouse.move(5, 5)
    page.clock.fast_forward(600_000)
    page.mouse.move(9, 9)
    page.clock.fast_forward(5_000)
    page.evaluate(HIDE, True)
    collector.wait(time_spent=1)
    assert collector.of("time_spent")[0]["duration_ms"] == 45_000


# Single-page applications


def test_single_page_app(page: Page, site: PageServer, collector: RecordingServer) -> None:
    open_page(page, site, collector, "/app/start")
    for number, name in enumerate(("one", "two"), start=2):
        page.click(f"a[href='/app/{name}']")
        collector.wait(page_view=number)
    page.evaluate("history.replaceState({}, '', '?tab=2'); history.replaceState({}, '', '#part')")
    page.go_back()
    collector.wait(page_view=4)
    quiet(page)
    views = collector.of("page_view")
    assert [view["page"] for view in views] == ["/app/start", "/app/one", "/app/two", "/app/one"]
    assert [view["title"] for view in views] == ["App", "View one", "View two", "View one"]
    assert views[1]["referrer"] == site.origin + "/app/start"
    spent = collector.of("time_spent")
    assert [event["page"] for event in spent] == ["/app/start", "/app/one", "/app/two"]
    assert collector.counts() == {"page_view": 4, "navigation": 2, "time_spent": 3}
    assert collector.repeats == 0


def test_redirects_of_a_router_are_one_view(page: Page, site: PageServer, collector: RecordingServer) -> None:
    open_page(page, site, collector, "/app/start")
    page.evaluate("history.pushState({}, '', '/app/old'); history.replaceState({}, '', '/app/new')")
    collector.wait(page_view=2)
    quiet(page)
    assert [view["page"] for view in collector.of("page_view")] == ["/app/start", "/app/new"]


def test_route_left_at_once_is_still_viewed(page: Page, site: PageServer, collector: RecordingServer) -> None:
    open_page(page, site, collector, "/app/start")
    page.evaluate("history.pushState({}, '', '/app/last')")
    page.close()
    collector.wait(page_view=2)
    assert collector.of("page_view")[1]["page"] == "/app/last"


def test_history_still_works_as_the_page_expects(
    page: Page, site: PageServer, collector: RecordingServer
) -> None:
    open_page(page, site, collector, "/app/start")
    caught = page.evaluate(
        "() => { try { history.pushState({}, '', 'http://elsewhere.example/') }"
        " catch (error) { return error.name } }"
    )
    assert caught == "SecurityError"
    assert page.evaluate("history.pushState({step: 1}, ''), history.state") == {"step": 1}


def test_routes_in_the_fragment(page: Page, site: PageServer, collector: RecordingServer) -> None:
    site.options = "data-hash"
    open_page(page, site, collector, "/app/#/")
    page.click("text=First")
    collector.wait(page_view=2)
    page.click("text=Second")
    collector.wait(page_view=3)
    quiet(page)
    assert [view["page"] for view in collector.of("page_view")] == ["/app/", "/app/first", "/app/second"]


def test_fragments_are_no_pages_unless_asked(
    page: Page, site: PageServer, collector: RecordingServer
) -> None:
    open_page(page, site, collector, "/app/start")
    page.click("text=First")
    collector.wait(navigation=1)
    quiet(page)
    assert collector.counts() == {"page_view": 1, "navigation": 1}


def test_back_from_the_cache_is_a_view(
    whole_chromium: Browser, site: PageServer, collector: RecordingServer
) -> None:
    with visitor_of(whole_chromium) as visitor:
        come_back_from_the_cache(visitor.new_page(), site, collector)


def come_back_from_the_cache(page: Page, site: PageServer, collector: RecordingServer) -> None:
    page.add_init_script("addEventListener('pageshow', event => { window.restored = event.persisted })")
    open_page(page, site, collector)
    page.click("#inside")
    collector.wait(page_view=2)
    page.go_back(wait_until="commit")
    collector.wait(page_view=3)
    assert page.evaluate("window.restored"), "the page was loaded anew, not restored"
    page.click("#buy")
    collector.wait(click=1)
    quiet(page)
    assert [view["page"] for view in collector.of("page_view")] == ["/", "/about?from=home", "/"]
    assert collector.repeats == 0


def test_prerendered_page_waits_for_its_visitor(
    page: Page, site: PageServer, collector: RecordingServer
) -> None:
    page.add_init_script("Object.defineProperty(document, 'prerendering', {value: true, configurable: true})")
    page.goto(site.origin)
    page.evaluate("analytics.track('early')")
    quiet(page)
    assert collector.events == []
    opened = time.time()
    page.evaluate(
        "Object.defineProperty(document, 'prerendering', {value: false});"
        "document.dispatchEvent(new Event('prerenderingchange'))"
    )
    collector.wait(page_view=1, early=1)
    assert collector.counts() == {"page_view": 1, "early": 1}
    (view,) = collector.of("page_view")
    assert datetime.fromisoformat(view["timestamp"]).timestamp() >= opened - 0.01


# Strict pages, old browsers, packages


def test_strict_content_security_policy(page: Page, site: PageServer, collector: RecordingServer) -> None:
    site.csp = (
        f"default-src 'none'; script-src {collector.origin}; connect-src {collector.origin}; "
        "form-action 'self'; base-uri 'none'; require-trusted-types-for 'script'"
    )
    # A script that is loaded later is exactly what trusted types guard against, hence without vitals here.
    violations: list[str] = []
    page.on("console", lambda line: violations.append(line.text) if "Policy" in line.text else None)
    open_page(page, site, collector, "/about")
    page.click("#buy")
    collector.wait(click=1)
    page.click("#home")
    collector.wait(page_view=2)
    assert violations == []


def test_web_vitals(page: Page, site: PageServer, collector: RecordingServer) -> None:
    site.options = "data-vitals"
    site.csp = f"default-src 'none'; script-src {collector.origin}; connect-src {collector.origin}"
    open_page(page, site, collector, "/about")
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
    page.click("#buy")
    collector.wait_for(lambda: bool(collector.of("click")) and "GET /vitals.js" in collector.paths)
    quiet(page)
    page.close()
    collector.wait(web_vitals=1)
    (event,) = collector.of("web_vitals")
    assert {"ttfb", "fcp", "lcp", "cls"} <= event["props"].keys() <= {"ttfb", "fcp", "lcp", "cls", "inp"}
    assert 0 < event["props"]["ttfb"] <= event["props"]["fcp"] <= event["props"]["lcp"]


def test_vitals_that_a_page_forbids_harm_nothing(
    page: Page, site: PageServer, collector: RecordingServer
) -> None:
    site.options = "data-vitals"
    site.csp = "require-trusted-types-for 'script'"
    open_page(page, site, collector, "/about")
    page.click("#buy")
    collector.wait(click=1)


def test_browser_without_keepalive_sends_beacons(
    page: Page, site: PageServer, collector: RecordingServer
) -> None:
    page.add_init_script(
        "delete Request.prototype.keepalive; window.beacons = 0; const send = navigator.sendBeacon;"
        "navigator.sendBeacon = function (...args) { window.beacons++; return send.apply(this, args) }"
    )
    open_page(page, site, collector)
    page.wait_for_timeout(150)
    page.evaluate(HIDE, True)
    collector.wait(time_spent=1)
    assert page.evaluate("window.beacons") == 1
    assert collector.repeats == 0


def test_package(page: Page, site: PageServer, collector: RecordingServer) -> None:
    open_page(page, site, collector, "/module")
    page.click("#buy")
    collector.wait(click=1)
    collector.wait(ready=1)
    page.evaluate(HIDE, True)
    collector.wait(web_vitals=1)
    assert {event["site"] for event in collector.events} == {"bundled.example"}
    assert page.evaluate("typeof window.analytics") == "undefined"


# Nothing lost, nothing doubled


def test_network_cut_and_restored(
    page: Page, context: BrowserContext, site: PageServer, collector: RecordingServer
) -> None:
    open_page_and_be_answered(page, site, collector)
    context.set_offline(True)
    done = time.time()
    for _ in range(5):
        page.click("#buy")
    page.click("#named")
    page.wait_for_timeout(600)
    assert collector.counts() == {"page_view": 1}
    context.set_offline(False)
    restored = time.time()
    collector.wait(click=5, teaser=1)
    quiet(page)
    assert collector.counts() == {"page_view": 1, "click": 5, "teaser": 1}
    assert collector.repeats == 0
    times = [datetime.fromisoformat(event["timestamp"]).timestamp() for event in collector.of("click")]
    assert all(done - 0.01 <= moment < restored for moment in times), "the time of sending was recorded"
    assert any(delivery.path.endswith("/batch") for delivery in collector.deliveries)


def test_server_away_and_back(page: Page, site: PageServer, collector: RecordingServer) -> None:
    open_page(page, site, collector)
    collector.go_away()
    page.click("#buy")
    page.click("#buy")
    page.wait_for_timeout(300)
    collector.come_back()
    collector.wait(click=2)
    quiet(page)
    assert collector.counts() == {"page_view": 1, "click": 2}
    assert collector.repeats == 0


def test_lost_answer_repeats_the_same_event(page: Page, site: PageServer, collector: RecordingServer) -> None:
    open_page(page, site, collector)
    collector.refuse(0)
    page.click("#buy")
    collector.wait_for(lambda: collector.repeats == 1)
    first, second = (
        delivery.events[0] for delivery in collector.deliveries if delivery.events[0]["event_type"] == "click"
    )
    assert first == second
    assert len(collector.of("click")) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_respected(
    status: int, page: Page, site: PageServer, collector: RecordingServer
) -> None:
    stop_the_clock(page)
    open_page(page, site, collector)
    collector.refuse(status, Retry_After="600")
    page.click("#buy")
    collector.wait_for_deliveries(2)
    quiet(page)
    page.click("#named")
    page.evaluate(HIDE, True)
    page.clock.run_for(599_000)
    assert len(collector.deliveries) == 2
    # Up to a quarter more, so that not all visitors come back in the same second.
    page.clock.run_for(152_000)
    collector.wait(click=1, teaser=1)
    assert collector.deliveries[1].events[0] in collector.deliveries[2].events


def test_failures_are_retried_with_growing_waits(
    page: Page, site: PageServer, collector: RecordingServer
) -> None:
    stop_the_clock(page)
    open_page(page, site, collector)
    failures = (408, 500, 502, 599)
    for status in failures:
        collector.refuse(status)
    page.click("#buy")
    collector.wait_for_deliveries(2)
    for wait in (1000, 2000, 4000, 8000):
        sent = len(collector.deliveries)
        quiet(page)
        page.clock.run_for(wait)
        assert len(collector.deliveries) == sent, "sooner than it should"
        page.clock.run_for(wait // 4 + 200)
        collector.wait_for_deliveries(sent + 1)
    assert [delivery.status for delivery in collector.deliveries] == [201, *failures, 201]
    assert len({str(delivery.events) for delivery in collector.deliveries[1:]}) == 1


def test_what_the_server_refuses_is_dropped(page: Page, site: PageServer, collector: RecordingServer) -> None:
    open_page(page, site, collector)
    for number, status in enumerate((400, 413, 422), start=2):
        collector.refuse(status)
        page.click("#buy")
        collector.wait_for_deliveries(number)
        quiet(page)
    page.click("#named")
    collector.wait(teaser=1)
    quiet(page)
    assert collector.counts() == {"page_view": 1, "teaser": 1}


def test_rejected_events_of_a_batch_are_dropped(
    page: Page, site: PageServer, collector: RecordingServer
) -> None:
    collector.reject = lambda event: event["event_type"] == "bad"
    open_page(page, site, collector)
    page.evaluate("['zero', 'good', 'bad', 'fine'].forEach(name => analytics.track(name))")
    collector.wait(fine=1)
    page.click("#buy")
    collector.wait(click=1)
    assert 207 in [delivery.status for delivery in collector.deliveries]
    sent = [event["event_type"] for delivery in collector.deliveries for event in delivery.events]
    assert sent.count("bad") == 1


def test_queue_is_bounded_and_keeps_the_oldest(
    page: Page, context: BrowserContext, site: PageServer, collector: RecordingServer
) -> None:
    open_page_and_be_answered(page, site, collector)
    context.set_offline(True)
    page.evaluate("for (let i = 0; i < 250; i++) analytics.track('step', {i})")
    context.set_offline(False)
    collector.wait(step=200)
    quiet(page)
    assert sorted(event["props"]["i"] for event in collector.of("step")) == list(range(200))
    assert collector.repeats == 0


def test_tab_closed_right_after_a_click(page: Page, site: PageServer, collector: RecordingServer) -> None:
    open_page(page, site, collector)
    page.click("#buy")
    page.close()
    collector.wait(click=1)


def test_requests_outlive_the_page(page: Page, site: PageServer, collector: RecordingServer) -> None:
    """Browsers refuse keepalive above 64 KiB: what is larger goes without rather than not at all."""
    page.add_init_script(
        "window.kept = []; const send = fetch;"
        "window.fetch = (url, init) => { kept.push(init.keepalive); return send(url, init) }"
    )
    open_page(page, site, collector)
    page.evaluate("analytics.track('large', {text: 'x'.repeat(70_000)})")
    collector.wait(large=1)
    assert page.evaluate("kept") == [True, False]


def test_tab_closed_while_a_request_is_on_its_way(
    page: Page, site: PageServer, collector: RecordingServer
) -> None:
    """What waits behind another request must not wait for its answer when the page goes."""
    open_page(page, site, collector)
    page.evaluate("for (let i = 0; i < 150; i++) analytics.track('step', {i})")
    page.close()
    collector.wait(step=150)
    assert collector.repeats == 0


def test_link_followed_at_once(page: Page, site: PageServer, collector: RecordingServer) -> None:
    open_page(page, site, collector)
    page.wait_for_timeout(150)
    page.click("#inside")
    collector.wait(page_view=2, navigation=1, time_spent=1)
    quiet(page)
    counts = collector.counts()
    # A page that takes long to go away reports what it was seen for meanwhile, too.
    assert counts.pop("time_spent") in (1, 2)
    assert counts == {"page_view": 2, "navigation": 1}
    assert collector.repeats == 0


# Consent


def test_without_consent_nothing_is_kept(
    page: Page, context: BrowserContext, site: PageServer, collector: RecordingServer
) -> None:
    open_page(page, site, collector)
    page.click("#buy")
    collector.wait(click=1)
    page.reload()
    collector.wait(page_view=2)
    assert page.evaluate(STORED) == {}
    assert context.cookies() == []
    assert (
        page.evaluate("async () => (await indexedDB.databases()).length + (await caches.keys()).length") == 0
    )


def test_consent_refused(
    page: Page, context: BrowserContext, site: PageServer, collector: RecordingServer
) -> None:
    site.options = 'data-consent="required"'
    page.goto(site.origin)
    page.click("#buy")
    quiet(page)
    page.evaluate("analytics.consent('denied')")
    page.click("#buy")
    page.evaluate("analytics.track('after')")
    page.evaluate(HIDE, True)
    page.close()
    quiet_server(collector)
    assert collector.deliveries == []
    assert context.cookies() == []


def test_consent_given_late(
    page: Page, context: BrowserContext, site: PageServer, collector: RecordingServer
) -> None:
    site.options = 'data-consent="required"'
    page.goto(site.origin)
    page.click("#buy")
    asked = time.time()
    quiet(page)
    assert collector.deliveries == []
    assert page.evaluate(STORED) == {}
    page.evaluate("analytics.consent('granted')")
    page.click("#named")
    collector.wait(page_view=1, click=1, teaser=1)
    assert collector.counts() == {"page_view": 1, "click": 1, "teaser": 1}
    for event in collector.events:
        assert event["consent"] == "granted"
        assert event["visitor_id"]
        assert event["session_id"]
    assert datetime.fromisoformat(collector.of("page_view")[0]["timestamp"]).timestamp() <= asked

    # The decision holds for the pages and tabs that follow.
    other = context.new_page()
    other.goto(site.origin + "/about")
    collector.wait(page_view=2)
    assert len({(event["visitor_id"], event["session_id"]) for event in collector.events}) == 1
    assert context.cookies() == []


def test_a_session_ends_after_half_an_hour(page: Page, site: PageServer, collector: RecordingServer) -> None:
    open_page(page, site, collector)
    page.evaluate("analytics.consent('granted'); analytics.track('one')")
    page.evaluate("localStorage.pa = localStorage.pa.replace(/\\d+$/, (time) => time - 29 * 60e3)")
    page.evaluate("analytics.track('two')")
    page.evaluate("localStorage.pa = localStorage.pa.replace(/\\d+$/, (time) => time - 31 * 60e3)")
    page.evaluate("analytics.track('three')")
    collector.wait(three=1)
    one, two, three = (collector.of(name)[0] for name in ("one", "two", "three"))
    assert one["session_id"] == two["session_id"] != three["session_id"]
    assert one["visitor_id"] == two["visitor_id"] == three["visitor_id"]


def test_consent_withdrawn(
    page: Page, context: BrowserContext, site: PageServer, collector: RecordingServer
) -> None:
    site.options = 'data-consent="required"'
    page.goto(site.origin)
    page.evaluate("analytics.consent('granted')")
    collector.wait(page_view=1)
    other = context.new_page()
    open_page(other, site, collector, "/about")
    collector.go_away()
    page.click("#buy")
    assert set(page.evaluate(STORED)) == {"pa"}
    page.evaluate("analytics.consent('denied')")
    assert page.evaluate(STORED) == {}
    collector.come_back()
    page.click("#buy")
    other.click("#buy")
    page.reload()
    page.wait_for_timeout(1500)
    assert collector.counts() == {"page_view": 2}, "something was sent after the withdrawal"
    assert other.evaluate(STORED) == {}


def test_stored_queue_survives_the_page(page: Page, site: PageServer, collector: RecordingServer) -> None:
    open_page(page, site, collector)
    page.evaluate("analytics.consent('granted')")
    collector.refuse(503, times=100)
    page.click("#buy")
    page.click("#named")
    page.goto(site.origin + "/about")
    page.click("#buy")
    assert collector.counts() == {"page_view": 1}
    collector.refusals.clear()
    collector.wait(page_view=2, click=2, teaser=1)
    assert [event["page"] for event in collector.of("click")] == ["/", "/about"]


def test_two_tabs_do_not_double(
    page: Page, context: BrowserContext, site: PageServer, collector: RecordingServer
) -> None:
    open_page(page, site, collector)
    page.evaluate("analytics.consent('granted')")
    other = context.new_page()
    open_page_and_be_answered(other, site, collector, "/about")
    context.set_offline(True)
    for tab in (page, other):
        tab.click("#buy")
        tab.click("#buy")
    context.set_offline(False)
    collector.wait(click=4)
    quiet(page)
    assert collector.counts() == {"page_view": 2, "click": 4}
    assert collector.repeats == 0
    assert len({event["session_id"] for event in collector.of("click")}) == 1


def test_a_duplicated_tab_repeats_ids_only(page: Page, site: PageServer, collector: RecordingServer) -> None:
    """A tab opened by another starts with a copy of its session storage, waiting events included."""
    open_page(page, site, collector)
    page.evaluate("analytics.consent('granted')")
    collector.refuse(503, times=100)
    page.click("#buy")
    collector.wait_for_deliveries(2)
    page.evaluate(HIDE, True)
    with page.expect_popup() as opened:
        page.evaluate("void open('/about')")
    assert "click" in opened.value.evaluate("() => sessionStorage.pa || ''")
    collector.refusals.clear()
    collector.wait(page_view=2)
    collector.wait_for(lambda: collector.repeats > 0)
    assert len(collector.of("click")) == 1


# Those who do not want to be counted


@pytest.mark.parametrize(
    "wish",
    [
        "Navigator.prototype, 'doNotTrack', {get: () => '1'}",
        "Navigator.prototype, 'globalPrivacyControl', {get: () => true}",
    ],
)
def test_dnt_and_gpc_are_silent(
    wish: str, page: Page, context: BrowserContext, site: PageServer, collector: RecordingServer
) -> None:
    site.options = "data-vitals"
    page.add_init_script(f"Object.defineProperty({wish})")
    page.goto(site.origin)
    page.click("#buy")
    page.evaluate(
        "analytics.track('x'); analytics.pageview(); analytics.consent('granted'); analytics.exclude(true);"
        "history.pushState({}, '', '/app/other')"
    )
    page.wait_for_timeout(150)
    stored = page.evaluate(STORED)
    page.close()
    quiet_server(collector)
    assert collector.deliveries == []
    assert collector.paths == ["GET /tracker.js"]
    assert stored == {}
    assert context.cookies() == []


def test_the_owner_can_leave_themself_out(
    page: Page, context: BrowserContext, site: PageServer, collector: RecordingServer
) -> None:
    open_page(page, site, collector)
    other = context.new_page()
    open_page(other, site, collector, "/about")
    page.evaluate("analytics.exclude(true)")
    other.click("#buy")
    page.click("#buy")
    page.reload()
    quiet(page)
    assert collector.counts() == {"page_view": 2}
    page.evaluate("analytics.exclude(false)")
    page.click("#buy")
    collector.wait(click=1)
    assert collector.counts() == {"page_view": 2, "click": 1}


# Never throws, never slow


REFUSE_STORAGE = """for (const name of ["localStorage", "sessionStorage"])
  Object.defineProperty(window, name, { get() { throw new DOMException("no", "SecurityError") } })"""
FULL_STORAGE = """const set = () => { throw new DOMException("full", "QuotaExceededError") };
  Object.defineProperty(window, "sessionStorage", { value: new Proxy({}, { set }) })"""


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(REFUSE_STORAGE, id="storage refused"),
        pytest.param(FULL_STORAGE, id="storage full"),
        pytest.param("sessionStorage.pa = '{'; localStorage.pa = 'anything'", id="storage spoilt"),
        pytest.param("delete AbortSignal.timeout", id="older browser"),
    ],
)
def test_works_in_a_broken_browser(
    broken: str, page: Page, site: PageServer, collector: RecordingServer
) -> None:
    page.add_init_script(broken)
    open_page(page, site, collector)
    page.evaluate("analytics.consent('granted')")
    page.click("#buy")
    collector.wait(click=1)
    assert collector.of("click")[0]["consent"] == "granted"


@pytest.mark.parametrize(
    "broken",
    [
        "window.fetch = () => { throw new Error('blocked') }",
        "window.fetch = () => Promise.resolve(undefined)",
        "crypto.getRandomValues = () => { throw new Error('blocked') }",
        "JSON.stringify = () => { throw new Error('blocked') }",
    ],
)
def test_never_throws_into_the_page(
    broken: str, page: Page, site: PageServer, collector: RecordingServer
) -> None:
    page.add_init_script(broken)
    page.goto(site.origin)
    page.click("#buy")
    page.evaluate(
        "analytics.track('x'); analytics.consent('granted'); analytics.exclude(true); analytics.pageview()"
    )
    page.evaluate(HIDE, True)
    quiet(page)
    page.close()
    assert collector.events == []


def test_props_that_are_no_json_harm_nothing(
    page: Page, site: PageServer, collector: RecordingServer
) -> None:
    open_page(page, site, collector)
    page.evaluate(
        "const loop = {}; loop.loop = loop; analytics.track('loop', loop); analytics.track('big', {n: 1n})"
    )
    page.evaluate("analytics.consent(); analytics.exclude()")
    quiet(page)


def test_no_task_is_long(
    page: Page, context: BrowserContext, site: PageServer, collector: RecordingServer
) -> None:
    open_page(page, site, collector)
    page.evaluate("analytics.consent('granted')")
    # Offline, so that the queue grows with every click.
    context.set_offline(True)
    took = page.evaluate(
        """() => {
          const button = document.querySelector("#buy");
          return Array.from({ length: 190 }, () => {
            const start = performance.now();
            button.click();
            return performance.now() - start;
          });
        }"""
    )
    # Another program on the machine may take the processor away for a moment; it does not do so every time.
    assert sorted(took)[len(took) * 9 // 10] < 5
