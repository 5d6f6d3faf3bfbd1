"""The spans that stand for one request to one service, and for how many requests each one counts (seeing.md 1.10).

Pure. Only what a service is entered by counts: its SERVER and CONSUMER spans, and what it began by itself. Spans inside
would inflate every rate.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ot_bridge.traces.model import ENTRIES, Kind, Span, Value

__all__ = ["Entry", "is_entry", "operation_of", "weight_of"]

_ROUTE = "http.route"
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY", "HTTP")
_THRESHOLD = re.compile(r"(?:^|,)\s*ot=(?:[^,]*;)?th:([0-9a-f]{1,14})(?=[;,\s]|$)")
_DIGITS = 14
_LEAST = 1e-12
_SAMPLER, _PARAMETER, _PROBABILISTIC = "sampler.type", "sampler.param", "probabilistic"


class Entry(NamedTuple):
    """One request to one service.

    Attributes:
        weight: how many requests it stands for; 1.0 where nothing tells that any was left out.
    """

    trace_id: int
    service: str
    operation: str
    kind: Kind
    start_ns: int
    duration_ns: int
    error: bool
    weight: float = 1.0


def is_entry(span: Span, parent: Span | None) -> bool:
    """Tell whether a service was entered by this span.

    A span whose parent is missing is one only when its kind says so: its parent is most likely of its own process.

    Args:
        span: any span.
        parent: the span that is its parent, None when it has none or it is not there.
    """
    if span.kind in ENTRIES:
        return True
    return not span.parent_id if parent is None else parent.service != span.service


def operation_of(span: Span) -> str:
    """Name what was asked for: the span's name, with the route behind it where the name alone is a method."""
    route = span.attributes.get(_ROUTE)
    return f"{span.name} {route}" if span.name in _METHODS and isinstance(route, str) and route else span.name


def weight_of(span: Span, root: Span | None = None) -> float:
    """Return how many requests a span stands for, by what its sampler left in it.

    The threshold `ot=th:` of its tracestate counts first, since it is the span's own; then the tags of Jaeger's
    probabilistic sampler, which only the root has. The other samplers do not tell what they left out: 1.0.

    Args:
        span: the span that is counted.
        root: the root of its trace, None when it is not there.
    """
    found = _THRESHOLD.search(span.trace_state)
    if found is not None:
        whole: int = 16**_DIGITS
        return whole / (whole - int(found[1].ljust(_DIGITS, "0"), 16))
    for one in (span, root):
        if one is not None and one.attributes.get(_SAMPLER) == _PROBABILISTIC:
            return _one_of(one.attributes.get(_PARAMETER))
    return 1.0


def _one_of(probability: Value) -> float:
    try:
        share: float = float(probability) if isinstance(probability, (str, int, float)) else 0.0
    except (ValueError, OverflowError):
        return 1.0
    return 1.0 / share if _LEAST < share <= 1 else 1.0
