"""What each codec made of one request, header by header. The codecs read every value; here it is put into words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from ot_bridge.codecs.carrier import CarrierReader, Slot, is_ambiguous, plain_text
from ot_bridge.codecs.codec import BaggageSource, Codec, ListSource, PrefixSource
from ot_bridge.codecs.id_headers import is_true
from ot_bridge.codecs.jaeger import JaegerCodec
from ot_bridge.codecs.tracecontext import DEBUG_MEMBER, members_of
from ot_bridge.codecs.wire import EMPTY, Malformed, WireContext
from ot_bridge.propagator import Reading

__all__ = ["Field", "HeaderRead", "Received", "flag_names"]

_LOW_64: Final = (1 << 64) - 1
_SHOWN: Final = 60  # characters
_SHOWN_PROBLEMS: Final = 5

_EVERY_PART: Final = ("trace id", "span id", "parent id", "flags")
_PARTS: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {
        "traceparent": ("trace id", "span id", "flags"),
        "x-b3-traceid": ("trace id",),
        "x-b3-spanid": ("span id",),
        "x-b3-sampled": ("decision",),
        "x-b3-flags": ("debug",),
        "ot-tracer-traceid": ("trace id",),
        "ot-tracer-spanid": ("span id",),
        "ot-tracer-sampled": ("decision",),
    }
)
"""Which part of a trace context stands in which header; every part where a header has no row."""


class Field(NamedTuple):
    """One part of a header as it was understood."""

    name: str
    value: str
    remark: str = ""


class HeaderRead(NamedTuple):
    """A header that an enabled format reads."""

    name: str
    """As it was received."""
    values: tuple[str, ...]
    """One for each line."""
    format: str
    fields: tuple[Field, ...]
    problems: tuple[str, ...]
    """A sentence for each part that could not be used: what was found and what was expected."""


class _Kept(NamedTuple):
    """The baggage that came out of it in the end."""

    items: Mapping[str, str]
    spelled: Mapping[tuple[str, str], str]
    """Key in lower case and value -> key as it is spelled."""
    lost: str
    """Why an item is in neither."""


class Received:
    """One request, read by some codecs, each on its own.

    Args:
        codecs: who reads.
        items: names and values, as for :meth:`ot_bridge.MixedFleetPropagator.read`.
        http: HTTP_HEADERS, else TEXT_MAP.
    """

    def __init__(self, codecs: Sequence[Codec], items: Iterable[tuple[object, object]], *, http: bool) -> None:
        items = list(items)
        self._http = http
        self._codecs = codecs
        self._sources = sorted((source for codec in codecs for source in codec.sources), key=lambda one: -one.rank)
        reader = CarrierReader(
            {name: lines for codec in codecs for name, lines in codec.headers.items()},
            [source.prefix for source in self._sources if isinstance(source, PrefixSource)],
        )
        self.found = reader.read(items, []) or ({}, {})
        self.lines: dict[Slot, tuple[str, list[str]]] = {}
        self.rest: list[tuple[object, object]] = []
        for name, value in items:
            slot = reader.slot(name)
            if slot is None:
                self.rest.append((name, value))
            else:
                values = value if isinstance(value, list | tuple) else (value,)
                texts = self.lines.setdefault(slot, (plain_text(name) or "", []))[1]
                texts += [text for text in map(plain_text, values) if text is not None]
        self.outcomes: dict[str, WireContext | Malformed | None] = {}
        self._notes: dict[str, list[str]] = {}
        for codec in codecs:
            notes = self._notes.setdefault(codec.name, [])
            self.outcomes[codec.name] = codec.decode(self.found[0], notes)
        self._bags = [(source, source.read(self.found, http=http, notes=[])) for source in self._sources]

    def name_of(self, header: str) -> str:
        """Return a header's name as it was received, in lower case when it was not."""
        return next((name for slot, (name, _) in self.lines.items() if slot.header == header), header)

    def format_of(self, slot: Slot) -> str:
        """Return the name of the codec that reads a header."""
        return self._codec_of(slot).name

    def headers(self, reading: Reading) -> tuple[HeaderRead, ...]:
        """Return the headers in the order of the request.

        Args:
            reading: what came out of it in the end.
        """
        context = reading.context
        baggage = context.baggage if context is not None else EMPTY
        lost = "not kept, by the baggage_* settings" if reading.refused is None else "refused"
        kept = _Kept(baggage, {(key.lower(), value): key for key, value in baggage.items()}, lost)
        read = []
        for slot, (name, values) in self.lines.items():
            codec = self._codec_of(slot)
            fields, problems = self._describe(slot, codec, reading, kept)
            read.append(HeaderRead(name, tuple(values), codec.name, tuple(fields), tuple(problems)))
        return tuple(read)

    def _codec_of(self, slot: Slot) -> Codec:
        if slot.key is None:
            return next(codec for codec in self._codecs if slot.header in codec.headers)
        prefixes = ((codec, source) for codec in self._codecs for source in codec.sources)
        return next(codec for codec, one in prefixes if isinstance(one, PrefixSource) and one.prefix == slot.header)

    def _describe(self, slot: Slot, codec: Codec, reading: Reading, kept: _Kept) -> tuple[list[Field], list[str]]:
        if slot.key is not None:
            if slot.key not in self.found[1].get(slot.header, {}):
                return [], ["several lines with different values: the item is dropped"]
            bags = [pair for pair in self._bags if isinstance(pair[0], PrefixSource) and pair[0].prefix == slot.header]
            return [self._item(source, slot.key, bag[slot.key], kept) for source, bag in bags[:1]], []
        for source, bag in self._bags:
            if isinstance(source, ListSource) and source.header == slot.header:
                fields = [self._item(source, key, value, kept) for key, value in bag.items()]
                return fields, self._list_problems(source)
        text = self.found[0].get(slot.header, "")
        if isinstance(codec, JaegerCodec) and slot.header == codec.debug_id_header:
            return self._debug_id(codec, reading)
        return self._trace_header(slot.header, text, self.outcomes[codec.name])

    def _trace_header(
        self, header: str, text: str, outcome: WireContext | Malformed | None
    ) -> tuple[list[Field], list[str]]:
        if header == "tracestate":
            return _tracestate(text, outcome)
        if outcome is None:
            return [], ["says nothing about a trace: there are no ids with it"]
        if isinstance(outcome, WireContext):
            return [_part(part, outcome, text) for part in _PARTS.get(header, _EVERY_PART)], []
        if outcome.header == header:
            return [], [self.problem(outcome)]
        return [], [f"not used: {self.name_of(outcome.header)} is malformed or missing"]

    def problem(self, malformed: Malformed) -> str:
        """Say why a trace header cannot be read, and what was expected."""
        if malformed.header not in self.found[0]:
            found = "missing"
        elif is_ambiguous(malformed.found):
            found = "several lines with different values"
        else:
            found = "cannot be read"
        return f"{found}, expected {malformed.wanted}"

    def _debug_id(self, codec: JaegerCodec, reading: Reading) -> tuple[list[Field], list[str]]:
        value = codec.debug_id(self.found[0], [], http=self._http)
        if value is None:
            several = is_ambiguous(self.found[0].get(codec.debug_id_header, ""))
            return [], ["several lines with different values, expected one" if several else "empty"]
        if reading.refused is not None:
            remark = "refused"
        elif reading.context is not None and not reading.context.trace_id:
            remark = "forces a new trace"
        else:
            remark = "not used: there are ids"
        return [Field("debug id", value, remark)], []

    def _list_problems(self, source: ListSource) -> list[str]:
        """Name the members of a baggage list that the source itself drops."""
        notes: list[str] = []
        source.read(self.found, http=self._http, notes=notes)
        problems = []
        if "baggage.dropped.member" in notes:
            for member in self.found[0][source.header].split(","):
                dropped: list[str] = []
                source.decode(member, self._http, dropped)
                if "baggage.dropped.member" in dropped:
                    problems.append(f"member {_cut(member.strip())!r} is dropped, expected key=value")
        if "baggage.dropped.limit" in notes:
            problems.append("members are dropped: over 180, 4096 bytes each or 8192 bytes in all")
        if "baggage.properties" in notes:
            problems.append("properties of members (after ';') are not kept")
        return _first(problems)

    def _item(self, source: BaggageSource, key: str, value: str, kept: _Kept) -> Field:
        """Return a baggage item with what became of it."""
        name, value_kept = f"baggage {key}", kept.items.get(key)
        if value_kept == value:
            return Field(name, value)
        if value_kept is None:
            twin = kept.spelled.get((key.lower(), value))
            return Field(name, value, f"the same item as {twin}" if twin else kept.lost)
        # strongest first
        by = next((one for one, bag in self._bags if one is not source and bag.get(key) == value_kept), None)
        return Field(name, value, f"not kept: {_header_of(by, key)} has the same key" if by else kept.lost)


def _header_of(source: BaggageSource, key: str) -> str:
    return source.header if isinstance(source, ListSource) else source.prefix + key


def _part(part: str, outcome: WireContext, text: str) -> Field:
    if part == "trace id":
        bits = "64 bit" if outcome.trace_id <= _LOW_64 else "128 bit"
        return _id(part, f"{outcome.trace_id:032x}", text, bits)
    if part == "span id":
        return _id(part, f"{outcome.span_id:016x}", text)
    if part == "parent id":
        return Field(part, "-", "not read")
    if part == "decision":
        # of this header; another one may overrule it
        return Field(part, "sampled" if is_true(text) else "not sampled")
    if part == "debug":
        return Field("flags", "debug" if outcome.debug else "none")
    # The debug flag of a traceparent stands in its tracestate.
    debug = outcome.debug and outcome.format != "tracecontext"
    return Field("flags", flag_names(outcome._replace(debug=debug)))


def flag_names(wire: WireContext) -> str:
    """Return the flags by their names."""
    names = ["sampled" if wire.sampled else "not sampled"]
    if wire.debug:
        names.append("debug")
    if wire.random:
        names.append("random trace id")
    return ", ".join(names)


def _id(name: str, digits: str, text: str, *remarks: str) -> Field:
    changes = [] if digits in text else ["put in lower case"] if digits in text.lower() else ["padded with zeros"]
    return Field(name, digits, ", ".join([*remarks, *changes]))


def _tracestate(text: str, outcome: WireContext | Malformed | None) -> tuple[list[Field], list[str]]:
    if not isinstance(outcome, WireContext):
        return [], ["not used: there is no valid traceparent with it"]
    if members_of(text) is None:
        return [], _state_problems(text)
    members = members_of(outcome.tracestate) or ()
    return [
        Field(f"member {key}", value, "Jaeger's debug flag" if outcome.debug and (key, value) == DEBUG_MEMBER else "")
        for key, value in members
    ], []


def _state_problems(text: str) -> list[str]:
    """Say why a tracestate is dropped as a whole."""
    members = [member.strip(" \t") for member in text.split(",")]
    bad = [member for member in members if members_of(member, limited=False) is None]
    if bad:
        return _first([f"dropped: member {_cut(member)!r}, expected key=value as W3C allows them" for member in bad])
    count = len(members_of(text, limited=False) or ())
    return [f"dropped: {count} members in {len(text)} characters, expected at most 32 in 8192"]


def _first(problems: list[str]) -> list[str]:
    more = len(problems) - _SHOWN_PROBLEMS
    return [*problems[:_SHOWN_PROBLEMS], f"and {more} more"] if more > 0 else problems


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
