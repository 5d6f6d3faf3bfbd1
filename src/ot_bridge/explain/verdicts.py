"""Which format won, who agreed, who did not, and which headers nobody read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final, NamedTuple

from ot_bridge.codecs import CODECS, readers
from ot_bridge.codecs.carrier import CarrierReader, plain_text
from ot_bridge.codecs.codec import Codec, Options, PrefixSource
from ot_bridge.codecs.wire import Malformed, WireContext
from ot_bridge.config import Settings
from ot_bridge.explain.received import Received, flag_names
from ot_bridge.propagator import Reading, _combine

__all__ = ["NotRead", "Verdict", "not_read", "verdicts", "why"]

_OTHER_TRACERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "elastic-apm-traceparent": "Elastic APM's own; its agents send traceparent too",
        "grpc-trace-bin": "OpenCensus's binary format, for which there is no codec",
        "newrelic": "New Relic's own, for which there is no codec",
        "sw8": "SkyWalking's own, for which there is no codec",
        "x-amzn-trace-id": "AWS X-Ray's own, for which there is no codec",
        "x-b3-parentspanid": "B3's parent of the parent, which no format needs",
        "x-cloud-trace-context": "Google Cloud's own, for which there is no codec",
        "x-datadog-parent-id": "Datadog's own, for which there is no codec",
        "x-datadog-trace-id": "Datadog's own, for which there is no codec",
    }
)
"""Headers with a trace in them that no codec reads."""

_CONFLICT: Final = "extract.conflict"
# trace-parent is near to traceparent, user-agent is near to nothing.
_NEAR: Final = 0.8
_MAX_NAME: Final = 60  # characters


class Verdict(NamedTuple):
    """What became of one format that was to be read."""

    format: str
    outcome: str
    """won, refused, agrees, conflict, malformed, absent or ignored."""
    why: str


class NotRead(NamedTuple):
    """A header that looks like a trace's, and that no enabled format reads."""

    name: str
    why: str


def verdicts(received: Received, codecs: Sequence[Codec], reading: Reading) -> tuple[Verdict, ...]:
    """Return a verdict for each format with ids, in order of precedence."""
    best = reading.context or reading.refused
    winner = None if best is None else best.format
    found = [_verdict(received, codec.name, winner) for codec in codecs if codec.writes_ids]
    if reading.refused is not None:
        refused = "valid, and refused by trust_incoming"
        found = [one._replace(outcome="refused", why=refused) if one.outcome == "won" else one for one in found]
    return tuple(found)


def _verdict(received: Received, name: str, winner: str | None) -> Verdict:
    outcome = received.outcomes[name]
    if outcome is None:
        return Verdict(name, "absent", "no header of it with ids")
    if isinstance(outcome, Malformed):
        return Verdict(name, "malformed", f"{received.name_of(outcome.header)}: {received.problem(outcome)}")
    if name == winner:
        return Verdict(name, "won", "the first valid one, its ids count")
    best = None if winner is None else received.outcomes[winner]
    if not isinstance(best, WireContext):
        # The propagator gave the whole request up.
        return Verdict(name, "ignored", "valid, and not used")
    notes: list[str] = []
    # The rule itself, asked about this pair.
    _combine(best, (outcome,), notes)
    if _CONFLICT in notes:
        dropped = "; its tracestate is dropped" if name == "tracecontext" else ""
        return Verdict(
            name,
            "conflict",
            f"names another trace, {outcome.trace_id:032x}: some hop passed this header on without reading it, or "
            f"began a trace of its own. Here the trace of {winner} goes on{dropped}",
        )
    remarks = ["same trace"]
    if outcome.trace_id != best.trace_id:
        short = name if outcome.trace_id < best.trace_id else winner
        remarks.append(f"{short} has only its low 64 bits: an old hop cut it")
    if outcome.span_id != best.span_id:
        remarks.append(f"other span, {outcome.span_id:016x}: some hop on the way knew only one of the two")
    if outcome.sampled != best.sampled:
        remarks.append(f"it says {flag_names(outcome)}, and the decision of {winner} counts")
    return Verdict(name, "agrees", "; ".join(remarks))


def why(found: Sequence[Verdict], reading: Reading, settings: Settings) -> str:
    """Say in a sentence what came out, and why."""
    context = reading.context
    if context is not None and context.format:
        before = found[: [one.format for one in found].index(context.format)]
        reasons = [
            f"{one.format} comes before it and {'cannot be read' if one.outcome == 'malformed' else 'is not there'}"
            for one in before
        ]
        reason = "; ".join(reasons) or "it comes first"
        return f"{context.format} gives the ids: {reason}. The order is {', '.join(settings.extract)}."
    if reading.refused is not None:
        link = " with a link to it" if reading.refused.trace_id else ""
        return f"The context is refused by trust_incoming, baggage and all. A new trace starts here{link}."
    malformed = [one.format for one in found if one.outcome == "malformed"]
    cause = f"{' and '.join(malformed)} cannot be read" if malformed else "no enabled format has ids"
    if context is not None:
        what = " and ".join([*["the baggage"] * bool(context.baggage), *["the debug id"] * bool(context.debug_id)])
        result = f"No trace goes on: {cause}. A new trace starts here with {what}; "
        forced = "the debug id forces it to be sampled." if context.debug_id else "the sampler decides."
        return result + forced
    raised = " tracer.extract raises SpanContextCorruptedException (strict_extract)."
    ending = raised if malformed and settings.strict_extract else " A new trace starts here."
    return f"No context: {cause}.{ending}"


def not_read(received: Received, http: bool, reading: Reading, settings: Settings, options: Options) -> list[NotRead]:
    """Return the headers that look like a trace's among those that no enabled format reads."""
    enabled = {codec.name for codec in readers(settings.extract)}
    disabled = [codec for codec in readers(CODECS, options) if codec.name not in enabled]
    others = Received(disabled, received.rest, http=http)
    missed = [
        NotRead(name, _of_disabled(others, others.format_of(slot), reading, settings))
        for slot, (name, _) in others.lines.items()
    ]
    renamed = _default_names(options) if "jaeger" in enabled else None
    known = [name for codec in readers(CODECS, options) for name in codec.headers]
    for name in dict.fromkeys(plain_text(name) or "" for name, _ in others.rest):
        reason = _OTHER_TRACERS.get(name.lower()) or (renamed and renamed(name)) or _near(name, known)
        if reason:
            missed.append(NotRead(name, reason))
    return missed


def _of_disabled(others: Received, name: str, reading: Reading, settings: Settings) -> str:
    # b3 in extract reads X-B3-* too; W3C's baggage has a name of its own.
    own_name = CODECS[name].reads == (name,)
    to_add = next(row.name for row in CODECS.values() if name in row.reads and (row.name == name or not own_name))
    outcome = others.outcomes[name]
    if isinstance(outcome, Malformed):
        says = "; it could not be read either"
    elif outcome is None:
        says = ""
    elif reading.context is None or not reading.context.trace_id:
        says = f"; it names the trace {outcome.trace_id:032x}"
    else:
        notes: list[str] = []
        _combine(reading.context, (outcome,), notes)
        says = "; it names another trace" if _CONFLICT in notes else "; it names the same trace"
    order = ",".join([*settings.extract, to_add])
    return f"{to_add} is not in extract{says}. To read it: OT_BRIDGE_EXTRACT={order}"


def _default_names(options: Options) -> Callable[[str], str | None]:
    """Return what tells of a Jaeger header with its usual name where another name is configured."""
    usual = Options()
    changed = {
        getattr(usual, field): field
        for field in Options._fields
        if isinstance(getattr(usual, field), str) and getattr(usual, field) != getattr(options, field)
    }
    codec = next(iter(readers(("jaeger",), usual)))
    reader = CarrierReader(codec.headers, [one.prefix for one in codec.sources if isinstance(one, PrefixSource)])

    def tell(name: str) -> str | None:
        slot = reader.slot(name)
        field = changed.get(slot.header) if slot else None
        return f"OT_BRIDGE_{field.upper()} is {getattr(options, field)!r}" if field else None

    return tell


def _near(name: str, known: Iterable[str]) -> str | None:
    near = get_close_matches(name.lower()[:_MAX_NAME], known, n=1, cutoff=_NEAR)
    return f"not a known name; {near[0]!r} is" if near else None
