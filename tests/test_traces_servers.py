"""The servers: what OTLP promises for every case, who may ask, ports, and clients that are slow or mean harm."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from http2_frames import closed, half_a_message, said
from ot_bridge.errors import BridgeError
from ot_bridge.traces.receive import ports as port_module
from ot_bridge.traces.receive.body import BodyError, Limits, Room, Share
from ot_bridge.traces.receive.guard import Access
from ot_bridge.traces.receive.inbox import Counts
from ot_bridge.traces.receive.ports import ENDPOINTS, Listening, PortError, Ports, holder, port_error
from ot_bridge.traces.receive.servers import Servers
from otlp_made import LOGS, SPAN, body, proto_body, proto_span
from traces_inbox import KeepingInbox, Reply, ask
from traces_receiving import eventually

ANY = Ports(*[0] * len(Ports._fields))
NONE = Ports(*[None] * len(Ports._fields))
OTLP = NONE._replace(otlp_http=0)
JSON = {"content-type": "application/json"}
PROTOBUF = {"content-type": "application/x-protobuf"}
SMALL = Limits(body_bytes=100_000, room_bytes=3 << 20, deadline_s=0.4, connections=8)
GOOD = body(SPAN)
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@pytest.fixture(scope="module")
def inbox() -> KeepingInbox:
    return KeepingInbox()


@pytest.fixture(scope="module")
def counts() -> Counts:
    return Counts()


@pytest.fixture(scope="module")
def running(inbox: KeepingInbox, counts: Counts) -> Iterator[Servers]:
    with Servers(inbox, counts, ports=ANY) as servers:
        yield servers


@pytest.fixture
def empty(inbox: KeepingInbox) -> Iterator[KeepingInbox]:
    """The inbox of the servers that run, without what earlier tests sent."""
    inbox.batches.clear()
    inbox.logs.clear()
    yield inbox
    inbox.room = True


@pytest.fixture
def otlp(running: Servers) -> int:
    assert running.ports.otlp_http
    return running.ports.otlp_http


def status(reply: Reply) -> Any:
    """Read the error of a reply, in the type that it has."""
    if reply.headers["content-type"] == "application/json":
        return json.loads(reply.body)
    read = Status.FromString(reply.body)
    return {"code": read.code, "message": read.message}


# -- OTLP over HTTP ----------------------------------------------------------------------------------------------------


def export_span(exporter: SpanExporter, name: str) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("test").start_span(name).end()
    provider.shutdown()


def test_opentelemetrys_exporters_are_received(running: Servers, empty: KeepingInbox) -> None:
    url = f"http://localhost:{running.ports.otlp_http}/v1/traces"
    target = f"localhost:{running.ports.otlp_grpc}"
    export_span(HttpExporter(url), "http")
    export_span(HttpExporter(url, compression=Compression.Gzip), "http gzip")
    export_span(GrpcExporter(target, insecure=True), "grpc")
    export_span(GrpcExporter(target, insecure=True, compression=grpc.Compression.Gzip), "grpc gzip")
    assert empty.names() == ["grpc", "grpc gzip", "http", "http gzip"]


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (GOOD, JSON),
        (GOOD, {"content-type": "application/json; charset=utf-8"}),
        (gzip.compress(GOOD), {**JSON, "content-encoding": "gzip"}),
        (gzip.compress(GOOD[:50]) + gzip.compress(GOOD[50:]), {**JSON, "content-encoding": "gzip"}),
        (GOOD, {**JSON, "content-encoding": "identity"}),
        (proto_body(proto_span()), PROTOBUF),
    ],
    ids=["json", "charset", "gzip", "two members", "identity", "protobuf"],
)
def test_a_good_request_is_answered_in_its_type_without_partial_success(
    otlp: int, empty: KeepingInbox, data: bytes, headers: Mapping[str, str]
) -> None:
    reply = ask(otlp, "/v1/traces", data, headers)
    kind = headers["content-type"].partition(";")[0]
    assert (reply.status, reply.headers["content-type"]) == (200, kind)
    assert reply.body == (b"{}" if kind == "application/json" else b"")
    assert len(empty.batches) == 1


@pytest.mark.parametrize(("headers", "data"), [(JSON, b"{}"), (PROTOBUF, b"")], ids=["json", "protobuf"])
def test_an_empty_request_is_a_success(otlp: int, headers: Mapping[str, str], data: bytes) -> None:
    assert ask(otlp, "/v1/traces", data, headers)[::2] == (200, data)


def test_a_chunked_body_is_read(otlp: int, empty: KeepingInbox) -> None:
    with socket.create_connection(("127.0.0.1", otlp), timeout=10) as client:
        head = b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        client.sendall(head + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"".join(b"1\r\n%c\r\n" % one for one in GOOD) + b"0\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert len(empty.batches) == 1


def test_partial_success_says_how_many_and_why(otlp: int, empty: KeepingInbox) -> None:
    reply = ask(otlp, "/v1/traces", body(SPAN, {**SPAN, "spanId": ""}), JSON)
    problem = "span 'GET /cart': got a span id of 0 bytes, expected 8 bytes that are not all zero"
    message = f"1 bad span, the last: {problem}"
    assert (reply.status, json.loads(reply.body)) == (
        200,
        {"partialSuccess": {"rejectedSpans": "1", "errorMessage": message}},
    )
    again = ask(otlp, "/v1/traces", proto_body(proto_span(), proto_span(span_id=b"x")), PROTOBUF)
    assert ExportTraceServiceResponse.FromString(again.body).partial_success.rejected_spans == 1
    assert len(empty.batches) == 2


@pytest.mark.parametrize("headers", [JSON, PROTOBUF], ids=["json", "protobuf"])
@pytest.mark.parametrize(
    ("data", "more", "wanted"),
    [
        (b"\xff", {}, (400, 3)),
        (b"", {"content-encoding": "br"}, (415, 3)),
        (b"no gzip", {"content-encoding": "gzip"}, (400, 3)),
        (gzip.compress(bytes(1000))[:-9], {"content-encoding": "gzip"}, (400, 3)),
        (gzip.compress(b"{}") + b"rest", {"content-encoding": "gzip"}, (400, 3)),
        (gzip.compress(bytes(65 << 20)), {"content-encoding": "gzip"}, (413, 8)),
        (b"{}", {"host": "attacker.example"}, (421, 3)),
        (b"{}", {"origin": "https://attacker.example"}, (403, 7)),
    ],
    ids=["bad data", "br", "no gzip", "half gzip", "more than gzip", "bomb", "host", "origin"],
)
def test_an_error_is_a_status_in_the_requests_type(
    otlp: int, headers: Mapping[str, str], data: bytes, more: Mapping[str, str], wanted: tuple[int, int]
) -> None:
    reply = ask(otlp, "/v1/traces", data, {**headers, **more})
    assert reply.headers["content-type"] == headers["content-type"]
    assert (reply.status, status(reply)["code"]) == wanted
    assert status(reply)["message"]


def test_a_request_of_which_nothing_can_be_read_is_bad_data(otlp: int) -> None:
    assert ask(otlp, "/v1/traces", body({**SPAN, "traceId": ""}), JSON).status == 400


def test_what_is_not_served_is_answered_with_a_status(otlp: int) -> None:
    found = [
        ask(otlp, path, b"{}", headers, method=method).status
        for method, path, headers in [
            ("POST", "/v1/traces", {"content-type": "text/plain"}),
            ("POST", "/v1/traces", {}),
            ("GET", "/v1/traces", JSON),
            ("POST", "/v1/spans", JSON),
        ]
    ]
    assert found == [415, 415, 405, 404]


def test_no_room_means_come_again(otlp: int, empty: KeepingInbox) -> None:
    empty.room = False
    reply = ask(otlp, "/v1/traces", GOOD, JSON)
    assert (reply.status, reply.headers["retry-after"], status(reply)["code"]) == (503, "1", 14)


def test_logs_are_kept(otlp: int, empty: KeepingInbox) -> None:
    assert ask(otlp, "/v1/logs", json.dumps(LOGS).encode(), JSON)[::2] == (200, b"{}")
    assert [one.scope_logs[0].log_records[0].body.string_value for one in empty.logs] == ["paid"]


def test_metrics_are_answered_with_a_warning(otlp: int) -> None:
    reply = ask(otlp, "/v1/metrics", b"", PROTOBUF)
    partial = ExportMetricsServiceResponse.FromString(reply.body).partial_success
    assert (reply.status, partial.rejected_data_points, partial.error_message[:11]) == (200, 0, "metrics are")


# -- OTLP over gRPC ----------------------------------------------------------------------------------------------------


@pytest.fixture
def channel(running: Servers) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{running.ports.otlp_grpc}") as made:
        yield made


def call(channel: grpc.Channel, data: bytes, method: str = EXPORT, **more: Any) -> bytes:
    answer: bytes = channel.unary_unary(method)(data, timeout=20, **more)
    return answer


def refusal(channel: grpc.Channel, data: bytes, **more: Any) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, data, **more)
    return caught.value


def test_grpc_answers_as_http_does(channel: grpc.Channel, empty: KeepingInbox) -> None:
    assert call(channel, proto_body(proto_span())) == b""
    answer = call(channel, proto_body(proto_span(), proto_span(span_id=b"x")))
    assert ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans == 1
    assert len(empty.batches) == 2


def test_grpc_refuses_bad_data(channel: grpc.Channel) -> None:
    assert refusal(channel, b"\xff").code() is grpc.StatusCode.INVALID_ARGUMENT


def test_grpc_without_room_asks_to_come_again(channel: grpc.Channel, empty: KeepingInbox) -> None:
    empty.room = False
    error = refusal(channel, proto_body(proto_span()))
    details = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    retry = RetryInfo()
    assert (error.code(), details.code, details.details[0].Unpack(retry)) == (grpc.StatusCode.UNAVAILABLE, 14, True)
    assert retry.retry_delay.seconds == 1


def test_grpc_bounds_a_message_after_inflating_too(channel: grpc.Channel) -> None:
    error = refusal(channel, bytes(65 << 20), compression=grpc.Compression.Gzip)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_grpc_takes_more_than_its_usual_limit(channel: grpc.Channel, empty: KeepingInbox) -> None:
    span = proto_span()
    span.attributes.add(key="a").value.string_value = "x" * (5 << 20)
    call(channel, proto_body(span))
    assert len(empty.batches) == 1


def test_grpc_keeps_logs_and_warns_of_metrics(running: Servers, channel: grpc.Channel) -> None:
    answer = call(channel, b"", "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export")
    assert ExportMetricsServiceResponse.FromString(answer).partial_success.error_message[:11] == "metrics are"
    exporter = GrpcLogExporter(f"localhost:{running.ports.otlp_grpc}", insecure=True)
    assert exporter.export([]).name == "SUCCESS"
    exporter.shutdown()


# -- all receivers -----------------------------------------------------------------------------------------------------


def test_jaeger_and_zipkin_are_served_on_their_ports(running: Servers, empty: KeepingInbox) -> None:
    zipkin, http, sampling = running.ports.zipkin, running.ports.jaeger_http, running.ports.jaeger_sampling
    assert zipkin
    assert http
    assert sampling
    span = {"traceId": "0af7651916cd43dd8448eb211c80319c", "id": "b7ad6b7169203331", "name": "zipkin"}
    assert ask(zipkin, "/api/v2/spans", json.dumps([span]).encode(), JSON).status == 202
    assert ask(http, "/api/traces", b"\xff", {"content-type": "application/x-thrift"}).status == 400
    rate = json.loads(ask(sampling, "/sampling?service=a", method="GET").body)["probabilisticSampling"]["samplingRate"]
    assert (empty.names(), rate) == (["zipkin"], 1.0)


def test_clients_that_know_localhost_as_ipv6_are_served(running: Servers) -> None:
    try:
        client = socket.create_connection(("::1", running.ports.otlp_http or 0), timeout=10)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: [::1]:4318\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 404 ")


def test_what_listens_where_is_told(running: Servers) -> None:
    listening = running.listening()
    assert listening[0] == Listening(
        "OTLP over HTTP",
        f"127.0.0.1:{running.ports.otlp_http}",
        f"OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:{running.ports.otlp_http}",
    )
    assert len(listening) == len(ENDPOINTS) - 1  # there is no page
    assert running.ports.page is None


def test_every_port_has_a_row() -> None:
    assert {one.key: one.port for one in ENDPOINTS} == Ports()._asdict()


# -- who may ask -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:4318", "[::1]:4318", "a.localhost", "localhost."]
)
def test_the_loopbacks_names_are_known(host: str) -> None:
    assert ask_as(host) == 200


@pytest.mark.parametrize(
    "host",
    ["attacker.example", "localhost.attacker.example", "127.0.0.1.attacker.example", "10.0.0.1", "", "a@localhost"],
)
def test_other_names_are_not(host: str) -> None:
    assert ask_as(host) == 421


def ask_as(host: str) -> int:
    with Servers(KeepingInbox(), Counts(), ports=OTLP) as servers:
        return ask(servers.ports.otlp_http or 0, "/v1/traces", b"{}", {**JSON, "host": host}).status


def test_a_server_for_all_addresses_knows_addresses_and_the_names_it_is_given() -> None:
    access = Access.of("0.0.0.0", "secret", ["view"])  # noqa: S104
    assert [access.knows(one) for one in ("10.0.0.1", "view", socket.gethostname(), "attacker.example")] == [
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("origin", "wanted"),
    [
        ("http://localhost:3000", 200),
        ("https://127.0.0.1", 200),
        ("http://[::1]:5173", 200),
        ("null", 403),
        ("https://attacker.example", 403),
        ("http://localhost.attacker.example", 403),
    ],
)
def test_only_pages_of_this_machine_may_send(otlp: int, origin: str, wanted: int) -> None:
    reply = ask(otlp, "/v1/traces", b"{}", {**JSON, "origin": origin})
    assert reply.status == wanted
    assert reply.headers.get("access-control-allow-origin") == (origin if wanted == 200 else None)


def test_a_browser_is_told_before_that_it_may(otlp: int) -> None:
    asked = {
        "origin": "http://localhost:3000",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,x-a",
    }
    reply = ask(otlp, "/v1/traces", None, asked, method="OPTIONS")
    assert (reply.status, reply.headers["access-control-allow-headers"]) == (204, "content-type,x-a")
    refused = ask(otlp, "/v1/traces", None, {**asked, "origin": "https://attacker.example"}, method="OPTIONS")
    assert (refused.status, refused.headers.get("access-control-allow-origin")) == (403, None)


def test_another_address_needs_a_token() -> None:
    with pytest.raises(BridgeError, match="without a token"):
        Servers(KeepingInbox(), Counts(), host="0.0.0.0")  # noqa: S104


async def show(request: Request) -> Response:
    return PlainTextResponse(f"page {request.url.query}")


def page(_: object) -> Starlette:
    return Starlette(routes=[Route("/", show, methods=["GET", "POST"])])


@pytest.fixture(scope="module")
def guarded() -> Iterator[Servers]:
    with Servers(KeepingInbox(), Counts(), ports=ANY, token="secret", page=page) as servers:
        yield servers


def test_the_token_is_asked_of_every_receiver(guarded: Servers) -> None:
    ports = guarded.ports
    for port, path in (
        (ports.otlp_http, "/v1/traces"),
        (ports.zipkin, "/api/v2/spans"),
        (ports.jaeger_http, "/api/traces"),
    ):
        assert port
        replies = [
            ask(port, path, b"{}", {**JSON, **more}).status
            for more in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic secret"})
        ]
        assert replies == [401, 401, 401]
    assert ask(ports.otlp_http or 0, "/v1/traces", b"{}", {**JSON, "authorization": "Bearer secret"}).status == 200
    # Old clients know no token, and it tells nothing.
    assert ask(ports.jaeger_sampling or 0, "/sampling", method="GET").status == 200


def test_grpc_asks_for_the_token(guarded: Servers) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{guarded.ports.otlp_grpc}") as channel:
        assert refusal(channel, b"").code() is grpc.StatusCode.UNAUTHENTICATED
        assert call(channel, b"", metadata=(("authorization", "Bearer secret"),)) == b""


def test_the_pages_token_becomes_a_cookie(guarded: Servers) -> None:
    port = guarded.ports.page
    assert port
    assert ask(port, "/", method="GET").status == 401
    assert ask(port, "/?token=wrong", method="GET").status == 401
    reply = ask(port, "/?a=1&token=secret&b=2", method="GET")
    assert (reply.status, reply.headers["location"]) == (303, "/?a=1&b=2")
    cookie, *flags = reply.headers["set-cookie"].split("; ")
    assert "secret" not in cookie
    assert {"HttpOnly", "SameSite=strict"} <= set(flags)
    assert ask(port, "/", None, {"cookie": cookie}, method="GET").body == b"page "
    assert ask(port, "/", None, {"cookie": cookie[:-1]}, method="GET").status == 401
    assert ask(port, "//attacker.example/?token=secret", method="GET").headers["location"] == "/attacker.example/"


def test_another_sites_page_cannot_change_anything_on_the_page() -> None:
    with Servers(KeepingInbox(), Counts(), ports=NONE._replace(page=0), page=page) as servers:
        port = servers.ports.page
        assert port
        own, other = {"origin": f"http://127.0.0.1:{port}"}, {"origin": "http://127.0.0.1:1"}
        assert [ask(port, "/", b"", headers).status for headers in (own, other)] == [200, 403]
        assert "access-control-allow-origin" not in ask(port, "/", None, own, method="GET").headers


# -- ports -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", Ports._fields)
def test_a_taken_port_is_a_message_that_names_holder_and_flag(running: Servers, key: str) -> None:
    taken = getattr(running.ports, "otlp_http" if key == "page" else key)
    opened_before = ANY._replace(**{key: taken})
    with pytest.raises(PortError) as caught, Servers(KeepingInbox(), Counts(), ports=opened_before, page=page):
        pass
    (endpoint,) = [one for one in ENDPOINTS if one.key == key]
    text = str(caught.value)
    assert f" port {taken} of 127.0.0.1 for {endpoint.what}: " in text
    assert f"take another port with --{key.replace('_', '-')}-port" in text
    if sys.platform == "linux":
        assert f"(process {os.getpid()}) has it" in text


def test_when_one_port_is_taken_none_is_left_open(running: Servers) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    wanted = NONE._replace(otlp_http=free, otlp_grpc=0, jaeger_compact=0, zipkin=running.ports.zipkin)
    with pytest.raises(PortError), Servers(KeepingInbox(), Counts(), ports=wanted):
        pass
    with Servers(KeepingInbox(), Counts(), ports=NONE._replace(otlp_http=free)) as servers:
        assert servers.ports.otlp_http == free


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_another_processs_port_is_told_with_its_name() -> None:
    program = (
        "import socket, sys; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()\n"
        "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        port = int(process.stdout.readline())
        name = Path(f"/proc/{process.pid}/comm").read_text(encoding="utf-8").strip()
        assert holder(port) == f"{name} (process {process.pid})"
        process.communicate()


def test_a_holder_that_cannot_be_told_is_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert holder(4318, proc=tmp_path) == ""
    (tmp_path / "net").mkdir()
    row = "0: 0100007F:10DE 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4711 1"
    (tmp_path / "net" / "tcp").write_text(f"sl local_address\n{row}\n")
    assert holder(4318, proc=tmp_path) == "a process of another user"
    monkeypatch.setattr(port_module, "holder", lambda *_, **__: "")
    assert "another process has it" in str(port_error(ENDPOINTS[1], "127.0.0.1", 4318, OSError(98, "in use")))


@pytest.mark.parametrize(
    ("number", "text"), [(13, "it is not allowed"), (99, "this machine has no such address"), (24, "too many")]
)
def test_a_port_that_cannot_be_opened_for_another_reason_says_so(number: int, text: str) -> None:
    assert text in str(port_error(ENDPOINTS[1], "10.9.9.9", 80, OSError(number, "too many")))


# -- slow and hostile clients ------------------------------------------------------------------------------------------

HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


@pytest.fixture(scope="module")
def strict() -> Iterator[Servers]:
    """Servers with small limits."""
    with Servers(KeepingInbox(), Counts(), ports=OTLP, limits=SMALL) as servers:
        yield servers


def test_half_a_body_blocks_nobody_and_is_cut(strict: Servers) -> None:
    port = strict.ports.otlp_http or 0
    with connect(port) as slow:
        slow.sendall(HEAD % len(GOOD) + GOOD[:10])
        assert ask(port, "/v1/traces", GOOD, JSON).status == 200
        answer = everything(slow)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"got 10 bytes of the body in 0.4 s, expected all of it" in answer


def everything(client: socket.socket) -> bytes:
    """Return what the server sends until it ends the connection."""
    found = b""
    while piece := client.recv(4000):
        found += piece
    return found


def test_half_a_head_is_cut(strict: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ot_bridge.traces.receive.patience._GRACE_S", 0)
    with connect(strict.ports.otlp_http or 0) as slow:
        slow.sendall(HEAD[:30])
        assert cut(slow)


def cut(client: socket.socket) -> bool:
    """Wait until the server ends the connection."""
    try:
        return client.recv(4000) == b""
    except ConnectionResetError:
        return True


def test_many_connections_that_say_nothing_block_nobody(strict: Servers) -> None:
    port = strict.ports.otlp_http or 0
    silent = [connect(port) for _ in range(3 * SMALL.connections)]
    try:
        assert ask(port, "/v1/traces", GOOD, JSON).status == 200
        assert cut(silent[0])
    finally:
        for one in silent:
            one.close()


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
def test_a_body_beyond_the_limit_is_refused(strict: Servers, announced: bool) -> None:
    port, data = strict.ports.otlp_http or 0, b" " * (SMALL.body_bytes + 1)
    with connect(port) as client:
        if announced:
            client.sendall(HEAD % len(data) + data)
        else:
            head = HEAD.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked")
            client.sendall(head + b"%x\r\n" % len(data) + data + b"\r\n0\r\n\r\n")
        assert client.recv(4000).startswith(b"HTTP/1.1 413 ")


def test_headers_beyond_the_limit_are_refused(strict: Servers) -> None:
    with connect(strict.ports.otlp_http or 0) as client:
        client.sendall(HEAD[:-2] % 0 + b"X: " + b"x" * 100_000)
        assert client.recv(4000).startswith(b"HTTP/1.1 400 ")


def test_a_client_that_goes_away_within_its_body_is_counted() -> None:
    counts = Counts()
    with Servers(KeepingInbox(), counts, ports=OTLP) as servers:
        with connect(servers.ports.otlp_http or 0) as client:
            client.sendall(HEAD % 1000 + b"{")
        assert ask(servers.ports.otlp_http or 0, "/v1/traces", GOOD, JSON).status == 200
        for _ in range(200):
            if ("otlp/http", "bodies not read") in counts.snapshot():
                break
            threading.Event().wait(0.01)
    assert counts.examples()["otlp/http", "bodies not read"] == "the connection was closed after 1 bytes of the body"


def test_large_bodies_share_a_room_that_small_ones_do_not_need() -> None:
    room = Room(2 << 20)
    large, other, small = Share(room), Share(room), Share(room)
    large.grow(3 << 20)
    with pytest.raises(BodyError) as caught:
        other.grow(2 << 20)
    assert (caught.value.status, caught.value.retry_after_s) == (503, 1)
    small.grow(1 << 20)
    large.give_back()
    Share(room).grow(2 << 20)
    assert room.taken == 1 << 20


def test_a_body_without_room_may_come_again() -> None:
    with Servers(KeepingInbox(), Counts(), ports=OTLP, limits=Limits(room_bytes=0)) as servers:
        port = servers.ports.otlp_http or 0
        replies = [ask(port, "/v1/traces", data, JSON) for data in (b" " * (2 << 20), GOOD)]
        bomb = ask(port, "/v1/traces", gzip.compress(bytes(2 << 20)), {**JSON, "content-encoding": "gzip"})
    assert [one.status for one in (*replies, bomb)] == [503, 200, 503]
    assert replies[0].headers["retry-after"] == "1"


def test_an_error_of_the_receiver_is_counted_and_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = Counts()
    inbox = KeepingInbox()
    monkeypatch.setattr(inbox, "put", lambda *_: 1 / 0)
    with Servers(inbox, counts, ports=OTLP) as servers:
        assert ask(servers.ports.otlp_http or 0, "/v1/traces", GOOD, JSON).status == 500
    assert counts.examples()["otlp/http", "errors of the receiver"] == "ZeroDivisionError('division by zero')"


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02\x00", b"\r\n\r\n", b"GET\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], ids=repr
)
def test_what_is_no_http_is_answered_and_ends(strict: Servers, data: bytes) -> None:
    with connect(strict.ports.otlp_http or 0) as client:
        client.sendall(data + b"\r\n\r\n")
        assert everything(client)[:10] in (b"HTTP/1.1 4", b"")
    assert ask(strict.ports.otlp_http or 0, "/v1/traces", b"{}", JSON).status == 200


# -- slow and hostile clients of gRPC ----------------------------------------------------------------------------------

GRPC = NONE._replace(otlp_grpc=0)


def export_over_grpc(port: int) -> bytes:
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
        return call(channel, proto_body(proto_span()))


def test_messages_over_grpc_that_never_end_block_nobody_and_are_cut() -> None:
    counts = Counts()
    with Servers(KeepingInbox(), counts, ports=GRPC, limits=Limits(deadline_s=1)) as servers:
        port = servers.ports.otlp_grpc or 0
        slow = [half_a_message(port) for _ in range(40)]
        try:
            assert export_over_grpc(port) == b""
            assert all(b"grpc-status" in next(said(client)) for client in slow)
        finally:
            for client in slow:
                client.close()
    assert counts.snapshot() == {("otlp/grpc", "spans"): 1, ("otlp/grpc", "bodies not read"): 40}
    assert counts.examples()["otlp/grpc", "bodies not read"] == "the message did not arrive within 1 s"


def test_of_too_many_messages_that_have_begun_one_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ot_bridge.traces.receive.grpc._WAITING", 2)
    counts = Counts()
    with Servers(KeepingInbox(), counts, ports=GRPC) as servers:
        port = servers.ports.otlp_grpc or 0
        slow = [half_a_message(port) for _ in range(3)]
        try:
            eventually(lambda: counts.snapshot() == {("otlp/grpc", "bodies not read"): 1})
            text = "the message did not arrive before 2 others that began later"
            assert counts.examples()["otlp/grpc", "bodies not read"] == text
            assert export_over_grpc(port) == b""
        finally:
            for client in slow:
                client.close()


def test_connections_over_grpc_that_ask_nothing_are_closed() -> None:
    with Servers(KeepingInbox(), Counts(), ports=GRPC, limits=Limits(deadline_s=0.2, idle_s=0.2)) as servers:
        port = servers.ports.otlp_grpc or 0
        with connect(port) as silent:
            assert closed(silent)
        assert export_over_grpc(port) == b""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one address on the loopback")
def test_clients_are_told_an_address_that_they_reach() -> None:
    with Servers(KeepingInbox(), Counts(), host="127.0.0.2", ports=OTLP) as servers:
        (told,) = servers.listening()
    assert told.setting == f"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.2:{servers.ports.otlp_http}"
