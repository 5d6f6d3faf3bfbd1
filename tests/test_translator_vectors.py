"""The Collector's Jaeger translator as oracle: the same OpenTracing calls give the span that it would have given.

Each case of vectors/translator.json is a span that jaeger-client sent and the OpenTelemetry span that the translator
made of it. Here its tags, logs and references are made again through the OpenTracing API. Where the bridge differs on
purpose, DIFFERS says how, field by field; everything else must be equal.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing import Format, Reference, ReferenceType

from ot_bridge import BridgeTracer
from spans import as_dict

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "vectors" / "translator.json").read_text("utf-8"))[
    "cases"
]

NO_PARENT = "0" * 16
UNSET = {"code": "UNSET", "message": ""}
ERROR = {"code": "ERROR", "message": ""}

DIFFERS: dict[str, dict[str, Any]] = {
    # The error tag is the status and nothing else, in every spelling that applications send.
    "J03_error_bool_false": {"attributes": {}},
    "J04_error_string_true": {"attributes": {}, "status": ERROR},
    "J05_error_string_false": {"attributes": {}},
    "J06_error_int_1": {"attributes": {}, "status": ERROR},
    "J27_error_false_otel_error": {"attributes": {}},
    "J43_error_true_then_false": {"attributes": {}},
    # A status code in digits becomes a number.
    "J10_http404_string_no_kind": {"attributes": {"http.status_code": 404}},
    "J15_server_404_string": {"attributes": {"http.status_code": 404}},
    "J18_client_101": {"attributes": {"http.status_code": 101}},
    "J19_client_10": {"attributes": {"http.status_code": 10}},
    # A kind in another case is understood, a kind that nobody knows is kept.
    "J37_kind_all-others": {"attributes": {"span.kind": "all-others"}},
    "J38_kind_uppercase": {"kind": "CLIENT"},
    "J39_kind_non_string": {"attributes": {"span.kind": 1}},
    # An event always has a name, and an error log is OpenTelemetry's exception event.
    "J44_log_with_event": {
        "events": [
            {"name": "event-with-attr", "attributes": {"span-event-attr": "span-event-attr-val"}},
            {"name": "log", "attributes": {"attr-int": 123}},
        ]
    },
    "J45_log_message_only": {"events": [{"name": "log", "attributes": {"message": "hello"}}]},
    "J46_log_event_int": {"events": [{"name": "5", "attributes": {"a": 1}}]},
    "J48_log_error_python": {
        "events": [
            {
                "name": "exception",
                "attributes": {
                    "exception.type": "ValueError",
                    "exception.message": "boom",
                    "exception.stacktrace": '  File "x.py", line 1, in <module>\n',
                    "message": "boom",
                },
            }
        ]
    },
    # A reference that alone is given continues its trace; the translator knew the ids of the span before it saw it.
    "J55_other_trace_link": {"parent_span_id": "00f067aa0ba902b7"},
    # The translator compares span ids only and loses this link.
    "J56_other_trace_child_of_same_spanid": {
        "links": [
            {
                "trace_id": "0af7651916cd43dd8448eb211c80319c",
                "span_id": "afaeadacabaaa9a8",
                "attributes": {"opentracing.ref_type": "child_of"},
            }
        ]
    },
    # Debug is a flag of Jaeger's that OTLP has no place for: the local root says it. An application asks for it by tag.
    "J62_flags_debug": {"attributes": {"sampling.priority": 1, "jaeger.debug": True}},
    "J63_sampling_and_peer_tags_passthrough": {"attributes+": {"jaeger.debug": True}},
}

# What an application must call, beside the tags of the case, to get a span with these flags.
TAGS_OF_FLAGS = {3: [("sampling.priority", 1)]}

REFERENCE_TYPES = {"CHILD_OF": ReferenceType.CHILD_OF, "FOLLOWS_FROM": ReferenceType.FOLLOWS_FROM}


def remote(tracer: BridgeTracer, trace_id: str, span_id: str) -> Any:
    return tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": f"{trace_id}:{span_id}:0:1"})


def replay(tracer: BridgeTracer, given: dict[str, Any], *, tags_at_start: bool) -> None:
    """Make the span of a case through the OpenTracing API."""
    tags = [(tag["key"], tag["value"]) for tag in given["tags"]] + TAGS_OF_FLAGS.get(given["flags"], [])
    references = [
        Reference(REFERENCE_TYPES[each["type"]], remote(tracer, each["trace_id"], each["span_id"]))
        for each in given["references"]
    ]
    parent = given["parent_span_id"]
    span = tracer.start_span(
        "op",
        child_of=remote(tracer, given["trace_id"], parent) if parent != NO_PARENT and not references else None,
        references=references,
        tags=dict(tags) if tags_at_start else None,
    )
    if not tags_at_start:
        for key, value in tags:
            span.set_tag(key, value)
    for log in given["logs"]:
        span.log_kv({field["key"]: field["value"] for field in log["fields"]})
    span.finish()


def expected(case: dict[str, Any]) -> dict[str, Any]:
    """Return what the translator gave, changed by what the bridge does on purpose."""
    keys = ("parent_span_id", "kind", "status", "attributes", "events", "links")
    result = {key: case["expect"][key] for key in keys}
    # OpenTelemetry has no unspecified kind: its own default is internal.
    result["kind"] = "INTERNAL" if result["kind"] == "UNSPECIFIED" else result["kind"]
    for key, value in DIFFERS.get(case["id"], {}).items():
        if key.endswith("+"):
            result[key[:-1]] = {**result[key[:-1]], **value}
        else:
            result[key] = value
    return result


def outcome(exporter: InMemorySpanExporter) -> dict[str, Any]:
    """Return the exported span in the shape of the vectors."""
    (span,) = exporter.get_finished_spans()
    plain = as_dict(span)
    return {
        "parent_span_id": plain["parent_id"],
        "kind": plain["kind"],
        "status": {"code": plain["status"]["code"], "message": plain["status"]["description"]},
        "attributes": plain["attributes"],
        "events": [{"name": event["name"], "attributes": event["attributes"]} for event in plain["events"]],
        "links": plain["links"],
    }


EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])


def _has_repeated_tags(case: dict[str, Any]) -> bool:
    keys = [tag["key"] for tag in case["input"]["tags"]]
    return len(keys) != len(set(keys))


@EVERY_CASE
def test_tags_set_after_start_give_the_translators_span(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, case: dict[str, Any]
) -> None:
    replay(tracer, case["input"], tags_at_start=False)
    assert outcome(exporter) == expected(case)


SINGLE = [case for case in CASES if not _has_repeated_tags(case)]


@pytest.mark.parametrize("case", SINGLE, ids=[case["id"] for case in SINGLE])
def test_tags_given_at_start_give_the_translators_span(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, case: dict[str, Any]
) -> None:
    replay(tracer, case["input"], tags_at_start=True)
    assert outcome(exporter) == expected(case)


@EVERY_CASE
def test_span_is_exported_with_the_sampled_flag_of_the_translator(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, case: dict[str, Any]
) -> None:
    replay(tracer, case["input"], tags_at_start=False)
    assert bool(as_dict(exporter.get_finished_spans()[0])["trace_flags"] & 1) == case["expect"]["sampled_flag"]


def test_every_difference_names_a_case() -> None:
    assert set(DIFFERS) <= {case["id"] for case in CASES}


def test_every_difference_is_one() -> None:
    unchanged = [
        case["id"] for case in CASES if case["id"] in DIFFERS and expected({**case, "id": ""}) == expected(case)
    ]
    assert unchanged == []
