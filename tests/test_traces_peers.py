from __future__ import annotations

import gzip
import http.client
import json
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaeger_made import BINARY, COMPACT, batch, body, packet, span
from ot_bridge.demo.node import NoNode, find_node
from ot_bridge.traces.receive import jaeger, zipkin
from ot_bridge.traces.receive.body import Limits
from ot_bridge.traces.receive.losses import DROPPED_BY_CLIENT, MISSING_BATCHES
from ot_bridge.traces.receive.udp import UdpReceiver, bound
from traces_receiving import Kept, eventually, serving, udp

THRIFT = {"content-type": "application/x-thrift"}
ZIPKIN = [
    {"traceId": "a" * 16, "id": "b" * 16, "name": "get", "timestamp": 1, "localEndpoint": {"serviceName": "shop"}}
]


@pytest.fixture(scope="module")
def node() -> Any:
    found = find_node()
    if isinstance(found, NoNode):
        pytest.skip(f"no Node peer: {found.reason}")
    return found


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[int, Kept]]:
    """All routes on one port, for tests that say before what they keep."""
    kept = Kept()
    routes = [
        *jaeger.routes(kept, kept.counts, Limits()),
        *zipkin.routes(kept, kept.counts, Limits()),
        *jaeger.sampling_routes(),
    ]
    with serving(routes) as port:
        yield port, kept


@pytest.fixture
def web(served: tuple[int, Kept]) -> tuple[int, Kept]:
    port, kept = served
    kept.full = False
    kept.batches.clear()
    return port, kept


def send(port: int, *packets: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for one in packets:
            client.sendto(one, ("127.0.0.1", port))


def post(port: int, path: str, data: bytes | Iterable[bytes], headers: dict[str, str]) -> tuple[int, str]:
    connection = http_connection(port)
    connection.request("POST", path, data, headers)
    response = connection.getresponse()
    answer = response.status, response.read().decode()
    connection.close()
    return answer


def http_connection(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=10)


# -- the real clients --------------------------------------------------------------------------------------------------

PYTHON_CLIENT = """
import sys, time
from jaeger_client import Config

reporting_port, sampling_port = map(int, sys.argv[1:])
agent = {"reporting_host": "127.0.0.1", "reporting_port": reporting_port, "sampling_port": sampling_port}
settings = {"local_agent": agent, "sampling_refresh_interval": 0.1, "logging": False}
if not sampling_port:
    settings["sampler"] = {"type": "const", "param": 1}
tracer = Config(settings, service_name="old-shop", validate=True).initialize_tracer()
# As installed it samples one of a thousand, and asks for more in a thread of its own.
while sampling_port and getattr(tracer.sampler.sampler, "rate", 0) != 1.0:
    time.sleep(0.01)
with tracer.start_active_span("checkout", tags={"span.kind": "server"}) as scope:
    with tracer.start_active_span("pay", tags={"span.kind": "client", "error": True}) as inner:
        inner.span.log_kv({"event": "retry", "tries": 2})
closed = tracer.close()
while not closed.done():
    time.sleep(0.01)
"""


def run_python_client(reporting_port: int, sampling_port: int = 0) -> None:
    arguments = [sys.executable, "-c", PYTHON_CLIENT, str(reporting_port), str(sampling_port)]
    subprocess.run(arguments, check=True, timeout=30, capture_output=True)


def test_the_real_jaeger_client_sends_a_trace(kept: Kept) -> None:
    with udp(kept) as port:
        run_python_client(port)
        spans = {one.name: one for one in kept.wait(2)}
    assert {name: (one.kind, one.status, one.service, one.via) for name, one in spans.items()} == {
        "checkout": ("server", "unset", "old-shop", "jaeger"),
        "pay": ("client", "error", "old-shop", "jaeger"),
    }
    assert spans["pay"].parent_id == spans["checkout"].span_id
    assert [(event.name, event.attributes) for event in spans["pay"].events] == [("retry", {"tries": 2})]
    assert str(spans["pay"].resource.attributes["opencensus.exporterversion"]).startswith("Jaeger-Python-4.")


def test_the_real_jaeger_client_is_told_to_sample_everything(web: tuple[int, Kept], kept: Kept) -> None:
    with udp(kept) as port:
        run_python_client(port, sampling_port=web[0])
        (root,) = [one for one in kept.wait(2) if not one.parent_id]
    assert (root.attributes["sampler.type"], root.attributes["sampler.param"]) == ("probabilistic", 1.0)


NODE_CLIENT = """
const { initTracer } = require("jaeger-client");
const { FORMAT_HTTP_HEADERS } = require("opentracing");
const [host, port, endpoint] = process.argv.slice(1);
const reporter = endpoint ? { collectorEndpoint: endpoint } : { agentHost: host, agentPort: Number(port) };
const config = { serviceName: "old-node", sampler: { type: "const", param: 1 }, reporter };
const tracer = initTracer(config, {});
const parent = tracer.startSpan("checkout", { tags: { "span.kind": "server", n: 3 } });
const child = tracer.startSpan("pay", { childOf: parent, tags: { error: true } });
child.log({ event: "retry", tries: 2 });
child.finish();
parent.finish();
tracer.close(() => setTimeout(() => process.exit(0), 200));
"""


@pytest.mark.parametrize("way", ["udp", "http"])
def test_the_real_jaeger_client_of_node_sends_a_trace(node: Any, way: str, kept: Kept, web: tuple[int, Kept]) -> None:
    with udp(kept) as udp_port:
        port, kept_http = web
        endpoint = f"http://127.0.0.1:{port}/api/traces" if way == "http" else ""
        subprocess.run(
            [node.command, "-e", NODE_CLIENT, "127.0.0.1", str(udp_port), endpoint],
            env={"NODE_PATH": str(node.modules), "PATH": ""},
            check=True,
            timeout=60,
            capture_output=True,
        )
        spans = {one.name: one for one in (kept_http if way == "http" else kept).wait(2)}
    assert {name: (one.kind, one.status, one.service, one.via) for name, one in spans.items()} == {
        "checkout": ("server", "unset", "old-node", "jaeger"),
        "pay": ("unspecified", "error", "old-node", "jaeger"),
    }
    assert spans["pay"].parent_id == spans["checkout"].span_id
    # Every number of Node is a double.
    assert [(event.name, event.attributes) for event in spans["pay"].events] == [("retry", {"tries": 2.0})]


# -- UDP ---------------------------------------------------------------------------------------------------------------


def test_both_protocols_are_read_from_one_port(kept: Kept) -> None:
    with udp(kept) as port:
        send(port, packet(batch(span(operationName="c")), COMPACT), packet(batch(span(operationName="b")), BINARY))
        assert [one.name for one in kept.wait(2)] == ["c", "b"]
    assert kept.counts.snapshot() == {("jaeger/udp", "spans"): 2}


def test_a_bad_packet_is_counted_with_an_example_and_stops_nothing(kept: Kept) -> None:
    good = packet(batch(span()), COMPACT)
    with udp(kept) as port:
        send(port, b"", b"hello", good[:40], good)
        kept.wait(1)
    assert kept.counts.snapshot() == {("jaeger/udp", "bad packets"): 3, ("jaeger/udp", "spans"): 1}
    example = kept.counts.examples()["jaeger/udp", "bad packets"]
    assert example == "cannot read thrift: got 40 bytes that end within a value, expected more"


def test_spans_for_which_there_is_no_room_are_counted(kept: Kept) -> None:
    kept.full = True
    with udp(kept) as port:
        send(port, packet(batch(span(), span(spanId=0)), COMPACT))
        eventually(lambda: len(kept.counts.snapshot()) == 2)
    assert kept.counts.snapshot() == {
        ("jaeger/udp", "bad spans"): 1,
        ("jaeger/udp", "spans dropped: the store could not keep up"): 1,
    }


@settings(max_examples=20, deadline=None)
@given(st.lists(st.binary(max_size=200)), st.sampled_from([b"", b"\x82\x81\x01\x09emitBatch"]))
def test_no_packets_stop_the_receiver(packets: list[bytes], head: bytes) -> None:
    kept = Kept()
    with udp(kept) as port:
        send(port, *[head + one for one in packets], packet(batch(span(operationName="last")), COMPACT))
        eventually(lambda: any(one.name == "last" for one in kept.spans))


def test_an_error_of_our_own_stops_nothing(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    with udp(kept) as port:
        monkeypatch.setattr(kept, "put", lambda *_: 1 / 0)
        send(port, packet(batch(span()), COMPACT))
        eventually(lambda: ("jaeger/udp", "errors of the receiver") in kept.counts.snapshot())
        monkeypatch.undo()
        send(port, packet(batch(span()), COMPACT))
        kept.wait(1)
    assert "ZeroDivisionError" in kept.counts.examples()["jaeger/udp", "errors of the receiver"]


def test_a_closed_receiver_ends_its_thread_and_frees_its_port(kept: Kept) -> None:
    before = threading.active_count()
    receiver = UdpReceiver(bound(0), kept, kept.counts)
    receiver.start()
    port = receiver.port
    receiver.close()
    receiver.close()
    assert threading.active_count() == before
    bound(port).close()


def test_a_receiver_that_never_began_can_be_closed(kept: Kept) -> None:
    UdpReceiver(bound(0), kept, kept.counts).close()


def test_a_socket_that_fails_is_counted_and_read_again(kept: Kept) -> None:
    class Failing(socket.socket):
        failures = 2

        def recv(self, *args: Any) -> bytes:
            if self.failures:
                self.failures -= 1
                raise ConnectionRefusedError(111, "refused")
            return super().recv(*args)

    opened = Failing(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind(("127.0.0.1", 0))
    receiver = UdpReceiver(opened, kept, kept.counts)
    receiver.start()
    send(receiver.port, packet(batch(span()), COMPACT))
    kept.wait(1)
    receiver.close()
    assert kept.counts.snapshot()["jaeger/udp", "socket errors"] == 2


def counting(seq_no: int, *dropped: int) -> bytes:
    """A body of a client that counts: the thrift classes of jaeger-client do not know these fields."""
    stats = b"".join(b"\x0a" + struct.pack(">hq", number, value) for number, value in enumerate(dropped, 1))
    return (
        body(batch(span()))[:-1] + b"\x0a\x00\x03" + struct.pack(">q", seq_no) + b"\x0c\x00\x04" + stats + b"\x00\x00"
    )


def test_what_clients_lost_is_counted_as_the_difference_to_their_last_batch(kept: Kept) -> None:
    with serving(jaeger.routes(kept, kept.counts, Limits())) as port:
        for one in (counting(10, 5, 0, 0), counting(11, 5, 0, 0), counting(14, 6, 1, 1), counting(12, 5, 1, 0)):
            assert post(port, "/api/traces", one, THRIFT) == (202, "")
    assert kept.counts.snapshot() == {
        ("jaeger/http", "spans"): 4,
        ("jaeger/http", MISSING_BATCHES): 2,
        ("jaeger/http", DROPPED_BY_CLIENT): 3,
    }
    assert kept.counts.examples()["jaeger/http", MISSING_BATCHES] == "from store"


# -- HTTP --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", [*jaeger.CONTENT_TYPES, "Application/X-Thrift; charset=x"])
def test_a_batch_is_taken_over_http(web: tuple[int, Kept], content_type: str) -> None:
    port, kept = web
    answer = post(port, "/api/traces?format=jaeger.thrift", body(batch(span())), {"content-type": content_type})
    assert (answer, len(kept.spans)) == ((202, ""), 1)


def test_a_body_in_chunks_is_taken(web: tuple[int, Kept]) -> None:
    port, kept = web
    data = body(batch(span(), span()))
    assert post(port, "/api/traces", iter([data[:50], data[50:]]), THRIFT) == (202, "")
    assert len(kept.spans) == 2


@pytest.mark.parametrize(
    ("data", "content_type", "answer"),
    [
        (b"", "application/json", "cannot read a body of type 'application/json': expected application/x-thrift or"),
        (b"", "application/x-thrift", "cannot read thrift: got 0 bytes that end within a value, expected more"),
        (body(batch(span()))[:-9], "application/x-thrift", "bytes that end within a value, expected more"),
        (body(batch(span(spanId=0))), "application/x-thrift", "got a span without its own or its trace's id"),
        (b"\x00", "application/x-thrift", "cannot read 1 bytes as a batch of Jaeger: got no list of spans"),
    ],
    ids=["type", "empty", "cut", "no-ids", "no-spans"],
)
def test_what_is_no_batch_is_refused(web: tuple[int, Kept], data: bytes, content_type: str, answer: str) -> None:
    status, said = post(web[0], "/api/traces", data, {"content-type": content_type})
    assert status == 400
    assert answer in said


def test_a_batch_for_which_there_is_no_room_is_refused(web: tuple[int, Kept]) -> None:
    port, kept = web
    kept.full = True
    assert post(port, "/api/traces", body(batch(span())), THRIFT)[0] == 503
    assert post(port, "/api/v2/spans", json.dumps(ZIPKIN).encode(), {})[0] == 503


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/sampling?service=shop", jaeger.SAMPLE_ALL),
        ("/?service=shop", jaeger.SAMPLE_ALL),
        ("/baggageRestrictions?service=shop", []),
    ],
)
def test_a_client_that_asks_is_answered(web: tuple[int, Kept], path: str, answer: object) -> None:
    connection = http_connection(web[0])
    connection.request("GET", path)
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())) == (200, answer)
    connection.close()


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/json"}, {"content-encoding": "gzip"}], ids=str)
def test_spans_of_zipkin_are_taken(web: tuple[int, Kept], headers: dict[str, str]) -> None:
    port, kept = web
    data = json.dumps(ZIPKIN).encode()
    data = gzip.compress(data) if "content-encoding" in headers else data
    assert post(port, "/api/v2/spans", data, headers) == (202, "")
    assert [(one.name, one.service, one.via) for one in kept.spans] == [("get", "shop", "zipkin")]


def test_a_bad_span_of_zipkin_is_counted_and_the_others_are_taken(web: tuple[int, Kept]) -> None:
    port, kept = web
    before = kept.counts.snapshot().get(("zipkin", "bad spans"), 0)
    assert post(port, "/api/v2/spans", json.dumps([{"id": "?"}, *ZIPKIN]).encode(), {}) == (202, "")
    assert (len(kept.spans), kept.counts.snapshot()["zipkin", "bad spans"]) == (1, before + 1)


@pytest.mark.parametrize(
    ("data", "headers", "status", "answer"),
    [
        (b"x", {}, 400, "cannot read 1 bytes as Zipkin's JSON"),
        (b"{}", {}, 400, "got an object, expected a list of spans"),
        (b'[{"id": "?"}]', {}, 400, "cannot read the traceId of a span of Zipkin"),
        (b"", {"content-type": "application/x-protobuf"}, 415, "cannot read Zipkin's protobuf: expected JSON"),
    ],
    ids=["text", "object", "no-span", "protobuf"],
)
def test_what_is_no_list_of_spans_is_refused(
    web: tuple[int, Kept], data: bytes, headers: dict[str, str], status: int, answer: str
) -> None:
    found, said = post(web[0], "/api/v2/spans", data, headers)
    assert found == status
    assert answer in said
