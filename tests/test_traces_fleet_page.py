"""The pages on many traces: asked without a browser, and looked at in Chromium."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from ot_bridge.traces.page import groups
from ot_bridge.traces.page.app import PageInfo, page_app
from ot_bridge.traces.page.groups import group
from ot_bridge.traces.receive.inbox import Counts
from peers.prepare import Missing, prepare
from traces_fleet_made import fleet
from traces_kept import ListStore, ask, serving
from traces_made import made

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLEET = fleet(200)
SLOW, QUICK = "/?service=web&min=80ms", "/?service=web&max=80ms"
GROUPS = f"/compare?a={quote(QUICK)}&b={quote(SLOW)}"
TWO = f"/compare?a={FLEET[0][0].trace_id:016x}&b={FLEET[2][0].trace_id:016x}"
TAGS = ("/tags?service=web", "/tags?pick=failed&service=web")
PAGES = ("/map", "/operations", *TAGS, "/compare", GROUPS, TWO, "/paths", "/paths?service=web")
ATTACK = '"><img src=x onerror=window.stolen=1>'


@pytest.fixture(scope="module")
def store() -> ListStore:
    return ListStore(*FLEET)


def words(store: ListStore, path: str) -> str:
    """What the page says, without its marks and scripts."""
    answer = ask(page_app(store, Counts(), PageInfo()), path)
    assert answer.status == 200
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def test_the_map_says_where_the_trace_breaks_and_with_what_each_service_is_instrumented(store: ListStore) -> None:
    said = words(store, "/map")
    assert "mail never answers orders with our trace id: 200 calls, none in its traces." in said
    assert "OpenTracing jaeger-client Python-4.8.0" in said
    assert "bridge ot_bridge 1.0" in said
    assert "orders payments 200 200 200 200" in said


def test_operations_say_their_rates_and_what_changed(store: ListStore) -> None:
    said = words(store, "/operations")
    assert "web 'GET /checkout' fails more:" in said
    assert "200 as seen 3.35/min" in said
    assert "Before: 400 requests from 2026-01-01 12:00:00" in said


def test_the_moment_of_a_change_can_be_given_and_a_bad_one_is_said(store: ListStore) -> None:
    assert "Before: 80 requests" in words(store, "/operations?split=2026-01-01+12:06")
    assert "got 'noon', expected a time such as" in words(store, "/operations?split=noon")


def test_tags_say_what_the_slow_have_in_common(store: ListStore) -> None:
    said = words(store, "/tags?service=web")
    assert re.search(r"\d+ of 20 slow traces have tenant=acme, \d of 180 others", said)
    assert "Keys left out: request.id" in said
    assert "got 'soon', expected a duration" in words(store, "/tags?over=soon")


def test_the_failed_have_nothing_in_common_but_that_they_failed(store: ListStore) -> None:
    assert "No tag: nothing that is more than chance." in words(store, "/tags?service=web&pick=failed")


def test_two_searches_are_compared_path_by_path(store: ListStore) -> None:
    said = words(store, GROUPS)
    assert "They have the same shape" in said
    assert re.search(r"B takes \d+ ms longer than A at the median. This is more than chance: the shift is", said)
    assert re.search(r"B traces have tenant=acme", said)


def test_two_traces_are_compared_without_a_test(store: ListStore) -> None:
    said = words(store, TWO)
    assert "Two traces side by side" in said
    assert "may be chance" not in said


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ffffffffffffffff", "there is no trace ffffffffffffffff"),
        ("/trace/zz", "there is no trace zz"),
        ("/?service=nobody", "no trace matches"),
        ("/?min=soon", "min: got 'soon', expected a duration such as 200ms or 1.5s"),
        ("00000", "several ids begin with 00000"),
    ],
)
def test_a_group_that_is_not_there_says_why(store: ListStore, text: str, problem: str) -> None:
    assert group(store, text).problem == problem


@pytest.mark.parametrize("text", [SLOW, SLOW[2:], f"http://127.0.0.1:16686{SLOW}"])
def test_a_group_is_named_by_any_form_of_its_address(store: ListStore, text: str) -> None:
    found = group(store, text)
    assert (found.name, found.problem, found.address) == ("traces of web, of at least 80ms", "", SLOW)
    assert len(found.traces) == found.total > 5


def test_any_search_of_the_list_can_be_a_group(store: ListStore) -> None:
    text = ask(page_app(store, Counts(), PageInfo()), f"{SLOW}&a=12").text
    assert f"/compare?a=12&amp;b={quote(SLOW, safe='/')}" in html.unescape(text).replace("&b=", "&amp;b=")


def test_new_names_are_read_and_bad_ones_said(store: ListStore) -> None:
    assert "No name was changed" in words(store, TWO + "&rename=GET")
    assert "No name was changed" in words(store, TWO + "&rename=%27")
    assert "No name was changed" not in words(store, TWO + "&rename=charge%3D%27pay%20now%27")


@pytest.mark.parametrize(
    "path", ["/map", "/operations", "/paths", "/tags", "/compare?a=1&b=2", "/compare?a=/%3F&b=/%3F"]
)
def test_an_empty_store_is_no_error(path: str) -> None:
    assert ask(page_app(ListStore(), Counts(), PageInfo()), path).status == 200


@pytest.mark.parametrize("path", [*PAGES, f"/compare?a={quote(ATTACK)}&b={quote(ATTACK)}&rename={quote(ATTACK)}"])
def test_nothing_of_a_span_or_an_address_gets_out_of_its_place(path: str) -> None:
    hostile = [
        [
            replace(
                span,
                name=ATTACK + span.name,
                attributes={ATTACK + key: ATTACK for key in span.attributes} | span.attributes,
                resource=made("x", 1, service=ATTACK + span.service).resource,
            )
            for span in spans
        ]
        for spans in fleet(30)
    ]
    for one in (path, path.replace("service=web", f"service={quote(ATTACK + 'web')}")):
        answer = ask(page_app(ListStore(*hostile), Counts(), PageInfo()), one)
        assert answer.status == 200
        assert "<img" not in answer.text


def test_the_critical_path_says_on_whom_requests_wait_and_what_the_slow_ones_wait_for(store: ListStore) -> None:
    said = words(store, "/paths?service=web")
    assert re.search(r"What slows the .* most is SELECT in orders , \d+ ms per trace", said)
    assert "GET /checkout > POST > POST /orders > SELECT orders" in said.replace("\u203a", ">").replace(" > >", " >")
    assert "of 2 operations" not in said
    assert ", of 2 operations: search for one of them" in words(store, "/paths")


def test_the_picture_of_the_critical_path_is_as_wide_as_the_time_and_leads_to_a_trace(store: ListStore) -> None:
    text = ask(page_app(store, Counts(), PageInfo()), "/paths?service=web").text
    blocks = re.findall(r'x="([\d.]+)%" y="(\d+)" width="([\d.]+)%" height="23"><title>([^,]+),', text)
    assert blocks[0] == ("0.0", "0", "100.0", "GET /checkout")
    ends: dict[str, float] = {}
    for x, y, width, _ in blocks:
        assert float(x) >= ends.get(y, 0.0) - 0.02
        ends[y] = float(x) + float(width)
    assert max(ends.values()) <= 100.02
    assert re.search(r'<svg class="flame".*?<a href="/trace/[0-9a-f]{16}"', text, re.DOTALL)


def test_a_hop_that_lost_its_trace_is_shown_with_both_traces_and_advice(store: ListStore) -> None:
    for path in ("/map", "/map?service=mail"):
        said = words(store, path)
        assert "orders to mail : 200 calls went on in another trace." in said
        assert "Let orders inject its context into this call" in said
    lost = FLEET[0][0].trace_id
    text = ask(page_app(store, Counts(), PageInfo()), "/map").text
    assert f'<a href="/trace/{lost:016x}?span={8:016x}">' in text
    assert f'<a href="/trace/{lost + 1:016x}?span={1:016x}">' in text


def test_a_search_is_read_up_to_a_number_of_spans_and_at_least_one_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MOST_SPANS", 20)
    few = ListStore(*fleet(6))
    assert len(groups.selection(few, {"service": "web"}).rows) == 2
    assert "The 2 traces that came last, of 6 of web." in words(few, "/paths?service=web")
    monkeypatch.setattr(groups, "MOST_SPANS", 1)
    assert len(groups.selection(few, {"service": "web"}).rows) == 1


def test_too_few_requests_are_not_said_to_be_the_same(store: ListStore) -> None:
    assert "Too few requests to say what changed." in words(ListStore(*fleet(2)), "/operations?service=web")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        found = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield found
        found.close()


@pytest.fixture(scope="module")
def base(store: ListStore) -> Iterator[str]:
    with serving(store) as address:
        yield address


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_every_page_fits_its_window_without_a_complaint(base: str, browser: Any, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    for path in PAGES:
        page.goto(base + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    assert complaints == []
    page.close()


def test_the_texts_of_the_map_stand_in_their_boxes_and_do_not_cover_each_other(base: str, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(base + "/map")
    found = page.evaluate(
        """() => {
          const box = one => one.getBoundingClientRect().toJSON();
          const nodes = [...document.querySelectorAll('.map .node')].map(node =>
            ({rect: box(node.querySelector('rect')), texts: [...node.querySelectorAll('text')].map(box)}));
          return {nodes, labels: [...document.querySelectorAll('.map .label')].map(box)};
        }"""
    )
    assert len(found["nodes"]) == 7
    for node in found["nodes"]:
        assert all(text["right"] <= node["rect"]["right"] for text in node["texts"] if text["width"])
    blocks = found["labels"] + [node["rect"] for node in found["nodes"]]
    over = [
        (one, other)
        for index, one in enumerate(blocks)
        for other in blocks[:index]
        if one["left"] < other["right"] - 1
        and other["left"] < one["right"] - 1
        and one["top"] < other["bottom"] - 1
        and other["top"] < one["bottom"] - 1
    ]
    assert over == []
    page.close()


def test_a_node_leads_to_its_operations_and_they_to_traces(base: str, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(base + "/map")
    page.locator(".map .node", has_text="payments").click()
    assert page.url == f"{base}/operations?service=payments"
    page.get_by_role("link", name="slowest").first.click()
    assert "/trace/" in page.url
    page.close()


def test_sides_can_be_swapped_and_differences_have_signs(base: str, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(base + GROUPS)
    first = page.locator(".paths b.more").first.inner_text()
    assert first.startswith("+")
    page.get_by_role("link", name="Swap").click()
    assert page.locator(".paths b.less").first.inner_text() == first.replace("+", "-")
    page.close()


@pytest.fixture(scope="module")
def axe() -> str:
    found = prepare(names=("axe",))["axe"]
    if isinstance(found, Missing):
        pytest.skip(found.reason)
    return (found.packages / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_complain_of(base: str, browser: Any, axe: str, scheme: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    for path in ("/map", "/operations", "/paths?service=web", "/compare", GROUPS, TWO, "/tags?service=web"):
        page.goto(base + path)
        page.evaluate(axe)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then((all) => all.violations)")
        assert [(one["id"], [node["html"][:120] for node in one["nodes"]][:3]) for one in found] == [], path
    context.close()


def test_what_is_reached_by_the_tab_key_is_seen_to_be(base: str, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    for path in ("/map", "/paths?service=web", GROUPS, "/tags?service=web"):
        page.goto(base + path)
        reached = set()
        for _ in range(40):
            page.keyboard.press("Tab")
            seen = page.evaluate(
                "[document.activeElement.outerHTML, getComputedStyle(document.activeElement).outlineStyle]"
            )
            if not seen[0].startswith("<body"):
                assert seen[1] != "none", (path, seen)
                reached.add(seen[0])
        assert len(reached) > 12, path
    page.close()
