"""Real servers on loopback that answer as Jaeger and Tempo do, or worse."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from ot_bridge.traces import otlp
from ot_bridge.traces.query.backend import Answer, ask, split_link
from ot_bridge.traces.query.client import BackendError, Client
from traces_made import TRACE_ID
from traces_written import base64_ids, checkout, jaeger_json, otlp_json

HEX = f"{TRACE_ID:032x}"
JSON, HTML, PROTOBUF = "application/json", "text/html; charset=utf-8", "application/protobuf"


class Said(NamedTuple):
    """An answer."""

    status: int
    kind: str
    body: bytes
    headers: Mapping[str, str] = {}


class Server(NamedTuple):
    url: str
    asked: list[tuple[str, Mapping[str, str]]]


Say = Callable[[str], "Said | None"]


@contextlib.contextmanager
def serving(say: Say, otherwise: Said) -> Iterator[Server]:
    asked: list[tuple[str, Mapping[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, dict(self.headers)))
            said = say(self.path) or otherwise
            self.send_response(said.status)
            for name, value in {
                "Content-Type": said.kind,
                "Content-Length": str(len(said.body)),
                **said.headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(said.body)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{server.server_port}", asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def as_bytes(found: Any) -> bytes:
    return json.dumps(found).encode()


TRACES_DATA = ParseDict(base64_ids(otlp_json(checkout())), TracesData()).SerializeToString()


def field(number: int, data: bytes) -> bytes:
    size, prefix = len(data), bytearray([number << 3 | 2])
    while size > 127:
        prefix.append(size & 127 | 128)
        size >>= 7
    return bytes(prefix) + bytes([size]) + data


V3_PAGE = Said(200, JSON, as_bytes({"result": otlp_json(checkout())}))
V3_UNKNOWN = Said(404, JSON, as_bytes({"error": {"httpCode": 404, "message": "No traces found"}}))
V1_PAGE = Said(200, JSON, as_bytes(jaeger_json(checkout())))
V1_UNKNOWN = Said(404, JSON, as_bytes({"data": None, "total": 0, "errors": [{"code": 404, "msg": "trace not found"}]}))
SERVICES_3 = Said(200, JSON, as_bytes({"services": ["shop"]}))
SERVICES_1 = Said(200, JSON, as_bytes({"data": ["shop"], "total": 1}))
ECHO = Said(200, "text/plain", b"echo")
UI = Said(200, HTML, b"<!doctype html><title>Jaeger UI</title>")
NOTHING = Said(404, "text/plain; charset=utf-8", b"404 page not found\n")


def by_path(**said: Said) -> Say:
    """Answer by the beginning of the path; `__` stands for a slash."""
    table = {"/" + path.replace("__", "/"): one for path, one in said.items()}
    return lambda path: next((one for start, one in table.items() if path.startswith(start)), None)


def names(answer: Answer) -> list[str]:
    return sorted(span.name for span in otlp.spans(answer.contents.batches))


WHOLE = sorted(span.name for span in checkout())


# -- Jaeger ------------------------------------------------------------------------------------------------------------


def test_jaeger_is_asked_by_its_v3_api_for_raw_spans_and_a_padded_id() -> None:
    with serving(by_path(api__v3__traces=V3_PAGE), UI) as server:
        answer = ask(server.url, 0x1F, backend="jaeger")
    assert (names(answer), answer.way) == (WHOLE, "Jaeger's v3 API")
    assert [path for path, _ in server.asked] == [f"/api/v3/traces/{'1f':0>32}?rawTraces=true"]


@pytest.mark.parametrize("first", [UI, NOTHING, V3_UNKNOWN], ids=["page", "no_such_path", "unknown"])
def test_jaeger_without_v3_is_asked_as_its_page_does(first: Said) -> None:
    with serving(by_path(api__v3=first, api__traces=V1_PAGE), UI) as server:
        answer = ask(server.url, TRACE_ID, backend="jaeger")
    assert (names(answer), answer.way) == (WHOLE, "the API of Jaeger's page")
    assert server.asked[1][0] == f"/api/traces/{HEX}?raw=true"


@pytest.mark.parametrize(
    "said",
    [
        by_path(api__v3=V3_UNKNOWN, api__traces=V1_UNKNOWN),
        by_path(api__v3=UI, api__traces=V1_UNKNOWN),
        by_path(api__v3=V3_UNKNOWN),
        by_path(
            api__v3=Said(200, JSON, b'{"result":{"resourceSpans":[]}}'), api__traces=Said(200, JSON, b'{"data":[]}')
        ),
    ],
)
def test_a_trace_that_jaeger_has_not_is_said_with_its_id(said: Say) -> None:
    with serving(said, UI) as server, pytest.raises(BackendError) as caught:
        ask(server.url, TRACE_ID, backend="jaeger")
    assert str(caught.value) == (f"Jaeger at {server.url} has no trace {HEX}: it has not arrived yet, or was not kept")


def test_what_does_not_answer_as_jaeger_is_quoted() -> None:
    with serving(by_path(), Said(200, HTML, b"<h1>Shop</h1>")) as server, pytest.raises(BackendError) as caught:
        ask(server.url, TRACE_ID, backend="jaeger")
    assert "does not answer as Jaeger's query API does" in str(caught.value)
    assert f"{server.url}/api/v3/traces/{HEX} answers 200 text/html: <h1>Shop</h1>" in str(caught.value)


# -- Tempo -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "way"),
    [
        (by_path(api__v2=Said(200, PROTOBUF, field(1, TRACES_DATA) + field(2, b""))), "v2"),
        (by_path(api__v2=Said(200, JSON, as_bytes({"trace": otlp_json(checkout())}))), "v2"),
        (by_path(api__v2=NOTHING, api__traces=Said(200, PROTOBUF, TRACES_DATA)), "v1"),
        (
            by_path(
                api__v2=NOTHING,
                api__traces=Said(200, JSON, as_bytes({"batches": base64_ids(otlp_json(checkout())["resourceSpans"])})),
            ),
            "v1",
        ),
    ],
    ids=["v2_protobuf", "v2_json", "v1_protobuf", "v1_base64"],
)
def test_tempo_is_asked_for_protobuf_and_each_form_of_answer_is_read(said: Say, way: str) -> None:
    with serving(said, NOTHING) as server:
        answer = ask(server.url, TRACE_ID, backend="tempo")
    assert (names(answer), answer.way) == (WHOLE, f"Tempo's {way} API")
    assert {headers["Accept"] for _, headers in server.asked} == {PROTOBUF}


@pytest.mark.parametrize(
    "body",
    [
        field(1, TRACES_DATA) + b"\x18\x01" + field(4, b"too large"),
        as_bytes({"trace": otlp_json(checkout()), "status": "PARTIAL", "message": "too large"}),
        as_bytes({"trace": otlp_json(checkout()), "status": 1, "message": "too large"}),
    ],
    ids=["protobuf", "json_name", "json_number"],
)
def test_a_partial_trace_of_tempo_is_said(body: bytes) -> None:
    with serving(by_path(api__v2=Said(200, PROTOBUF, body)), NOTHING) as server:
        answer = ask(server.url, TRACE_ID, backend="tempo")
    assert list(answer.contents.notes) == ["Tempo says that the trace is partial: too large"]


@pytest.mark.parametrize("v2", [NOTHING, Said(200, PROTOBUF, b""), Said(200, PROTOBUF, field(1, b""))])
def test_a_trace_that_tempo_has_not_is_said(v2: Said) -> None:
    with serving(by_path(api__v2=v2), NOTHING) as server, pytest.raises(BackendError, match="has no trace"):
        ask(server.url, TRACE_ID, backend="tempo")


@pytest.mark.parametrize("body", [b"\xff" * 40, b"\x0a\xff\xff\xff\xff\xff", b"hello", b"{", b"\x0a\x02\x0a\x00"])
def test_broken_protobuf_of_tempo_is_an_error_and_no_crash(body: bytes) -> None:
    with serving(by_path(api=Said(200, PROTOBUF, body)), NOTHING) as server, pytest.raises(BackendError):
        ask(server.url, TRACE_ID, backend="tempo")


# -- which one it is ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "otherwise", "way"),
    [
        (by_path(api__v3__services=SERVICES_3, api__v3__traces=V3_PAGE), UI, "Jaeger's v3 API"),
        (by_path(api__services=SERVICES_1, api__traces=V1_PAGE), UI, "the API of Jaeger's page"),
        (by_path(api__echo=ECHO, api__traces=Said(200, PROTOBUF, TRACES_DATA)), NOTHING, "Tempo's v1 API"),
    ],
    ids=["jaeger", "old_jaeger", "tempo"],
)
def test_a_backend_is_recognised_by_what_it_answers(said: Say, otherwise: Said, way: str) -> None:
    with serving(said, otherwise) as server:
        assert ask(server.url + "/", TRACE_ID).way == way


def test_a_scheme_may_name_the_backend_and_a_path_stay_before_it() -> None:
    with serving(by_path(tempo__api__traces=Said(200, PROTOBUF, TRACES_DATA)), NOTHING) as server:
        answer = ask(f"tempo+{server.url}/tempo", TRACE_ID)
    assert answer.way == "Tempo's v1 API"


def test_what_is_neither_is_refused_with_what_to_try() -> None:
    with serving(by_path(), NOTHING) as server, pytest.raises(BackendError) as caught:
        ask(server.url, TRACE_ID)
    assert str(caught.value) == (
        f"cannot tell what answers at {server.url}: neither Jaeger's nor Tempo's query API is there; give the address "
        "before /api, or name it with --backend"
    )


def test_headers_are_sent_and_their_absence_is_told_from_a_wrong_address() -> None:
    refusal = Said(401, "text/plain", b"who are you")
    with serving(by_path(), refusal) as server:
        with pytest.raises(BackendError, match="answers 401: it wants to know who asks"):
            ask(server.url, TRACE_ID)
        with pytest.raises(BackendError):
            ask(server.url, TRACE_ID, backend="tempo", headers={"X-Scope-OrgID": "me"})
    assert server.asked[-1][1]["X-Scope-OrgID"] == "me"


@pytest.mark.parametrize("url", ["localhost:16686", "ftp://x/", "http://", "file:///etc/passwd", "jaeger+x://y"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(BackendError, match="expected http://HOST:PORT or https://HOST"):
        ask(url, TRACE_ID)


@pytest.mark.parametrize(
    ("link", "parts"),
    [
        (f"http://h:16686/trace/{HEX}?uiFind=x", ("http://h:16686", HEX)),
        ("https://h/jaeger/trace/1f/", ("https://h/jaeger", "1f")),
        (f"http://h/api/traces/{HEX}", ("http://h", HEX)),
        (f"http://h/api/v3/traces/{HEX}?rawTraces=true", ("http://h", HEX)),
        ("http://h/jaeger/", ("http://h/jaeger/", "")),
        ("http://h/trace/xyz", ("http://h/trace/xyz", "")),
    ],
)
def test_a_link_to_a_trace_is_an_address_and_an_id(link: str, parts: tuple[str, str]) -> None:
    assert split_link(link) == parts


# -- slow, huge and hostile --------------------------------------------------------------------------------------------


def test_nothing_that_listens_is_said_with_the_usual_ports() -> None:
    with serving(by_path(), NOTHING) as server:
        pass
    with pytest.raises(BackendError) as caught:
        ask(server.url, TRACE_ID)
    assert str(caught.value) == (
        f"cannot ask {server.url}/api/v3/services: nothing listens there; the query API of Jaeger is on port 16686, "
        "Tempo's on 3200"
    )


def test_an_answer_that_is_too_large_is_left_also_when_it_was_small_on_the_way() -> None:
    packed = gzip.compress(b" " * 3_000_000)
    large = {"large": Said(200, JSON, b" " * 300_000), "bomb": Said(200, JSON, packed, {"Content-Encoding": "gzip"})}
    with serving(by_path(**large), NOTHING) as server:
        for path in large:
            with pytest.raises(BackendError, match="more than 200,000 bytes"):
                Client(server.url, largest=200_000).get("/" + path)


def test_a_redirect_is_followed_on_the_same_host_alone() -> None:
    secret = {"Authorization": "Bearer hunter2"}
    with serving(by_path(), Said(200, JSON, b"stolen")) as thief:
        moved = {
            "near": Said(302, HTML, b"", {"Location": "/there"}),
            "there": Said(200, JSON, b"here"),
            "far": Said(302, HTML, b"", {"Location": thief.url}),
            "file": Said(302, HTML, b"", {"Location": "file:///etc/passwd"}),
            "round": Said(302, HTML, b"", {"Location": "/round"}),
        }
        with serving(by_path(**moved), NOTHING) as server:
            client = Client(server.url, secret)
            assert client.get("/near").body == b"here"
            with pytest.raises(BackendError, match=f"it sends to {thief.url}; not followed"):
                client.get("/far")
            with pytest.raises(BackendError, match="not followed"):
                client.get("/file")
            with pytest.raises(BackendError, match="it sent 3 times elsewhere"):
                client.get("/round")
    assert thief.asked == []


def test_a_server_that_says_nothing_or_drips_is_left_in_time() -> None:
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/drip":
                self.send_response(200)
                self.end_headers()
                with contextlib.suppress(OSError):
                    while not stop.wait(0.02):
                        self.wfile.write(b" ")
            stop.wait(20)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    client = Client(f"http://127.0.0.1:{server.server_port}", timeout_s=0.2)
    try:
        with pytest.raises(BackendError, match=r"/silent: no answer within 0\.2 s"):
            client.get("/silent")
        with pytest.raises(BackendError, match=r"/drip: no whole answer within 0\.2 s"):
            client.get("/drip")
    finally:
        stop.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("value", ["a\r\nb", "\N{EURO SIGN}"])
def test_a_header_that_cannot_be_sent_is_an_error(value: str) -> None:
    with serving(by_path(), NOTHING) as server, pytest.raises(BackendError, match="cannot ask"):
        Client(server.url, {"X": value}).get("/")


def test_an_answer_that_breaks_off_is_an_error() -> None:
    broken = Said(200, JSON, b"{", {"Content-Length": "100"})
    with serving(by_path(), broken) as server, pytest.raises(BackendError, match="cannot ask"):
        Client(server.url, timeout_s=1).get("/x")
