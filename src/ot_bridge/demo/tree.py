"""One trace as a tree for the terminal: a line for each span, its tags and logs below it. Pure: records to rich."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ot_bridge.demo.spans import Event, SpanRecord, hop
from ot_bridge.demo.verdict import BAGGAGE_TAG

__all__ = ["draw", "duration"]

_GUIDE = 4
_RIGHT_COLUMNS = 8 + 5 + 27 + 13 + 4 * 2
# Tags that say how a call was made; the tree says that in its columns.
_PLUMBING = ("http.", "url.", "span.kind", "component", "peer.", "sampler.", "internal.", "otel.")
_STACKS = ("exception.stacktrace", "exception.escaped", "exception.type", "exception.message", "stack")


def draw(spans: Sequence[SpanRecord], width: int, skipped: Mapping[str, str] | None = None) -> RenderableType:
    """Draw a trace.

    Args:
        spans: the spans, in any order; those without their parent become further roots.
        width: columns of the terminal; where the tree is too wide for it, a span gets two lines.
        skipped: services that had nothing to do, each with the reason; drawn as the last branches of the root.
    """
    ordered = sorted(spans, key=lambda span: span.start_ns)
    known = {span.span_id for span in ordered}
    roots = [span for span in ordered if span.parent_id not in known]
    narrow = max((_width(root, ordered) for root in roots), default=0) + _RIGHT_COLUMNS > width
    trees = [_branch(root, ordered, narrow) for root in roots]
    for tree in trees[:1]:
        for service, reason in (skipped or {}).items():
            tree.add(Text.assemble((service, "bold"), f"  skipped: {reason}", style="dim"))
    head: list[RenderableType] = [] if narrow else [_row("span", "duration", "", "produced by", "carried by", "dim")]
    return Group(*head, *trees)


def duration(nanoseconds: int) -> str:
    """Write a duration as people read it: `0.4 ms`, `412 ms`, `1.02 s`."""
    milliseconds = nanoseconds / 1e6
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.2f} s"


def _width(span: SpanRecord, spans: Sequence[SpanRecord]) -> int:
    below = [_GUIDE + _width(child, spans) for child in _children(span, spans)]
    return max([cell_len(f"{span.service} {span.operation}"), *below])


def _children(span: SpanRecord, spans: Sequence[SpanRecord]) -> list[SpanRecord]:
    return [child for child in spans if child.parent_id == span.span_id != child.span_id]


def _branch(span: SpanRecord, spans: Sequence[SpanRecord], narrow: bool) -> Tree:
    tree = Tree(_label(span, narrow), guide_style="dim")
    tree.children += [_branch(child, spans, narrow) for child in _children(span, spans)]
    return tree


def _label(span: SpanRecord, narrow: bool) -> RenderableType:
    name = Text.assemble((span.service, "bold cyan" if span.kind == "server" else "cyan"), " ", span.operation)
    error = "ERROR" if span.error else ""
    carried = _carried_by(span)
    if narrow:
        name.append(f"  {duration(span.duration_ns)}").append(f"  {error}" if error else "", "bold red")
        by = Text(span.producer + (f", carried by {carried}" if carried else ""), "dim")
        return Group(name, by, *_details(span))
    return Group(_row(name, duration(span.duration_ns), error, span.producer, carried), *_details(span))


def _row(name: str | Text, took: str, error: str, producer: str, carried: str, style: str = "") -> Table:
    row = Table.grid(expand=True, padding=(0, 2, 0, 0))
    row.add_column(ratio=1)
    row.add_column(width=8, justify="right", no_wrap=True)
    row.add_column(width=5, style="bold red")
    row.add_column(width=27)
    row.add_column(width=13, no_wrap=True)
    row.add_row(name, took, error, producer, carried, style=style)
    return row


def _carried_by(span: SpanRecord) -> str:
    if span.kind != "server":
        return ""
    return hop(span).followed or ("nothing" if span.parent_id else "")


def _details(span: SpanRecord) -> list[RenderableType]:
    tags = [
        Text(f"{key}={value}", "magenta" if key.startswith(BAGGAGE_TAG) else "dim")
        for key, value in span.tags.items()
        if not key.startswith(_PLUMBING)
    ]
    lines = [Text("  ").join(tags)] if tags else []
    return [Padding(line, (0, 0, 0, 2), expand=False) for line in [*lines, *map(_log, span.events)]]


def _log(event: Event) -> Text:
    if event.name == "exception":
        kind = str(event.fields.get("exception.type", "exception")).rpartition(".")[2]
        return Text(f"log {kind}: {event.fields.get('exception.message', '')}", "red")
    fields = "  ".join(f"{key}={value}" for key, value in event.fields.items() if key not in _STACKS)
    return Text(f"log {event.name or '(no event)'}  {fields}".rstrip(), "dim")
