"""What the bridge makes of the headers of one request: who is read, who wins, why, and what is sent on.

Headers in, an :class:`Explanation` out, for people (the command ``ot-bridge explain``) and for programs
(:func:`as_dict`). Values are read by the codecs and the propagator, here is no second parser of them; that moves the
counters as a request does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from ot_bridge.codecs import readers
from ot_bridge.codecs.carrier import plain_text
from ot_bridge.codecs.codec import Options
from ot_bridge.codecs.wire import WireContext
from ot_bridge.config import Settings
from ot_bridge.explain.received import Field, HeaderRead, Received, flag_names
from ot_bridge.explain.verdicts import NotRead, Verdict, not_read, verdicts, why
from ot_bridge.propagator import MixedFleetPropagator, Reading
from ot_bridge.telemetry import COUNTERS

__all__ = ["Explanation", "Field", "HeaderRead", "NotRead", "Verdict", "as_dict", "explain", "flag_names", "meaning_of"]

_PLACEHOLDERS: Final = (0x1111111111111111, 0x2222222222222222)


class Explanation(NamedTuple):
    """What became of the headers of one request."""

    result: str
    """context, container (baggage or a debug id without ids), refused (by trust_incoming) or nothing."""
    why: str
    context: WireContext | None
    headers: tuple[HeaderRead, ...]
    """The headers that were read, in their order."""
    formats: tuple[Verdict, ...]
    """The formats that were to be read, in order of precedence."""
    taken_over: tuple[str, ...]
    """What the winner took over from the headers that agree with it."""
    not_read: tuple[NotRead, ...]
    others: int
    """How many lines more there were, of headers that have nothing to do with a trace."""
    counters: tuple[str, ...]
    """The counters of ``ot_bridge.telemetry`` that such a request moves."""
    sent: tuple[tuple[str, str], ...]
    """The headers of a call that the service makes; of a container or nothing only what is certain."""
    not_sent: tuple[str, ...]
    """The keys of the baggage that no header sends on."""
    new_span_id: str
    """What stands in ``sent`` for the id of the span that makes the call."""


def explain(items: Iterable[tuple[object, object]], settings: Settings, *, http: bool = True) -> Explanation:
    """Explain the headers of one request. Never raises, whatever they say.

    Args:
        items: names in any case and order, a name several times; values as text.
        settings: which formats are read and written, and the names of Jaeger's headers.
        http: HTTP_HEADERS, where Jaeger's values are percent-encoded; else TEXT_MAP.
    """
    items = list(items)
    reading = MixedFleetPropagator(settings=settings).read(items, http=http)
    options = _options(settings)
    codecs = readers(settings.extract, options)
    received = Received(codecs, items, http=http)
    context = reading.context
    found = verdicts(received, codecs, reading)
    missed = not_read(received, http, reading, settings, options)
    named = {one.name for one in missed}
    new_span_id = next(one for one in _PLACEHOLDERS if context is None or one != context.span_id)
    sent, not_sent = _sent(context, settings, new_span_id, http=http)
    return Explanation(
        result=_result(reading),
        why=why(found, reading, settings),
        context=context,
        headers=received.headers(reading),
        formats=found,
        taken_over=_taken_over(received, reading),
        not_read=tuple(missed),
        others=sum(1 for name, _ in received.rest if plain_text(name) not in named),
        counters=tuple(dict.fromkeys(reading.notes)),
        sent=sent,
        not_sent=not_sent,
        new_span_id=f"{new_span_id:016x}",
    )


def as_dict(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON has it. Names and meanings stay; new ones may come."""
    context = explanation.context
    return {
        **explanation._asdict(),
        "context": None if context is None else _context(context),
        "headers": [
            {**header._asdict(), "fields": [field._asdict() for field in header.fields]}
            for header in explanation.headers
        ],
        "formats": [verdict._asdict() for verdict in explanation.formats],
        "not_read": [one._asdict() for one in explanation.not_read],
        "counters": {name: meaning_of(name) for name in explanation.counters},
    }


def meaning_of(counter: str) -> str:
    """Return what a counter counts."""
    generic = counter.rpartition(".")[0] + ".<format>"
    return COUNTERS.get(counter) or COUNTERS.get(generic, "")


def _context(context: WireContext) -> Mapping[str, Any]:
    ids = bool(context.trace_id)
    return {
        **context._asdict(),
        "trace_id": f"{context.trace_id:032x}" if ids else None,
        "span_id": f"{context.span_id:016x}" if ids else None,
        "baggage": dict(context.baggage),
    }


def _result(reading: Reading) -> str:
    if reading.context is not None:
        return "context" if reading.context.trace_id else "container"
    return "nothing" if reading.refused is None else "refused"


def _taken_over(received: Received, reading: Reading) -> tuple[str, ...]:
    context = reading.context
    own = None if context is None or context.format is None else received.outcomes[context.format]
    if context is None or not isinstance(own, WireContext):
        return ()
    taken = {
        f"the trace id's high half, {context.trace_id >> 64:016x}": context.trace_id != own.trace_id,
        "the tracestate": context.tracestate != own.tracestate,
        "the random flag": context.random != own.random,
        "the debug flag": context.debug != own.debug,
    }
    return tuple(f"{what}, from the traceparent of the same trace" for what, is_taken in taken.items() if is_taken)


def _sent(
    context: WireContext | None, settings: Settings, span_id: int, *, http: bool
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return the headers of a call, and the keys of the baggage that are in none of them."""
    if context is None:
        return (), ()
    child = context._replace(span_id=span_id if context.trace_id else 0)
    sent = MixedFleetPropagator(settings=settings).write(child, http=http)
    # Who gets them tells what did not come through.
    there = Received(readers(settings.inject, _options(settings)), sent, http=http)
    arrived = {field.name.lower() for header in there.headers(Reading()) for field in header.fields}
    return tuple(sent), tuple(key for key in context.baggage if f"baggage {key.lower()}" not in arrived)


def _options(settings: Settings) -> Options:
    return Options(*(getattr(settings, name) for name in Options._fields))
