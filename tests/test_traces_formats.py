"""One trace by all ways, and the page that says what each of them loses."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from jaeger_made import BINARY, COMPACT, packet
from ot_bridge.traces import otlp
from ot_bridge.traces.formats import jaeger_rules, otlp_json, otlp_proto, thrift, zipkin_v1
from ot_bridge.traces.formats.decoded import Decoded
from ot_bridge.traces.formats.jaeger_thrift import DROPPED, SEQ_NO, decode_packet
from ot_bridge.traces.formats.zipkin import ABSENT_START, ENDPOINTS, KINDS, RESOURCE_TAGS, decode_json
from ot_bridge.traces.model import Span
from ot_bridge.traces.tree import Trace
from traces_formats_made import JAEGER, LOSSES, OTLP, ZIPKIN, carried, jaeger_batches, otlp_message, zipkin_spans

PAGE = (Path(__file__).parent.parent / "docs" / "formats.md").read_text(encoding="utf-8")
SENT = otlp.spans(otlp_message().resource_spans)


def by_jaeger(protocol: Any) -> list[Span]:
    packets = [packet(one, protocol) for one in jaeger_batches(SENT)]
    return [span for one in packets for span in otlp.spans(decode_packet(one).batches)]


def by_zipkin() -> list[Span]:
    return otlp.spans(decode_json(json.dumps(zipkin_spans(SENT)).encode()).batches)


def by_otlp(data: bytes, decode: Callable[[bytes], Decoded]) -> list[Span]:
    return otlp.spans(decode(data).batches)


WAYS: dict[str, tuple[str, Callable[[], list[Span]]]] = {
    "otlp-protobuf": ("", lambda: by_otlp(otlp_message().SerializeToString(), otlp_proto.decode_traces)),
    "otlp-json": ("", lambda: by_otlp(json.dumps(OTLP).encode(), otlp_json.decode_traces)),
    "jaeger-compact": (JAEGER, lambda: by_jaeger(COMPACT)),
    "jaeger-binary": (JAEGER, lambda: by_jaeger(BINARY)),
    "zipkin": (ZIPKIN, by_zipkin),
}


def plain(spans: Sequence[Span]) -> list[Any]:
    """A trace as plain data: its tree, and every field of its spans but the way that it came by."""
    found = Trace(spans)
    rows = []
    for span, parent in zip(found.spans, found.parents, strict=True):
        row = {one.name: getattr(span, one.name) for one in fields(span) if one.name not in ("resource", "via")}
        rows.append((parent, row, dict(span.resource.attributes)))
    return rows


@pytest.mark.parametrize("name", WAYS)
def test_a_trace_is_the_same_by_every_way_but_for_what_the_format_cannot_carry(name: str) -> None:
    way, receive = WAYS[name]
    assert plain(receive()) == plain(carried(SENT, way))


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.what)
def test_each_loss_changes_the_trace(loss: Any) -> None:
    assert plain([loss.change(span) for span in SENT]) != plain(SENT)


# -- the page ----------------------------------------------------------------------------------------------------------


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """The rows of a section's table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_page_has_the_table_of_losses() -> None:
    assert rows("What is lost") == [[loss.what, loss.jaeger, loss.zipkin] for loss in LOSSES]


def test_the_page_has_the_tables_of_zipkin() -> None:
    found = dict(rows("Zipkin"))
    endpoints: dict[str, list[str]] = {}
    for endpoint, names in ENDPOINTS.items():
        for field, attribute in names.items():
            endpoints.setdefault(attribute, []).append(f"`{endpoint}.{field}`")
    for attribute, written in endpoints.items():
        assert found[", ".join(written)] == f"`{attribute}`"
    assert found["a tag that begins with " + ", ".join(f"`{one}`" for one in RESOURCE_TAGS)] == "a resource attribute"
    assert ", ".join(KINDS) in found["`kind`"]
    assert ABSENT_START in found["no `timestamp`"]
    told = [f"`{begins}` or `{ends}` a {kind.lower()}" for kind, (begins, ends) in zipkin_v1.CORE.items()]
    assert ", ".join(told) in " ".join(section("Zipkin").split())


def test_the_page_has_the_tables_of_jaeger() -> None:
    found = dict(rows("Jaeger"))
    for old, new in jaeger_rules.PROCESS_TAGS.items():
        assert found[f"process tag `{old}`"] == f"resource attribute `{new}`"
    assert found["the batch's `seqNo`"] == f"resource attribute `{SEQ_NO}`"
    assert found["the batch's `stats`: what the client dropped since it began"] == f"resource attribute `{DROPPED}`"


def test_the_page_has_the_limits_of_thrift() -> None:
    assert f"at most {thrift.MOST_ELEMENTS:,} list elements are read, nested at most {thrift.DEEPEST} deep" in PAGE
