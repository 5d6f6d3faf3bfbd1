"""What an explanation says of a request: every field, who won, why, who did not, and what is sent on."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ot_bridge.codecs import CODECS
from ot_bridge.config import Settings
from ot_bridge.explain import Explanation, as_dict, explain
from ot_bridge.propagator import MixedFleetPropagator
from test_codecs_vectors import VECTORS, by_id, understood

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
LOW = TRACE_ID[16:]
SPAN_ID = "b7ad6b7169203331"
OTHER = "4bf92f3577b34da6a3ce929d0e0e4736"
UBER = f"{TRACE_ID}:{SPAN_ID}:0:1"
PARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"
EVERY = Settings(extract=tuple(CODECS), inject=tuple(CODECS))


def of(*items: tuple[Any, Any], http: bool = True, **fields: Any) -> Explanation:
    return explain(items, Settings(**fields), http=http)


def fields_of(explanation: Explanation, name: str) -> dict[str, tuple[str, str]]:
    (header,) = [header for header in explanation.headers if header.name == name]
    return {field.name: (field.value, field.remark) for field in header.fields}


def problems_of(explanation: Explanation, name: str) -> tuple[str, ...]:
    (header,) = [header for header in explanation.headers if header.name == name]
    return header.problems


def verdicts_of(explanation: Explanation) -> dict[str, str]:
    return {verdict.format: verdict.outcome for verdict in explanation.formats}


def why(explanation: Explanation, format: str) -> str:
    return next(verdict.why for verdict in explanation.formats if verdict.format == format)


def not_read(explanation: Explanation) -> dict[str, str]:
    return dict(explanation.not_read)


# -- the vectors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", by_id(VECTORS["cases"]))
def test_every_vector_is_explained_as_it_is_read(case: dict[str, Any]) -> None:
    settings = Settings(extract=tuple(case["extract_formats"]))
    items = [tuple(pair) for pair in case["headers"]]
    http = case["format"] == "HTTP_HEADERS"
    reading = MixedFleetPropagator(settings=settings).read(items, http=http)
    explanation = explain(items, settings, http=http)
    assert understood(explanation.context) == understood(reading.context)
    assert [one.format for one in explanation.formats if one.outcome == "malformed"] == [
        note.rpartition(".")[2] for note in reading.notes if note.startswith("extract.malformed")
    ]
    assert explanation.result == (understood(reading.context)["returns"] or "nothing")


# -- field by field ----------------------------------------------------------------------------------------------------


def test_short_ids_are_said_to_be_padded_and_flags_have_names() -> None:
    explanation = of(("Uber-Trace-Id", f"{LOW}:7AD6B7169203331:0:3"))
    assert fields_of(explanation, "Uber-Trace-Id") == {
        "trace id": ("0" * 16 + LOW, "64 bit, padded with zeros"),
        "span id": ("07ad6b7169203331", "padded with zeros"),
        "parent id": ("-", "not read"),
        "flags": ("sampled, debug", ""),
    }


def test_upper_case_is_said_to_be_put_in_lower_case() -> None:
    explanation = of(("uber-trace-id", f"{TRACE_ID.upper()}:{SPAN_ID}:0:0"))
    fields = fields_of(explanation, "uber-trace-id")
    assert fields["trace id"] == (TRACE_ID, "128 bit, put in lower case")
    assert fields["flags"] == ("not sampled", "")


def test_traceparent_and_tracestate_are_told_apart() -> None:
    explanation = of(("traceparent", PARENT[:-1] + "3"), ("tracestate", "jaeger=d:1,foo=a b"))
    assert fields_of(explanation, "traceparent") == {
        "trace id": (TRACE_ID, "128 bit"),
        "span id": (SPAN_ID, ""),
        "flags": ("sampled, random trace id", ""),
    }
    assert fields_of(explanation, "tracestate") == {
        "member jaeger": ("d:1", "Jaeger's debug flag"),
        "member foo": ("a b", ""),
    }


@pytest.mark.parametrize(
    ("format", "headers", "expected"),
    [
        (
            "b3",
            [("b3", f"{TRACE_ID}-{SPAN_ID}-d")],
            {"b3": ["trace id", "span id", "parent id", "flags"]},
        ),
        (
            "b3",
            [("X-B3-TraceId", TRACE_ID), ("X-B3-SpanId", SPAN_ID), ("X-B3-Sampled", "0"), ("X-B3-Flags", "1")],
            {
                "X-B3-TraceId": ["trace id"],
                "X-B3-SpanId": ["span id"],
                "X-B3-Sampled": ["decision"],
                "X-B3-Flags": ["flags"],
            },
        ),
        (
            "ottrace",
            [("ot-tracer-traceid", LOW), ("ot-tracer-spanid", SPAN_ID), ("ot-tracer-sampled", "true")],
            {"ot-tracer-traceid": ["trace id"], "ot-tracer-spanid": ["span id"], "ot-tracer-sampled": ["decision"]},
        ),
    ],
    ids=["b3", "b3multi", "ottrace"],
)  # fmt: skip
def test_each_header_of_a_format_shows_its_own_part(
    format: str, headers: list[tuple[str, str]], expected: dict[str, list[str]]
) -> None:
    explanation = of(*headers, extract=(format,))
    assert {header.name: [field.name for field in header.fields] for header in explanation.headers} == expected


def test_decision_header_shows_what_it_says_even_where_the_debug_flag_overrules_it() -> None:
    headers = [("X-B3-TraceId", TRACE_ID), ("X-B3-SpanId", SPAN_ID), ("X-B3-Sampled", "0"), ("X-B3-Flags", "1")]
    explanation = of(*headers, extract=("b3",))
    assert fields_of(explanation, "X-B3-Sampled") == {"decision": ("not sampled", "")}
    assert fields_of(explanation, "X-B3-Flags") == {"flags": ("debug", "")}
    assert explanation.context is not None
    assert explanation.context.sampled


def test_every_row_of_parts_is_a_header_that_a_codec_reads() -> None:
    from ot_bridge.codecs import readers
    from ot_bridge.explain.received import _PARTS

    assert set(_PARTS) <= {name for codec in readers(CODECS) for name in codec.headers}


# -- baggage -----------------------------------------------------------------------------------------------------------


def test_each_item_says_which_header_it_lost_to() -> None:
    weak = [("jaeger-baggage", "k=1, x=2"), ("baggage", "k=3")]
    explanation = of(("traceparent", PARENT), *weak, ("uberctx-k", "4"), ("uberctx-y", "a+b"))
    assert fields_of(explanation, "jaeger-baggage") == {
        "baggage k": ("1", "not kept: uberctx-k has the same key"),
        "baggage x": ("2", ""),
    }
    assert fields_of(explanation, "baggage") == {"baggage k": ("3", "not kept: uberctx-k has the same key")}
    assert fields_of(explanation, "uberctx-y") == {"baggage y": ("a b", "")}


def test_item_that_a_bridge_sent_twice_is_one() -> None:
    explanation = of(("traceparent", PARENT), ("baggage", "userId=a"), ("uberctx-userid", "a"))
    assert fields_of(explanation, "uberctx-userid") == {"baggage userid": ("a", "the same item as userId")}


def test_item_that_the_settings_refuse_is_not_kept() -> None:
    explanation = of(("traceparent", PARENT), ("baggage", "secret=a"), baggage_deny=("secret",))
    assert fields_of(explanation, "baggage") == {"baggage secret": ("a", "not kept, by the baggage_* settings")}


def test_item_with_two_values_is_dropped() -> None:
    explanation = of(("uberctx-k", "1"), ("uberctx-k", "2"))
    assert problems_of(explanation, "uberctx-k") == ("several lines with different values: the item is dropped",)
    assert explanation.headers[0].values == ("1", "2")


def test_members_of_baggage_that_are_dropped_are_named() -> None:
    assert problems_of(of(("baggage", "good=1,bad,also bad=2,p=1;q=2")), "baggage") == (
        "member 'bad' is dropped, expected key=value",
        "member 'also bad=2' is dropped, expected key=value",
        "properties of members (after ';') are not kept",
    )


def test_many_problems_of_one_header_are_cut() -> None:
    problems = problems_of(of(("baggage", ",".join(["x" * 100] * 20))), "baggage")
    assert len(problems) == 6
    assert problems[0] == f"member {'x' * 60 + '...'!r} is dropped, expected key=value"
    assert problems[5] == "and 15 more"


def test_baggage_over_the_limit_of_the_format_is_said_to_be_dropped() -> None:
    members = ",".join(f"k{number}=v" for number in range(181))
    assert problems_of(of(("baggage", members)), "baggage") == (
        "members are dropped: over 180, 4096 bytes each or 8192 bytes in all",
    )


def test_value_is_decoded_as_the_carrier_wants() -> None:
    assert fields_of(of(("uberctx-k", "a%20b")), "uberctx-k") == {"baggage k": ("a b", "")}
    assert fields_of(of(("uberctx-k", "a%20b"), http=False), "uberctx-k") == {"baggage k": ("a%20b", "")}


# -- malformed ---------------------------------------------------------------------------------------------------------

_UBER_WANTED = "{trace}:{span}:{parent}:{flags}, hex, non-zero ids"


@pytest.mark.parametrize(
    ("items", "header", "problem"),
    [
        ([("uber-trace-id", "x")], "uber-trace-id", f"cannot be read, expected {_UBER_WANTED}"),
        (
            [("uber-trace-id", UBER), ("Uber-Trace-Id", f"{OTHER}:1:0:1")],
            "uber-trace-id",
            f"several lines with different values, expected {_UBER_WANTED}",
        ),
        ([("X-B3-SpanId", SPAN_ID)], "X-B3-SpanId", "not used: x-b3-traceid is malformed or missing"),
        ([("X-B3-Sampled", "1")], "X-B3-Sampled", "says nothing about a trace: there are no ids with it"),
        ([("b3", "1")], "b3", "says nothing about a trace: there are no ids with it"),
        ([("tracestate", "a=1")], "tracestate", "not used: there is no valid traceparent with it"),
        (
            [("traceparent", "00-x"), ("tracestate", "a=1")],
            "tracestate",
            "not used: there is no valid traceparent with it",
        ),
        (
            [("traceparent", PARENT), ("tracestate", "a=1,B=2")],
            "tracestate",
            "dropped: member 'B=2', expected key=value as W3C allows them",
        ),
        (
            [("traceparent", PARENT), ("tracestate", ",".join(f"k{n}=1" for n in range(33)))],
            "tracestate",
            "dropped: 33 members in 187 characters, expected at most 32 in 8192",
        ),
        ([("jaeger-debug-id", "")], "jaeger-debug-id", "empty"),
        (
            [("jaeger-debug-id", "a"), ("jaeger-debug-id", "b")],
            "jaeger-debug-id",
            "several lines with different values, expected one",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_what_was_expected(items: Any, header: str, problem: str) -> None:
    explanation = explain(items, EVERY)
    assert problems_of(explanation, header) == (problem,)
    assert {one.name: one.fields for one in explanation.headers}[header] == ()


def test_missing_header_of_a_format_is_said_to_be_missing() -> None:
    explanation = of(("X-B3-SpanId", SPAN_ID), extract=("b3",))
    assert why(explanation, "b3multi") == "x-b3-traceid: missing, expected 1 to 32 hex digits, not zero"


# -- who won -----------------------------------------------------------------------------------------------------------


def test_first_format_wins_and_the_one_that_agrees_says_so() -> None:
    explanation = of(("uber-trace-id", UBER), ("traceparent", PARENT))
    assert verdicts_of(explanation) == {"jaeger": "won", "tracecontext": "agrees"}
    assert why(explanation, "tracecontext") == "same trace"
    assert explanation.why == "jaeger gives the ids: it comes first. The order is jaeger, tracecontext, baggage."


def test_other_span_and_other_decision_of_the_same_trace_are_told() -> None:
    explanation = of(("uber-trace-id", UBER), ("traceparent", f"00-{TRACE_ID}-1111111111111111-00"))
    assert why(explanation, "tracecontext") == (
        "same trace; other span, 1111111111111111: some hop on the way knew only one of the two; it says not sampled, "
        "and the decision of jaeger counts"
    )
    assert explanation.new_span_id == "1" * 16


def test_trace_id_that_a_hop_cut_is_made_whole() -> None:
    explanation = of(("uber-trace-id", f"{LOW}:{SPAN_ID}:0:1"), ("traceparent", PARENT), ("tracestate", "a=1"))
    assert why(explanation, "tracecontext") == "same trace; jaeger has only its low 64 bits: an old hop cut it"
    assert explanation.taken_over == (
        f"the trace id's high half, {TRACE_ID[:16]}, from the traceparent of the same trace",
        "the tracestate, from the traceparent of the same trace",
    )
    assert "extract.truncated" in explanation.counters


def test_conflict_says_what_it_means() -> None:
    explanation = of(("uber-trace-id", UBER), ("traceparent", PARENT.replace(TRACE_ID, OTHER)), ("tracestate", "a=1"))
    assert verdicts_of(explanation) == {"jaeger": "won", "tracecontext": "conflict"}
    assert why(explanation, "tracecontext") == (
        f"names another trace, {OTHER}: some hop passed this header on without reading it, or began a trace of its "
        "own. Here the trace of jaeger goes on; its tracestate is dropped"
    )
    assert "tracestate" not in dict(explanation.sent)


def test_malformed_header_before_the_winner_is_the_reason() -> None:
    explanation = of(("uber-trace-id", "x"), ("traceparent", PARENT))
    assert verdicts_of(explanation) == {"jaeger": "malformed", "tracecontext": "won"}
    assert explanation.why == (
        "tracecontext gives the ids: jaeger comes before it and cannot be read. "
        "The order is jaeger, tracecontext, baggage."
    )


def test_order_of_the_settings_decides() -> None:
    headers = [("uber-trace-id", UBER), ("traceparent", PARENT.replace(TRACE_ID, OTHER))]
    explanation = of(*headers, extract=("tracecontext", "jaeger"))
    assert list(verdicts_of(explanation).items()) == [("tracecontext", "won"), ("jaeger", "conflict")]


def test_container_starts_a_trace_and_says_with_what() -> None:
    explanation = of(("uberctx-k", "v"), ("jaeger-debug-id", "ticket-7"))
    assert explanation.result == "container"
    assert explanation.why == (
        "No trace goes on: no enabled format has ids. A new trace starts here with the baggage and the debug id; the "
        "debug id forces it to be sampled."
    )
    assert explanation.sent == (("uberctx-k", "v"), ("baggage", "k=v"))
    assert fields_of(explanation, "jaeger-debug-id") == {"debug id": ("ticket-7", "forces a new trace")}


def test_debug_id_beside_ids_is_not_used() -> None:
    explanation = of(("uber-trace-id", UBER), ("jaeger-debug-id", "ticket-7"))
    assert fields_of(explanation, "jaeger-debug-id") == {"debug id": ("ticket-7", "not used: there are ids")}


def test_nothing_says_why() -> None:
    assert of(("a", "b")).why == "No context: no enabled format has ids. A new trace starts here."
    assert of(("traceparent", "x")).why == "No context: tracecontext cannot be read. A new trace starts here."


def test_strict_extract_says_that_it_raises() -> None:
    assert of(("traceparent", "x"), strict_extract=True).why == (
        "No context: tracecontext cannot be read. tracer.extract raises SpanContextCorruptedException (strict_extract)."
    )


def test_context_that_is_not_trusted_is_refused() -> None:
    explanation = of(("uber-trace-id", UBER), ("traceparent", PARENT), ("uberctx-k", "v"), trust_incoming="none")
    assert (explanation.result, explanation.context, explanation.sent) == ("refused", None, ())
    assert verdicts_of(explanation) == {"jaeger": "refused", "tracecontext": "agrees"}
    assert fields_of(explanation, "uberctx-k") == {"baggage k": ("v", "refused")}
    assert explanation.why == (
        "The context is refused by trust_incoming, baggage and all. A new trace starts here with a link to it."
    )


# -- what was not read -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extract", "header", "value", "format", "says"),
    [
        ("jaeger", "X-B3-TraceId", TRACE_ID, "b3", "; it could not be read either"),
        ("jaeger", "b3", f"{TRACE_ID}-{SPAN_ID}", "b3", f"; it names the trace {TRACE_ID}"),
        ("jaeger", "traceparent", PARENT, "tracecontext", f"; it names the trace {TRACE_ID}"),
        ("jaeger", "baggage", "a=1", "baggage", ""),
        ("jaeger", "ot-baggage-a", "1", "ottrace", ""),
        ("b3", "uberctx-a", "1", "jaeger", ""),
    ],
)
def test_header_of_a_format_that_is_off_says_how_to_switch_it_on(
    extract: str, header: str, value: str, format: str, says: str
) -> None:
    explanation = of((header, value), extract=(extract,))
    expected = f"{format} is not in extract{says}. To read it: OT_BRIDGE_EXTRACT={extract},{format}"
    assert not_read(explanation) == {header: expected}
    assert (explanation.headers, explanation.others) == ((), 0)


@pytest.mark.parametrize(("trace_id", "which"), [(TRACE_ID, "the same"), (OTHER, "another")])
def test_format_that_is_off_says_whether_it_names_the_same_trace(trace_id: str, which: str) -> None:
    explanation = of(("uber-trace-id", UBER), ("b3", f"{trace_id}-{SPAN_ID}"))
    assert f"; it names {which} trace." in not_read(explanation)["b3"]


def test_usual_name_of_a_header_that_is_configured_otherwise_is_pointed_out() -> None:
    explanation = of(
        ("uber-trace-id", UBER), ("uberctx-a", "1"), trace_id_header="x-trace", baggage_header_prefix="bag-"
    )
    assert not_read(explanation) == {
        "uber-trace-id": "OT_BRIDGE_TRACE_ID_HEADER is 'x-trace'",
        "uberctx-a": "OT_BRIDGE_BAGGAGE_HEADER_PREFIX is 'bag-'",
    }


def test_configured_name_is_read() -> None:
    explanation = of(("X-Trace", UBER), trace_id_header="x-trace")
    assert fields_of(explanation, "X-Trace")["trace id"] == (TRACE_ID, "128 bit")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("trace-parent", "not a known name; 'traceparent' is"),
        ("Uber_Trace_Id", "not a known name; 'uber-trace-id' is"),
        ("X-Datadog-Trace-Id", "Datadog's own, for which there is no codec"),
        ("x-b3-parentspanid", "B3's parent of the parent, which no format needs"),
    ],
)
def test_header_that_looks_like_one_says_what_it_is(name: str, expected: str) -> None:
    assert not_read(of((name, "secret"))) == {name: expected}


@pytest.mark.parametrize(
    "name", ["Authorization", "Cookie", "User-Agent", "Accept", "X-Request-Id", "", "\N{EURO SIGN}"]
)
def test_other_headers_are_counted_and_not_shown(name: str) -> None:
    explanation = of((name, "hunter2"), ("traceparent", PARENT))
    assert (explanation.not_read, explanation.others) == ((), 1)
    assert "hunter2" not in json.dumps(as_dict(explanation))


# -- what is sent on ---------------------------------------------------------------------------------------------------


def test_child_is_sent_on_with_a_placeholder_for_its_id() -> None:
    explanation = of(("uber-trace-id", f"{LOW}:{SPAN_ID}:0:3"), ("baggage", "k=a%20b"))
    assert explanation.new_span_id == "1" * 16
    assert explanation.sent == (
        ("uber-trace-id", f"{LOW}:1111111111111111:0:3"),
        ("traceparent", f"00-{'0' * 16}{LOW}-1111111111111111-01"),
        ("tracestate", "jaeger=d:1"),
        ("uberctx-k", "a%20b"),
        ("baggage", "k=a%20b"),
    )


def test_placeholder_is_never_the_parent() -> None:
    assert of(("traceparent", f"00-{TRACE_ID}-{'1' * 16}-01")).new_span_id == "2" * 16


def test_baggage_that_cannot_be_sent_is_named() -> None:
    explanation = of(("traceparent", PARENT), ("jaeger-baggage", "a b=1,k=2"))
    assert explanation.not_sent == ("a b",)
    assert of(("traceparent", PARENT), ("baggage", "k=1"), inject=("b3",)).not_sent == ("k",)
    assert of(("traceparent", PARENT), ("baggage", "userId=1"), inject=("jaeger",)).not_sent == ()


# -- as data -----------------------------------------------------------------------------------------------------------


def test_explanation_as_data_has_a_stable_shape() -> None:
    explanation = of(("traceparent", PARENT), ("Cookie", "a"), ("b3", "0"))
    assert as_dict(explanation) == {
        "result": "context",
        "why": "tracecontext gives the ids: jaeger comes before it and is not there. "
        "The order is jaeger, tracecontext, baggage.",
        "context": {
            "trace_id": TRACE_ID,
            "span_id": SPAN_ID,
            "sampled": True,
            "debug": False,
            "random": False,
            "tracestate": "",
            "baggage": {},
            "debug_id": None,
            "format": "tracecontext",
        },
        "headers": [
            {
                "name": "traceparent",
                "values": (PARENT,),
                "format": "tracecontext",
                "fields": [
                    {"name": "trace id", "value": TRACE_ID, "remark": "128 bit"},
                    {"name": "span id", "value": SPAN_ID, "remark": ""},
                    {"name": "flags", "value": "sampled", "remark": ""},
                ],
                "problems": (),
            }
        ],
        "formats": [
            {"format": "jaeger", "outcome": "absent", "why": "no header of it with ids"},
            {"format": "tracecontext", "outcome": "won", "why": "the first valid one, its ids count"},
        ],
        "taken_over": (),
        "not_read": [
            {"name": "b3", "why": "b3 is not in extract. To read it: OT_BRIDGE_EXTRACT=jaeger,tracecontext,baggage,b3"}
        ],
        "others": 1,
        "counters": {"extract.tracecontext": "requests continued with the ids of this format"},
        "sent": (
            ("uber-trace-id", f"{TRACE_ID}:1111111111111111:0:1"),
            ("traceparent", f"00-{TRACE_ID}-1111111111111111-01"),
        ),
        "not_sent": (),
        "new_span_id": "1111111111111111",
    }  # fmt: skip


def test_container_as_data_has_no_ids() -> None:
    context = as_dict(of(("baggage", "k=v")))["context"]
    assert (context["trace_id"], context["span_id"], context["baggage"]) == (None, None, {"k": "v"})


names = st.sampled_from(
    ["uber-trace-id", "traceparent", "tracestate", "baggage", "jaeger-baggage", "uberctx-k", "b3", "X-B3-TraceId",
     "X-B3-SpanId", "x-b3-sampled", "ot-tracer-traceid", "ot-tracer-spanid", "ot-baggage-k", "baggage-k",
     "jaeger-debug-id", "cookie"]
)  # fmt: skip
values = st.one_of(
    st.sampled_from([UBER, PARENT, TRACE_ID, SPAN_ID, f"{OTHER}:1:0:3", f"{LOW}-{SPAN_ID}-d", "k=1,a=2", "1", ""]),
    st.text(max_size=20),
    st.binary(max_size=8),
    st.lists(st.text(max_size=5), max_size=3),
)


@settings(deadline=None)
@given(st.lists(st.tuples(names, values), max_size=6), st.sets(st.sampled_from(list(CODECS))), st.booleans())
def test_explanation_never_differs_from_the_reading(items: list[Any], extract: set[str], http: bool) -> None:
    chosen = Settings(extract=tuple(sorted(extract)))
    explanation = explain(items, chosen, http=http)
    reading = MixedFleetPropagator(settings=chosen).read(items, http=http)
    assert explanation.context == reading.context
    assert ("conflict" in verdicts_of(explanation).values()) == ("extract.conflict" in reading.notes)
    json.dumps(as_dict(explanation))


def test_explanation_knows_every_setting_of_the_codecs() -> None:
    from ot_bridge.codecs.codec import Options

    assert set(Options._fields) <= {field.name for field in dataclasses.fields(Settings)}
