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

from ot_bridge.traces.page.app import PageInfo, page_app
from ot_bridge.traces.page.groups import group
from ot_bridge.traces.receive.inbox import Counts
from traces_fleet_made import fleet
from traces_kept import ListStore, ask, serving
from traces_made import made

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLEET = fleet(200)
SLOW, QUICK = "/?service=web&min=80ms", "/?service=web&max=80ms"
GROUPS = f"/compare?a={quote(QUICK)}&b={quote(SLOW)}"
TWO = f"/compare?a={FLEET[0][0].trace_id:016x}&b={FLEET[2][0].trace_id:016x}"
PAGES = ("/map", "/operations", "/tags?service=web", "/tags?pick=failed&service=web", "/compare", GROUPS, TWO, "/paths", "/paths?service=web")
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
    assert re.search(r"B takes \d+ ms longer than A at the median. This is more than chance: the shift is between \+", said)
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


@pytest.mark.parametrize("path", ["/map", "/operations", "/paths", "/tags", "/compare?a=1&b=2", "/compare?a=/%3F&b=/%3F"])
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
