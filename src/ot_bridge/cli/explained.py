"""Prints an explanation. Legible at 80 columns; a header is never broken over lines, so that it can be copied."""

from __future__ import annotations

import textwrap
from typing import Final

from rich.console import Console
from rich.text import Text

from ot_bridge.explain import Explanation, Field, HeaderRead, flag_names
from ot_bridge.traces.render.harmless import cut, harmless

__all__ = ["show"]

_WIDTH: Final = 80
_LABEL: Final = 11
_STYLES: Final = {
    "won": "bold green",
    "agrees": "green",
    "conflict": "bold red",
    "malformed": "bold red",
    "absent": "dim",
    "refused": "bold red",
    "ignored": "yellow",
}


def show(explanation: Explanation, console: Console) -> None:
    """Print an explanation for people."""
    page = _Page(console.encoding, min(console.width, _WIDTH))
    page.title("Read")
    for header in explanation.headers:
        _header(page, header)
    for reason in dict.fromkeys(missed.why for missed in explanation.not_read):
        for missed in explanation.not_read:
            if missed.why == reason:
                page.row("  ", missed.name, "yellow")
        page.prose("    ", f"not read: {reason}", "yellow")
    if explanation.others:
        plural = "s" if explanation.others > 1 else ""
        page.prose("  ", f"{explanation.others} other header line{plural} without a trace in it, not shown", "dim")
    if not (explanation.headers or explanation.not_read or explanation.others):
        page.prose("  ", "no header at all", "dim")
    page.title("Formats, in the order of extract")
    for verdict in explanation.formats:
        page.labelled(verdict.outcome, f"{verdict.format}: {verdict.why}", _STYLES.get(verdict.outcome, ""))
    page.title("Result")
    page.prose("  ", explanation.why, "bold" if explanation.result == "context" else "bold red")
    _result(page, explanation)
    _sent(page, explanation)
    console.print(page.text, soft_wrap=True, end="")


def _header(page: _Page, header: HeaderRead) -> None:
    page.row("  ", header.name, "bold")
    for value in header.values:
        page.row("    ", cut(value), "cyan")
    for field in header.fields:
        _field(page, field)
    for problem in header.problems:
        page.prose("      ! ", problem, "red")


def _field(page: _Page, field: Field) -> None:
    text = f"{field.name:<{_LABEL}}  {cut(field.value)}"
    if field.remark and len(text) + len(field.remark) + 10 > _WIDTH:
        page.row("      ", text, "")
        page.prose(" " * (8 + _LABEL), field.remark, "dim")
    else:
        page.row("      ", text, "", f"  {field.remark}" if field.remark else "")


def _result(page: _Page, explanation: Explanation) -> None:
    context = explanation.context
    if context is not None:
        if context.trace_id:
            page.labelled("trace id", f"{context.trace_id:032x}")
            page.labelled("parent", f"{context.span_id:016x}")
            page.labelled("flags", flag_names(context))
        if context.tracestate:
            page.labelled("tracestate", cut(context.tracestate))
        if context.debug_id and not context.trace_id:
            page.labelled("debug id", cut(context.debug_id))
        for key, value in context.baggage.items():
            page.labelled("baggage", cut(f"{key} = {value}"))
    for taken in explanation.taken_over:
        page.labelled("taken over", taken)
    if explanation.counters:
        page.labelled("counted", ", ".join(explanation.counters), "dim")


def _sent(page: _Page, explanation: Explanation) -> None:
    page.title("Sent on")
    if explanation.result == "context":
        page.prose("  ", f"By a child span; {explanation.new_span_id} stands for its id.")
    else:
        page.prose("  ", "The ids of the new trace" + (", and:" if explanation.sent else "."))
    for name, value in explanation.sent:
        page.row("    ", f"{name}: {value}", "cyan")
    for key in explanation.not_sent:
        page.prose("  ! ", f"baggage {key} is not sent: no format of inject can carry it", "red")


class _Page:
    """Lines of text, with what comes from outside made harmless.

    Args:
        encoding: what cannot be written in it is escaped.
        width: columns for prose.
    """

    def __init__(self, encoding: str, width: int) -> None:
        self.text = Text()
        self._encoding = encoding
        self._width = width

    def title(self, words: str) -> None:
        if self.text:
            self.text.append("\n")
        self.row("", words, "bold underline")

    def row(self, indent: str, text: str, style: str, remark: str = "") -> None:
        """Add one line, however long."""
        self.text.append(indent).append(harmless(text, self._encoding), style)
        self.text.append(harmless(remark, self._encoding), "dim").append("\n")

    def prose(self, indent: str, words: str, style: str = "") -> None:
        """Add words, broken to the width; a long one, such as a variable to set, stays whole."""
        width = max(self._width - len(indent), 30)
        wrapped = textwrap.wrap(harmless(words, self._encoding), width, break_long_words=False, break_on_hyphens=False)
        for number, line in enumerate(wrapped):
            self.text.append(" " * len(indent) if number else indent, "" if number else style)
            self.text.append(line, style).append("\n")

    def labelled(self, label: str, words: str, style: str = "") -> None:
        """Add words behind a label."""
        self.prose(f"  {label:<{_LABEL}} ", words, style)
