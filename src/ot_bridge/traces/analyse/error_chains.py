"""Which failed span made which other one fail (seeing.md 1.4.1 and 1.4.2). Pure.

An error goes up from a span to its parent while the parent waited for it and failed too. Where a span between the two
says nothing, or where the parent may have failed for another reason, the link is *weak*: it is taken only when nothing
better explains the parent.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from ot_bridge.traces.analyse.blocking import follows_from, is_blocking
from ot_bridge.traces.analyse.clock import same_clock
from ot_bridge.traces.analyse.errors import ErrorMark, grpc_code, http_code
from ot_bridge.traces.model import Span
from ot_bridge.traces.tree import Trace

__all__ = ["Chains", "End", "EndKind", "chains", "expected", "outlives", "target", "was_answered"]

EndKind: TypeAlias = Literal["root", "cut", "handled", "retried", "not awaited", "given up"]


class End(NamedTuple):
    """Where an error went no further up.

    Attributes:
        kind: `root`: there is nothing above; `cut`: what is above is not in the trace; `handled`: `by` is above and
            did not fail of it; `retried`: `by` is a later sibling that did the same and went well; `not awaited`: `by`
            is above and did not wait; `given up`: `by` is the caller, which had given up before.
        by: the index of that span, -1 for none.
    """

    kind: EndKind
    by: int = -1


@dataclass(frozen=True)
class Chains:
    """The links between the failed spans of a trace.

    Attributes:
        above: of a failed span the one above it that failed of it; a span that has none is in `ends`.
        ends: of a failed span that made no other one fail, why.
        origins: the failed spans that no other one explains, in the order of the tree.
        weak: those whose link in `above` is only likely.
    """

    above: Mapping[int, int] = field(default_factory=dict)
    ends: Mapping[int, End] = field(default_factory=dict)
    origins: Sequence[int] = ()
    weak: frozenset[int] = frozenset()


# Codes that say "there is none" or "it is so already", which callers ask for in order to learn it.
_EXPECTED = frozenset({404, 409, 410, 412})
_TIMEOUTS = frozenset({408, 504})
_SERVER_ERROR = 500
_GRPC_WITHOUT_ANSWER = frozenset({1, 4, 14})
_PLAIN = frozenset({"internal", "unspecified"})
_WHAT = ("url.full", "http.url", "url.path", "http.target", "db.query.text", "db.statement", "messaging.message.id")
_PEERS = ("peer.service", "server.address", "net.peer.name", "peer.hostname", "peer.address", "rpc.method")
_LINGER_NS = 1_000_000
_LINGER_PART = 20
_LONGEST_STACK = 100_000


def expected(span: Span, mark: ErrorMark) -> bool:
    """Tell whether a failure may be an answer that its caller asked for: a 404 that a client got."""
    return span.kind == "client" and mark.exception is None and http_code(span) in _EXPECTED


def was_answered(span: Span) -> bool:
    """Tell whether a client has the answer of its server, be it an error."""
    code = http_code(span)
    if code is not None:
        return code not in _TIMEOUTS
    number = grpc_code(span)
    return number is not None and number not in _GRPC_WITHOUT_ANSWER


def outlives(server: Span, client: Span) -> bool:
    """Tell whether a server was still at work when its client ended.

    By durations where the clocks differ. A server may close its span a little after its answer was read.
    """
    over = server.end_ns - client.end_ns if same_clock(client, server) else server.duration_ns - client.duration_ns
    return over > max(_LINGER_NS, client.duration_ns // _LINGER_PART)


def target(span: Span) -> tuple[str, ...]:
    """Return what a span is about, for the question whether two spans do the same."""
    return tuple(str(span.attributes[name]) for name in (*_WHAT, *_PEERS) if name in span.attributes)


def chains(trace: Trace, errors: Mapping[int, ErrorMark]) -> Chains:
    """Link the failed spans of a trace."""
    if not errors:
        return Chains()
    ways = _ways(trace, errors)
    same = _same_exceptions(trace, errors)
    retried = _retried(trace, errors, same)
    cut = {note.span for note in trace.notes if note.kind == "missing parent"}
    first: dict[int, int] = {index: mark.time_ns for index, mark in errors.items()}
    strong, weak = defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)
    ends: dict[int, End] = {}
    for index in sorted(errors, reverse=True):
        parent = trace.parents[index]
        if parent < 0:
            ends[index] = End("cut" if index in cut else "root")
        elif index in retried:
            ends[index] = End("retried", retried[index])
        elif not _waited(trace.spans[parent], trace.spans[index], first[index]):
            ends[index] = End("not awaited", parent)
        elif _too_late(trace, index, first[index], errors):
            ends[index] = End("given up", parent)
        else:
            way = ways[parent]
            above = same.get(index, -1) if way.span < 0 else way.span
            if above < 0:
                ends[index] = End("handled", way.stop)
                continue
            is_weak = not (index in same or _names(errors[above], errors[index])) and (
                way.loose or expected(trace.spans[index], errors[index]) or _swallowed(trace, index, above, errors)
            )
            (weak if is_weak else strong)[above].append(index)
            first[above] = min(first[above], first[index])
    above_of = {index: above for above, below in strong.items() for index in below}
    for above, below in weak.items():
        if above in strong or errors[above].exception is not None:
            ends.update((index, End("handled", above)) for index in below)
        else:
            above_of.update((index, above) for index in below)
    explained = set(above_of.values())
    origins = [index for index in sorted(errors) if index not in explained]
    loose = frozenset(index for below in weak.values() for index in below if index in above_of)
    return Chains(above_of, ends, origins, loose)


class _Way(NamedTuple):
    """Where an error goes that comes to a span from below: to a failed span, or it stops at one that is well."""

    span: int
    stop: int
    loose: bool = False


def _ways(trace: Trace, errors: Mapping[int, ErrorMark]) -> list[_Way]:
    ways = list[_Way]()
    for index, (span, parent) in enumerate(zip(trace.spans, trace.parents, strict=True)):
        if index in errors:
            ways.append(_Way(index, -1))
            continue
        if parent >= 0 and ways[parent].span >= 0:
            above = trace.spans[parent]
            if _lets_through(span, above, failed=parent in errors) and _waited(above, span):
                ways.append(_Way(ways[parent].span, index, loose=True))
                continue
        ways.append(_Way(-1, index))
    return ways


def _lets_through(span: Span, parent: Span, *, failed: bool) -> bool:
    """Tell whether an error may have gone through a span that says nothing of it."""
    if span.status == "ok":
        return False
    if span.kind in _PLAIN:
        return span.service == parent.service
    # A server whose span says nothing, and whose client was told that it failed.
    return span.kind == "server" and parent.kind == "client" and failed and _told_of_error(parent)


def _told_of_error(client: Span) -> bool:
    code = http_code(client)
    return was_answered(client) and (code is None or code >= _SERVER_ERROR)


def _waited(parent: Span, child: Span, failed_ns: int | None = None) -> bool:
    """Tell whether a span can have failed of its child, by when the child failed if that is said."""
    call = parent.kind == "client" and child.kind == "server"
    if not same_clock(parent, child):
        # The times are of two clocks and cannot be compared.
        return not follows_from(parent, child) if call else is_blocking(parent, child)
    # That a server went on after its client had ended is for `_too_late`.
    if not call and failed_ns is not None and failed_ns > parent.end_ns + _LINGER_NS:
        return False
    return is_blocking(parent, child)


def _too_late(trace: Trace, index: int, first_ns: int, errors: Mapping[int, ErrorMark]) -> bool:
    """Tell whether a server failed after its client had given up."""
    server, client = trace.spans[index], trace.spans[trace.parents[index]]
    if server.kind != "server" or client.kind != "client" or trace.parents[index] not in errors:
        return False
    if was_answered(client) or not outlives(server, client):
        return False
    if same_clock(client, server):
        return first_ns > client.end_ns
    return first_ns - server.start_ns > client.duration_ns


def _swallowed(trace: Trace, index: int, above: int, errors: Mapping[int, ErrorMark]) -> bool:
    """Tell whether a parent went on after a failure, and then raised an exception that does not come of it."""
    span, parent = trace.spans[index], trace.spans[above]
    one, other = errors[index], errors[above]
    if span.service != parent.service or one.exception is None or other.exception is None:
        return False
    # Python's and Java's stack traces name what an exception comes of.
    if not one.stack or not other.stack or _names(other, one):
        return False
    return trace.spans[trace.children[above][-1]].start_ns >= span.end_ns


def _names(mark: ErrorMark, cause: ErrorMark) -> bool:
    """Tell whether an exception says that it comes of another one."""
    if cause.exception is None or mark.exception is None:
        return False
    name = cause.exception[0].rsplit(".", 1)[-1]
    return bool(name) and re.search(rf"\b{re.escape(name)}\b", mark.stack[:_LONGEST_STACK]) is not None


def _same_exceptions(trace: Trace, errors: Mapping[int, ErrorMark]) -> dict[int, int]:
    """Find for each failed span the nearest one above it that has the same exception."""
    found = dict[int, int]()
    open_spans = defaultdict[tuple[str, ...], list[int]](list)
    for index in sorted(errors):
        keys = list(_exception_keys(errors[index]))
        above = -1
        for key in keys:
            holders = open_spans[key]
            while holders and holders[-1] + trace.sizes[holders[-1]] <= index:
                holders.pop()
            if holders:
                above = max(above, holders[-1])
            holders.append(index)
        if above >= 0:
            found[index] = above
    return found


def _exception_keys(mark: ErrorMark) -> Iterator[tuple[str, ...]]:
    if mark.exception is None:
        return
    kind, message = mark.exception
    if kind and message:
        yield "said", kind.rsplit(".", 1)[-1], message
    if kind and (frame := _last_frame(mark.stack)):
        yield "raised", kind.rsplit(".", 1)[-1], frame


def _last_frame(stack: str) -> str:
    """Return the line of the code that raised: Python's last frame, the first one of Java and JavaScript."""
    at = stack.rfind('\n  File "')
    if at >= 0:
        return stack[at + 1 : stack.find("\n", at + 1)].strip()
    at = stack.find("\n\tat ") if "\n\tat " in stack else stack.find("\n    at ")
    return stack[at + 1 :].split("\n", 1)[0].strip() if at >= 0 else ""


def _retried(trace: Trace, errors: Mapping[int, ErrorMark], same: Mapping[int, int]) -> dict[int, int]:
    """Find for each failed span a later sibling that did the same and went well.

    Where their parent failed, names alone do not make two calls the same: the next item of a loop is no second try.
    """
    found = dict[int, int]()
    for parent in {trace.parents[index] for index in errors}:
        children = trace.children[parent] if parent >= 0 else ()
        well = dict[tuple[object, ...], int]()
        for index in reversed(children):
            span = trace.spans[index]
            key = (span.service, span.kind, span.name, target(span))
            if index not in errors:
                # Of those that began later: the last one, for which all tries before it were made.
                well.setdefault(key, index)
            elif (
                key in well
                and trace.spans[well[key]].start_ns >= span.end_ns
                and (parent not in errors or (index not in same and any(name in span.attributes for name in _WHAT)))
            ):
                found[index] = well[key]
    return found
