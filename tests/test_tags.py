"""OpenTracing tags: the place that each one has in the exported span, whether it was given at start or set later."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, DEFAULT_ON, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, StatusCode
from opentelemetry.trace.span import TraceState
from opentracing import Format, tags

from ot_bridge import BridgeTracer, Settings, telemetry
from spans import as_dict

Tag = tuple[str, Any]
Run = Callable[[BridgeTracer, Sequence[Tag]], None]


def _at_start(tracer: BridgeTracer, given: Sequence[Tag]) -> None:
    tracer.start_span("op", tags=dict(given)).finish()


def _after_start(tracer: BridgeTracer, given: Sequence[Tag]) -> None:
    with tracer.start_span("op") as span:
        for key, value in given:
            span.set_tag(key, value)


def _reversed(tracer: BridgeTracer, given: Sequence[Tag]) -> None:
    _after_start(tracer, list(given)[::-1])


ORDERS: dict[str, Run] = {"at-start": _at_start, "after-start": _after_start, "reversed": _reversed}
EVERY_WAY = pytest.mark.parametrize("run", ORDERS.values(), ids=ORDERS.keys())


def outcome(exporter: InMemorySpanExporter) -> dict[str, Any]:
    """Return what tags decide in the one exported span."""
    (span,) = exporter.get_finished_spans()
    plain = as_dict(span)
    return {key: plain[key] for key in ("kind", "status", "attributes")}


def expect(
    attributes: dict[str, Any] | None = None, kind: str = "INTERNAL", status: str = "UNSET", description: str = ""
) -> dict[str, Any]:
    """Return the same three keys, everything at its default unless told."""
    return {"kind": kind, "status": {"code": status, "description": description}, "attributes": attributes or {}}


# --- tags that are attributes and nothing else

PLAIN: list[tuple[str, Any, Any]] = [
    (tags.COMPONENT, "flask", "flask"),
    (tags.PEER_SERVICE, "redis", "redis"),
    (tags.PEER_HOSTNAME, "cache-1", "cache-1"),
    (tags.PEER_HOST_IPV4, "10.0.0.1", "10.0.0.1"),
    (tags.PEER_HOST_IPV6, "::1", "::1"),
    (tags.PEER_PORT, 6379, 6379),
    (tags.PEER_PORT, "6379", 6379),
    (tags.PEER_PORT, "redis", "redis"),
    (tags.PEER_PORT, "\N{SUPERSCRIPT TWO}", "\N{SUPERSCRIPT TWO}"),
    (tags.PEER_PORT, "-1", "-1"),
    (tags.PEER_PORT, "", ""),
    (tags.PEER_PORT, "9" * 5000, "9" * 5000),
    (tags.PEER_ADDRESS, "10.0.0.1:6379", "10.0.0.1:6379"),
    (tags.HTTP_METHOD, "GET", "GET"),
    (tags.HTTP_URL, "http://x/?a=b", "http://x/?a=b"),
    (tags.HTTP_STATUS_CODE, 200, 200),
    (tags.HTTP_STATUS_CODE, "200", 200),
    (tags.HTTP_STATUS_CODE, "inf", "inf"),
    (tags.HTTP_STATUS_CODE, "\N{SUPERSCRIPT TWO}", "\N{SUPERSCRIPT TWO}"),
    (tags.HTTP_STATUS_CODE, 500.0, 500.0),
    (tags.HTTP_STATUS_CODE, True, True),
    ("http.status_message", "OK", "OK"),
    (tags.DATABASE_TYPE, "sql", "sql"),
    (tags.DATABASE_INSTANCE, "customers", "customers"),
    (tags.DATABASE_STATEMENT, "SELECT 1", "SELECT 1"),
    (tags.DATABASE_USER, "ro", "ro"),
    (tags.MESSAGE_BUS_DESTINATION, "topic", "topic"),
    (tags.SERVICE, "s", "s"),
    ("sampler.type", "const", "const"),
    ("sampler.param", True, True),
    ("jaeger-debug-id", "x", "x"),
    ("otel.status_code", "nonsense", "nonsense"),
    ("otel.scope.name", "n", "n"),
    ("anything.else", "v", "v"),
]


@EVERY_WAY
@pytest.mark.parametrize(("key", "value", "expected"), PLAIN, ids=[f"{k}={str(v)[:10]!a}" for k, v, _ in PLAIN])
def test_tag_is_only_an_attribute(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, run: Run, key: str, value: object, expected: object
) -> None:
    run(tracer, [(key, value)])
    found = outcome(exporter)
    assert found == expect({key: expected})
    assert type(found["attributes"][key]) is type(expected)


def test_last_of_repeated_tags_wins(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    _after_start(tracer, [("k", 1), ("k", "two")])
    assert outcome(exporter) == expect({"k": "two"})


def test_set_tag_returns_the_span(tracer: BridgeTracer) -> None:
    with tracer.start_span("op") as span:
        for key, value in [("a", 1), ("error", True), ("error", None), ("span.kind", "client"), ("", 1)]:
            assert span.set_tag(key, value) is span


def test_the_callers_tags_are_not_changed(tracer: BridgeTracer) -> None:
    given = {"span.kind": "server", "error": True, "peer.port": "80", "sampling.priority": 1, "none": None}
    before = dict(given)
    tracer.start_span("op", tags=given).finish()
    assert given == before


def test_later_change_of_the_callers_tags_does_not_change_the_span(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    given: dict[str, Any] = {"a": 1}
    with tracer.start_span("op", tags=given):
        given["b"] = 2
    assert outcome(exporter) == expect({"a": 1})


@pytest.mark.parametrize("given", [5, "text", ["a"], [("a", 1)]], ids=["int", "text", "list", "pairs"])
def test_tags_that_are_not_a_mapping_never_raise(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, given: Any
) -> None:
    tracer.start_span("op", tags=given).finish()
    assert len(exporter.get_finished_spans()) == 1


# --- span.kind


@EVERY_WAY
@pytest.mark.parametrize("kind", ["client", "server", "producer", "consumer", "internal"])
@pytest.mark.parametrize("spelling", [str.lower, str.upper, str.title])
def test_span_kind_becomes_the_kind(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, run: Run, kind: str, spelling: Callable[[str], str]
) -> None:
    run(tracer, [("span.kind", spelling(kind))])
    assert outcome(exporter) == expect(kind=kind.upper())


@EVERY_WAY
@pytest.mark.parametrize("value", ["all-others", "", 1, 2.5, True])
def test_unknown_span_kind_is_internal_and_kept(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, run: Run, value: object
) -> None:
    run(tracer, [("span.kind", value)])
    assert outcome(exporter) == expect({"span.kind": value})


def test_last_span_kind_wins(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_span("op", tags={"span.kind": "client"}) as span:
        span.set_tag("span.kind", "server")
    assert outcome(exporter) == expect(kind="SERVER")


def test_known_span_kind_replaces_an_unknown_one(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_span("op", tags={"span.kind": "unknown"}) as span:
        span.set_tag("span.kind", "server")
    assert outcome(exporter) == expect(kind="SERVER")


def test_span_kind_none_is_ignored(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_span("op", tags={"span.kind": "client"}) as span:
        span.set_tag("span.kind", None)
    assert outcome(exporter) == expect(kind="CLIENT")


# --- what samplers and processors see at creation


class _Recorder(Sampler, SpanProcessor):
    """Keeps what a sampler and what a processor saw of each new span."""

    def __init__(self) -> None:
        self.sampled: list[tuple[SpanKind | None, dict[str, Any]]] = []
        self.started: list[tuple[SpanKind, dict[str, Any], StatusCode]] = []

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        self.sampled.append((kind, dict(attributes or {})))
        return ALWAYS_ON.should_sample(parent_context, trace_id, name, kind, attributes, links)

    def get_description(self) -> str:
        return "recorder"

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.started.append((span.kind, dict(span.attributes or {}), span.status.status_code))

    def on_end(self, span: ReadableSpan) -> None:
        """The end is of no interest here."""


def test_sampler_and_processor_see_the_initial_tags() -> None:
    recorder = _Recorder()
    provider = TracerProvider(sampler=recorder, shutdown_on_exit=False)
    provider.add_span_processor(recorder)
    BridgeTracer(provider).start_span("op", tags={"span.kind": "server", "peer.port": "80", "a": [1, 2]}).finish()
    expected = {"peer.port": 80, "a": (1, 2)}
    ((kind, seen),) = recorder.sampled
    assert (kind, {**seen, "a": tuple(seen["a"])}) == (SpanKind.SERVER, expected)
    assert recorder.started == [(SpanKind.SERVER, expected, StatusCode.UNSET)]


# --- error

TRUE = [True, "true", "True", 1, 1.0]
FALSE = [False, "false", "False", 0, 0.0]


@EVERY_WAY
@pytest.mark.parametrize("value", TRUE, ids=repr)
def test_true_error_is_the_status(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, run: Run, value: object
) -> None:
    run(tracer, [("error", value)])
    assert outcome(exporter) == expect(status="ERROR")


@EVERY_WAY
@pytest.mark.parametrize("value", FALSE, ids=repr)
def test_false_error_leaves_no_trace(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, run: Run, value: object
) -> None:
    run(tracer, [("error", value)])
    assert outcome(exporter) == expect()


@EVERY_WAY
@pytest.mark.parametrize("value", FALSE, ids=repr)
def test_false_error_is_ok_when_asked_for(
    provider: TracerProvider, exporter: InMemorySpanExporter, run: Run, value: object
) -> None:
    run(BridgeTracer(provider, settings=Settings(error_false_as_ok=True)), [("error", value)])
    assert outcome(exporter) == expect(status="OK")


@EVERY_WAY
def test_numpy_true_is_an_error(tracer: BridgeTracer, exporter: InMemorySpanExporter, run: Run) -> None:
    run(tracer, [("error", pytest.importorskip("numpy").bool_(True))])
    assert outcome(exporter) == expect(status="ERROR")


@EVERY_WAY
@pytest.mark.parametrize("value", ["connection refused", "", "0", "yes"])
def test_other_error_text_stays_an_attribute(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, run: Run, value: str
) -> None:
    run(tracer, [("error", value)])
    assert outcome(exporter) == expect({"error": value})


def test_other_error_text_warns_once(tracer: BridgeTracer, caplog: pytest.LogCaptureFixture) -> None:
    telemetry.reset()
    for _ in range(3):
        tracer.start_span("op", tags={"error": "connection refused"}).set_tag("error", "reset by peer").finish()
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


@EVERY_WAY
def test_error_exception_is_the_status_with_its_text(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, run: Run
) -> None:
    run(tracer, [("error", ValueError("boom"))])
    assert outcome(exporter) == expect(status="ERROR", description="boom")


@EVERY_WAY
def test_error_none_is_ignored(tracer: BridgeTracer, exporter: InMemorySpanExporter, run: Run) -> None:
    run(tracer, [("error", None)])
    assert outcome(exporter) == expect()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([False, True], expect(status="ERROR")),
        ([True, False], expect()),
        ([True, None], expect(status="ERROR")),
        ([True, False, True], expect(status="ERROR")),
        (["true", 0], expect()),
        (["connection refused", True], expect(status="ERROR")),
        (["connection refused", False], expect()),
        ([ValueError("boom"), False], expect()),
    ],
    ids=repr,
)
def test_last_error_wins(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, given: list[Any], expected: dict[str, Any]
) -> None:
    with tracer.start_span("op", tags={"error": given[0]}) as span:
        for value in given[1:]:
            span.set_tag("error", value)
    assert outcome(exporter) == expected


def test_last_error_wins_over_an_earlier_ok_when_false_is_ok(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    with BridgeTracer(provider, settings=Settings(error_false_as_ok=True)).start_span("op") as span:
        span.set_tag("error", False).set_tag("error", True)
    assert outcome(exporter) == expect(status="ERROR")


def test_false_error_does_not_undo_a_status_that_opentelemetry_set(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_span("op") as span:
        span.unwrap().set_status(StatusCode.ERROR, "native")
        span.set_tag("error", False)
    assert outcome(exporter) == expect(status="ERROR", description="native")


# --- the description of the status


@EVERY_WAY
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"http.status_message": "Not Found"}, "Not Found"),
        ({"otel.status_description": "d"}, "d"),
        ({"otel.status_description": "d", "http.status_message": "Not Found"}, "d"),
    ],
    ids=["http.status_message", "otel.status_description", "both"],
)
def test_error_description_comes_from(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, run: Run, given: dict[str, str], expected: str
) -> None:
    run(tracer, [("error", True), *given.items()])
    found = outcome(exporter)
    assert found["status"] == {"code": "ERROR", "description": expected}
    assert found["attributes"] == {key: value for key, value in given.items() if key.startswith("http")}


@pytest.mark.parametrize("log_first", [True, False], ids=["log-then-tag", "tag-then-log"])
def test_error_description_comes_from_an_error_log(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, log_first: bool
) -> None:
    with tracer.start_span("op") as span:
        if log_first:
            span.log_kv({"event": "error", "message": "boom"})
        span.set_tag("error", True)
        if not log_first:
            span.log_kv({"event": "error", "message": "boom"})
    assert outcome(exporter) == expect(status="ERROR", description="boom")


def test_error_description_prefers_a_tag_over_a_log(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_span("op", tags={"error": True, "http.status_message": "Not Found"}) as span:
        span.log_kv({"event": "error", "message": "boom"})
    assert outcome(exporter)["status"] == {"code": "ERROR", "description": "Not Found"}


def test_description_without_an_error_is_dropped_without_a_warning(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    with tracer.start_span("op", tags={"http.status_message": "OK", "otel.status_code": "OK"}) as span:
        span.log_kv({"event": "error", "message": "boom"})
    assert outcome(exporter) == expect({"http.status_message": "OK"}, status="OK")
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


# --- otel.status_code


@EVERY_WAY
@pytest.mark.parametrize(
    ("code", "expected"),
    [("OK", "OK"), ("ok", "OK"), ("ERROR", "ERROR"), ("Error", "ERROR"), ("UNSET", "UNSET")],
)
def test_otel_status_code_is_the_status(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, run: Run, code: str, expected: str
) -> None:
    run(tracer, [("otel.status_code", code)])
    assert outcome(exporter) == expect(status=expected)


@EVERY_WAY
def test_otel_status_code_stands_beside_a_false_error(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, run: Run
) -> None:
    run(tracer, [("error", False), ("otel.status_code", "ERROR"), ("otel.status_description", "d")])
    assert outcome(exporter) == expect(status="ERROR", description="d")


# --- the status that an HTTP code implies

HTTP: list[tuple[str | None, Any, str]] = [
    *((kind, code, "ERROR") for kind in (None, "client", "server", "producer", "consumer") for code in (500, 503, 599)),
    *(
        (kind, code, "ERROR")
        for kind in (None, "client", "producer", "consumer", "internal")
        for code in (400, 404, 499)
    ),
    *(("server", code, "UNSET") for code in (400, 404, 499)),
    *((kind, code, "UNSET") for kind in (None, "client", "server") for code in (100, 101, 200, 302, 399)),
    *((kind, code, "ERROR") for kind in (None, "client", "server") for code in (0, 10, 99)),
    ("client", "404", "ERROR"),
    ("server", "404", "UNSET"),
    ("server", "500", "ERROR"),
    ("client", "inf", "UNSET"),
    ("client", 500.0, "UNSET"),
    ("client", True, "UNSET"),
]


@EVERY_WAY
@pytest.mark.parametrize(("kind", "code", "status"), HTTP, ids=[f"{kind}-{code!r}" for kind, code, _ in HTTP])
def test_http_status_code_implies_the_status(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, run: Run, kind: str | None, code: Any, status: str
) -> None:
    run(tracer, [("http.status_code", code), *([("span.kind", kind)] if kind else [])])
    assert outcome(exporter)["status"] == {"code": status, "description": ""}


@EVERY_WAY
@pytest.mark.parametrize(
    ("given", "status", "description"),
    [
        ([("error", True), ("http.status_code", 200)], "ERROR", ""),
        ([("error", False), ("http.status_code", 500)], "ERROR", ""),
        ([("otel.status_code", "OK"), ("http.status_code", 500)], "OK", ""),
        ([("http.status_code", 500), ("http.status_message", "Oops")], "ERROR", "Oops"),
    ],
    ids=["error-and-200", "no-error-and-500", "ok-and-500", "message-and-500"],
)
def test_http_status_code_gives_way(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, run: Run, given: list[Tag], status: str, description: str
) -> None:
    run(tracer, given)
    assert outcome(exporter)["status"] == {"code": status, "description": description}


def test_http_status_code_does_not_undo_a_status_that_opentelemetry_set(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_span("op", tags={"http.status_code": 500}) as span:
        span.unwrap().set_status(StatusCode.OK)
    assert outcome(exporter)["status"] == {"code": "OK", "description": ""}


def test_status_from_http_can_be_switched_off(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    tracer = BridgeTracer(provider, settings=Settings(status_from_http=False))
    tracer.start_span("op", tags={"http.status_code": 500}).finish()
    assert outcome(exporter) == expect({"http.status_code": 500})


# --- sampling.priority


def _sampled_by(sampler: Sampler, exporter: InMemorySpanExporter) -> BridgeTracer:
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return BridgeTracer(provider)


@pytest.mark.parametrize("value", [1, 2, True, "1", 0.5], ids=repr)
def test_positive_sampling_priority_at_start_forces_a_debug_span(exporter: InMemorySpanExporter, value: object) -> None:
    span = _sampled_by(ALWAYS_OFF, exporter).start_span("op", tags={"first": 1, "sampling.priority": value})
    span.finish()
    assert (span.context.sampled, span.context.debug) == (True, True)
    assert outcome(exporter)["attributes"] == {"first": 1, "sampling.priority": value, "jaeger.debug": True}


@pytest.mark.parametrize("value", [0, False, "0", 0.0], ids=repr)
def test_zero_sampling_priority_at_start_drops_the_span(exporter: InMemorySpanExporter, value: object) -> None:
    tracer = _sampled_by(DEFAULT_ON, exporter)
    span = tracer.start_span("op", tags={"first": 1, "sampling.priority": value})
    tracer.start_span("child", child_of=span).finish()
    span.finish()
    assert (span.context.sampled, span.context.debug, span.context.is_valid) == (False, False, True)
    assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize("value", [-1, float("nan"), "high", [1], None], ids=repr)
@pytest.mark.parametrize("run", [_at_start, _after_start], ids=["at-start", "after-start"])
def test_unusable_sampling_priority_decides_nothing(run: Run, value: Any) -> None:
    kept, lost = InMemorySpanExporter(), InMemorySpanExporter()
    run(_sampled_by(ALWAYS_ON, kept), [("sampling.priority", value)])
    run(_sampled_by(ALWAYS_OFF, lost), [("sampling.priority", value)])
    assert len(lost.get_finished_spans()) == 0
    (span,) = kept.get_finished_spans()
    assert "jaeger.debug" not in (span.attributes or {})


def test_unusable_sampling_priority_stays_an_attribute(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    tracer.start_span("op", tags={"sampling.priority": "high"}).finish()
    assert outcome(exporter) == expect({"sampling.priority": "high"})


def test_zero_sampling_priority_after_start_stops_export_of_span_and_children(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    span = tracer.start_span("op")
    early = tracer.start_span("early child", child_of=span)
    span.set_tag("sampling.priority", 0)
    late = tracer.start_span("late child", child_of=span)
    headers: dict[str, str] = {}
    tracer.inject(span.context, Format.HTTP_HEADERS, headers)
    for each in (late, early, span):
        each.finish()
    assert [each.name for each in exporter.get_finished_spans()] == ["early child"]
    assert (late.context.sampled, late.context.trace_id) == (False, span.context.trace_id)
    assert headers["uber-trace-id"].endswith(":0")


def test_positive_sampling_priority_after_start_makes_debug(tracer: BridgeTracer) -> None:
    with tracer.start_span("op") as span:
        span.set_tag("sampling.priority", 1)
        child = tracer.start_span("child", child_of=span)
        headers: dict[str, str] = {}
        tracer.inject(span.context, Format.HTTP_HEADERS, headers)
        child.finish()
    assert (span.context.debug, child.context.debug) == (True, True)
    assert headers["uber-trace-id"].endswith(":3")


def test_positive_sampling_priority_on_an_unsampled_span_changes_the_flags_only(exporter: InMemorySpanExporter) -> None:
    tracer = _sampled_by(ALWAYS_OFF, exporter)
    with tracer.start_span("op") as span:
        span.set_tag("sampling.priority", 1)
        headers: dict[str, str] = {}
        tracer.inject(span.context, Format.HTTP_HEADERS, headers)
    assert headers["uber-trace-id"].endswith(":3")
    assert exporter.get_finished_spans() == ()


def test_debug_child_of_a_local_debug_root_carries_no_mark(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_span("root", tags={"sampling.priority": 1}) as root:
        tracer.start_span("child", child_of=root).finish()
    child = as_dict(exporter.get_finished_spans()[0])
    assert (child["name"], child["attributes"]) == ("child", {})


# --- the current names, when asked for

SERVER = [("span.kind", "server")]
CLIENT = [("span.kind", "client")]

NEW: list[tuple[str, list[Tag], dict[str, Any]]] = [
    ("component", [("component", "flask")], {"component": "flask"}),
    ("peer.service", [("peer.service", "redis")], {"service.peer.name": "redis"}),
    ("peer.hostname-client", [*CLIENT, ("peer.hostname", "h")], {"server.address": "h"}),
    ("peer.hostname-server", [*SERVER, ("peer.hostname", "h")], {"client.address": "h"}),
    (
        "peer.ipv4-client",
        [*CLIENT, ("peer.ipv4", "10.0.0.1")],
        {"network.peer.address": "10.0.0.1", "server.address": "10.0.0.1"},
    ),
    (
        "peer.ipv6-server",
        [*SERVER, ("peer.ipv6", "::1")],
        {"network.peer.address": "::1", "client.address": "::1"},
    ),
    (
        "peer.hostname-beats-ipv4",
        [*CLIENT, ("peer.ipv4", "10.0.0.1"), ("peer.hostname", "h")],
        {"network.peer.address": "10.0.0.1", "server.address": "h"},
    ),
    ("http.method", [("http.method", "GET")], {"http.request.method": "GET"}),
    (
        "http.method-unknown",
        [("http.method", "BREW")],
        {"http.request.method": "_OTHER", "http.request.method_original": "BREW"},
    ),
    ("http.status_code", [("http.status_code", "200")], {"http.response.status_code": 200}),
    ("http.url-client", [*CLIENT, ("http.url", "http://h:8080/a?b=c")], {"url.full": "http://h:8080/a?b=c"}),
    (
        "http.url-server",
        [*SERVER, ("http.url", "http://h:8080/a?b=c")],
        {"url.scheme": "http", "url.path": "/a", "url.query": "b=c", "server.address": "h", "server.port": 8080},
    ),
    ("db.instance", [("db.instance", "customers")], {"db.namespace": "customers"}),
    ("db.statement", [("db.statement", "SELECT 1")], {"db.query.text": "SELECT 1"}),
    ("db.user", [("db.user", "ro")], {"db.user": "ro"}),
    ("message_bus.destination", [("message_bus.destination", "t")], {"messaging.destination.name": "t"}),
    ("service", [("service", "s")], {"service": "s"}),
    *(
        (f"db.type-{old}", [("db.type", old)], {"db.system.name": new})
        for old, new in {
            "sql": "other_sql",
            "mysql": "mysql",
            "postgresql": "postgresql",
            "redis": "redis",
            "mongodb": "mongodb",
            "cassandra": "cassandra",
            "elasticsearch": "elasticsearch",
            "mariadb": "mariadb",
            "sqlite": "sqlite",
            "mssql": "microsoft.sql_server",
            "oracle": "oracle.db",
            "db2": "ibm.db2",
            "dynamodb": "aws.dynamodb",
            "cosmosdb": "azure.cosmosdb",
            "h2": "h2database",
            "redshift": "aws.redshift",
            "spanner": "gcp.spanner",
            "vertica": "vertica",
        }.items()
    ),
]
NEW_ROWS = pytest.mark.parametrize(("given", "expected"), [row[1:] for row in NEW], ids=[row[0] for row in NEW])


@EVERY_WAY
@NEW_ROWS
def test_semconv_new_renames(
    provider: TracerProvider, exporter: InMemorySpanExporter, run: Run, given: list[Tag], expected: dict[str, Any]
) -> None:
    run(BridgeTracer(provider, settings=Settings(semconv="new")), given)
    assert outcome(exporter)["attributes"] == expected


@EVERY_WAY
@NEW_ROWS
def test_semconv_dup_keeps_old_names_beside_the_new(
    provider: TracerProvider, exporter: InMemorySpanExporter, run: Run, given: list[Tag], expected: dict[str, Any]
) -> None:
    run(BridgeTracer(provider, settings=Settings(semconv="dup")), given)
    old = {key: 200 if value == "200" else value for key, value in given if key != "span.kind"}
    assert outcome(exporter)["attributes"] == {**old, **expected}


@EVERY_WAY
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("client", {"server.address": "db.internal", "server.port": 5432}),
        ("server", {"client.address": "db.internal", "client.port": 5432}),
    ],
    ids=["client", "server"],
)
def test_semconv_new_splits_peer_address(
    provider: TracerProvider, exporter: InMemorySpanExporter, run: Run, kind: str, expected: dict[str, Any]
) -> None:
    run(
        BridgeTracer(provider, settings=Settings(semconv="new")),
        [("span.kind", kind), ("peer.address", "db.internal:5432")],
    )
    found = outcome(exporter)["attributes"]
    assert {key: found.get(key) for key in expected} == expected
    assert "peer.address" not in found


@EVERY_WAY
def test_semconv_new_keeps_a_peer_address_that_does_not_parse(
    provider: TracerProvider, exporter: InMemorySpanExporter, run: Run
) -> None:
    run(BridgeTracer(provider, settings=Settings(semconv="new")), [*CLIENT, ("peer.address", "unix socket")])
    assert outcome(exporter)["attributes"] == {"peer.address": "unix socket"}


@EVERY_WAY
@pytest.mark.parametrize(("kind", "expected"), [("client", "server.port"), ("server", "client.port")])
def test_semconv_new_names_the_peer_port_by_kind(
    provider: TracerProvider, exporter: InMemorySpanExporter, run: Run, kind: str, expected: str
) -> None:
    run(BridgeTracer(provider, settings=Settings(semconv="new")), [("span.kind", kind), ("peer.port", "80")])
    found = outcome(exporter)["attributes"]
    assert found.get(expected) == 80
    assert "peer.port" not in found


@pytest.mark.parametrize("url", ["http://[::1", "not a url", "", "http://h:99999/", "//"])
def test_semconv_new_never_raises_for_a_bad_url(
    provider: TracerProvider, exporter: InMemorySpanExporter, url: str
) -> None:
    for kind in ("client", "server"):
        _at_start(BridgeTracer(provider, settings=Settings(semconv="new")), [("span.kind", kind), ("http.url", url)])
    assert len(exporter.get_finished_spans()) == 2


def test_semconv_new_adds_the_error_type_of_an_exception(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    tracer = BridgeTracer(provider, settings=Settings(semconv="new"))
    with pytest.raises(ValueError, match="boom"), tracer.start_span("op"):
        raise ValueError("boom")
    assert outcome(exporter)["attributes"] == {"error.type": "ValueError"}
