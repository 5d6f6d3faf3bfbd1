"""The page in a real Chromium, where there is one: keys, folding, search, live update, hostile data."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from ot_bridge.traces.analyse import analyse
from ot_bridge.traces.model import LogRecord
from ot_bridge.traces.page.app import Listening, PageInfo
from ot_bridge.traces.render.html import html_report
from ot_bridge.traces.tree import Trace
from peers.prepare import Missing, prepare
from test_traces_page import ATTACKS, HERE, hostile, large, shop, skewed
from traces_kept import ListStore, serving
from traces_made import MS, NOON, TRACE_ID, made

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
Open = Callable[..., "Page"]
LIVE = PageInfo(poll_ms=50)
LONG_MS = 30_000
"""Only a test that fails waits so long."""
SHOWN = "Boolean(document.elementFromPoint(300, 400)?.closest('.chunk .row'))"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as running:
        found = running.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield found
        found.close()


@pytest.fixture(scope="module")
def store() -> ListStore:
    found = ListStore(large_of(2), skewed_of(3))
    found.put(shop())
    return found


def large_of(trace_id: int) -> list:
    from dataclasses import replace

    return [replace(span, trace_id=trace_id) for span in large()]


def skewed_of(trace_id: int) -> list:
    from dataclasses import replace

    return [replace(span, trace_id=trace_id) for span in skewed()]


@pytest.fixture(scope="module")
def base(store: ListStore) -> Iterator[str]:
    with serving(store) as address:
        yield address


@pytest.fixture(scope="module")
def contexts(browser: Browser) -> Iterator[dict[str, BrowserContext]]:
    """One for each set of options: to make one costs more than most tests."""
    found: dict[str, BrowserContext] = {}
    yield found
    for context in found.values():
        context.close()


@pytest.fixture
def opened(browser: Browser, contexts: dict[str, BrowserContext]) -> Iterator[Open]:
    """Opens a page whose script reports no error, and which asks nothing of anyone but the loopback."""
    pages, problems = [], list[str]()

    def watch(page: Page) -> None:
        page.on("console", lambda message: message.type == "error" and problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: problems.append(f"dialog {dialog.message}"))
        page.on("request", lambda request: away(request.url) and problems.append(f"asked {request.url}"))

    def away(url: str) -> bool:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https", "ws"} and parts.hostname != "127.0.0.1"

    def new(address: str, *, width: int = 1280, **more: object) -> Page:
        options = {"viewport": {"width": width, "height": 800}, **more}
        if (name := repr(options)) not in contexts:
            contexts[name] = browser.new_context(**options)
        page = contexts[name].new_page()
        pages.append(page)
        page.set_default_timeout(LONG_MS)
        watch(page)
        page.goto(address)
        return page

    yield new
    for page in pages:
        page.close()
    for context in contexts.values():
        context.clear_cookies()
    assert problems == []


def focus(page: Page) -> str:
    return page.evaluate("document.activeElement.id")


def until(page: Page, holds: str) -> None:
    """Wait until an expression is true; Playwright's own way is forbidden by the page's policy."""
    for _ in range(LONG_MS // 25):
        if page.evaluate(holds):
            return
        page.wait_for_timeout(25)
    raise AssertionError(holds)


def key(number: int) -> str:
    return f"s-{number:016x}"


def test_a_trace_is_walked_folded_and_read_by_keys(opened: Open, base: str) -> None:
    page = opened(f"{base}{HERE}")
    page.keyboard.press("Tab")
    page.locator(f"#{key(1)}").focus()
    for pressed in ("j", "ArrowDown", "k"):
        page.keyboard.press(pressed)
    assert focus(page) == key(2)
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector(f"#{key(2)}[aria-expanded='false']")
    assert (focus(page), page.locator(".chunk > .row").count()) == (key(2), 2)
    assert f"closed={key(2)[2:]}" in page.url
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(f"#{key(3)}")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#d-{key(2)[2:]}")
    assert focus(page) == key(2)
    page.keyboard.press("?")
    assert page.locator("dialog[open]").inner_text().startswith("KEYS")


def test_the_lines_are_one_tab_stop(opened: Open, base: str) -> None:
    page = opened(f"{base}{HERE}")
    assert page.locator(".grid [tabindex='0']").count() == 1
    assert page.locator(".grid .row a:not([tabindex='-1'])").count() == 0


def test_errors_and_matches_are_walked_by_keys(opened: Open, base: str) -> None:
    page = opened(f"{base}{HERE}")
    page.keyboard.press("e")
    page.wait_for_selector(f"#picture[data-at='{key(4)[2:]}']")
    assert focus(page) == key(4)
    page.keyboard.press("/")
    page.keyboard.type("POST")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#picture[data-at='{key(2)[2:]}']")
    assert page.locator(".count").inner_text() == "1 of 2 matches"
    page.locator(f"#{key(2)}").focus()
    page.keyboard.press("n")
    page.wait_for_selector(f"#picture[data-at='{key(3)[2:]}']")
    assert focus(page) == key(3)
    page.keyboard.press("N")
    page.wait_for_selector(f"#picture[data-at='{key(2)[2:]}']")


def test_keys_are_letters_in_a_text_field(opened: Open, base: str) -> None:
    page = opened(f"{base}{HERE}")
    page.locator("#find").focus()
    page.keyboard.type("jeg?")
    assert (page.locator("#find").input_value(), page.locator("dialog[open]").count()) == ("jeg?", 0)


def test_a_deep_link_opens_the_span_beside_the_one_that_is_read(opened: Open, base: str) -> None:
    page = opened(f"{base}{HERE}?span=3")
    assert page.locator(".detail").count() == 1
    assert focus(page) == key(3)
    page.locator(f"#{key(4)} .open").click()
    page.wait_for_selector(f"#d-{key(4)[2:]}")
    assert page.locator(".detail").count() == 2
    page.go_back()
    until(page, "document.querySelectorAll('.detail').length === 1")


def test_z_zooms_to_a_span_and_the_address_says_so(opened: Open, base: str) -> None:
    page = opened(f"{base}{HERE}")
    page.locator(f"#{key(4)}").focus()
    page.keyboard.press("z")
    page.wait_for_selector(".strip .win")
    assert "from=20000000ns&to=60000000ns" in page.url
    page.keyboard.press("Z")
    page.wait_for_selector(".strip:not(:has(.win))")


def test_r_draws_aligned_times_and_says_that_they_are(opened: Open, base: str) -> None:
    page = opened(f"{base}/trace/3")
    page.locator(f"#{key(1)}").focus()
    page.keyboard.press("r")
    page.wait_for_selector("text=The times below are aligned")
    assert page.locator(f"#{key(2)} .at").inner_text().strip() == "+10 ms"


def test_lines_load_as_they_come_into_sight_and_go_when_they_are_far(opened: Open, base: str) -> None:
    page = opened(f"{base}/trace/2?view=all&group=0")
    whole = page.evaluate("document.documentElement.scrollHeight")
    assert whole > 1200 * 30
    page.evaluate("scrollTo(0, 24000)")
    until(page, "Boolean(document.elementFromPoint(300, 400).closest('.chunk .row'))")
    page.evaluate("scrollTo(0, document.querySelector('.grid').getBoundingClientRect().bottom + scrollY - 500)")
    page.wait_for_selector("#picture .row[aria-rowindex='1201']")
    assert abs(page.evaluate("document.documentElement.scrollHeight") - whole) < 40
    assert page.locator(".chunk > .row").count() < 900


def test_the_arrow_goes_on_where_lines_have_not_been_loaded(opened: Open, base: str) -> None:
    page = opened(f"{base}/trace/2?view=all&group=0")
    last = page.locator(".chunk > .row").nth(149)
    last.focus()
    page.keyboard.press("j")
    until(page, "document.activeElement.getAttribute('aria-rowindex') === '152'")


def test_a_fold_far_down_does_not_move_what_is_read(opened: Open, base: str) -> None:
    page = opened(f"{base}/trace/2?view=all&group=0")
    page.evaluate("scrollTo(0, 9000)")
    until(page, "Boolean(document.elementFromPoint(300, 400).closest('.chunk .row'))")
    name = page.evaluate("document.elementFromPoint(300, 400).closest('.chunk .row').id")
    before = page.evaluate(f"document.getElementById('{name}').getBoundingClientRect().top")
    page.evaluate(f"document.querySelector('#{name} .open').click()")
    page.wait_for_selector(f"#{name.replace('s-', 'd-')}")
    after = page.evaluate(f"document.getElementById('{name}').getBoundingClientRect().top")
    assert abs(after - before) < 2


def test_new_traces_are_announced_and_nothing_moves_until_they_are_asked_for(opened: Open) -> None:
    store = ListStore([made("GET /", 1, trace_id=1)])
    with serving(store, LIVE) as base:
        page = opened(base)
        for trace_id in (2, 3, 4):
            store.put([made("GET /new", 1, at=trace_id, trace_id=trace_id)])
        until(page, "document.querySelector('[data-new]')?.textContent === '3 new traces'")
        assert page.locator("[data-new]").is_visible()
        assert page.locator(".traces tbody tr").count() == 1
        page.locator("[data-new]").click()
        until(page, "document.querySelectorAll('.traces tbody tr').length === 4")
        page.locator("[data-follow]").check()
        store.put([made("GET /new", 1, at=9, trace_id=5)])
        until(page, "document.querySelectorAll('.traces tbody tr').length === 5")
        assert page.locator("[data-follow]").is_checked()
        page.close()


def test_a_trace_that_grows_says_so_and_shows_it_in_place_when_asked(opened: Open) -> None:
    spans = large_of(2)
    store = ListStore(spans)
    with serving(store, LIVE) as base:
        page = opened(f"{base}/trace/2?view=all&group=0")
        page.evaluate("scrollTo(0, 9000)")
        until(page, SHOWN)
        name = page.evaluate("document.elementFromPoint(300, 400).closest('.chunk .row').id")
        page.locator(f"#{name} .open").click()
        page.wait_for_selector(f"#{name.replace('s-', 'd-')}")
        top = f"document.getElementById('{name}').getBoundingClientRect().top"
        before, lines = page.evaluate(top), page.evaluate("document.querySelector('#picture').dataset.total")
        more = [made(f"late {n}", 5000 + n, 1, at=0.1, trace_id=2) for n in range(3)]
        store.put([*spans, *more], [LogRecord(2, 1, NOON, "INFO", "told")])
        until(page, "document.querySelector('[data-grown]:not([hidden])')?.innerText === '3 new spans, 1 new log'")
        assert page.evaluate(f"[{top}, document.querySelector('#picture').dataset.total]") == [before, lines]
        page.keyboard.press("u")
        until(page, f"document.querySelector('#picture').dataset.total === '{int(lines) + 3}'")
        assert abs(page.evaluate(top) - before) < 2
        assert page.locator(f"#{name.replace('s-', 'd-')}").count() == 1
        assert focus(page) == name
        assert page.locator("[data-grown]").is_hidden()
        assert page.locator(".facts").first.inner_text().find("1,203 spans") > 0
        page.close()


def test_a_trace_becomes_finished_by_itself(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    at = (now - NOON) / MS - 100
    store = ListStore([made("GET /", 1, at=at, took=100), made("load", 2, 99, at=at, took=5)])
    monkeypatch.setattr("time.time_ns", lambda: now)
    with serving(store, LIVE) as base:
        page = opened(f"{base}{HERE}")
        assert page.locator("[data-unfinished]").count() == 1
        assert "did not arrive" not in page.locator(".findings").inner_text()
        monkeypatch.setattr("time.time_ns", lambda: now + 20_000 * MS)
        until(page, "!document.querySelector('[data-unfinished]')")
        assert "did not arrive" in page.locator(".findings").inner_text()
        page.close()


def test_the_page_that_waits_opens_by_itself_with_the_first_span(opened: Open) -> None:
    store = ListStore()
    with serving(store, PageInfo((Listening("OTLP", "127.0.0.1:4318", "OTEL_EXPORTER_OTLP_ENDPOINT=x"),), 50)) as base:
        page = opened(base)
        assert page.locator("h1").inner_text() == "No spans yet"
        store.put(shop())
        page.wait_for_selector(".traces tbody tr")
        page.close()


def test_two_traces_are_picked_across_searches(opened: Open, base: str) -> None:
    page = opened(f"{base}/")
    page.locator(".picks .pick.a").first.click()
    page.wait_for_selector(".picks .pick.a[aria-current='true']")
    page.locator("[name=service]").fill("orders")
    page.locator(".search button").click()
    # The old page stays until the new one has come, and has rows too.
    page.wait_for_selector("#results[data-query*='service=orders']")
    page.locator(".picks .pick.b").first.click()
    page.wait_for_selector(".tray a.button[href*='a='][href*='b=']")
    assert page.locator(".tray code").count() == 2


def test_the_operations_offered_are_those_of_the_service(opened: Open, base: str) -> None:
    page = opened(f"{base}/")
    page.locator("[name=service]").fill("orders")
    page.locator("[name=operation]").focus()
    until(page, "document.querySelectorAll('#operations option').length === 4")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_system_and_the_switch_is_remembered(opened: Open, base: str, scheme: str) -> None:
    page = opened(f"{base}/", color_scheme=scheme)
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    page.locator("[data-theme-switch]").click()
    other = page.evaluate(ground)
    page.reload()
    assert before != other
    assert page.evaluate(ground) == other


@pytest.mark.parametrize("path", ["/", HERE, f"{HERE}?span=3,4", "/trace/2", "/rules", "/?min=abc&a=1"])
def test_at_400_pixels_nothing_is_beside_the_screen(opened: Open, base: str, path: str) -> None:
    page = opened(f"{base}{path}", width=400)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_without_a_script_folding_details_and_search_are_links(opened: Open, base: str) -> None:
    page = opened(f"{base}{HERE}", java_script_enabled=False)
    page.locator(f"#{key(2)} a.fold").click()
    assert page.locator(".chunk > .row").count() == 2
    page.locator(f"#{key(2)} a.fold").click()
    page.locator(f"#{key(4)} a.open").click()
    assert page.locator(f"#d-{key(4)[2:]}").is_visible()
    page.locator("#find").fill("tenant=acme")
    page.locator(".find button").click()
    assert page.locator(".row.match").get_attribute("id") == key(3)


def test_bars_are_seen_in_forced_colours_and_the_focus_too(opened: Open, base: str) -> None:
    page = opened(f"{base}{HERE}", forced_colors="active")
    page.locator(f"#{key(1)}").focus()
    assert page.evaluate(f"getComputedStyle(document.querySelector('#{key(1)}')).outlineStyle") == "solid"
    assert page.evaluate(f"getComputedStyle(document.querySelector('#{key(1)} .all')).fill") != "none"


STATE = "[window.stolen, document.querySelectorAll('img, iframe, script:not([type=module])').length]"


def test_nothing_of_hostile_spans_runs_on_any_page(opened: Open) -> None:
    store = ListStore()
    for number, attack in enumerate(ATTACKS):
        spans = [replaced(span, TRACE_ID + number) for span in hostile(attack)]
        store.put(spans, [LogRecord(TRACE_ID + number, 1, NOON + MS, attack, attack, {attack: attack}, attack)])
    with serving(store) as base:
        page = opened(base)
        for path in ("/", *(f"/trace/{TRACE_ID + n:032x}?span=1,2,3&q=x" for n in range(len(ATTACKS)))):
            page.goto(base + path)
            page.wait_for_selector("main")
            assert page.evaluate(STATE) == [None, 0], path
            for inside in ("#picture", "#results"):
                if page.locator(inside).count():
                    page.locator(f"{inside} a[data-part]").first.click()
            assert page.evaluate(STATE) == [None, 0], path


def replaced(span: object, trace_id: int) -> object:
    from dataclasses import replace

    return replace(span, trace_id=trace_id)  # type: ignore[type-var]


def test_nothing_of_hostile_spans_runs_in_the_file_and_it_asks_for_nothing(opened: Open, tmp_path: Path) -> None:
    page, file = opened("about:blank"), tmp_path / "trace.html"
    for attack in ATTACKS:
        found = Trace(hostile(attack), [LogRecord(TRACE_ID, 1, NOON + MS, attack, attack, {attack: attack}, attack)])
        file.write_text(html_report(found, analyse(found)), encoding="utf-8")
        page.goto(file.as_uri())
        page.locator(".row .open").first.click()
        assert page.locator(".detail:visible").count() == 1
        assert page.evaluate(STATE) == [None, 0]


def test_the_policy_stops_what_would_run(browser: Browser, base: str) -> None:
    page = browser.new_page()
    page.goto(f"{base}/rules")
    blocked = page.evaluate(
        """() => new Promise((done) => {
          document.addEventListener("securitypolicyviolation", (event) => done(event.effectiveDirective));
          const made = document.createElement("script");
          made.textContent = "window.stolen = 1";
          document.body.append(made);
        })"""
    )
    assert blocked.startswith("script-src")
    assert page.evaluate("window.stolen") is None
    page.close()


def test_in_the_file_lines_fold_and_errors_are_walked(opened: Open, tmp_path: Path) -> None:
    found = Trace(shop())
    file = tmp_path / "trace.html"
    file.write_text(html_report(found, analyse(found)))
    page = opened(file.as_uri())
    page.locator(f"#{key(1)}").focus()
    page.keyboard.press("e")
    assert focus(page) == key(4)
    page.locator(f"#{key(2)} .fold").click()
    assert page.locator(".chunk > .row:visible").count() == 2
    page.keyboard.press("e")
    assert (focus(page), page.locator(".chunk > .row:visible").count()) == (key(4), 10)


@pytest.fixture(scope="module")
def axe() -> str:
    """The text of axe-core, where tests/peers/prepare.py has it."""
    found = prepare(names=("axe",))["axe"]
    if isinstance(found, Missing):
        pytest.skip(found.reason)
    return (found.packages / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", ["/", f"{HERE}?span=3", "/trace/2", "/rules"])
def test_axe_finds_nothing_to_complain_of(opened: Open, base: str, axe: str, path: str) -> None:
    page = opened(f"{base}{path}", bypass_csp=True)
    page.evaluate(axe)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then((all) => all.violations)")
        short = [(one["id"], [node["html"][:120] for node in one["nodes"]][:3]) for one in found]
        assert short == [], json.dumps(short, indent=1)
