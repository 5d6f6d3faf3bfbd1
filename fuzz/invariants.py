"""What has to hold for any bytes that come from the network. Needs no fuzzer: the tests call it too.

An input is a first line that says who reads it, and then what is read:

- ``http``, ``text``, ``bytes``: lines ``name: value``, as HTTP_HEADERS, as TEXT_MAP, as HTTP_HEADERS in bytes;
- ``explain``: the same, for :func:`ot_bridge.explain.explain` and what the command prints;
- ``capture``: what ``ot-bridge explain`` takes on stdin;
- ``binary``: Jaeger's BINARY carrier;
- ``packet``, ``batch``, ``zipkin``, ``otlp`` and what begins so: what receivers of spans take, see ``received.py``.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from typing import Final

from received import RECEIVERS, check_received
from rich.console import Console

from ot_bridge import telemetry
from ot_bridge.cli.captured import UnreadableError, decoded, requests_in
from ot_bridge.cli.explained import show
from ot_bridge.codecs import CODECS, binary
from ot_bridge.codecs.carrier import any_text
from ot_bridge.codecs.tracecontext import members_of, with_debug
from ot_bridge.codecs.wire import WireContext
from ot_bridge.config import Settings
from ot_bridge.explain import as_dict, explain
from ot_bridge.propagator import MixedFleetPropagator, Reading

__all__ = ["MAX_LENGTH", "MODES", "check"]

MAX_LENGTH: Final = 8192
MODES: Final = (b"http", b"text", b"bytes", b"explain", b"capture", b"binary", *RECEIVERS)

_is_token: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_unsafe: Final = re.compile(r"[\r\n\0]").search
_EVERY: Final = Settings(extract=tuple(CODECS), inject=tuple(CODECS))
_SETTINGS: Final = (_EVERY, Settings())
_PROPAGATORS: Final = tuple(MixedFleetPropagator(settings=settings) for settings in _SETTINGS)
_SMALL: Final = 2000  # characters of baggage that no limit cuts

Items = list[tuple[object, object]]


def check(data: bytes) -> None:
    """Read an input. Raises AssertionError, or whatever a decoder raises, when something does not hold."""
    mode, _, body = data[:MAX_LENGTH].partition(b"\n")
    if mode in RECEIVERS:
        check_received(mode, body)
    elif mode == b"binary":
        _check_binary(body)
    elif mode == b"capture":
        _check_capture(body)
    elif mode == b"explain":
        _check_explanation(_items(body, as_bytes=False))
    else:
        _check_headers(_items(body, as_bytes=mode == b"bytes"), http=mode != b"text")
    # The propagator never raises: it counts that it would have.
    gave_up = [name for name in telemetry.snapshot() if name.endswith("gave_up")]
    assert not gave_up, gave_up


def _items(body: bytes, *, as_bytes: bool) -> Items:
    items: Items = []
    for line in body.split(b"\n"):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if as_bytes:
            items.append((name, value))
        else:
            items.append((name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")))
    return items


def _check_headers(items: Items, *, http: bool) -> None:
    for propagator in _PROPAGATORS:
        reading = propagator.read(items, http=http)
        _check_reading(reading)
        if reading.context is not None:
            _check_way_back(propagator, reading.context, http=http)


def _check_reading(reading: Reading) -> None:
    for other in reading.others:
        _check_context(other)
    for sentence in reading.malformed:
        assert sentence.startswith("cannot read header '"), sentence
        assert len(sentence) < 1000, len(sentence)
    if reading.context is not None:
        _check_context(reading.context)


def _check_context(wire: WireContext) -> None:
    if wire.trace_id:
        assert 0 < wire.trace_id < 1 << 128, wire
        assert 0 < wire.span_id < 1 << 64, wire
        assert wire.format in (*CODECS, "binary"), wire
    else:
        assert wire == WireContext(baggage=wire.baggage, debug_id=wire.debug_id), wire
        assert wire.baggage or wire.debug_id, wire
    assert wire.sampled or not wire.debug, wire
    assert all(type(flag) is bool for flag in (wire.sampled, wire.debug, wire.random)), wire
    members = members_of(wire.tracestate)
    assert members is not None, wire
    assert ",".join(map("=".join, members)) == wire.tracestate, wire
    assert all(type(key) is str and type(value) is str and key for key, value in wire.baggage.items()), wire


def _check_way_back(propagator: MixedFleetPropagator, wire: WireContext, *, http: bool) -> None:
    """What is written is safe in any carrier, and is read as the same."""
    written = propagator.write(wire, http=http)
    names = [name for name, _ in written]
    assert len(set(names)) == len(names), names
    for name, value in written:
        assert _is_token(name), name
        assert name == name.lower(), name
        assert not _unsafe(value), (name, value)
        assert not http or value.isascii(), (name, value)
    again = propagator.read(written, http=http)
    assert not again.malformed, again.malformed
    assert "extract.conflict" not in again.notes, written
    context = again.context or WireContext()
    assert context[:5] == wire[:5], (context, wire)
    state = ",".join(map("=".join, with_debug(members_of(wire.tracestate) or [], debug=wire.debug)))
    if len(state) <= MAX_LENGTH:
        assert context.tracestate == state, (context, wire)
    _check_baggage(wire.baggage, context.baggage)


def _check_baggage(sent: Mapping[str, str], received: Mapping[str, str]) -> None:
    if sum(len(key) + 12 * len(value) for key, value in sent.items()) > _SMALL:
        return
    for key, value in sent.items():
        if _is_token(key):
            assert received.get(key) == any_text(value), (key, value, received)


def _check_explanation(items: Items) -> None:
    for settings, propagator in zip(_SETTINGS, _PROPAGATORS, strict=True):
        explanation = explain(items, settings)
        assert explanation.context == propagator.read(items, http=True).context
        assert json.loads(json.dumps(as_dict(explanation)))["result"] == explanation.result
        winner = None if explanation.context is None else explanation.context.format
        won = [verdict.format for verdict in explanation.formats if verdict.outcome == "won"]
        assert won == ([winner] if winner else []), explanation.formats
    page = io.StringIO()
    show(explanation, Console(file=page, width=80, highlight=False))
    assert page.getvalue().replace("\n", "").isprintable()


def _check_capture(body: bytes) -> None:
    try:
        requests = requests_in(decoded(body))
    except UnreadableError:
        return
    for request in requests:
        assert all(type(name) is str for name, _ in request.headers)
    _check_explanation(list(requests[0].headers))


def _check_binary(body: bytes) -> None:
    wire = binary.decode(body)
    if wire is None:
        return
    _check_context(wire)
    again = binary.decode(binary.encode(wire))
    fits = all(len(key.encode()) + len(value.encode()) <= 4096 for key, value in wire.baggage.items())
    assert not fits or again == wire, (again, wire)
