"""grpcio-opentracing between a real gRPC client and server: unary and streaming calls, errors, metadata, threads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent import futures
from typing import Any, NamedTuple

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing.mocktracer import MockTracer

from agents import eventually
from compat.cells import cell, limited
from compat.shapes import shape, shapes
from libraries.requirements import needs
from ot_bridge import BridgeTracer

needs("grpcio-health-checking>=1.63", "grpcio-opentracing")
grpc = pytest.importorskip("grpc")
grpc_opentracing = pytest.importorskip("grpc_opentracing")
grpcext = pytest.importorskip("grpc_opentracing.grpcext")
health = pytest.importorskip("grpc_health.v1.health")
messages = pytest.importorskip("grpc_health.v1.health_pb2")
generated = pytest.importorskip("grpc_health.v1.health_pb2_grpc")

pytestmark = cell(
    "libraries",
    "grpcio-opentracing",
    packages=("grpcio-opentracing", "grpcio", "grpcio-health-checking", "opentracing"),
    counterpart="a gRPC client and server on loopback",
)
SERVICE = "test.Shop"
SERVED = {"component": "grpc", "peer.ipv4": "127.0.0.1"}


class Shop:
    """The service: each word that is sent is answered in capitals, some with a failure."""

    def __init__(self, tracer: BridgeTracer) -> None:
        self._tracer = tracer
        self.metadata: list[dict[str, str | bytes]] = []

    def one(self, request: StringValue, context: Any) -> StringValue:
        self.metadata.append(dict(context.invocation_metadata()))
        with self._tracer.start_active_span("work", child_of=context.get_active_span()) as scope:
            scope.span.set_tag("tenant", str(scope.span.get_baggage_item("tenant")))
            return self._answer(request, context)

    def many(self, request: StringValue, context: Any) -> Iterator[StringValue]:
        for word in request.value.split():
            yield self._answer(StringValue(value=word), context)

    def gather(self, requests: Iterator[StringValue], context: Any) -> StringValue:
        return self._answer(StringValue(value=" ".join(one.value for one in requests)), context)

    def each(self, requests: Iterator[StringValue], context: Any) -> Iterator[StringValue]:
        for request in requests:
            yield self._answer(request, context)

    def _answer(self, request: StringValue, context: Any) -> StringValue:
        if request.value == "abort":
            context.abort(grpc.StatusCode.NOT_FOUND, "no such word")
        if request.value == "code":
            context.set_code(grpc.StatusCode.NOT_FOUND)
            context.set_details("no such word")
        if request.value == "crash":
            message = "out of words"
            raise ValueError(message)
        return StringValue(value=request.value.upper())


class Stub:
    """As grpcio-tools up to 1.62 generates it."""

    def __init__(self, channel: Any) -> None:
        kinds = {"one": channel.unary_unary, "many": channel.unary_stream}
        kinds |= {"gather": channel.stream_unary, "each": channel.stream_stream}
        for name, kind in kinds.items():
            call = kind(
                f"/{SERVICE}/{name}",
                request_serializer=StringValue.SerializeToString,
                response_deserializer=StringValue.FromString,
            )
            setattr(self, name, call)


class Running(NamedTuple):
    """A server and a client of it, both traced by one tracer."""

    stub: Any
    shop: Shop
    channel: Any
    exporter: InMemorySpanExporter

    def finished(self, count: int) -> list[dict[str, Any]]:
        """Return the spans when there are so many: a server ends its span after the client has its answer."""
        assert eventually(lambda: len(self.exporter.get_finished_spans()) >= count)
        found = shapes(self.exporter.get_finished_spans())
        assert len(found) == count
        for span in found:
            if span["kind"] == "SERVER":
                assert span["attributes"].pop("peer.port") > 0
        return sorted(found, key=lambda span: (span["kind"], span["name"]))


def handlers(shop: Shop) -> Any:
    """Return what grpcio-tools up to 1.62 makes of a servicer."""
    kinds = {
        "one": grpc.unary_unary_rpc_method_handler,
        "many": grpc.unary_stream_rpc_method_handler,
        "gather": grpc.stream_unary_rpc_method_handler,
        "each": grpc.stream_stream_rpc_method_handler,
    }
    made = {
        name: kind(
            getattr(shop, name),
            request_deserializer=StringValue.FromString,
            response_serializer=StringValue.SerializeToString,
        )
        for name, kind in kinds.items()
    }
    return grpc.method_handlers_generic_handler(SERVICE, made)


@contextlib.contextmanager
def served(tracer: Any, *added: Any, **options: Any) -> Iterator[tuple[int, Any]]:
    """Run a traced server; give its port and itself."""
    interceptor = grpc_opentracing.open_tracing_server_interceptor(tracer, **options)
    server = grpcext.intercept_server(grpc.server(futures.ThreadPoolExecutor(8)), interceptor)
    port = server.add_insecure_port("127.0.0.1:0")
    server.add_generic_rpc_handlers(added)
    server.start()
    try:
        yield port, server
    finally:
        server.stop(None).wait()


@contextlib.contextmanager
def traced_channel(tracer: Any, port: int, **options: Any) -> Iterator[Any]:
    """Open a traced channel."""
    interceptor = grpc_opentracing.open_tracing_client_interceptor(tracer, **options)
    channel = grpcext.intercept_channel(grpc.insecure_channel(f"127.0.0.1:{port}"), interceptor)
    try:
        yield channel
    finally:
        channel.close()


@pytest.fixture
def running(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> Iterator[Running]:
    """A server and a client."""
    shop = Shop(tracer)
    with served(tracer, handlers(shop)) as (port, _), traced_channel(tracer, port) as channel:
        yield Running(Stub(channel), shop, channel, exporter)


def words(*values: str) -> Iterator[StringValue]:
    """Return what a client streams."""
    return (StringValue(value=value) for value in values)


def test_unary_call_is_one_trace_from_the_caller_to_the_handler(running: Running, tracer: BridgeTracer) -> None:
    with tracer.start_active_span("request"):
        assert running.stub.one(StringValue(value="tea")).value == "TEA"
    client, request, work, server = running.finished(4)
    assert client == shape("/test.Shop/one", parent="request", attributes={"component": "grpc"})
    assert request == shape("request", kind="INTERNAL")
    assert server == shape("/test.Shop/one", kind="SERVER", parent="/test.Shop/one", attributes=SERVED)
    assert work == shape("work", kind="INTERNAL", parent="/test.Shop/one", attributes={"tenant": "None"})
    assert len({span.context.trace_id for span in running.exporter.get_finished_spans()}) == 1


def test_server_span_is_the_child_of_the_client_span(running: Running, exporter: InMemorySpanExporter) -> None:
    running.stub.one(StringValue(value="tea"))
    running.finished(3)
    by_kind = {span.kind.name: span for span in exporter.get_finished_spans()}
    assert by_kind["CLIENT"].parent is None
    assert by_kind["SERVER"].parent.span_id == by_kind["CLIENT"].context.span_id
    assert by_kind["SERVER"].parent.is_remote
    # The library activates nothing in the server; the handler took the span from its context.
    assert by_kind["INTERNAL"].parent.span_id == by_kind["SERVER"].context.span_id


@pytest.mark.parametrize(
    ("method", "call", "answer"),
    [
        pytest.param("many", lambda stub: list(stub.many(StringValue(value="a b"))), ["A", "B"], id="from-server"),
        pytest.param("gather", lambda stub: [stub.gather(words("a", "b"))], ["A B"], id="from-client"),
        pytest.param("each", lambda stub: list(stub.each(words("a", "b"))), ["A", "B"], id="both-ways"),
        pytest.param("one", lambda stub: [stub.one.with_call(StringValue(value="a"))[0]], ["A"], id="with-call"),
        pytest.param("one", lambda stub: [stub.one.future(StringValue(value="a")).result()], ["A"], id="future"),
    ],
)
def test_every_kind_of_call_is_a_client_and_a_server_span(
    running: Running, tracer: BridgeTracer, method: str, call: Any, answer: list[str]
) -> None:
    with tracer.start_active_span("request"):
        assert [one.value for one in call(running.stub)] == answer
    name = f"/{SERVICE}/{method}"
    found = [span for span in running.finished(4 if method == "one" else 3) if span["kind"] != "INTERNAL"]
    assert found == [
        shape(name, parent="request", attributes={"component": "grpc"}),
        shape(name, kind="SERVER", parent=name, attributes=SERVED),
    ]


def test_metadata_and_baggage_arrive(running: Running, tracer: BridgeTracer) -> None:
    with tracer.start_active_span("request") as scope:
        # gRPC takes ASCII alone, except as bytes in what is called -bin.
        scope.span.set_baggage_item("tenant", "Z\u00fcrich")
        running.stub.one(StringValue(value="tea"), metadata=(("x-user", "ann"), ("x-raw-bin", b"\xff\x00")))
    (received,) = running.shop.metadata
    assert (received["x-user"], received["x-raw-bin"]) == ("ann", b"\xff\x00")
    assert received["uber-trace-id"].startswith(f"{scope.span.context.trace_id:032x}:")
    (work,) = [span for span in running.finished(4) if span["name"] == "work"]
    assert work["attributes"] == {"tenant": "Z\u00fcrich"}


@pytest.mark.parametrize("method", ["one", "many", "gather", "each"])
@pytest.mark.parametrize("word", ["abort", "code", "crash"])
def test_failed_call_is_an_error_on_both_sides(running: Running, method: str, word: str) -> None:
    sent: Any = words(word) if method in ("gather", "each") else StringValue(value=word)
    call = getattr(running.stub, method)
    with pytest.raises(grpc.RpcError) as caught:
        list(call(sent)) if method in ("many", "each") else call(sent)
    assert caught.value.code() == (grpc.StatusCode.UNKNOWN if word == "crash" else grpc.StatusCode.NOT_FOUND)
    found = {span["kind"]: span for span in running.finished(3 if method == "one" else 2)}
    assert (found["CLIENT"]["status"]["code"], found["SERVER"]["status"]["code"]) == ("ERROR", "ERROR")
    assert found["CLIENT"]["events"][-1]["exception.type"].startswith("grpc._channel.")
    last = found["SERVER"]["events"][-1]
    assert (last["exception.type"], last["exception.message"]) == {
        "abort": ("Exception", ""),
        "code": ("StatusCode.NOT_FOUND", "no such word"),
        "crash": ("ValueError", "out of words"),
    }[word]


def test_failed_future_is_an_error_with_its_code(running: Running) -> None:
    call = running.stub.one.future(StringValue(value="code"))
    assert call.code() == grpc.StatusCode.NOT_FOUND
    (client,) = [span for span in running.finished(3) if span["kind"] == "CLIENT"]
    assert client["status"] == {"code": "ERROR", "description": "no such word"}


def test_server_that_is_not_there_is_an_error_of_the_client(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with traced_channel(tracer, 1) as channel, pytest.raises(grpc.RpcError) as caught:
        Stub(channel).one(StringValue(value="tea"), timeout=10)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    (found,) = shapes(exporter.get_finished_spans())
    assert (found["kind"], found["status"]["code"]) == ("CLIENT", "ERROR")


def test_payloads_are_logged_when_asked_for(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    shop = Shop(tracer)
    with (
        served(tracer, handlers(shop), log_payloads=True) as (port, _),
        traced_channel(tracer, port, log_payloads=True) as channel,
    ):
        list(Stub(channel).each(words("a")))
        spans = Running(None, shop, channel, exporter).finished(2)
    logged = [{"name": "log", "request": 'value: "a"\n'}, {"name": "log", "response": 'value: "A"\n'}]
    assert [span["events"] for span in spans] == [logged, logged]


def test_decorator_sees_the_call(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    def decorate(span: Any, call: Any) -> None:
        span.set_tag("method", call.full_method)

    shop = Shop(tracer)
    with (
        served(tracer, handlers(shop), span_decorator=decorate) as (port, _),
        traced_channel(tracer, port, span_decorator=decorate) as channel,
    ):
        Stub(channel).gather(words("a"))
        spans = Running(None, shop, channel, exporter).finished(2)
    assert [span["attributes"]["method"] for span in spans] == ["/test.Shop/gather"] * 2


def test_calls_at_the_same_time_do_not_mix(running: Running, tracer: BridgeTracer) -> None:
    def request(number: int) -> None:
        with tracer.start_active_span(f"request {number}") as scope:
            scope.span.set_baggage_item("tenant", f"{number}")
            running.stub.one(StringValue(value="tea"))

    with futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(request, range(40)))
    running.finished(160)
    spans = running.exporter.get_finished_spans()
    tenants = {span.context.trace_id: span.attributes["tenant"] for span in spans if span.name == "work"}
    requests = {span.context.trace_id: span.name for span in spans if span.name.startswith("request")}
    assert len(tenants) == 40
    assert {trace_id: f"request {tenant}" for trace_id, tenant in tenants.items()} == requests


@limited(
    "a stub that grpcio-tools 1.63 or newer generated fails on a traced channel, with any tracer: generate it with "
    "grpcio-tools 1.62, whose code runs with the newest grpcio"
)
@pytest.mark.parametrize("with_bridge", [True, False], ids=["bridge", "mocktracer"])
def test_stub_of_a_newer_generator_fails(tracer: BridgeTracer, with_bridge: bool) -> None:
    chosen = tracer if with_bridge else MockTracer()
    with traced_channel(chosen, 1) as channel, pytest.raises(TypeError, match="_registered_method"):
        generated.HealthStub(channel)


def test_servicer_of_a_newer_generator_is_traced(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with served(tracer) as (port, server), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        generated.add_HealthServicer_to_server(health.HealthServicer(), server)
        generated.HealthStub(channel).Check(messages.HealthCheckRequest(), timeout=30)
    (found,) = exporter.get_finished_spans()
    assert (found.name, found.kind.name) == ("/grpc.health.v1.Health/Check", "SERVER")


@limited(
    "a traced server has no wait_for_termination(), a traced channel no with-block, with any tracer: use those of the "
    "server and the channel that were wrapped"
)
def test_wrapped_server_and_channel_lack_what_grpcio_added(tracer: BridgeTracer) -> None:
    with served(tracer) as (port, server), traced_channel(tracer, port) as channel:
        with pytest.raises(NotImplementedError):
            server.wait_for_termination(0)
        with pytest.raises(NotImplementedError):
            channel.__enter__()
