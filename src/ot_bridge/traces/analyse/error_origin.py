"""Where an error began, not where it surfaced (seeing.md 1.4). Pure.

The failed spans that no other one explains are the candidates; each gets a verdict. Those that failed the same way are
one finding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from ot_bridge.traces.analyse.critical_path import critical_path
from ot_bridge.traces.analyse.error_chains import Chains, chains, expected, outlives, was_answered
from ot_bridge.traces.analyse.errors import ErrorMark, http_code
from ot_bridge.traces.analyse.finding import Certainty, Finding, Severity
from ot_bridge.traces.analyse.reading import Reading
from ot_bridge.traces.model import Span
from ot_bridge.traces.words import and_, duration, line, plural, text

__all__ = ["KEY", "error_origin"]

KEY = "error-origin"

_MOST = 20
_REASON_LENGTH = 160
_CANCELLED = ("CancelledError", "CancelledException", "CanceledError", "AbortError", "CANCELLED", "context canceled")
_PEERS = ("peer.service", "server.address", "net.peer.name", "peer.hostname", "peer.address", "net.peer.ip")
_DATABASES = ("db.system.name", "db.system", "db.type")
_SERVER_ERROR = 500


class _Candidate(NamedTuple):
    """Failed spans that nothing explains, of one kind: the first of them, and how it ended."""

    spans: tuple[int, ...]
    top: int
    end: str
    by: int

    @property
    def first(self) -> int:
        return self.spans[0]


class _Nature(NamedTuple):
    """What went wrong at one span: the verdict, the sentence without its end, and who is to look at it."""

    verdict: str
    text: str
    service: str
    certainty: Certainty = "sure"
    also: tuple[int, ...] = ()
    advice: str = ""


def error_origin(reading: Reading) -> list[Finding]:
    """Find the causes of the failed spans: those of the request's failure first."""
    if not reading.errors:
        return []
    linked = chains(reading.trace, reading.errors)
    found = _ranked(reading, linked, _candidates(reading, linked))
    causes: dict[int, int] = {}
    for one in found:
        if one.end == "root":
            causes.setdefault(one.top, one.first)
    findings = [_finding(reading, linked, one, causes) for one in found[:_MOST]]
    if rest := found[_MOST:]:
        spans = tuple(index for one in rest for index in one.spans)
        said = f"{plural(len(spans), 'more span')} failed in {plural(len(rest), 'other way')}"
        findings.append(Finding(KEY, said, "sure", "note", spans, "more", numbers={"spans_count": len(spans)}))
    return findings


def _candidates(reading: Reading, linked: Chains) -> Iterator[_Candidate]:
    """Give the origins, those of one kind together."""
    trace, errors = reading.trace, reading.errors
    tops: dict[int, int] = {}
    for index in sorted(errors):
        above = linked.above.get(index, -1)
        tops[index] = tops[above] if above >= 0 else index
    groups = defaultdict[tuple[object, ...], list[int]](list)
    whole = {tops[index] for index in linked.origins if not _cancelled(errors[index])}
    key: tuple[object, ...]
    for index in linked.origins:
        span, mark, end = trace.spans[index], errors[index], linked.ends[tops[index]]
        if end.kind == "handled" and expected(span, mark):
            continue
        kind = "cancelled" if _cancelled(mark) and tops[index] in whole else end.kind
        top = tops[index] if kind in {"root", "cut", "cancelled"} else end.by
        exception = mark.exception[0] if mark.exception else mark.sign
        key = (kind, top) if kind == "cancelled" else (kind, top, span.service, span.name, exception)
        groups[key].append(index)
    for key, spans in groups.items():
        spans.sort(key=lambda one: (errors[one].time_ns, one))
        yield _Candidate(tuple(spans), tops[spans[0]], str(key[0]), linked.ends[tops[spans[0]]].by)


_ENDS = ("root", "cut", "cancelled", "given up", "not awaited", "retried", "handled")


def _ranked(reading: Reading, linked: Chains, found: Iterator[_Candidate]) -> list[_Candidate]:
    """Order candidates: what reaches the root, by the sure way, earliest, on the critical path, deepest."""
    trace = reading.trace

    def rank(one: _Candidate) -> tuple[object, ...]:
        first = one.first
        return (
            _ENDS.index(one.end),
            one.top != trace.root,
            first in linked.weak,
            reading.errors[first].time_ns,
            first not in reading.path.own_ns,
            -trace.depths[first],
            first,
        )

    return sorted(found, key=rank)


def _finding(reading: Reading, linked: Chains, one: _Candidate, causes: dict[int, int]) -> Finding:
    trace, errors = reading.trace, reading.errors
    nature = _nature(reading, one.first)
    verdict, said, certainty = nature.verdict, nature.text, nature.certainty
    severity: Severity = "note"
    service, advice, also = nature.service, nature.advice, list(nature.also)
    by = _title(trace.spans[one.by]) if one.by >= 0 else ""
    if len(one.spans) > 1 and one.end != "cancelled":
        said += f", {len(one.spans):,} times" if one.end != "retried" else f", in {len(one.spans):,} tries"
    match one.end:
        case "root":
            severity = "error" if causes[one.top] == one.first else "warning"
            said += _what_failed(reading, one)
            way = list(_way(linked, one.first))
            if severity == "warning":
                certainty = "guess"
                said += f"; {_title(trace.spans[causes[one.top]])} had failed before"
            elif certainty == "sure" and any(index in linked.weak for index in way):
                certainty = "likely"
            also += [index for index in way[1:] if index not in also]
        case "cut":
            verdict, severity, certainty = "cut", "warning" if causes else "error", "guess"
            said += "; what called it is not in this trace, so that it is unknown what failed of it"
        case "retried":
            verdict, advice = "retried", ""
            said += f"; tried again, it went well after {duration(trace.spans[one.by].duration_ns)}"
            also.append(one.by)
        case "handled":
            verdict, advice = "handled", ""
            said += f"; {by} did not fail of it"
            also.append(one.by)
        case "not awaited":
            verdict, severity = "not-awaited", "warning"
            said += f"; {by} did not wait for it, so that it failed nothing else"
            also.append(one.by)
        case _:
            verdict, certainty, advice = "consequence", "likely", ""
            cause = one.by if one.end == "given up" else causes.get(one.top, one.top)
            also.append(cause)
            said, service = _consequence(reading, one, cause), trace.spans[cause].service
    numbers: dict[str, float | str] = {"spans_count": len(one.spans), "after_ns": trace.spans[one.first].duration_ns}
    if verdict == "gave-up" and nature.also:
        numbers["answer_after_ns"] = trace.spans[nature.also[0]].duration_ns
    evidence = tuple(dict.fromkeys((*one.spans[:1], *also, *one.spans[1:])))
    sign: dict[str, float | str] = {"sign": errors[one.first].sign}
    return Finding(KEY, said, certainty, severity, evidence, verdict, service, {**numbers, **sign}, advice)


def _nature(reading: Reading, index: int) -> _Nature:
    """Tell what went wrong at a span, whatever became of it above."""
    trace, mark = reading.trace, reading.errors[index]
    span = trace.spans[index]
    why = _reason(span, mark)
    if span.kind == "client":
        servers = [one for one in trace.children[index] if trace.spans[one].kind == "server"]
        if not servers:
            return _silent_peer(span, why)
        return _boundary(reading, index, max(servers, key=lambda one: (trace.spans[one].end_ns, one)))
    said = f"{_title(span)} failed after {duration(span.duration_ns)}{why}"
    return _Nature("caused-failure", said, span.service)


def _silent_peer(span: Span, why: str) -> _Nature:
    after = f"after {duration(span.duration_ns)}{why}"
    database = next((text(span.attributes[name]) for name in _DATABASES if name in span.attributes), "")
    peer = next((text(span.attributes[name]) for name in _PEERS if span.attributes.get(name)), "") or database
    named = line(peer)
    service = text(span.attributes.get("peer.service") or span.service)
    if database:
        said = f"{_title(span)}, a call of {named}, failed {after}"
        return _Nature("silent-peer", said, service, "likely")
    said = f"{_title(span)} failed {after}; {named or 'the service that it called'} did not report"
    # That a peer sends no spans is what is seen; that it is to blame is not.
    advice = f"Look at {named or 'the peer'}: whether it runs, got the request, and sends its spans."
    return _Nature("silent-peer", said, service, "likely", advice=advice)


def _boundary(reading: Reading, client_index: int, server_index: int) -> _Nature:
    """Tell what went wrong between a client that failed and its server, whose span does not explain it."""
    trace = reading.trace
    client, server = trace.spans[client_index], trace.spans[server_index]
    why, after = _reason(client, reading.errors[client_index]), duration(client.duration_ns)
    if was_answered(client):
        code = http_code(client)
        ours = code is not None and code < _SERVER_ERROR
        what = why.removeprefix(" with ") or "with an error"
        said = f"{_title(server)} answered {line(client.service)} {what} after {after}"
        if ours:
            return _Nature("caused-failure", said, client.service, "likely", (server_index,))
        said += ", and its own span says nothing of it"
        return _Nature("caused-failure", said, server.service, "likely", (server_index,))
    took = duration(server.duration_ns)
    if not outlives(server, client):
        said = f"{_title(client)} failed after {after}{why}, although {_title(server)} ended well within {took}"
        advice = "Look between the two: the answer was lost, refused or not understood."
        return _Nature("gave-up", said, client.service, "likely", (server_index,), advice)
    slow, own_ns = _slowest(reading, server_index)
    mark = reading.errors[client_index]
    named = f" ({line(mark.exception[0].rsplit('.', 1)[-1])})" if mark.exception else why
    theirs = line(server.service)
    said = f"{theirs} did not answer in time: {_title(client)} gave up after {after}{named}, "
    said += f"while {_title(server)} took {took}"
    who = server
    if slow != server_index and own_ns * 2 >= server.duration_ns:
        who = trace.spans[slow]
        same = who.service == server.service
        said += (
            f", {duration(own_ns)} of it in {line(who.name)!r}"
            if same
            else (f", {duration(own_ns)} of it in {_title(who)}")
        )
    over = server.duration_ns - client.duration_ns
    advice = f"Make {_title(who)} faster, or let {line(client.service)} wait longer than {took}"
    advice += f": {duration(over)} of work were done for nobody." if over > 0 else "."
    return _Nature("gave-up", said, who.service, "sure", tuple(dict.fromkeys((server_index, slow))), advice)


def _slowest(reading: Reading, index: int) -> tuple[int, int]:
    """Return the span below that its end waited for longest, and for how long."""
    path = critical_path(reading.trace, index)
    return max(path.own_ns.items(), key=lambda item: (item[1], -item[0]), default=(index, 0))


def _way(linked: Chains, index: int) -> Iterator[int]:
    while index >= 0:
        yield index
        index = linked.above.get(index, -1)


def _what_failed(reading: Reading, one: _Candidate) -> str:
    """Say what failed of it, which is why somebody reads this."""
    if one.top == one.first:
        return ""
    span = reading.trace.spans[one.top]
    code = http_code(span)
    return f"; so {_title(span)} " + (f"answered {code}" if code and span.kind == "server" else "failed")


def _consequence(reading: Reading, one: _Candidate, cause: int) -> str:
    spans = [reading.trace.spans[index] for index in one.spans]
    named = plural(len(spans), "span") if len(spans) > 1 else _title(spans[0])
    because = _title(reading.trace.spans[cause])
    if one.end == "given up":
        return f"{named} failed when {because} had already given up"
    services = and_(sorted({line(span.service) for span in spans})[:3])
    return (
        f"{named} ({services}) was cancelled because {because} failed"
        if len(spans) == 1
        else (f"{named} of {services} were cancelled because {because} failed")
    )


def _cancelled(mark: ErrorMark) -> bool:
    kind = mark.exception[0] if mark.exception else mark.message
    return kind.rsplit(".", 1)[-1] in _CANCELLED or mark.message in _CANCELLED


def _title(span: Span) -> str:
    return f"{line(span.service)} {line(span.name)!r}"


def _reason(span: Span, mark: ErrorMark) -> str:
    """Say with what a span failed, as the end of a sentence; `""` when it does not say."""
    said = mark.message
    if mark.exception and (name := mark.exception[0].rsplit(".", 1)[-1]):
        said = f"{name}: {mark.exception[1] or ''}".removesuffix(": ")
    elif not said and (code := http_code(span)):
        said = f"HTTP {code}"
    return f" with {line(said, _REASON_LENGTH)}" if said else ""
