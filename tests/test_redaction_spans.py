"""Redaction of whole spans: what each processor sees, of the bridge's spans, of native ones and of others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import opentracing
import pytest
from google.protobuf.json_format import MessageToJson
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from opentelemetry import trace as trace_api
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

import ot_bridge
from ot_bridge import BridgeTracer, Settings, jaeger_client, telemetry
from ot_bridge.jaeger_client.reporter import InMemoryReporter
from ot_bridge.redacting import protect
from ot_bridge.redaction import Redactor
from spans import as_dict

CALLS = ["start", *(["ending"] if hasattr(SpanProcessor, "_on_ending") else []), "end"]  # since SDK 1.40
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N"
URL = "postgres://app:hunter2@db/x"
SAFE_URL = "postgres://REDACTED:REDACTED@db/x"
SHOWN = [
    JWT,
    URL,
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_" + "a1" * 18,
    "xoxb-2021-abcdef",
    "sk_live_4eC39HqLyjWD",
    "AIza" + "Sy-_5" * 7,
    "4111 1111 1111 1111",
    "Bearer abcdefghijklmnop",
    "-----BEGIN PRIVATE KEY-----\nMIIEow",
]
NAMED = ["hunter2 is a pass phrase", "\u00fcber geheim", "x" * 300]


class Watcher(SpanProcessor):
    """Writes down all that it can see, at each of its calls."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.see("start", span)

    def _on_ending(self, span: Any) -> None:
        self.see("ending", span)

    def on_end(self, span: ReadableSpan) -> None:
        self.see("end", span)

    def see(self, where: str, span: Any) -> None:
        fields = (span.name, dict(span.attributes), span.status.description, dict(span.resource.attributes))
        events = [(event.name, dict(event.attributes)) for event in span.events]
        links = [dict(link.attributes or {}) for link in span.links]
        self.seen.append((where, repr((fields, events, links, span.to_json() if where == "end" else ""))))


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
def watched(watcher: Watcher, exporter: InMemorySpanExporter) -> TracerProvider:
    provider = TracerProvider(
        resource=Resource({"service.name": "test", "db.password": "hunter2"}), shutdown_on_exit=False
    )
    provider.add_span_processor(watcher)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def finish_one(tracer: BridgeTracer) -> None:
    """Finish a span with a secret in every place that it has."""
    span = tracer.start_span(f"GET {JWT}", tags={"password": "hunter2", "n": 1, "error": ValueError(URL)})
    span.set_tag("http.url", "/x?token=hunter2").set_tag("http.status_message", URL).set_tag("http.status_code", 500)
    span.log_kv({"event": f"e {JWT}", "api_key": "hunter2", "message": URL})
    span.log_kv({"event": "error", "error.object": ValueError(URL), "stack": f"at {URL}"})
    span.add_event(f"native {JWT}", {"secret": "hunter2"})
    span.add_link(SpanContext(1, 2, True), {"cookie": "hunter2", "url": URL})
    span.set_attribute("http.request.header.authorization", ["Bearer hunter2"])
    span.record_exception(ValueError(URL))
    span.set_baggage_item("password", "hunter2")
    span.finish()


def test_no_processor_sees_a_secret(watched: TracerProvider, watcher: Watcher) -> None:
    finish_one(BridgeTracer(watched))
    assert [where for where, _ in watcher.seen] == CALLS
    assert [where for where, text in watcher.seen if "hunter2" in text or JWT in text] == []


def test_span_is_redacted_in_every_place(watched: TracerProvider, exporter: InMemorySpanExporter) -> None:
    finish_one(BridgeTracer(watched))
    found = as_dict(exporter.get_finished_spans()[0])
    for event in found["events"]:
        event.pop("timestamp")
        if "exception.stacktrace" in event["attributes"]:
            event["attributes"]["exception.stacktrace"] = SAFE_URL in event["attributes"]["exception.stacktrace"]
    exception = {"exception.type": "ValueError", "exception.message": SAFE_URL, "exception.stacktrace": True}
    assert {name: found[name] for name in ("name", "status", "attributes", "events", "links", "resource")} == {
        "name": "GET [redacted: jwt]",
        "status": {"code": "ERROR", "description": SAFE_URL},
        "attributes": {
            "password": "[redacted: key]",
            "n": 1,
            "http.url": "/x?token=REDACTED",
            "http.status_message": SAFE_URL,
            "http.status_code": 500,
            "http.request.header.authorization": ("Bearer REDACTED",),
        },
        "events": [
            {"name": "e [redacted: jwt]", "attributes": {"api_key": "[redacted: key]", "message": SAFE_URL}},
            {"name": "exception", "attributes": exception},
            {"name": "native [redacted: jwt]", "attributes": {"secret": "[redacted: key]"}},
            {"name": "exception", "attributes": {**exception, "exception.escaped": "False"}},
        ],
        "links": [
            {
                "trace_id": f"{1:032x}",
                "span_id": f"{2:016x}",
                "attributes": {"cookie": "[redacted: key]", "url": SAFE_URL},
            }
        ],
        "resource": {"service.name": "test", "db.password": "[redacted: key]"},
    }


def test_redacted_values_are_counted_once(tracer: BridgeTracer) -> None:
    tracer.start_span("op", tags={"password": "x", "a": JWT, "url": URL}).set_tag("token", "y").finish()
    assert telemetry.snapshot() == {"redaction.jwt": 1, "redaction.key": 2, "redaction.userinfo": 1}


def test_clean_span_keeps_its_objects(tracer: BridgeTracer) -> None:
    span: Any = tracer.start_span("op", tags={"a": "some text", "n": 1})
    span.log_kv({"event": "e", "k": "v"})
    attributes, records, resource = span._attributes, list(span._records), span._resource
    span.finish()
    assert (span._attributes is attributes, span._resource is resource) == (True, True)
    assert [new is old for new, old in zip(span._records, records, strict=True)] == [True]


def test_redaction_can_be_switched_off(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    tracer = BridgeTracer(provider, settings=Settings(redact="off", redact_keys="a"))
    tracer.start_span(f"op {JWT}", tags={"password": "x", "a": "b"}).finish()
    (found,) = exporter.get_finished_spans()
    assert (found.name, dict(found.attributes or {})) == (f"op {JWT}", {"password": "x", "a": "b"})


def test_own_rules_can_stand_alone(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    tracer = BridgeTracer(provider, settings=Settings(redact="own", redact_keys="a", redact_enabled_rules="email"))
    tracer.start_span("op", tags={"password": "x", "a": "b", "c": "to a@b.example"}).finish()
    (found,) = exporter.get_finished_spans()
    assert dict(found.attributes or {}) == {"password": "x", "a": "[redacted: key]", "c": "to [redacted: email]"}


def test_dry_run_changes_nothing_and_counts_each_value_once(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    tracer = BridgeTracer(provider, settings=Settings(redact_dry_run=True))
    tracer.start_span("op", tags={"password": "x"}).set_tag("a", JWT).finish()
    (found,) = exporter.get_finished_spans()
    assert dict(found.attributes or {}) == {"password": "x", "a": JWT}
    assert telemetry.snapshot() == {"redaction.dry_run.jwt": 1, "redaction.dry_run.key": 1}


def test_safe_and_disabled_settings_are_obeyed(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    settings = Settings(redact_safe_keys="next_page_token", redact_disabled_rules=["jwt"])
    tracer = BridgeTracer(provider, settings=settings)
    tracer.start_span("op", tags={"next_page_token": "x", "a": JWT, "token": "y"}).finish()
    (found,) = exporter.get_finished_spans()
    assert dict(found.attributes or {}) == {"next_page_token": "x", "a": JWT, "token": "[redacted: key]"}


def test_attributes_with_new_names_are_redacted(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    tracer = BridgeTracer(provider, settings=Settings(semconv="new"))
    span = tracer.start_span("op", tags={"span.kind": "server"})
    span.set_tag("http.url", "http://u:p@h/x?token=hunter2").finish()
    assert "hunter2" not in repr(as_dict(exporter.get_finished_spans()[0]))


def test_span_that_cannot_be_redacted_is_blank(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    span = tracer.start_span("op", tags={"a": "hunter2"})
    span.log_kv({"event": "hunter2"})
    span.set_status(StatusCode.ERROR, "hunter2")

    def fail(*_: object) -> Any:
        raise ValueError("hunter2")

    monkeypatch.setattr(Redactor, "attributes", fail)
    span.finish()
    found = as_dict(exporter.get_finished_spans()[0])
    assert (found["name"], found["attributes"], found["events"]) == ("[redacted: failed]", {}, [])
    assert "hunter2" not in repr(found)
    assert telemetry.snapshot() == {"redaction.failed.span": 1}


def test_tag_set_by_another_thread_at_the_end_harms_nothing(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    span = tracer.start_span("op", tags={"password": "x", "b": "fresh"})
    text = Redactor.text

    def meanwhile(self: Redactor, value: str) -> str:
        span._attributes.setdefault("late", "y")  # type: ignore[attr-defined]
        return text(self, value)

    monkeypatch.setattr(Redactor, "text", meanwhile)
    span.set_tag("c", "never seen before").set_tag("d", "nor this").finish()
    (found,) = exporter.get_finished_spans()
    assert dict(found.attributes or {})["password"] == "[redacted: key]"


# -- native spans ------------------------------------------------------------------------------------------------------


def finish_native(tracer: trace_api.Tracer) -> trace_api.Span:
    link = Link(SpanContext(1, 2, True), {"cookie": "hunter2"})
    span = tracer.start_span(f"GET {JWT}", attributes={"password": "hunter2", "n": 1}, links=[link])
    span.set_attribute("http.url", "/x?token=hunter2")
    span.add_event(f"e {JWT}", {"api_key": "hunter2"})
    span.record_exception(ValueError(URL))
    span.set_status(Status(StatusCode.ERROR, URL))
    span.end()
    return span


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_no_processor_sees_a_secret_of_a_native_span(
    watcher: Watcher, exporter: InMemorySpanExporter, late: bool
) -> None:
    provider = TracerProvider(resource=Resource({"token": "hunter2"}), shutdown_on_exit=False)
    early = provider.get_tracer("early")
    if not late:
        provider.add_span_processor(watcher)
    ot_bridge.install(tracer_provider=provider)
    if late:
        provider.add_span_processor(watcher)
    finish_native(early)
    finish_native(provider.get_tracer("after"))
    assert [where for where, _ in watcher.seen] == CALLS * 2
    assert [where for where, text in watcher.seen if "hunter2" in text or JWT in text] == []


def test_native_span_is_redacted_in_every_place(watched: TracerProvider, exporter: InMemorySpanExporter) -> None:
    undo = protect(watched, Settings())
    finish_native(watched.get_tracer("t"))
    undo()
    found = as_dict(exporter.get_finished_spans()[0])
    stack = found["events"][1]["attributes"].pop("exception.stacktrace")
    for event in found["events"]:
        event.pop("timestamp")
    assert {name: found[name] for name in ("name", "status", "attributes", "events", "resource")} == {
        "name": "GET [redacted: jwt]",
        "status": {"code": "ERROR", "description": SAFE_URL},
        "attributes": {"password": "[redacted: key]", "n": 1, "http.url": "/x?token=REDACTED"},
        "events": [
            {"name": "e [redacted: jwt]", "attributes": {"api_key": "[redacted: key]"}},
            {
                "name": "exception",
                "attributes": {
                    "exception.type": "ValueError",
                    "exception.message": SAFE_URL,
                    "exception.escaped": "False",
                },
            },
        ],
        "resource": {"service.name": "test", "db.password": "[redacted: key]"},
    }
    assert [link["attributes"] for link in found["links"]] == [{"cookie": "[redacted: key]"}]
    assert (SAFE_URL in stack, "hunter2" in stack) == (True, False)


def test_native_values_are_counted_once(watched: TracerProvider) -> None:
    protect(watched, Settings())
    span = watched.get_tracer("t").start_span("op", attributes={"password": "x"})
    span.set_attribute("a", JWT)
    span.end()
    assert telemetry.snapshot() == {"redaction.jwt": 1, "redaction.key": 2}  # one of the resource


def test_native_dry_run_changes_nothing(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    protect(provider, Settings(redact_dry_run=True))
    provider.get_tracer("t").start_span("op", attributes={"password": "x"}).end()
    (found,) = exporter.get_finished_spans()
    assert dict(found.attributes or {}) == {"password": "x"}
    assert telemetry.snapshot() == {"redaction.dry_run.key": 1}


def test_clean_native_span_keeps_its_objects(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    protect(provider, Settings())
    span: Any = provider.get_tracer("t").start_span("op", attributes={"a": "b"})
    attributes, resource = span._attributes, span._resource
    span.end()
    found: Any = exporter.get_finished_spans()[0]
    assert (span._attributes is attributes, found._attributes is attributes, found.resource is resource) == (True,) * 3


def test_dropped_attributes_of_a_redacted_native_span_are_still_counted(
    watched: TracerProvider, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    protect(provider, Settings())
    provider.get_tracer("t").start_span("op", attributes={"a": 1, "b": 2, "token": "x"}).end()
    (found,) = exporter.get_finished_spans()
    assert (dict(found.attributes or {}), found.dropped_attributes) == ({"b": 2, "token": "[redacted: key]"}, 1)


def test_processors_that_run_at_once_are_behind_the_rules(watcher: Watcher) -> None:
    active = ConcurrentMultiSpanProcessor(2)
    provider = TracerProvider(active_span_processor=active, shutdown_on_exit=False)
    provider.add_span_processor(watcher)
    protect(provider, Settings())
    finish_native(provider.get_tracer("t"))
    provider.shutdown()
    assert sorted({where for where, _ in watcher.seen} & {"start", "end"}) == ["end", "start"]
    assert [where for where, text in watcher.seen if "hunter2" in text or JWT in text] == []


def test_protection_can_be_taken_back(watched: TracerProvider, exporter: InMemorySpanExporter) -> None:
    before = dict(vars(watched._active_span_processor))
    undo = protect(watched, Settings())
    assert protect(watched, Settings()) is not undo  # a second one does nothing, and takes nothing back
    undo()
    assert vars(watched._active_span_processor) == before


@pytest.mark.parametrize("provider", [None, trace_api.NoOpTracerProvider(), object()], ids=["none", "no-op", "object"])
def test_provider_without_processors_is_left_alone(provider: Any) -> None:
    assert protect(provider, Settings())() is None  # type: ignore[func-returns-value]


# -- spans of other providers, the drop-in, baggage --------------------------------------------------------------------


class Foreign(trace_api.NonRecordingSpan):
    """A vendor's span."""

    def __init__(self, calls: list[Any]) -> None:
        super().__init__(SpanContext(1, 2, False))
        self.calls = calls

    def is_recording(self) -> bool:
        return True

    def set_attribute(self, key: str, value: Any) -> None:
        self.calls.append((key, value))

    def add_event(self, name: str, attributes: Any = None, timestamp: Any = None) -> None:
        self.calls.append((name, attributes))

    def update_name(self, name: str) -> None:
        self.calls.append(name)

    def set_status(self, status: Any, description: str | None = None) -> None:
        self.calls.append(status.description)


def test_vendor_span_is_given_no_secret() -> None:
    calls: list[Any] = []

    class Vendor(trace_api.Tracer):
        def start_span(self, name: str, *args: Any, **kwargs: Any) -> Any:
            calls.append((name, kwargs["attributes"]))
            return Foreign(calls)

        start_as_current_span: Any = None

    class Provider(trace_api.TracerProvider):
        def get_tracer(self, *args: Any, **kwargs: Any) -> trace_api.Tracer:
            return Vendor()

    span = BridgeTracer(Provider()).start_span(f"op {JWT}", tags={"password": "x"})
    span.set_tag("token", "x").log_kv({"event": "e", "secret": "x"}).set_operation_name(JWT)
    span.set_tag("error", ValueError(URL)).finish()
    assert calls == [
        ("op [redacted: jwt]", {"password": "[redacted: key]"}),
        ("token", "[redacted: key]"),
        ("e", {"secret": "[redacted: key]"}),
        "[redacted: jwt]",
        SAFE_URL,
        SAFE_URL,
    ]


@pytest.fixture
def dropin() -> Iterator[tuple[Any, InMemoryReporter]]:
    reporter = InMemoryReporter()
    tracer = jaeger_client.Tracer(
        service_name="s", reporter=reporter, sampler=jaeger_client.ConstSampler(True), tags={"token": "hunter2"}
    )
    yield tracer, reporter
    tracer.close()


def test_span_of_the_drop_in_shows_no_secret(dropin: tuple[Any, InMemoryReporter]) -> None:
    tracer, reporter = dropin
    span = tracer.start_span("op", tags={"password": "hunter2", "n": 1})
    span.set_tag("api_key", "hunter2").set_tag("note", URL)
    span.log_kv({"event": "e", "secret": "hunter2"})
    span.set_baggage_item("password", "hunter2")
    span.finish()
    (found,) = reporter.get_spans()
    shown: Any = found
    tags = [(tag.key, tag.vStr if tag.vStr is not None else tag.vLong) for tag in shown.tags]
    assert [tag for tag in tags if not tag[0].startswith("sampler.")] == [
        ("password", "[redacted: key]"),
        ("n", 1),
        ("api_key", "[redacted: key]"),
        ("note", SAFE_URL),
    ]
    assert [[(field.key, field.vStr) for field in log.fields] for log in shown.logs] == [
        [("event", "e"), ("secret", "[redacted: key]")],
        [("event", "baggage"), ("key", "password"), ("value", "[redacted: key]")],
    ]
    assert "hunter2" not in repr(as_dict(shown)) + repr(shown._resource.attributes)
    assert telemetry.snapshot() == {"redaction.key": 5, "redaction.userinfo": 1}  # each once, however often it is read


def test_native_span_beside_the_drop_in_shows_no_secret(dropin: tuple[Any, InMemoryReporter], watcher: Watcher) -> None:
    tracer, _ = dropin
    tracer._provider.add_span_processor(watcher)
    finish_native(tracer._provider.get_tracer("t"))
    finish_one(tracer)
    assert [where for where, _ in watcher.seen] == CALLS * 2
    assert [where for where, text in watcher.seen if "hunter2" in text or JWT in text] == []


def sent(tracer: BridgeTracer) -> str:
    span = tracer.start_span("op").set_baggage_item("token", "hunter2").set_baggage_item("tenant", "acme")
    headers: dict[str, str] = {}
    tracer.inject(span.context, opentracing.Format.TEXT_MAP, headers)
    binary = bytearray()
    tracer.inject(span.context, opentracing.Format.BINARY, binary)
    span.finish()
    return repr(headers) + binary.decode("latin-1")


def test_baggage_is_sent_as_it_is_unless_asked(provider: TracerProvider) -> None:
    plain = sent(BridgeTracer(provider))
    redacted = sent(BridgeTracer(provider, settings=Settings(redact_baggage=True)))
    assert (plain.count("hunter2"), plain.count("acme")) == (3, 3)
    assert (redacted.count("hunter2"), redacted.count("acme")) == (0, 3)
    assert "'uberctx-token': '[redacted: key]'" in redacted


# -- fork, and everything at once --------------------------------------------------------------------------------------


FORKING = """
import os
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from ot_bridge import BridgeTracer, Settings, telemetry
from ot_bridge.redacting import protect

exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(SimpleSpanProcessor(exporter))
protect(provider, Settings())
tracer = BridgeTracer(provider)

def finish_two(value):
    exporter.clear()
    tracer.start_span("op", tags={"password": value, "a": "b"}).finish()
    provider.get_tracer("t").start_span("native", attributes={"token": value}).end()
    print([dict(span.attributes) for span in exporter.get_finished_spans()], dict(telemetry.snapshot()), flush=True)

finish_two("x")
if os.fork() == 0:
    finish_two("y")
    os._exit(0)
os.wait()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_child_of_a_fork_redacts_and_counts() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING], capture_output=True, text=True, timeout=30, check=False
    )
    spans = "[{'password': '[redacted: key]', 'a': 'b'}, {'token': '[redacted: key]'}]"
    lines = f"{spans} {{'redaction.key': 2}}\n{spans} {{'redaction.key': 4}}\n"
    assert (done.stdout, done.returncode) == (lines, 0), done.stderr


PLACES: Mapping[str, Callable[[Any, str, str], object]] = {
    "initial tag": lambda span, key, value: None,
    "tag": lambda span, key, value: span.set_tag(key, value),
    "list": lambda span, key, value: span.set_tag(key, [value, "x"]),
    "dict": lambda span, key, value: span.set_tag("body", {key: value}),
    "log": lambda span, key, value: span.log_kv({key: value}),
    "attribute": lambda span, key, value: span.set_attribute(key, value),
    "event": lambda span, key, value: span.add_event("e", {key: value}),
    "link": lambda span, key, value: span.add_link(SpanContext(1, 2, True), {key: value}),
}
SHOWN_ONLY: Mapping[str, Callable[[Any, str], object]] = {
    "name": lambda span, text: span.set_operation_name(text),
    "status": lambda span, text: span.set_status(StatusCode.ERROR, text),
    "event name": lambda span, text: span.log_kv({"event": text}),
    "message": lambda span, text: span.log_kv({"event": "error", "message": text}),
    "exception": lambda span, text: span.record_exception(ValueError(text)),
    "error tag": lambda span, text: span.set_tag("error", ValueError(text)),
}


def otlp(exporter: InMemorySpanExporter) -> str:
    text = MessageToJson(encode_spans(exporter.get_finished_spans()), ensure_ascii=False)
    exporter.clear()
    return text


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_no_secret_survives_anywhere_in_otlp(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, data: st.DataObject
) -> None:
    key = data.draw(st.sampled_from(["password", "db.Password", "x-api-key", "user[token]"]))
    # What surrounds a secret has no Z, and so is not the other one.
    named = f"Z{data.draw(st.sampled_from(NAMED) | st.text('abcdefgh ', min_size=12, max_size=40))}Z"
    shown = data.draw(st.sampled_from(SHOWN))
    around = st.text(st.characters(exclude_characters="Z", exclude_categories=["Cs"]), max_size=20)
    before, after = data.draw(around), data.draw(around)
    span = tracer.start_span("op", tags={key: named, "other": f"{before} {shown} {after}"})
    for place in data.draw(st.lists(st.sampled_from(sorted(PLACES)))):
        PLACES[place](span, key, named)
        PLACES[place](span, "k", f"{before} {shown} {after}")
    for place in data.draw(st.lists(st.sampled_from(sorted(SHOWN_ONLY)))):
        SHOWN_ONLY[place](span, f"{before} {shown} {after}")
    span.finish()
    text = otlp(exporter)
    assert [secret for secret in (named, shown) if json.dumps(secret, ensure_ascii=False)[1:-1] in text] == []


CLEAN_TEXT = st.text("abcdefghij 0189.,;/?&'<>(){}%+*!", max_size=60)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    tags=st.dictionaries(
        st.sampled_from(["http.method", "component", "order.id", "token_count", "http.url", "session.id"]),
        CLEAN_TEXT | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.floats(allow_nan=False),
    ),
    fields=st.dictionaries(st.sampled_from(["event", "size", "note"]), CLEAN_TEXT),
)
def test_clean_span_is_unchanged(
    provider: TracerProvider,
    exporter: InMemorySpanExporter,
    tags: dict[str, Any],
    fields: dict[str, str],
) -> None:
    found = []
    for settings in (Settings(), Settings(redact="off")):
        exporter.clear()
        span = BridgeTracer(provider, settings=settings).start_span("op", tags=tags, start_time=1.0)
        span.log_kv(fields, 1.5)
        span.finish(2.0)
        found.append(as_dict(exporter.get_finished_spans()[0]))
        for name in ("trace_id", "span_id"):
            found[-1].pop(name)
    assert found[0] == found[1]
