"""Where the drop-in differs from jaeger-client in one program, and why: what no rule can derive from a record.

A record holds what jaeger-client sent: it cannot tell what stood there before str() or the limit of a length. These
tables say it, line by line and field by field. A row that changes nothing fails the tests. The source of a row is a
heading of RATIONALE.md, which ends with its question mark, else the reason itself.
"""

from __future__ import annotations

import copy
from typing import Any, Final, NamedTuple

from parity.running import Run, Span
from parity.translate import expected

__all__ = ["ADDED", "FIELDS", "LINES", "Added", "Field", "Line", "expected_run"]

REMOVED: Final = object()
"""Instead of a value: the field is not there."""


class Line(NamedTuple):
    """Lines of output that differ: each `real` one is `bridge` there; by one way only where `way` names it."""

    program: str
    real: str
    bridge: str
    source: str
    way: str | None = None


class Field(NamedTuple):
    """One value of a span that differs; `path` leads to it through dicts and lists."""

    program: str
    span_id: str
    path: tuple[str | int, ...]
    value: Any
    source: str

    def apply(self, span: Span) -> None:
        """Put the value into a span."""
        *path, last = self.path
        place: Any = span
        for step in path:
            place = place[step]
        if self.value is REMOVED:
            del place[last]
        else:
            place[last] = copy.deepcopy(self.value)


class Added(NamedTuple):
    """A span that jaeger-client does not send: the record that it would have made of it."""

    program: str
    service: str
    name: str
    source: str
    tags: tuple[tuple[str, str, Any], ...] = ()


_CONTAINER = "Is a trace that begins with baggage alone sampled?"
_FLAGS = "Which flags are sent in uber-trace-id?"
_PARENT = "Which flags are sent in uber-trace-id?"  # "the parent is always `0`": what is never sent is not read either
_ERRORS = "Which values of error are true?"
_RECORDED = "How is an exception recorded?"
_LENGTHS = "Are long values cut?"
_UNSENDABLE = "What if a value cannot be sent at all?"
_VALUES = "compat_matrix.md: Values"
_HEADER = (
    "headers have one form, whoever writes them: full widths, lower-case baggage keys, parent 0, the decision in B3"
)
_PRIORITY = "What does sampling.priority do?"
_SAMPLER_TAGS = (("sampler.type", "string", "const"), ("sampler.param", "bool", True))

_TRACEBACK = """Traceback (most recent call last):
  File "raising_blocks.py", line 24, in handled
    charge(tracer, -5)
  File "raising_blocks.py", line 18, in charge
    raise PaymentError("negative amount: %d" % amount)
PaymentError: negative amount: -5
"""

_NARROW, _WIDE = "'0000000000000abc'", "'00000000000000000000000000000abc'"
_B3_SPAN = "('X-B3-SpanId', '0000000000000def')"
_B3_PARENT = "('X-B3-ParentSpanId', '0000000000000123')"

LINES: Final = (
    *(
        Line(
            "b3_fleet",
            f"['X-B3-ParentSpanId', 'X-B3-Sampled', 'X-B3-SpanId', 'X-B3-TraceId'] {ids} b3b3b3b3b3b30002 1",
            "['X-B3-Sampled', 'X-B3-SpanId', 'X-B3-TraceId'] 0000000000000000b3b3b3b3b3b30001 None 1",
            _HEADER,
        )
        for ids in ("b3b3b3b3b3b30001", "0000000000000000b3b3b3b3b3b30001")
    ),
    Line(
        "built_contexts", "refused 3", "refused 0", "nothing is raised into the application: inject.nothing counts it"
    ),
    *(
        Line("codecs_direct", f"[('{name}', '{narrow}'){more}]", f"[{other}('{name}', '{wide}'){rest}]", _HEADER)
        for name, narrow, more, other, wide, rest in (
            (
                "uber-trace-id",
                "abc:def:123:1",
                ", ('uberctx-Other', 'x'), ('uberctx-key', 'a b/c+d')",
                "",
                "0000000000000abc:0000000000000def:0:1",
                ", ('uberctx-key', 'a b/c+d'), ('uberctx-other', 'x')",
            ),
            (
                "uber-trace-id",
                "abc:def:123:1",
                ", ('uberctx-Other', 'x'), ('uberctx-key', 'a%20b/c%2Bd')",
                "",
                "0000000000000abc:0000000000000def:0:1",
                ", ('uberctx-key', 'a%20b%2Fc%2Bd'), ('uberctx-other', 'x')",
            ),
            (
                "uber-trace-id",
                "10000000000000005:def:0:3",
                "",
                "",
                "00000000000000010000000000000005:0000000000000def:0:3",
                "",
            ),
            ("uber-trace-id", "abc:def:0:0", "", "", "0000000000000abc:0000000000000def:0:0", ""),
            (
                "trace-id",
                "10000000000000005:def:0:3",
                "",
                "",
                "00000000000000010000000000000005:0000000000000def:0:3",
                "",
            ),
            ("trace-id", "abc:def:0:0", "", "", "0000000000000abc:0000000000000def:0:0", ""),
        )
    ),
    Line(
        "codecs_direct",
        "[('bag-Other', 'x'), ('bag-key', 'a b/c+d'), ('trace-id', 'abc:def:123:1')]",
        "[('bag-key', 'a b/c+d'), ('bag-other', 'x'), ('trace-id', '0000000000000abc:0000000000000def:0:1')]",
        _HEADER,
    ),
    Line(
        "codecs_direct",
        "   back (['abc', 'def', '123'], 1, [('key', 'a b/c+d'), ('other', 'x')], None)",
        "   back (['abc', 'def', None], 1, [('key', 'a b/c+d'), ('other', 'x')], None)",
        _PARENT,
    ),
    Line(
        "codecs_direct",
        "   back (['abc', 'def', '123'], 1, [], None)",
        "   back (['abc', 'def', None], 1, [], None)",
        _PARENT,
    ),
    Line(
        "codecs_direct",
        "   back (['10000000000000005', 'def', None], 2, [], None)",
        "   back (['10000000000000005', 'def', None], 3, [], None)",
        "Why does a B3 debug trace carry X-B3-Sampled too?",
    ),
    Line(
        "codecs_direct",
        "69 True (['abc', 'def', '123'], 1, [('Other', 'x'), ('key', 'a b/c+d')], None)",
        "69 True (['abc', 'def', None], 1, [('Other', 'x'), ('key', 'a b/c+d')], None)",
        _PARENT,
    ),
    *(
        Line(
            "codecs_direct",
            f"[{_B3_PARENT}, ('X-B3-Sampled', '1'), {_B3_SPAN}, ('X-B3-TraceId', {trace_id})]",
            f"[('X-B3-Sampled', '1'), {_B3_SPAN}, ('X-B3-TraceId', {_WIDE})]",
            _HEADER,
        )
        for trace_id in (_NARROW, _WIDE)
    ),
    *(
        Line(
            "codecs_direct",
            f"[('X-B3-Flags', '1'), {_B3_SPAN}, ('X-B3-TraceId', '{trace_id}')]",
            f"[('X-B3-Flags', '1'), ('X-B3-Sampled', '1'), {_B3_SPAN}, "
            "('X-B3-TraceId', '00000000000000010000000000000005')]",
            _HEADER,
        )
        for trace_id in ("10000000000000005", "00000000000000010000000000000005")
    ),
    *(
        Line(
            "codecs_direct",
            f"[{_B3_SPAN}, ('X-B3-TraceId', {trace_id})]",
            f"[('X-B3-Sampled', '0'), {_B3_SPAN}, ('X-B3-TraceId', {_WIDE})]",
            _HEADER,
        )
        for trace_id in (_NARROW, _WIDE)
    ),
    Line("config_surface", "refused", "{'a': 'b=c'}", "a value in JAEGER_TAGS may hold a ="),
    Line("extract_forms", "    parent cafe0000beef0003", "    parent None", _PARENT),
    Line(
        "extract_forms",
        "firehose cafe0000beef0001:cafe0000beef0002 9 None",
        "firehose cafe0000beef0001:cafe0000beef0002 1 None",
        _FLAGS,
    ),
    Line(
        "extract_forms",
        "    cafe0000beef0001 cafe0000beef0002 9 True False",
        "    cafe0000beef0001 cafe0000beef0002 1 True False",
        _FLAGS,
    ),
    Line(
        "extract_forms",
        "debug-without-sampled cafe0000beef0001:cafe0000beef0002 2 None",
        "debug-without-sampled cafe0000beef0001:cafe0000beef0002 0 None",
        _FLAGS,
    ),
    Line(
        "extract_forms",
        "    cafe0000beef0001 cafe0000beef0002 2 False True",
        "    cafe0000beef0001 cafe0000beef0002 0 False False",
        _FLAGS,
    ),
    Line("extract_forms", "    0 None [('user', 'ann')]", "    1 None [('user', 'ann')]", _CONTAINER),
    Line(
        "global_tracer",
        "registered False False",
        "registered True False",
        "ot-bridge run installs the bridge before the first line of the program",
        way="run",
    ),
    Line("malformed_headers", "'1:2::1' -> corrupted", "'1:2::1' -> context 1", _PARENT),
    Line("malformed_headers", "'1:2:zz:1' -> corrupted", "'1:2:zz:1' -> context 1", _PARENT),
    Line("malformed_headers", "http '1:2::1' -> corrupted", "http '1:2::1' -> context 1", _PARENT),
    Line("malformed_headers", "http '1:2:zz:1' -> corrupted", "http '1:2:zz:1' -> context 1", _PARENT),
    Line("manual_finish", "no name ''", "no name 'unnamed'", "What is an empty operation name?"),
    Line(
        "one_span_per_rpc",
        "True same span id True parent is client False",
        "True same span id False parent is client True",
        "one_span_per_rpc is not supported, and says so once",
    ),
    Line("priority", "1 none at start: TypeError", "1 none at start is accepted", _PRIORITY),
    Line("priority", "0 none at start: TypeError", "0 none at start is accepted", _PRIORITY),
    Line("throttled", "True refused-by-header 0", "True refused-by-header 1", _CONTAINER),
)

FIELDS: Final = (
    *(
        row
        for span_id in ("<start-exception>", "<later-exception>")
        for row in (
            Field("error_tags", span_id, ("attributes", "error"), REMOVED, _ERRORS),
            Field("error_tags", span_id, ("status",), ["ERROR", "went wrong"], _ERRORS),
        )
    ),
    *(
        row
        for span_id in ("<tags-at-start>", "<tags-after-start>")
        for row in (
            Field("tag_values", span_id, ("attributes", "enum.str"), ["string", "red"], _VALUES),
            Field("tag_values", span_id, ("attributes", "object.broken"), ["string", "<unprintable Broken>"], _VALUES),
        )
    ),
    *(
        Field("long_values", "<unlimited>", path, ["string", letter * 3000], _LENGTHS)
        for letter, path in (
            ("s", ("attributes", "start.long")),
            ("x", ("attributes", "long")),
            ("\u2603", ("attributes", "unicode")),
            ("z", ("logs", 0, "attributes", "text")),
            ("m", ("logs", 0, "attributes", "message")),
            ("p", ("process", "process")),
        )
    ),
    Field(
        "long_values",
        "<limited>",
        ("logs", 1, "attributes", "stack"),
        ["string", 'Traceback (most recent call last):\n  File "templat'],
        "How is an exception recorded?",
    ),
    Field(
        "manual_finish",
        "<late>",
        ("attributes", "too"),
        REMOVED,
        "a finished span does not change: jaeger-client changes it until its batch is sent",
    ),
    Field(
        "manual_finish",
        "<late>",
        ("logs",),
        [],
        "a finished span does not change: jaeger-client changes it until its batch is sent",
    ),
    Field(
        "raising_blocks",
        "<handled>",
        ("logs", 0, "attributes", "exception.type"),
        ["string", "__main__.PaymentError"],
        _RECORDED,
    ),
    Field(
        "raising_blocks",
        "<handled>",
        ("logs", 0, "attributes", "exception.stacktrace"),
        ["string", _TRACEBACK],
        _RECORDED,
    ),
)

ADDED: Final = (
    Added("extract_forms", "extracts", "baggage-only", _CONTAINER, _SAMPLER_TAGS),
    Added("extract_forms", "extracts", "hand-made-baggage-only", _CONTAINER, _SAMPLER_TAGS),
    Added("throttled", "throttled-True", "refused-by-header", _CONTAINER, _SAMPLER_TAGS),
    *(
        Added("hostile_values", f"hostile-{name}", span_name, _UNSENDABLE, (*_SAMPLER_TAGS, *tags))
        for name, value in (
            ("too-large", "18446744073709551616"),
            ("too-negative", "-9223372036854775809"),
            ("surrogate", "a?b"),
        )
        for span_name, tags in ((name, (("value", "string", value),)), (f"beside-{name}", ()))
    ),
)


def expected_run(program: str, record: Run, way: str) -> Run:
    """Return the run that the drop-in has to make of a program, from that which jaeger-client made.

    Args:
        program: its name.
        record: what jaeger-client made of it.
        way: how it comes to the drop-in, see `bridge.WAYS`.
    """
    lines = {line.real: line.bridge for line in LINES if line.program == program and line.way in (None, way)}
    spans = [expected(source) for source in record.spans]
    for field in FIELDS:
        if field.program == program:
            field.apply(next(span for span in spans if span["span_id"] == field.span_id))
    spans += [expected(_record(added, record)) for added in ADDED if added.program == program]
    spans.sort(key=lambda span: (span["service"], span["span_id"]))
    return Run(record.status, [lines.get(line, line) for line in record.stdout], spans)


def _record(added: Added, record: Run) -> Span:
    process = {"hostname": ["string", "<this host>"], "ip": ["string", "<this address>"]}
    if record.spans:
        process = copy.deepcopy(record.spans[0]["process"])
    return {
        "service": added.service,
        "process": process,
        "name": added.name,
        "trace_id": f"<trace of {added.name}>",
        "trace_id_bits": 64,
        "span_id": f"<{added.name}>",
        "parent_id": None,
        "parent_is_local": False,
        "flags": 1,
        "start_ns": "now",
        "end_ns": "now",
        "references": [],
        "tags": [list(tag) for tag in added.tags],
        "logs": [],
    }
