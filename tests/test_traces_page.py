"""The page, asked without a browser: what it answers, with which headers, and that nothing of a span gets out."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ot_bridge.traces.analyse import RULES, Finding, analyse
from ot_bridge.traces.model import Event, Link, LogRecord, Resource, Scope, Span
from ot_bridge.traces.page.app import HEADERS, Listening, PageInfo, page_app
from ot_bridge.traces.page.asked import Asked
from ot_bridge.traces.picture.bars import Window, bar
from ot_bridge.traces.picture.colours import colours
from ot_bridge.traces.picture.hops import hop_kinds
from ot_bridge.traces.picture.icicle import icicle
from ot_bridge.traces.picture.lines import lines
from ot_bridge.traces.picture.picture import Picture
from ot_bridge.traces.picture.scatter import scatter
from ot_bridge.traces.picture.templates import environment, link
from ot_bridge.traces.picture.view import View
from ot_bridge.traces.receive.inbox import Counts
from ot_bridge.traces.render.html import html_report
from ot_bridge.traces.store.errors import StoreError
from ot_bridge.traces.store.query import Found, Query, Summary
from ot_bridge.traces.tree import Trace
from traces_kept import ListStore, ask
from traces_made import MS, NOON, TRACE_ID, made

HERE = f"/trace/{TRACE_ID:032x}"
# Whoever lets one of these through lets all of them through.
ATTACKS = (
    "<script>window.stolen=1</script>",
    "<img src=x onerror=window.stolen=1>",
    '"><svg onload=window.stolen=1>',
    "'-window.stolen-'",
    "javascript:window.stolen=1",
    "</style></script><script>window.stolen=1</script>",
    "{{ 7*7 }}",
)


def shop() -> list[Span]:
    return [
        made("GET /checkout", 1, took=100, service="web", kind="server", status="error", message="502"),
        made("POST /orders", 2, 1, at=10, took=80, service="web", kind="client"),
        made("POST /orders", 3, 2, at=15, took=70, service="orders", kind="server", tags={"tenant": "acme"}),
        made("charge", 4, 3, at=20, took=40, service="orders", status="error", message="declined"),
        *(made("SELECT", 10 + n, 3, at=60 + n, took=0.5, service="orders", kind="client") for n in range(6)),
    ]


def site(*traces: list[Span], info: PageInfo | None = None) -> object:
    return page_app(ListStore(*traces), Counts(), info or PageInfo())


def picture(spans: list[Span]) -> Picture:
    return Picture(analyse(Trace(spans)).reading)


def names(found: list) -> list[str]:
    return [line.key for line in found]


def hostile(attack: str) -> list[Span]:
    """A trace with the attack in every field that holds text."""
    return [
        Span(
            trace_id=TRACE_ID,
            span_id=1 + number,
            parent_id=number,
            name=attack,
            start_ns=NOON,
            end_ns=NOON + 50 * MS,
            kind="server",
            status="error",
            message=attack,
            attributes={attack: attack, "http.url": attack, "db.statement": attack, f"baggage.{attack}": attack},
            events=(Event(NOON + MS, attack, {attack: attack, "exception.type": attack, "exception.message": attack}),),
            links=(Link(7, 8, {attack: attack}, attack),),
            resource=Resource({"service.name": f"{attack}{number}", attack: attack, "telemetry.sdk.name": attack}),
            scope=Scope(attack, attack),
            trace_state=attack,
        )
        for number in range(3)
    ]


class Parsed(HTMLParser):
    """Counts what could run in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.bad: list[str] = []
        self.scripts: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.scripts.append(dict(attrs))
        if tag in {"img", "iframe", "object", "embed", "base"}:
            self.bad.append(tag)
        for name, value in attrs:
            if name.startswith("on") or name == "style":
                self.bad.append(name)
            if name in {"href", "src", "action"} and not re.match(r"[/?#]|https?://", value or "/"):
                self.bad.append(f"{name}={value}")


# ---- Addresses ----


def test_an_unknown_trace_is_said_to_be_unknown() -> None:
    assert ask(site(shop()), "/trace/1234").status == 404


def test_a_trace_is_found_by_the_beginning_of_its_id_in_any_case() -> None:
    assert "GET /checkout" in ask(site(shop()), "/trace/" + f"{TRACE_ID:032x}"[:6].upper()).text


def test_a_trace_of_64_bits_is_found_by_the_128_bit_form_and_the_other_way_round() -> None:
    short = site([made("a", 1, trace_id=0xABCDEF0123456789)])
    long = site(shop())
    assert ask(short, "/trace/0000000000000000abcdef0123456789").status == 200
    assert ask(long, "/trace/" + f"{TRACE_ID:032x}"[16:]).status == 200


def test_an_id_that_several_traces_begin_with_lists_them() -> None:
    found = ask(site([made("a", 1, trace_id=0xAB01)], [made("a", 1, trace_id=0xAB02)]), "/trace/000000000000ab")
    assert (found.status, found.text.count('href="/trace/')) == (300, 2)


def test_an_unknown_span_is_a_notice_and_the_trace_is_shown() -> None:
    found = ask(site(shop()), f"{HERE}?span=77")
    assert "There is no span 77 in this trace." in found.text
    assert "GET /checkout" in found.text


def test_every_answer_has_the_headers_that_keep_things_from_running() -> None:
    app = site(shop())
    for path in ("/", HERE, "/nowhere", "/static/view.js", f"{HERE}/span/0000000000000001.json", "/live", "/rules"):
        assert HEADERS.items() <= ask(app, path).headers.items(), path


def test_nothing_but_the_page_s_own_files_is_served_as_static() -> None:
    app = site()
    assert [ask(app, f"/static/{name}").status for name in ("view.css", "..%2fview.css", "../app.py")] == [
        200,
        404,
        404,
    ]


def test_what_the_store_cannot_do_is_said_on_the_page() -> None:
    class Broken(ListStore):
        def search(self, query: Query) -> Found:
            raise StoreError("cannot read x.db: it is <gone>")

    found = ask(page_app(Broken(shop()), Counts(), PageInfo()), "/")
    assert (found.status, "cannot read x.db: it is &lt;gone&gt;" in found.text) == (503, True)


def test_a_page_is_only_read() -> None:
    assert ask(site(shop()), HERE, "POST").status == 405


def test_while_there_is_nothing_the_list_tells_how_to_send() -> None:
    info = PageInfo((Listening("OTLP", "127.0.0.1:4318", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318"),))
    assert "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318" in ask(site(info=info), "/").text


def test_every_rule_is_explained() -> None:
    text = ask(site(), "/rules").text
    assert [rule.key for rule in RULES if f'id="{rule.key}"' not in text] == []
    assert not re.search(r'class="rule">\s*<h2>[^<]*</h2>\s*</section>', text)


# ---- The list ----


def test_the_form_asks_the_store_for_what_it_says() -> None:
    address = {
        "service": "web", "operation": "GET /", "tags": 'http.status_code=500 error="not found"', "q": "cart",
        "min": "200ms", "max": "1.5s", "errors": "1", "last": "15 min", "to": "2026-01-01 12:00", "order": "longest",
        "limit": "50", "skip": "50",
    }  # fmt: skip
    asked = Asked.read(address, NOON)
    assert asked.problems == {}
    assert asked.query == Query(
        "web", "GET /", (("http.status_code", "500"), ("error", "not found")), "cart", 200 * MS, 1500 * MS, True,
        NOON - 900_000 * MS, NOON, "longest", 50, 50,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("field", "text"),
    [("min", "abc"), ("max", "-1s"), ("tags", "tenant"), ("tags", 'a="b'), ("errors", "2"), ("from", "yesterday")],
)
def test_what_cannot_be_read_is_said_and_left_out(field: str, text: str) -> None:
    asked = Asked.read({field: text, "service": "web"}, NOON)
    assert list(asked.problems) == [field]
    assert asked.query == Query(service="web")


def test_the_address_of_a_search_is_read_back_as_that_search() -> None:
    asked = Asked.read({"service": "a&b", "tags": "x=1", "a": "12", "skip": "20"}, NOON)
    text = ask(site(shop()), asked.address()).text
    assert 'value="a&amp;b"' in text
    assert '<input type="hidden" name="a" value="12">' in text


def test_picks_are_kept_by_a_new_search_and_put_back_by_a_second_pick() -> None:
    asked = Asked.read({"service": "web", "a": f"{TRACE_ID:032x}"}, NOON)
    assert asked.picked("a", TRACE_ID) == "/?service=web"
    assert asked.picked("b", 5) == f"/?service=web&a={TRACE_ID:032x}&b={5:016x}"
    assert asked.cleared == f"/?a={TRACE_ID:032x}"


def test_the_list_counts_what_matches_and_what_is_shown() -> None:
    traces = [[made("GET /", 1, at=n, trace_id=n + 1)] for n in range(30)]
    text = re.sub(r"<[^>]*>", "", ask(site(*traces), "/").text)
    assert "30 traces, 20 shown" in text


def test_the_script_is_told_how_many_match_now() -> None:
    assert ask(site(shop()), "/live?service=web").text == '{"version":"1","total":1,"exact":true}'


def test_a_scatter_has_each_trace_once_as_a_point_and_once_in_the_table() -> None:
    points = [Summary(n, "web", "a", NOON + n, 10**n, 1, n % 2, {}, 0) for n in range(1, 9)]
    found = scatter(points)
    assert found is not None
    assert sorted(dot.trace_id for dot in found.dots) == list(range(1, 9))
    assert [(all_, failed) for _, all_, failed in found.bands] == [(1, n % 2) for n in range(1, 9)]


# ---- Lines ----


def test_a_trace_of_few_spans_shows_them_all_and_folds_what_repeats() -> None:
    found = lines(picture(shop()), View())
    assert [(line.what, len(line.spans), line.depth) for line in found] == [
        ("span", 1, 0), ("span", 1, 1), ("span", 1, 2), ("span", 1, 3), ("run", 6, 3),
    ]  # fmt: skip


def test_a_folded_span_hides_what_is_below_it_and_nothing_else() -> None:
    whole = picture(shop())
    assert names(lines(whole, View(closed=("0000000000000002",)))) == ["0000000000000001", "0000000000000002"]


def test_the_line_that_a_link_leads_to_is_shown_though_it_was_folded() -> None:
    found = lines(picture(shop()), View(closed=("0000000000000002",), at="000000000000000c"))
    assert "000000000000000c" in names(found)


def large(number: int = 1200) -> list[Span]:
    return [
        made("root", 1, took=number),
        *(
            made(f"op {n % 7}", n, 1 + n % 3 if n > 4 else 1, at=n * 0.5, took=0.2 + n % 5)
            for n in range(2, number + 1)
        ),
    ]


def test_a_large_trace_is_first_a_summary_whose_placeholders_count_the_rest() -> None:
    whole = picture(large())
    found = lines(whole, View())
    hidden = sum(whole.trace.sizes[one] for line in found if line.what != "span" for one in line.spans)
    assert len(found) < 200
    assert sum(line.what == "span" for line in found) + hidden == 1200


def test_what_was_opened_in_a_summary_stays_open_when_something_else_is_shown() -> None:
    whole = picture(large())
    key = next(line.key for line in lines(whole, View()) if line.what != "span")
    opened = lines(whole, View(open=(key,)))
    elsewhere = lines(whole, View(open=(key,), at=whole.keys[900], shown=(whole.keys[900],)))
    assert {line.spans for line in opened if line.what == "span"} <= {
        line.spans for line in elsewhere if line.what == "span"
    }


TREES = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 50), st.integers(0, 60), st.sampled_from("abc")), max_size=40
)


def tree(parts: list[tuple[int, int, int, str]]) -> list[Span]:
    return [
        made(name, number + 1, parent % (number + 1), at=at, took=took)
        for number, (parent, at, took, name) in enumerate(parts or [(0, 0, 1, "a")])
    ]


@given(TREES, st.sets(st.integers(1, 40)))
def test_every_span_is_a_line_or_below_a_folded_one(parts: list, closed: set[int]) -> None:
    whole = picture(tree(parts))
    folded = {f"{one:016x}" for one in closed}
    found = lines(whole, View(view="all", group=False, closed=tuple(folded)))
    trace = whole.trace
    expected = [
        index for index in range(len(trace)) if not any(whole.keys[one] in folded for one in trace.ancestors(index))
    ]
    assert [line.spans[0] for line in found] == expected


@given(TREES, st.sampled_from(["all", "summary"]), st.booleans())
def test_no_span_is_in_two_lines_unless_a_run_that_is_open_names_it_too(parts: list, view: str, group: bool) -> None:
    found = lines(picture(tree(parts)), View(view=view, group=group))
    shown = [one for line in found if not (line.what != "span" and line.open) for one in line.spans]
    assert len(shown) == len(set(shown))


@given(TREES)
def test_bars_are_inside_the_picture_and_never_without_width(parts: list) -> None:
    whole = picture(tree(parts))
    window = Window(whole.start_ns, whole.start_ns + whole.duration_ns)
    for line in lines(whole, View(view="all", group=False)):
        found = bar(whole, line, window)
        assert found.x is not None
        assert float(found.width) >= 0.1
        assert 0 <= float(found.x) <= 1000


KEYS = st.lists(st.integers(0, 2**64 - 1), unique=True, max_size=8)


@given(
    st.builds(
        View,
        view=st.sampled_from(["", "all", "summary"]), group=st.booleans(), times=st.sampled_from(["raw", "aligned"]),
        q=st.text("a b&=+%#\u00e9,~", max_size=30), only=st.booleans(),
        end=st.just(0), open=KEYS.map(lambda keys: tuple(f"{'mr'[key % 2]}{key:016x}" for key in keys)),
        closed=KEYS.map(lambda keys: tuple(f"{key:016x}{'~2' if key % 3 else ''}" for key in keys)),
        row=st.integers(0, 99999),
    )
)  # fmt: skip
def test_a_view_is_read_back_from_its_address(view: View) -> None:
    from urllib.parse import parse_qsl

    assert View.read(dict(parse_qsl(view.query()[1:]))) == view


# ---- The picture of a trace ----


def test_all_lines_of_a_large_trace_come_by_pages() -> None:
    app, got = site(large()), set()
    for first in range(0, 1200, 200):
        part = ask(app, f"{HERE}?view=all&group=0&part=rows&row={first}&count=200").text
        got |= set(re.findall(r'id="s-([0-9a-f]{16})"', part))
    assert len(got) == 1200


def test_the_first_page_of_ten_thousand_spans_is_small() -> None:
    app = site(large(10_000))
    assert max(len(ask(app, HERE + query).text) for query in ("", "?view=all&group=0")) < 200_000


def test_without_a_script_there_are_links_to_the_lines_before_and_after() -> None:
    text = ask(site(large()), f"{HERE}?view=all&group=0&row=600&count=500").text
    assert text.count('class="row span"') == 500
    assert "Lines before: 600" in text
    assert "Lines after: 100" in text


def test_next_error_goes_round_and_opens_what_was_folded() -> None:
    app = site(shop())
    text = ask(app, f"{HERE}?go=error&at=0000000000000001&closed=0000000000000002&part=picture").text
    assert 'data-at="0000000000000004"' in text
    assert 'id="s-0000000000000004"' in text
    assert 'data-at="0000000000000001"' in ask(app, f"{HERE}?go=error&at=0000000000000004&part=picture").text


def test_an_inherited_error_leads_to_where_it_began() -> None:
    text = ask(site(shop()), HERE).text
    row = re.search(r'id="s-0000000000000002".*?</div>\n<div class="num', text, re.DOTALL)
    assert row is not None
    assert 'class="sign"' not in row[0]
    assert "at=0000000000000004" in row[0]
    assert "1 error below" in row[0]


def test_search_counts_matches_in_tags_and_keeps_the_ancestors_of_a_match() -> None:
    app = site(shop())
    text = ask(app, f"{HERE}?q=tenant%3DACME&only=1&part=picture").text
    assert "1 match" in text
    assert re.findall(r'id="s-([0-9a-f]+)"', text) == [f"{one:016x}" for one in (1, 2, 3)]


def test_the_details_of_a_span_hold_all_that_it_has() -> None:
    spans = shop()
    spans[2] = made(
        "POST /orders", 3, 2, at=15, took=70, service="orders", kind="server",
        tags={"tenant": "acme", "baggage.user": "u7"}, events=[Event(NOON + 20 * MS, "cache miss", {"key": "cart:7"})],
        links=[Link(0xFEED, 9, {"why": "batch"})], resource={"host.name": "box-1"}, scope=Scope("lib", "1.2"),
        dropped=(1, 0, 2), trace_state="ot=th:8",
    )  # fmt: skip
    store = ListStore()
    store.put(spans, [LogRecord(TRACE_ID, 3, NOON + 25 * MS, "WARN", "slow stock", {"n": 1})])
    text = ask(page_app(store, Counts(), PageInfo()), f"{HERE}?span=3").text
    for wanted in (
        "tenant", "acme", "<h4>Baggage</h4>", "u7", "cache miss", "cart:7", "+5.0 ms", "/trace/000000000000feed",
        "batch",
        "box-1", "lib 1.2", "1 attribute, 2 links", "ot=th:8", "WARN slow stock", f"{HERE}/span/0000000000000003.json",
    ):  # fmt: skip
        assert wanted in text, wanted


def test_the_json_of_a_span_is_all_of_it() -> None:
    import json

    found = json.loads(ask(site(shop()), f"{HERE}/span/0000000000000003.json").text)
    assert (found["spanId"], found["attributes"], found["resource"]) == (
        "0000000000000003", {"tenant": "acme"}, {"service.name": "orders"},
    )  # fmt: skip


def skewed() -> list[Span]:
    return [
        made("call", 1, took=100, service="web", kind="client", resource={"host.name": "a"}),
        made("serve", 2, 1, at=-440, took=80, service="orders", kind="server", resource={"host.name": "b"}),
    ]


def test_times_are_raw_until_aligned_ones_are_asked_for_and_then_marked() -> None:
    app = site(skewed())
    raw, aligned = ask(app, HERE).text, ask(app, f"{HERE}?times=aligned").text
    assert "The times below are as they were recorded." in raw
    assert "aligned +450 ms" not in raw
    assert "clock off +450 ms" in raw
    assert "The times below are aligned, not as they were recorded." in aligned
    assert "aligned +450 ms" in aligned


def test_two_spans_of_one_id_both_have_a_line_and_details() -> None:
    spans = [made("call", 1, kind="client", service="web"), made("serve", 1, kind="server", service="orders", at=1)]
    text = ask(site(spans), f"{HERE}?span=1~2").text
    assert re.findall(r'id="([sd]-[^"]+)"', text) == [
        "s-0000000000000001",
        "s-0000000000000001~2",
        "d-0000000000000001~2",
    ]


def test_the_icicle_has_each_span_of_the_path_once_and_the_root_over_all() -> None:
    whole = picture(shop())
    blocks = icicle(whole, Window(whole.start_ns, whole.start_ns + whole.duration_ns))
    assert sorted(one.place for one in blocks) == sorted(whole.reading.path.windows)
    assert (blocks[0].depth, blocks[0].x, blocks[0].width) == (0, "0.00%", "100.00%")


def test_the_details_say_whom_a_span_waited_for_and_how_surely() -> None:
    spans = [made("all", 1, took=30), made("load", 2, 1, took=15), made("store", 3, 1, at=15, took=15)]
    text = re.sub(r"<[^>]*>", "", ask(site(spans), f"{HERE}?span=3").text)
    assert re.search(r"Waited for\s*load \(sure\)", text)


def lost() -> tuple[list[Span], list[Span]]:
    """A call that `orders`, which reads another header, did not recognise."""
    sdk = {"telemetry.sdk.name": "opentelemetry", "telemetry.sdk.language": "go"}
    call = {"http.method": "POST", "http.url": "http://orders:80/orders"}
    caller = [
        made("GET /", 1, took=100, service="web", kind="server", resource={"jaeger.version": "Go-2"}, via="jaeger"),
        made("POST", 2, 1, at=10, took=80, service="web", kind="client", tags=call, via="jaeger"),
    ]
    callee = [
        made("POST /orders", 7, at=15, took=60, service="orders", kind="server", tags={"http.method": "POST"},
             trace_id=0xB0B, resource=sdk),
    ]  # fmt: skip
    return caller, callee


def test_a_hop_that_lost_its_context_is_among_the_findings_of_both_traces() -> None:
    app = site(*lost())
    ours, theirs = ask(app, HERE).text, ask(app, "/trace/b0b").text
    assert 'href="/trace/0000000000000b0b?span=0000000000000007#s-0000000000000007">the other trace' in ours
    assert f'href="{HERE}?span=0000000000000002#s-0000000000000002">the other trace' in theirs
    assert "orders (opentelemetry-go), which began another trace" in re.sub(r"<[^>]*>", "", theirs)


def test_only_traces_of_the_same_time_are_looked_at_and_at_most_fifty() -> None:
    caller, callee = lost()
    store = ListStore(caller, callee, *([made("x", 1, at=20, trace_id=n)] for n in range(1000, 1080)))
    asked = list[int]()
    read = store.trace
    store.trace = lambda trace_id: asked.append(trace_id) or read(trace_id)  # type: ignore[method-assign]
    ask(page_app(store, Counts(), PageInfo()), HERE)
    assert 2 < len(asked) <= 51


def test_evidence_of_one_name_is_told_apart_by_its_service_or_its_time() -> None:
    spans = [made("POST", 1, service="a"), made("POST", 2, 1, at=1, service="b"), made("GET", 3, 1, at=2, service="b")]
    whole = picture([*spans, made("GET", 4, 1, at=3, service="b")])
    found = Finding("x", "", "sure", "note", (0, 1, 2, 3))
    assert [text for _, text in whole.evidence(found, 4)] == ["a POST", "b POST", "b GET at 2.0 ms", "b GET at 3.0 ms"]


def test_hops_are_counted_with_their_libraries_header_and_certainty() -> None:
    otel = {"telemetry.sdk.name": "opentelemetry", "telemetry.sdk.language": "go"}
    spans = [
        made("a", 1, service="web", kind="client", via="jaeger"),
        *(made("b", n, 1, service="orders", kind="server", resource=otel) for n in (2, 3)),
    ]
    header = f"00-{TRACE_ID:032x}-{1:016x}-01"
    tags = {"http.request.header.traceparent": header}
    spans.append(made("c", 4, 1, service="pay", kind="server", resource=otel, tags=tags))
    found = {one.callee: one for one in hop_kinds(Trace(spans))}
    assert {name: (one.caller, one.caller_library, one.callee_library) for name, one in found.items()} == {
        "orders": ("web", "jaeger-client", "opentelemetry-go"), "pay": ("web", "jaeger-client", "opentelemetry-go"),
    }  # fmt: skip
    assert (found["orders"].hop.followed, found["pay"].hop.followed, found["pay"].hop.certainty) == (
        None, "traceparent", "sure",
    )  # fmt: skip


def fresh(took: float = 10) -> list[Span]:
    """A trace that ended a moment ago."""
    now = (time.time_ns() - NOON) / MS
    return [made("GET /", 1, at=now - took, took=took)]


def test_a_trace_is_not_finished_until_nothing_came_for_a_while() -> None:
    app, old = site(fresh()), site(shop())
    assert "data-unfinished>not finished" in ask(app, HERE).text
    assert "data-unfinished" not in ask(old, HERE).text
    assert ask(app, f"{HERE}/live").text == '{"spans":1,"logs":0,"arriving":true}'
    assert ask(old, f"{HERE}/live").text == f'{{"spans":{len(shop())},"logs":0,"arriving":false}}'
    assert ask(old, "/trace/77/live").status == 404


def test_what_is_open_does_not_change_when_its_growth_is_asked_for() -> None:
    store = ListStore(shop())
    app = page_app(store, Counts(), PageInfo())
    ask(app, HERE)
    store.put([*shop(), made("late", 50, 1, at=1)])
    assert f'"spans":{len(shop()) + 1}' in ask(app, f"{HERE}/live").text
    assert "late" not in ask(app, f"{HERE}?part=rows").text
    assert "late" in ask(app, HERE).text


# ---- Colours ----


def test_services_have_the_same_colours_in_whatever_order_they_come() -> None:
    services = [f"s{n:02d}" for n in range(40)]
    assert colours(services) == colours(reversed(services))
    assert len({colour.css for colour in colours(services).values()}) == 32


def themes() -> dict[str, dict[str, str]]:
    text = (files("ot_bridge.traces.picture") / "static" / "view.css").read_text()
    light = text[: text.index("@media")]
    dark = text[text.index(':root[data-theme="dark"] {') : text.index(':root[data-theme="light"] {')]
    return {
        name: dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", part)) for name, part in (("l", light), ("d", dark))
    }


def contrast(one: str, other: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["l", "d"])
def test_text_and_bars_stand_out_in_both_themes(theme: str) -> None:
    found = themes()[theme]
    grounds = [found["bg"], found["panel"], found["here"]]
    texts = {
        name: min(contrast(found[name], ground) for ground in grounds) for name in ("ink", "soft", "accent", "error")
    }
    bars = {f"h{n}": min(contrast(found[f"h{n}"], ground) for ground in grounds[:2]) for n in range(8)}
    assert {name: ratio for name, ratio in texts.items() if ratio < 4.5} == {}
    assert {name: ratio for name, ratio in bars.items() if ratio < 3} == {}
    for kind in ("error", "warning", "note"):
        assert contrast(found[kind], found[f"{kind}-bg"]) >= 4.5, kind


def test_the_dark_colours_of_the_switch_are_those_of_the_system() -> None:
    text = (files("ot_bridge.traces.picture") / "static" / "view.css").read_text()
    system = text[text.index('not([data-theme="light"])') : text.index(':root[data-theme="dark"] {')]
    assert dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", system)) == themes()["d"]


# ---- Hostile spans ----


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_of_a_span_becomes_a_tag_an_attribute_or_a_link_that_runs(attack: str) -> None:
    store = ListStore()
    store.put(hostile(attack), [LogRecord(TRACE_ID, 1, NOON + MS, attack, attack, {attack: attack}, attack)])
    app = page_app(store, Counts(), PageInfo())
    spans = ",".join(f"{one:016x}" for one in (1, 2, 3))
    for path in ("/", HERE, f"{HERE}?span={spans}", f"{HERE}?q={attack}", f"/?service={attack}&tags={attack}"):
        found = Parsed(ask(app, path.replace("#", "%23").replace(" ", "+")).text)
        assert found.bad == [], path
        assert [sorted(script) for script in found.scripts] == [["src", "type"]], path


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_of_a_span_runs_in_the_file(attack: str) -> None:
    found = Trace(hostile(attack), [LogRecord(TRACE_ID, 1, NOON + MS, attack, attack, {attack: attack}, attack)])
    parsed = Parsed(html_report(found, analyse(found)))
    assert parsed.bad == []
    assert parsed.scripts == [{"type": "module"}]


def test_no_template_calls_anything_of_a_span_safe() -> None:
    templates = {
        name: environment().loader.get_source(environment(), name)[0] for name in environment().list_templates()
    }
    assert [name for name, text in templates.items() if re.search(r"\|\s*safe|autoescape", text)] == []
    assert len(templates) > 5


@pytest.mark.parametrize(
    "value",
    ["javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "https://", "http:// x", "ftp://a/b", " https://a",
     "https://a\nb", "//a/b", "https://[", 5, None],
)  # fmt: skip
def test_what_is_no_address_of_the_web_is_no_link(value: object) -> None:
    assert "<a" not in link(value)


def test_an_address_of_the_web_is_a_link_that_tells_nobody_where_it_is() -> None:
    assert link('https://a/b?c="d"&e') == (
        '<a href="https://a/b?c=%22d%22&amp;e" rel="noopener noreferrer" target="_blank">'
        "https://a/b?c=&#34;d&#34;&amp;e</a>"
    )


# ---- The file ----


def test_the_file_holds_every_span_and_its_policy_allows_what_is_in_it_alone() -> None:
    import base64
    import hashlib

    found = Trace(shop())
    text = html_report(found, analyse(found))
    assert len(re.findall(r'id="s-[0-9a-f]{16}"', text)) == len(found)
    assert len(re.findall(r'id="d-[0-9a-f]{16}"', text)) == len(found)
    for name in ("style", "script"):
        inside = re.search(rf"<{name}[^>]*>(.*?)</{name}>", text, re.DOTALL)
        assert inside is not None
        assert base64.b64encode(hashlib.sha256(inside[1].encode()).digest()).decode() in text.replace("&#43;", "+")
    assert re.findall(r'(?:src|href)="(?!#)[^"]*"', text) == []


def test_odd_times_and_shapes_never_break_the_page() -> None:
    spans = [
        made("zero", 1, took=0), made("back", 2, 1, took=-5), made("self", 3, 3), made("lost", 4, 99),
        Span(TRACE_ID, 5, 1, "", 0, 2**63), Span(TRACE_ID, 6, 5, "no time", 0, 0), Span(TRACE_ID, 0, 0, "no id", 5, 6),
    ]  # fmt: skip
    app = site(spans)
    keys = ",".join(f"{one:016x}" for one in range(7))
    for query in (
        "",
        f"?span={keys}",
        "?from=1ms&to=2ms",
        "?row=99999999",
        "?times=aligned&view=summary",
        "?at=~~&span=,,",
    ):
        assert ask(app, HERE + query).status == 200, query


def test_a_chain_of_5000_is_shown() -> None:
    app = site([made(f"n{n}", n, n - 1, at=n * 0.01, took=100 - n * 0.01) for n in range(1, 5001)])
    assert ask(app, f"{HERE}?view=all&at={5000:016x}").text.count('id="s-') == 150
