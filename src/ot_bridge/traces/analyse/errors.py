"""Which spans failed, and by which sign (seeing.md 1.4). Pure."""

from __future__ import annotations

from typing import NamedTuple

from ot_bridge.traces.model import Span
from ot_bridge.traces.tree import Trace

__all__ = ["ErrorMark", "error_mark", "error_marks"]


class ErrorMark(NamedTuple):
    """Why a span counts as failed.

    Attributes:
        sign: `status`, `tag`, `event`, `grpc` or `http`; the first of these that speaks.
        message: what went wrong, as the span says it; `""` when it does not.
        time_ns: when it is first seen to have failed: its first exception, else its end.
        exception: the type and message of the exception, None without one.
    """

    sign: str
    message: str
    time_ns: int
    exception: tuple[str, str] | None = None


def error_marks(trace: Trace) -> dict[int, ErrorMark]:
    """Return the failed spans by index."""
    marks = ((index, error_mark(span)) for index, span in enumerate(trace.spans))
    return {index: mark for index, mark in marks if mark is not None}


def error_mark(span: Span) -> ErrorMark | None:
    """Tell whether a span failed, and by which sign; None when it did not."""
    if span.status == "error":
        return ErrorMark("status", span.message, span.end_ns)
    return None
