"""``ot-bridge explain``: what it takes, what it prints and how it ends."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ot_bridge.cli.captured import Request, UnreadableError, decoded, header_of, requests_in

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
PARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"
UBER = f"{TRACE_ID}:{SPAN_ID}:0:1"
SECRET = "hunter2-hunter2"


def run(*arguments: str, stdin: str | bytes = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command; no terminal is there."""
    done = subprocess.run(
        [sys.executable, "-m", "ot_bridge.cli", "explain", *arguments],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **variables},
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def har(*requests: Any) -> str:
    return json.dumps({"log": {"entries": [{"request": request} for request in requests]}})


def har_request(**headers: str) -> dict[str, Any]:
    return {
        "method": "GET",
        "url": "http://shop/cart?token=1",
        "headers": [{"name": name, "value": value} for name, value in headers.items()],
    }


# -- the page ----------------------------------------------------------------------------------------------------------

PAGE = """\
Read
  uber-trace-id
    8448eb211c80319c:b7ad6b7169203331:0:3
      trace id     00000000000000008448eb211c80319c  64 bit, padded with zeros
      span id      b7ad6b7169203331
      parent id    -  not read
      flags        sampled, debug
  traceparent
    00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
      trace id     4bf92f3577b34da6a3ce929d0e0e4736  128 bit
      span id      00f067aa0ba902b7
      flags        sampled
  uberctx-user
    An+na
      baggage user  An na
  tracestate
    Foo=1
      ! dropped: member 'Foo=1', expected key=value as W3C allows them
  X-B3-TraceId
    not read: b3 is not in extract; it could not be read either. To read it:
    OT_BRIDGE_EXTRACT=jaeger,tracecontext,baggage,b3
  1 other header line without a trace in it, not shown

Formats, in the order of extract
  won         jaeger: the first valid one, its ids count
  conflict    tracecontext: names another trace,
              4bf92f3577b34da6a3ce929d0e0e4736: some hop passed this header on
              without reading it, or began a trace of its own. Here the trace of
              jaeger goes on; its tracestate is dropped

Result
  jaeger gives the ids: it comes first. The order is jaeger, tracecontext,
  baggage.
  trace id    00000000000000008448eb211c80319c
  parent      b7ad6b7169203331
  flags       sampled, debug
  baggage     user = An na
  counted     extract.jaeger, extract.tracestate_dropped,
              extract.ignored.tracecontext, extract.conflict

Sent on
  By a child span; 1111111111111111 stands for its id.
    uber-trace-id: 8448eb211c80319c:1111111111111111:0:3
    traceparent: 00-00000000000000008448eb211c80319c-1111111111111111-01
    tracestate: jaeger=d:1
    uberctx-user: An%20na
    baggage: user=An%20na
"""


def test_page_shows_field_by_field_what_was_read_what_won_and_what_is_sent_on() -> None:
    done = run(
        "uber-trace-id: 8448eb211c80319c:b7ad6b7169203331:0:3",
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "uberctx-user: An+na",
        "tracestate: Foo=1",
        "X-B3-TraceId: x",
        f"Authorization: {SECRET}",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == PAGE


def test_page_without_a_context_ends_with_1_and_says_why() -> None:
    done = run("traceparent: 00-xyz")
    assert (done.returncode, done.stderr) == (1, "")
    assert "  malformed   tracecontext: traceparent: cannot be read, expected\n" in done.stdout
    assert "No context: tracecontext cannot be read. A new trace starts here." in done.stdout
    assert done.stdout.endswith("Sent on\n  The ids of the new trace.\n")


@pytest.mark.parametrize("header", ["jaeger-debug-id: ticket-7", "baggage: k=v"])
def test_container_ends_with_1(header: str) -> None:
    done = run(header)
    assert (done.returncode, done.stderr) == (1, "")
    assert "No trace goes on: no enabled format has ids." in done.stdout


def test_refused_context_ends_with_1() -> None:
    done = run(f"traceparent: {PARENT}", OT_BRIDGE_TRUST_INCOMING="none")
    assert done.returncode == 1
    assert "refused by trust_incoming" in done.stdout


def test_prose_is_legible_at_80_columns() -> None:
    lines = run("uber-trace-id: x", f"traceparent: {PARENT}", "b3: 1", "x-datadog-trace-id: 1").stdout.splitlines()
    assert max(map(len, lines)) <= 80


def test_header_that_is_sent_on_is_in_one_line_however_long() -> None:
    value = "v" * 300
    done = run(f"traceparent: {PARENT}", f"baggage: k={value}")
    assert f"    baggage: k={value}\n" in done.stdout
    assert f"      baggage k    {'v' * 200}... (300 characters)\n" in done.stdout


def test_control_characters_and_markup_of_a_header_are_harmless() -> None:
    done = run(f"traceparent: {PARENT}", "uberctx-k: [red]%1b%5b31m%0a%e2%80%ae:smile:")
    assert "\x1b" not in done.stdout
    assert r"      baggage k    [red]\x1b[31m\n\u202e:smile:" in done.stdout


def test_page_in_ascii_only_loses_no_line() -> None:
    done = run(f"traceparent: {PARENT}", "uberctx-k: %c3%a9%e2%82%ac", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert r"  baggage     k = \xe9\u20ac" in done.stdout


# -- settings ----------------------------------------------------------------------------------------------------------


def test_options_win_over_the_variables() -> None:
    header = f"b3: {TRACE_ID}-{SPAN_ID}-1"
    assert run(header).returncode == 1
    assert run(header, OT_BRIDGE_EXTRACT="b3").returncode == 0
    assert run("--extract", "B3, jaeger", "--inject", "none", header, OT_BRIDGE_EXTRACT="jaeger").returncode == 0


def test_inject_chooses_what_is_sent() -> None:
    (request,) = json.loads(run("--json", "--inject", "b3multi", f"traceparent: {PARENT}").stdout)["requests"]
    assert dict(request["sent"]) == {"x-b3-traceid": TRACE_ID, "x-b3-spanid": "1" * 16, "x-b3-sampled": "1"}


def test_text_map_reads_raw_values() -> None:
    arguments = ("--json", f"uber-trace-id: {UBER}", "uberctx-k: a%20b")
    readings = [json.loads(run(*options, *arguments).stdout)["requests"][0] for options in ((), ("--text-map",))]
    assert [reading["context"]["baggage"]["k"] for reading in readings] == ["a b", "a%20b"]


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["--extract", "jeager", "a: b"], {}, "did you mean 'jaeger'?"),
        (["--inject", "b3,b3", "a: b"], {}, "'b3' at most once"),
        (["a: b"], {"OT_BRIDGE_EXTRACT": "tracecontxt"}, "did you mean 'tracecontext'?"),
        (["--entry", "1", "a: b"], {}, "needs the requests on stdin"),
        (["--entry", "0"], {}, "--entry"),
        (["--jsno"], {}, "--json"),
        ([], {}, "cannot read stdin: there is no request header in it"),
        ([f"a {SECRET}"], {}, "argument 1 is not a header, expected 'name: value' in quotes"),
        (["a: b", f"{SECRET} x: y"], {}, "argument 2 is not a header"),
    ],
    ids=str,
)
def test_wrong_usage_ends_with_2_and_says_what_is_wanted(
    arguments: list[str], variables: dict[str, str], said: str
) -> None:
    done = run(*arguments, **variables)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert SECRET not in done.stderr


# -- JSON --------------------------------------------------------------------------------------------------------------


def test_json_has_a_version_and_one_object_for_each_request() -> None:
    done = run("--json", stdin=har(har_request(traceparent=PARENT), har_request(cookie=SECRET)))
    answer = json.loads(done.stdout)
    assert (done.returncode, done.stderr, list(answer)) == (1, "", ["version", "requests"])
    assert answer["version"] == 1
    assert [(one["request"], one["result"]) for one in answer["requests"]] == [
        ("GET http://shop/cart", "context"),
        ("GET http://shop/cart", "nothing"),
    ]
    assert SECRET not in done.stdout


def test_json_of_one_request_has_every_part() -> None:
    (request,) = json.loads(run("--json", f"traceparent: {PARENT}").stdout)["requests"]
    assert list(request) == [
        "request", "result", "why", "context", "headers", "formats", "taken_over", "not_read", "others", "counters",
        "sent", "not_sent", "new_span_id",
    ]  # fmt: skip
    assert request["request"] is None


def test_page_of_the_manual_names_every_part_of_the_json() -> None:
    manual = (Path(__file__).parent.parent / "docs" / "explain.md").read_text(encoding="utf-8")
    (request,) = json.loads(run("--json", f"traceparent: {PARENT}", "b3: 0").stdout)["requests"]
    header = request["headers"][0]
    parts = [request, request["context"], header, header["fields"][0], request["formats"][0], request["not_read"][0]]
    assert {name for part in parts for name in part if f"`{name}`" not in manual} == set()
    assert re.findall(r"^\| `(\w+)` \|", manual, flags=re.MULTILINE) == list(request)


# -- secrets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["page", "json"])
@pytest.mark.parametrize(
    "stdin",
    [
        f"traceparent: {PARENT}\nAuthorization: Bearer {SECRET}\nCookie: a={SECRET}\n",
        f"> GET /x?key={SECRET} HTTP/1.1\n> traceparent: {PARENT}\n> Cookie: {SECRET}\n< Set-Cookie: {SECRET}\n",
        f"curl 'https://u:{SECRET}@shop/?k={SECRET}#{SECRET}' -u 'u:{SECRET}' -H 'traceparent: {PARENT}' -b '{SECRET}'",
        f"curl u:{SECRET}@shop/ -H 'traceparent: {PARENT}' -H 'X-Api-Key: {SECRET}' -d '{SECRET}'",
        har({**har_request(traceparent=PARENT, Authorization=SECRET), "url": f"https://u:{SECRET}@shop/?{SECRET}"}),
    ],
    ids=["lines", "dump", "command", "bare_command", "har"],
)
def test_no_secret_is_printed(stdin: str, options: tuple[str, ...]) -> None:
    done = run(*options, stdin=stdin)
    assert (done.returncode, done.stderr) == (0, "")
    assert TRACE_ID in done.stdout
    assert SECRET not in done.stdout


@pytest.mark.parametrize(
    "stdin", [SECRET, f"traceparent: {PARENT}\n{SECRET}", f"curl -H '{SECRET}", f'{{"{SECRET}": 1}}', f"{{{SECRET}"]
)
def test_no_secret_is_in_an_error(stdin: str) -> None:
    done = run(stdin=stdin)
    assert (done.returncode, done.stdout) == (2, "")
    assert SECRET not in done.stderr


# -- stdin -------------------------------------------------------------------------------------------------------------


def test_arguments_win_over_stdin() -> None:
    assert run(f"traceparent: {PARENT}", stdin="garbage").returncode == 0


def test_entry_takes_one_request() -> None:
    both = har(har_request(cookie="a"), har_request(traceparent=PARENT))
    assert (run(stdin=both).returncode, run("--entry", "2", stdin=both).returncode) == (1, 0)
    assert "Request 2  GET http://shop/cart" in run("--entry", "2", stdin=both).stdout
    assert "got 3, expected 1 to 2" in run("--entry", "3", stdin=both).stderr


def only(text: str) -> Request:
    (request,) = requests_in(text)
    return request


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: b\nC:d", Request(None, (("a", "b"), ("C", "d")))),
        ("  a:  b \r\n\r\n  c: \r\n", Request(None, (("a", "b"), ("c", "")))),
        ("\ufeffa: b:c", Request(None, (("a", "b:c"),))),
        ("GET /x?y HTTP/1.1\na: b\n\nbody: no", Request("GET /x", (("a", "b"),))),
        (":authority: shop\n:path: /\na: b", Request(None, (("a", "b"),))),
        ("a: 1\na: 2", Request(None, (("a", "1"), ("a", "2")))),
    ],
    ids=["two", "blanks", "mark", "raw", "browser", "twice"],
)
def test_header_lines_are_read(text: str, expected: Request) -> None:
    assert only(text) == expected


DUMP = """\
*   Trying 127.0.0.1:80...
* Connected to shop (127.0.0.1) port 80
> GET /cart?x=1 HTTP/1.1
> Host: shop
> traceparent: one
>
{ [5 bytes data]
< HTTP/1.1 302 Found
< traceparent: of-the-response
* Issue another request to this URL
> GET /basket HTTP/2
> traceparent: two
>
< HTTP/2 200
body: > no: header
"""


def test_dump_of_curl_gives_each_request_and_nothing_of_the_responses() -> None:
    assert requests_in(DUMP) == [
        Request("GET /cart", (("Host", "shop"), ("traceparent", "one"))),
        Request("GET /basket", (("traceparent", "two"),)),
    ]


def test_dump_without_a_request_is_refused() -> None:
    with pytest.raises(UnreadableError, match="there is no request header in it"):
        requests_in("* Connected\n< HTTP/1.1 200 OK\n< a: b")


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        ("curl -H 'a: b' http://shop/x", [("a", "b")]),
        ('curl http://shop/x -H "a: b" -H c:\\ d', [("a", "b"), ("c", "d")]),
        ("$ curl http://shop/x \\\n  --header 'a: b' \\\r\n --header=c:d", [("a", "b"), ("c", "d")]),
        ("curl http://shop/x -sSvH 'a: b' -Hc:d", [("a", "b"), ("c", "d")]),
        ("curl http://shop/x -H 'a;' -H 'b:' -H '' -H @file", [("a", "")]),
        ("curl http://shop/x -d '-H' -H 'a: b' --data-raw -H -XPOST -o -H", [("a", "b")]),
        ("curl http://shop/x -H $'a: it\\'s\\u0041\\x42\\n'", [("a", "it'sAB")]),
        ("curl http://shop/x -H 'a: '\\''b'\\'", [("a", "'b'")]),
        ('curl http://shop/x -H "a: \\"b\\$\\`\\\\ \\c"', [("a", '"b$`\\ \\c')]),
        ("curl http://shop/x -H 'a: b' | jq '-H' 'c: d'", [("a", "b")]),
        ('curl ^"http://shop/x^" ^\r\n  -H ^"a: b^%^" ^\r\n  -H ^"c: ^\\^"d^\\^"^"', [("a", "b%"), ("c", '"d"')]),
        ("/usr/bin/env; curl --url http://shop/x -H 'a: b'", None),
    ],
    ids=["single", "double", "lines", "short", "odd", "values", "ansi", "joined", "escapes", "pipe", "cmd", "later"],
)
def test_curl_command_is_read_as_a_shell_would(text: str, headers: list[tuple[str, str]] | None) -> None:
    if headers is None:
        with pytest.raises(UnreadableError):
            requests_in(text)
    else:
        assert only(text) == Request("curl http://shop/x", tuple(headers))


def test_all_commands_that_a_browser_copies_are_read() -> None:
    text = "curl 'http://shop/1' -H 'a: 1' ;\ncurl 'http://shop/2' -H 'a: 2' &\ncurl 'http://shop/3' && ls"
    assert [(request.label, request.headers) for request in requests_in(text)] == [
        ("curl http://shop/1", (("a", "1"),)),
        ("curl http://shop/2", (("a", "2"),)),
        ("curl http://shop/3", ()),
    ]


def test_har_gives_every_entry_without_pseudo_headers() -> None:
    request = {
        **har_request(traceparent="x"),
        "headers": [{"name": ":path", "value": "/"}, {"name": "a", "value": "b"}],
    }
    assert requests_in(har(request, request)) == [Request("GET http://shop/cart", (("a", "b"),))] * 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "it begins like JSON and is not at line 1"),
        ("[1]", "it is JSON and no HAR file: expected log.entries, each with request.headers"),
        ('{"log": {}}', "it is JSON and no HAR file"),
        ('{"log": {"entries": [{"request": {"headers": [1]}}]}}', "it is JSON and no HAR file"),
        ('{"log": {"entries": []}}', "there is no request header in it"),
        ("[" * 100_000, "it begins like JSON and is not"),
        ("", "there is no request header in it"),
        ("curl 'http://shop", "a quote of the curl command is not closed"),
        ("a: b\nnonsense", "line 2 is not 'name: value'; expected header lines, the output of curl -v, a curl command"),
    ],
    ids=lambda text: text[:20],
)
def test_text_of_no_kind_is_refused_with_what_is_wanted(text: str, said: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        requests_in(text)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_file_of_windows_is_read_too(encoding: str) -> None:
    assert only(decoded("a: \N{EURO SIGN}\r\n".encode(encoding))) == Request(None, (("a", "\N{EURO SIGN}"),))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a: b", ("a", "b")),
        ("a:b", ("a", "b")),
        ("a : b", ("a", "b")),
        ("a:", ("a", "")),
        ("a", None),
        (": b", None),
        ("a b: c", None),
        ("\N{EURO SIGN}: c", None),
    ],
)
def test_header_is_a_name_and_a_value(line: str, expected: tuple[str, str] | None) -> None:
    assert header_of(line) == expected


@given(st.one_of(st.text(), st.text("curl -H'\"\\$;|\n:ab> ^")), st.sampled_from(["", "curl ", "> ", "{", 'curl ^"']))
def test_any_text_is_read_or_refused(text: str, start: str) -> None:
    try:
        requests = requests_in(start + text)
    except UnreadableError:
        return
    assert all(type(request) is Request for request in requests)


def test_help_names_every_kind_of_input() -> None:
    words = " ".join(run("--help").stdout.split())
    for kind in ("header lines", "curl -v", "curl command", "HAR file", "OT_BRIDGE_*"):
        assert kind in words
