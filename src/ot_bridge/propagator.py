"""Where the wire formats meet OpenTelemetry's Context: all headers of a mixed fleet, read and written in one place.

The rules of precedence are those of this project: every enabled format is read independently; a malformed header is
the same as an absent one and never hides a good one; the first valid format of ``Settings.extract`` gives the ids.

Context that ``Settings.trust_incoming`` refuses is not used at all: no ids, no baggage, no debug id. Only its ids are
remembered, and the trace that starts instead has a link to them.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from opentelemetry.context import Context, create_key, set_value
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.trace import (
    DEFAULT_TRACE_STATE,
    NonRecordingSpan,
    SpanContext,
    TraceState,
    get_current_span,
    set_span_in_context,
)

from ot_bridge import shortcuts
from ot_bridge.baggage import Owner, baggage_of
from ot_bridge.codecs import binary, readers, writers
from ot_bridge.codecs.carrier import CarrierReader, Found, Slot, any_text, outgoing
from ot_bridge.codecs.codec import ListSource, Options, PrefixSource, Rank
from ot_bridge.codecs.jaeger import JaegerCodec
from ot_bridge.codecs.tracecontext import is_debug, members_of, with_debug
from ot_bridge.codecs.wire import EMPTY, Malformed, WireContext
from ot_bridge.config import Settings
from ot_bridge.context import BAGGAGE_KEY, FLAGS, BridgeSpanContext, get_current
from ot_bridge.limits import BaggageLimits
from ot_bridge.metrics import expose_at_import
from ot_bridge.redacting import redactor_of
from ot_bridge.telemetry import count, count_all, warn_once
from ot_bridge.trust import NO_HEADERS, AskedHeaders, Gate, HeaderSource, ListedHeaders
from ot_bridge.values import clean_key, to_text

__all__ = ["MixedFleetPropagator", "Reading", "debug_id_of", "from_env", "refused_ids", "refused_of", "trace_state_of"]

_logger = logging.getLogger("ot_bridge")

_LOW_64: Final = (1 << 64) - 1
_MAX_TRACE_ID: Final = (1 << 128) - 1
_DEBUG_ID_KEY: Final = create_key("ot-bridge-debug-id")
_REFUSED_KEY: Final = create_key("ot-bridge-refused")


class Reading(NamedTuple):
    """What one carrier said, and what there is to know about it."""

    context: WireContext | None = None
    """None when there was nothing, or it was not trusted; a container when there were no ids."""
    malformed: tuple[str, ...] = ()
    """A sentence for each malformed trace header."""
    others: tuple[WireContext, ...] = ()
    """Valid trace contexts of the formats that did not win, without baggage."""
    notes: Sequence[str] = ()
    """The counters that this carrier moved."""
    refused: WireContext | None = None
    """What was not trusted, its baggage and debug id left out; None when nothing was refused."""


_NOTHING: Final = Reading()
_Written = tuple[list[tuple[str, str]], tuple[str, ...]]
"""Headers, and what is to be counted for them."""
_TEXTS: Final = frozenset({str})
_MAX_KNOWN: Final = 128
_MAX_TEXT: Final = 8192  # characters, of all values of one baggage: what is longer no header may be


class MixedFleetPropagator(TextMapPropagator):
    """Reads and writes the headers of old and new services side by side. Nothing here raises at run time.

    Args:
        extract: formats read, in order of precedence; None for those of ``settings``.
        inject: formats written; None for those of ``settings``.
        settings: everything else, such as header names; None for the defaults.

    Raises:
        ConfigError: a format is unknown.
    """

    def __init__(
        self,
        extract: Sequence[str] | None = None,
        inject: Sequence[str] | None = None,
        *,
        settings: Settings | None = None,
    ) -> None:
        settings = settings or Settings()
        if extract is not None:
            settings = dataclasses.replace(settings, extract=tuple(extract))
        if inject is not None:
            settings = dataclasses.replace(settings, inject=tuple(inject))
        options = Options(*(getattr(settings, name) for name in Options._fields))
        reading, writing = readers(settings.extract, options), writers(settings.inject, options)
        self._decoders = [codec.decode for codec in reading if codec.writes_ids]
        self._sources = sorted((source for codec in reading for source in codec.sources), key=lambda one: one.rank)
        self._jaeger = next((codec for codec in reading if isinstance(codec, JaegerCodec)), None)
        self._extras = {source.header for source in self._sources if isinstance(source, ListSource)}
        if self._jaeger is not None:
            self._extras.add(self._jaeger.debug_id_header)
        self._reader = CarrierReader(
            {name: lines for codec in reading for name, lines in codec.headers.items()},
            [source.prefix for source in self._sources if isinstance(source, PrefixSource)],
        )
        self._encoders = [(codec.encode, f"inject.{codec.name}") for codec in writing if codec.writes_ids]
        self._injected = tuple(counter for _, counter in self._encoders)
        # A format with ids is counted by them, not a second time by its baggage.
        self._baggage_encoders = [
            (codec.encode_baggage, () if codec.writes_ids else (f"inject.{codec.name}",))
            for codec in writing
            if codec.writes_baggage
        ]
        self._masks = settings.mask_random_bit and "tracecontext" in settings.inject
        self._gate = Gate.of(settings)
        self.write_plain = shortcuts.never_written if self._masks else shortcuts.writing(writing)
        self.read_plain = shortcuts.never_read if self._gate else shortcuts.reading(reading, self._reader)
        self._limits = BaggageLimits.of(settings)
        self._redactor = redactor_of(settings) if settings.redact_baggage else None
        self.sent: Callable[[int], None] | None = None
        """Told the id of each span whose ids are sent; for :mod:`ot_bridge.watch`."""
        self._written: dict[tuple[Any, ...], _Written] = {}
        self._read_before: dict[tuple[Any, ...], dict[str, str]] = {}
        self._lists = tuple(source.header for source in self._sources if isinstance(source, ListSource))
        self._fields = frozenset(name for codec in writing for name in codec.fields)

    def tell_sent(self, sent: Callable[[int], None]) -> None:
        """Have a function told of each span whose ids are sent; there are no short ways of writing then."""
        self.sent = sent
        self.write_plain = shortcuts.never_written

    def read(self, items: Iterable[tuple[object, object]], *, http: bool) -> Reading:
        """Read the names and values of one carrier. Never raises, whatever they are.

        Args:
            items: names in any case and order; values as text, bytes (UTF-8) or lists of them.
            http: HTTP_HEADERS, where Jaeger's values are percent-encoded; else TEXT_MAP.
        """
        try:
            notes: list[str] = []
            source: HeaderSource = NO_HEADERS
            if self._gate is not None:
                items = source = ListedHeaders(items)
            hits = self._reader.hits(items, notes)
            found = self._reader.gather(hits, notes) if hits else None
            if found is not None:
                return self._understand(found, notes, http, source)
            _count(notes)
            return _NOTHING
        except Exception as error:
            _give_up("extract.gave_up", error)
            return _NOTHING

    def read_binary(self, data: bytes) -> Reading:
        """Read a BINARY carrier, by the same trust and limits. Never raises."""
        try:
            notes: list[str] = []
            wire = binary.decode(data)
            if wire is None:
                malformed = ("cannot read the BINARY carrier: expected Jaeger's layout",) if data else ()
                notes += ["extract.malformed.binary"] * len(malformed)
                return _settled(None, malformed, (), notes)
            if self._gate is not None and not self._gate.admits(NO_HEADERS):
                return _refusal(wire, (), notes)
            wire = wire._replace(baggage=self._admitted(wire.baggage, notes))
            if not wire.trace_id and not wire.baggage:
                return _settled(None, (), (), notes)
            notes.append("extract.binary" if wire.trace_id else "extract.container")
            return _settled(wire, (), (), notes)
        except Exception as error:
            _give_up("extract.gave_up", error)
            return _NOTHING

    def write(self, wire: WireContext, *, http: bool) -> list[tuple[str, str]]:
        """Return the headers for a context; of a container only the baggage. Never raises.

        No value can end a header or begin another one.

        Args:
            wire: what to send; its ``debug_id`` and ``format`` play no part.
            http: HTTP_HEADERS, else TEXT_MAP; see :meth:`read`.
        """
        headers: list[tuple[str, str]] = []
        notes: list[str] = []
        counters: tuple[str, ...] = ()
        try:
            trace_id, span_id = wire.trace_id, wire.span_id
            if _are_valid(trace_id, span_id):
                counters = self._injected
                trace_hex, span_hex = trace_id.to_bytes(16, "big").hex(), span_id.to_bytes(8, "big").hex()
                if self._masks and wire.random:
                    wire = wire._replace(random=False)
                    notes.append("inject.masked")
                for encode, counter in self._encoders:
                    written = encode(wire, trace_hex, span_hex, notes)
                    if written:
                        headers += written
                    else:
                        counters = tuple(name for name in counters if name != counter)
            elif trace_id or span_id:
                notes.append("inject.invalid_ids")
            if wire.baggage:
                of_baggage, counted = self._baggage_headers(wire.baggage, http, notes)
                headers += of_baggage
                counters += counted
            if counters:
                count_all(counters)
            if notes:
                _count(notes)
        except Exception as error:
            _give_up("inject.gave_up", error)
        return headers

    def _baggage_headers(self, items: Mapping[str, str], http: bool, notes: list[str]) -> _Written:
        """Return the headers for baggage; those of a request are sent again and again, and then known."""
        key: tuple[Any, ...] | None = None
        if self._redactor is None and _TEXTS.issuperset(map(type, (*items, *items.values()))):
            key = (http, *items.items())
            known = self._written.get(key)
            if known is not None:
                return known
        faults: list[str] = []
        made = self._write_baggage(items, http, faults)
        if faults:  # they are counted each time
            notes += faults
        elif key is not None and sum(map(len, items.values())) <= _MAX_TEXT:
            if len(self._written) >= _MAX_KNOWN:
                self._written.clear()
            self._written[key] = made
        return made

    def _write_baggage(self, baggage: Mapping[str, str], http: bool, notes: list[str]) -> _Written:
        """Return the headers for baggage, and what is to be counted for them."""
        headers: list[tuple[str, str]] = []
        counters: tuple[str, ...] = ()
        items = outgoing(self._redacted(baggage), notes)
        if self._limits is not None:
            passes = self._limits.begin(notes)
            items = [item for item in items if passes(item[0], item[2])]
        for encode_baggage, counted in self._baggage_encoders:
            written = encode_baggage(items, http=http, notes=notes)
            if written:
                headers += written
                counters += counted
        return headers, counters

    def write_binary(self, wire: WireContext) -> bytes:
        """Return the BINARY carrier for a context; of a container only the baggage. Never raises."""
        try:
            notes: list[str] = []
            if _are_valid(wire.trace_id, wire.span_id):
                notes.append("inject.binary")
            data = binary.encode(wire._replace(baggage=self._admitted(self._redacted(wire.baggage), notes)))
            count_all(notes)
            return data
        except Exception as error:
            _give_up("inject.gave_up", error)
            return b""

    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        """Return the context with the remote span and the baggage of the carrier.

        The baggage is merged over what is there. Without ids the span is left as it is; a debug id is then kept for
        the next local root, see :func:`debug_id_of`. Header names have no case, whatever the getter thinks.

        Of a request that ``trust_incoming`` refuses nothing is put into the context but, out of sight, its ids: the
        next local root that the bridge starts gets a link to them, see :func:`refused_of`. A root that OpenTelemetry's
        own tracer starts has no such link: that tracer asks nobody for links.
        """
        if context is None:
            context = Context()
        try:
            if getter is default_getter and type(carrier) is dict:
                plain = self.read_plain(carrier)
                if plain is not shortcuts.LONG_WAY:
                    return context if plain is None else shortcuts.with_remote(plain, context)
            if getter is default_getter and isinstance(carrier, Mapping):
                reading = self.read(carrier.items(), http=True)
            else:
                notes: list[str] = []
                found = self._reader.gather(self._ask(carrier, getter, notes), notes)
                if found is None:
                    _count(notes)
                    return context
                reading = self._understand(found, notes, True, AskedHeaders(carrier, getter))
            if reading.context is not None:
                return _put(reading.context, context)
            ids = refused_ids(reading)
            return context if ids is None else set_value(_REFUSED_KEY, ids, context)
        except Exception as error:
            _give_up("extract.gave_up", error)
            return context

    def inject(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        """Write the span and the baggage of the context, None for the current one, into the carrier."""
        try:
            if context is None:
                context = get_current()
            if setter is default_setter and type(carrier) is dict:
                plain = shortcuts.current(context)
                if plain is not None and self.write_plain(plain, carrier):
                    return None
            wire = _take(context)
            if self.sent is not None:
                self.sent(wire.span_id)
            headers = self.write(wire, http=True)
        except Exception as error:
            return _give_up("inject.gave_up", error)
        for name, value in headers:
            try:
                setter.set(carrier, name, value)
            except Exception as error:  # noqa: PERF203  (one header that is refused must not cost the others)
                warn_once("inject.setter_failed", "cannot set header %r: %r from the setter", name, error)
        return None

    @property
    def fields(self) -> set[str]:
        """The names of the headers written; baggage items with a prefix come on top."""
        return set(self._fields)

    def _ask(self, carrier: CarrierT, getter: Getter[CarrierT], notes: list[str]) -> Iterable[tuple[object, object]]:
        """Ask a getter for the headers that mean something."""
        wanted: dict[str, Slot] = {}
        try:
            wanted = self._reader.wanted(getter.keys(carrier))
        except Exception:
            notes.append("extract.unreadable")
        if not wanted:
            # Not every getter can list its keys.
            wanted = self._reader.slots
        values: dict[Slot, object] = {}
        for name, slot in wanted.items():
            try:
                value = getter.get(carrier, name)
            except Exception:
                notes.append("extract.unreadable")
                continue
            # A getter that knows no case gives the same value for each spelling of a name.
            if value is not None and (slot not in values or values[slot] != value):
                values[slot] = value
                yield name, value

    def _understand(self, found: Found, notes: list[str], http: bool, source: HeaderSource) -> Reading:
        headers, pairs = found
        winner: WireContext | None = None
        others: tuple[WireContext, ...] = ()
        malformed: tuple[str, ...] = ()
        for decode in self._decoders:
            outcome = decode(headers, notes)
            if outcome is None:
                continue
            if isinstance(outcome, Malformed):
                notes.append(f"extract.malformed.{outcome.format}")
                malformed = (*malformed, outcome.sentence())
            elif winner is None:
                winner = outcome
                notes.append(f"extract.{outcome.format}")
            else:
                others = (*others, outcome)
                notes.append(f"extract.ignored.{outcome.format}")
        extras = pairs or not self._extras.isdisjoint(headers)
        if self._gate is not None and (winner is not None or extras) and not self._gate.admits(source):
            return _refusal(winner or WireContext(), malformed, notes)
        if winner is not None and others:
            sent_id = winner.trace_id
            winner = _combine(winner, others, notes)
            if winner.trace_id != sent_id:
                notes.append("extract.truncated")
        if extras:
            baggage = self._baggage(found, http, notes)
            debug_id = None if self._jaeger is None else self._jaeger.debug_id(headers, notes, http=http)
            if winner is not None:
                winner = WireContext(*winner[:6], baggage, debug_id, winner.format)
            elif baggage or debug_id:
                winner = WireContext(baggage=baggage, debug_id=debug_id)
                notes.append("extract.container")
        return _settled(winner, malformed, others, notes)

    def _baggage(self, found: Found, http: bool, notes: list[str]) -> Mapping[str, str]:
        """Return the baggage as texts that every exporter can send; what came before is known. Not to be changed."""
        headers, pairs = found
        lists = [headers.get(name) for name in self._lists]
        key = (http, *lists, *((prefix, *items.items()) for prefix, items in pairs.items()))
        known = self._read_before.get(key)
        if known is not None:
            return known
        faults: list[str] = []
        baggage = {clean_key(key): to_text(value) for key, value in self._union(found, http, faults).items()}
        if faults:  # they are counted each time
            notes += faults
        elif sum(map(len, baggage.values())) <= _MAX_TEXT:
            if len(self._read_before) >= _MAX_KNOWN:
                self._read_before.clear()
            self._read_before[key] = baggage
        return baggage

    def _union(self, found: Found, http: bool, notes: list[str]) -> Mapping[str, str]:
        """Return the union of all sources, the stronger one's value where two have the same key."""
        parts = [(source, part) for source in self._sources if (part := source.read(found, http=http, notes=notes))]
        if len(parts) == 1:
            return self._admitted(parts[0][1], notes)
        # uberctx-userid beside the member userId=... is one item, sent twice by a bridge.
        spelled = {
            (key.lower(), value)
            for source, part in parts
            if source.rank is Rank.W3C_BAGGAGE
            for key, value in part.items()
            if key != key.lower()
        }
        baggage: dict[str, str] = {}
        for source, part in parts:
            if spelled and isinstance(source, PrefixSource):
                part = {key: value for key, value in part.items() if key in baggage or (key, value) not in spelled}
            baggage.update(part)
        return self._admitted(baggage, notes)

    def _redacted(self, baggage: Mapping[str, str]) -> Mapping[str, str]:
        return baggage if self._redactor is None else self._redactor.attributes(baggage)

    def _admitted(self, baggage: Mapping[str, str], notes: list[str]) -> Mapping[str, str]:
        """Return the items that the limits let in; or out, in BINARY, which sends any key."""
        if self._limits is not None:
            passes = self._limits.begin(notes)
            texts = ((any_text(key), any_text(value)) for key, value in baggage.items())
            baggage = {key: value for key, value in texts if key and value is not None and passes(key, value)}
        return baggage or EMPTY


def debug_id_of(context: Context) -> str | None:
    """Return the ``jaeger-debug-id`` that the next local root of this context has to obey, None without one."""
    value = context.get(_DEBUG_ID_KEY)
    return value if isinstance(value, str) else None


def refused_of(context: Context) -> SpanContext | None:
    """Return the ids that were refused, to which the next local root of this context has to link, None without any."""
    value = context.get(_REFUSED_KEY)
    return value if isinstance(value, SpanContext) else None


def refused_ids(reading: Reading) -> SpanContext | None:
    """Return the ids and flags of what was refused, None without any; its tracestate is not taken over."""
    wire = reading.refused
    if wire is None or not wire.trace_id:
        return None
    return SpanContext(wire.trace_id, wire.span_id, True, FLAGS[wire.sampled | wire.random << 1])


def trace_state_of(wire: WireContext) -> TraceState:
    """Return OpenTelemetry's trace state for what was read: with the debug member in front exactly when it is debug."""
    if not wire.tracestate and not wire.debug:
        return DEFAULT_TRACE_STATE
    return TraceState(with_debug(members_of(wire.tracestate) or (), debug=wire.debug))


def from_env() -> MixedFleetPropagator:
    """Return a propagator set up by the ``OT_BRIDGE_*`` variables: the entry point for ``OTEL_PROPAGATORS``.

    The counters become OpenTelemetry metrics, as with ``ot_bridge.install``.

    Raises:
        ConfigError: a variable cannot be used.
    """
    expose_at_import()
    return MixedFleetPropagator(settings=Settings.from_env())


def _are_valid(trace_id: int, span_id: int) -> bool:
    return 0 < trace_id <= _MAX_TRACE_ID and 0 < span_id <= _LOW_64


def _combine(winner: WireContext, others: Sequence[WireContext], notes: list[str]) -> WireContext:
    """Take over what a traceparent of the same trace adds to the winner; note other traces as a conflict."""
    trace_id, span_id, sampled, debug, random, state, *_ = winner
    conflict = False
    for other in others:
        # A zero high half: an old hop cut the id of the same trace.
        same = other.trace_id == trace_id or (trace_id <= _LOW_64 and other.trace_id & _LOW_64 == trace_id)
        if other.format == "tracecontext":
            if same:
                trace_id, random, state = other.trace_id, other.random, other.tracestate
                debug = debug or (sampled and other.debug)
            else:
                conflict = True
        elif not same and other.trace_id != trace_id & _LOW_64:
            conflict = True
    if conflict:
        notes.append("extract.conflict")
    return WireContext(trace_id, span_id, sampled, debug, random, state, EMPTY, None, winner.format)


def _refusal(wire: WireContext, malformed: tuple[str, ...], notes: list[str]) -> Reading:
    """Count that nothing was continued, instead of what was read and would have been."""
    read = (f"extract.{wire.format}", "extract.ignored.")
    notes = [*(note for note in notes if not note.startswith(read)), "extract.refused"]
    refused = wire._replace(baggage=EMPTY, debug_id=None)
    return _settled(None, malformed, (), notes)._replace(refused=refused)


def _settled(
    winner: WireContext | None, malformed: tuple[str, ...], others: tuple[WireContext, ...], notes: list[str]
) -> Reading:
    """Count what there is to count and return the reading."""
    count_all(notes)
    for sentence in malformed:
        _logger.debug(sentence)
    return tuple.__new__(Reading, (winner, malformed, others, notes, None))


def _put(wire: WireContext, context: Context) -> Context:
    """Return the context with what was read in it."""
    if wire.baggage:
        held = context.get(BAGGAGE_KEY)
        items = {**held, **wire.baggage} if isinstance(held, Mapping) else dict(wire.baggage)
        context = set_value(BAGGAGE_KEY, items, context)
    if wire.trace_id:
        flags = FLAGS[wire.sampled | wire.random << 1]
        span_context = SpanContext(wire.trace_id, wire.span_id, True, flags, trace_state_of(wire))
        return set_span_in_context(NonRecordingSpan(span_context), context)
    return set_value(_DEBUG_ID_KEY, wire.debug_id, context) if wire.debug_id else context


def _take(context: Context) -> WireContext:
    """Return what a context has to send."""
    span = get_current_span(context)
    span_context = span.get_span_context()
    if isinstance(span_context, BridgeSpanContext):
        # Every span with such a context keeps it in _context, the API's NonRecordingSpan too.
        baggage: Mapping[str, Any] = baggage_of(cast("Owner", span), context)
    else:
        held = context.get(BAGGAGE_KEY)
        baggage = held if isinstance(held, dict) else EMPTY
    flags, state = span_context.trace_flags, span_context.trace_state
    sampled = bool(flags & 1)
    debug = sampled and (
        getattr(span_context, "debug", False) or (state is not DEFAULT_TRACE_STATE and is_debug(state))
    )
    header = state.to_header() if state is not DEFAULT_TRACE_STATE and state else ""
    ids = (span_context.trace_id, span_context.span_id)
    return WireContext(*ids, sampled, debug, bool(flags & 2), header, baggage)


def _count(notes: Sequence[str]) -> None:
    if "baggage.dropped.key" not in notes:
        return count_all(notes)
    for note in notes:
        if note != "baggage.dropped.key":
            count(note)
        else:
            warn_once(note, "baggage items are not sent when their key is not an RFC 7230 token, such as 'user-id'")
    return None


def _give_up(counter: str, error: Exception) -> None:
    count(counter)
    _logger.debug("%s: the request goes on without it", counter, exc_info=error)
