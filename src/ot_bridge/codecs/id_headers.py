"""Ids in two headers of their own and the decision in a third, as in B3's several headers and ``ot-tracer-*``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from ot_bridge.codecs.carrier import is_ambiguous
from ot_bridge.codecs.wire import Malformed

__all__ = ["IdHeaders", "is_true"]

# Old clients leave out leading zeros or write upper case; int(text, 16) would also read "-1", "0x1f" and "1_0".
_TRACE: Final = re.compile(r"[ \t]*([0-9a-fA-F]{1,32})[ \t]*")
_SPAN: Final = re.compile(r"[ \t]*([0-9a-fA-F]{1,16})[ \t]*")


class IdHeaders(NamedTuple):
    """The names of the three headers of one format."""

    format: str
    trace_id: str
    span_id: str
    sampled: str

    def read(self, headers: Mapping[str, str]) -> tuple[int, int, str] | Malformed | None:
        """Return trace id, span id and the decision as sent, ``""`` when there is none; None without any id."""
        trace, span = headers.get(self.trace_id), headers.get(self.span_id)
        if trace is None and span is None:
            return None
        trace_digits, span_digits = _TRACE.fullmatch(trace or ""), _SPAN.fullmatch(span or "")
        if trace_digits is None or not (trace_id := int(trace_digits[1], 16)):
            return Malformed(self.format, self.trace_id, trace or "", "1 to 32 hex digits, not zero")
        if span_digits is None or not (span_id := int(span_digits[1], 16)):
            return Malformed(self.format, self.span_id, span or "", "1 to 16 hex digits, not zero")
        decision = headers.get(self.sampled, "")
        if is_ambiguous(decision):
            return Malformed(self.format, self.sampled, decision, "one decision")
        return trace_id, span_id, decision


def is_true(decision: str | None) -> bool:
    """Tell whether a decision means sampled: ``1`` or ``true`` in any case."""
    return decision is not None and decision.strip(" \t").lower() in ("1", "true")
