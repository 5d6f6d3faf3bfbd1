"""Which spans were ended by a timeout, as what they say or their duration tells (seeing.md 1.6). Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ot_bridge.traces.analyse.errors import ErrorMark, grpc_code, http_code
from ot_bridge.traces.analyse.finding import Certainty
from ot_bridge.traces.model import CALLERS, Span
from ot_bridge.traces.words import duration, line

__all__ = ["LIKELY_LIMITS_S", "Timeout", "round_limit", "timeout"]

LIKELY_LIMITS_S: Sequence[float] = (
    *(0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 0.8, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 7.5, 8, 10, 12, 15, 20, 25, 30, 40, 45),
    *(50, 60, 90, 100, 120, 180, 240, 300, 600),
)
"""What people set as a limit, in seconds: a failed call that took just that was most likely ended by it."""
LATE_SHARE = 0.02
LATE_NS = 5_000_000
"""A limit is noticed a little late: by so much of it, or so many nanoseconds, whichever is more."""
_DEADLINE_EXCEEDED = 4
_HTTP_TIMEOUTS = (408, 504)
MAX_TEXT = 2_000
"""So much of a message is read."""

# Classes of requests, urllib3, httpx, aiohttp, redis, grpc, asyncio, socket, concurrent.futures, psycopg, celery ...
_TYPE = re.compile(r"time_?d?_?out|deadline|time_?limit_?exceeded|QueryCanceled", re.IGNORECASE)
# ... and how servers, drivers and wrappers word it. "timeout=5" alone is a setting.
_MESSAGE = re.compile(
    r"\btimed[ -]?out\b|\btime-?out(?:\s+(?:error|exceeded|expired|reached|of|after|was|while|waiting)|[!.]?\s*\Z)"
    r"|(?:read|connect|write|pool|statement|lock(?: wait)?|gateway|request|response|socket|query)[ _]?time-?out\b"
    r"(?!\s*=)"
    r"|TimeoutError|TimeoutException|ETIMEDOUT|DEADLINE_?EXCEEDED|deadline exceeded|time limit exceeded",
    re.IGNORECASE,
)
_POOL = re.compile(r"QueuePool|PoolTimeout|connection pool|pool_timeout", re.IGNORECASE)
_CONNECT = re.compile(r"Connect\w*Timeout|timed out while connecting|connect timeout", re.IGNORECASE)


class Timeout(NamedTuple):
    """That a span was ended by a timeout.

    Attributes:
        sign: what tells, for people: `ReadTimeout`, `DEADLINE_EXCEEDED`, `it took 0.4 s to the point`.
        certainty: `sure` where the span says so, `guess` where only its duration does.
        phase: what it waited for, where that is told: `a connection of the pool`, `a connection`.
    """

    sign: str
    certainty: Certainty
    phase: str = ""


def timeout(span: Span, mark: ErrorMark | None) -> Timeout | None:
    """Tell whether a span was ended by a timeout, None when nothing says so."""
    if mark is None:
        return None
    kind, message = mark.exception or ("", "")
    said = f"{message}\n{mark.message}\n{span.message}"[:MAX_TEXT]
    phase = "a connection of the pool" if _POOL.search(kind + said) else ""
    phase = phase or ("a connection" if _CONNECT.search(kind + said) else "")
    name = kind.rpartition(".")[2].strip("'<> ")
    if _TYPE.search(name):
        return Timeout(line(name), "sure", phase)
    if worded := _MESSAGE.search(said):
        return Timeout(line(worded.group()), "sure", phase)
    if grpc_code(span) == _DEADLINE_EXCEEDED:
        return Timeout("DEADLINE_EXCEEDED", "sure")
    if (code := http_code(span)) in _HTTP_TIMEOUTS:
        return Timeout(f"HTTP {code}", "sure")
    limit = round_limit(span.duration_ns)
    if limit and span.kind in CALLERS:
        return Timeout(f"it took {duration(limit)} to the point", "guess")
    return None


def round_limit(taken_ns: int) -> int | None:
    """Return the likely limit that a duration is just at or a little over, in nanoseconds; None when there is none."""
    for limit_s in LIKELY_LIMITS_S:
        limit = round(limit_s * 1e9)
        if limit <= taken_ns <= limit + max(LATE_SHARE * limit, LATE_NS):
            return limit
    return None
