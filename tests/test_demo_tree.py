from __future__ import annotations

import io

from rich.console import Console
from tests.demo_records import changed, whole_trace

from ot_bridge.traces.model import Span
from ot_bridge.traces.render.details import Details
from ot_bridge.traces.render.terminal import draw
from ot_bridge.traces.tree import Trace


def drawn(spans: list[Span], width: int, skipped: dict[str, str] | None = None) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(draw(Trace(spans), width, skipped=skipped, shown=Details(times=False)))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return [line.rstrip() for line in text.splitlines()]


def test_wide_tree_has_a_line_for_each_span_and_each_log() -> None:
    assert drawn(whole_trace(), 108, {"courier": "nobody called it"}) == [
        "span                                             duration         produced by                  carried by",
        "shop buy                                           500 ms  ERROR  ot_bridge 0.1.0",
        "  log parcel.skipped  reason=unpaid",
        "├── shop GET /stock                                 20 ms         ot_bridge 0.1.0",
        "│   └── store GET /stock                            10 ms         jaeger-client Python-4.8.0   uber-trace-id",
        "│         baggage.tier=gold member",
        "├── shop POST /charge                              400 ms  ERROR  ot_bridge 0.1.0",
        "│     log ReadTimeout: too slow",
        "│   └── bank POST /charge                          700 ms         opentelemetry-python 1.45.2  traceparent",
        "│         baggage.tier=gold member",
        "└── courier  skipped: nobody called it",
    ]


def test_narrow_tree_has_two_lines_for_each_span_and_loses_nothing() -> None:
    assert drawn(whole_trace(), 60) == [
        "shop buy  500 ms  ERROR",
        "ot_bridge 0.1.0",
        "  log parcel.skipped  reason=unpaid",
        "├── shop GET /stock  20 ms",
        "│   ot_bridge 0.1.0",
        "│   └── store GET /stock  10 ms",
        "│       jaeger-client Python-4.8.0, carried by uber-trace-id",
        "│         baggage.tier=gold member",
        "└── shop POST /charge  400 ms  ERROR",
        "    ot_bridge 0.1.0",
        "      log ReadTimeout: too slow",
        "    └── bank POST /charge  700 ms",
        "        opentelemetry-python 1.45.2, carried by traceparent",
        "          baggage.tier=gold member",
    ]


def test_spans_without_their_parent_become_roots() -> None:
    orphaned = [span for span in whole_trace() if span.span_id != 4]
    assert any(line.startswith("bank POST /charge") for line in drawn(orphaned, 110))


def test_text_in_square_brackets_is_no_markup() -> None:
    spans = changed(whole_trace(), 1, name="[red]buy[/]")
    assert drawn(spans, 110)[1].startswith("shop [red]buy[/]")
