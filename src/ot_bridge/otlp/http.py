"""OTLP over HTTP: the official exporter, whose step from spans to bytes is ours, and whose forks do not share sockets.

A fork copies the exporter with the connections that it keeps alive. Two processes that write into one connection, and
read each other's answers from it, lose spans; so the child begins with none.
"""

from __future__ import annotations

import copy
import os
import weakref
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan

from ot_bridge import telemetry
from ot_bridge.otlp.official import encode_batch

__all__ = ["HttpSpanExporter"]


class _Request:
    """Stands for the message of the official encoder, of which the exporter wants the bytes."""

    def __init__(self, spans: Sequence[ReadableSpan]) -> None:
        self._spans = spans

    def SerializePartialToString(self) -> bytes:  # noqa: N802  (protobuf's name)
        """Return the bytes of the request."""
        return encode_batch(self._spans)

    SerializeToString = SerializePartialToString


_SERIALIZERS: Final = frozenset({"SerializePartialToString", "SerializeToString"})


def _with_our_encoder(export: Any) -> Callable[..., Any] | None:
    """Return the official method with another ``encode_spans``, None where it is not as expected.

    It calls that by its global name, and only there: the same code with other globals is the same method but for this
    step, in every version from 1.35 to 1.45. To override it would be to copy the loop of its retries.
    """
    code, known = getattr(export, "__code__", None), getattr(export, "__globals__", {})
    if code is None or known.get("encode_spans") is not encode_spans or export.__closure__:
        return None
    if "encode_spans" not in code.co_names or _SERIALIZERS.isdisjoint(code.co_names):
        return None
    ours = FunctionType(code, {**known, "encode_spans": _Request}, export.__name__, export.__defaults__)
    ours.__kwdefaults__ = export.__kwdefaults__
    return ours


_export = _with_our_encoder(OTLPSpanExporter.export)


def _forget_connections(exporter: Any) -> None:
    transport = getattr(getattr(exporter, "_client", None), "_transport", exporter)  # the exporter itself before 1.45
    adapters = getattr(getattr(transport, "_session", None), "adapters", {})
    for prefix, adapter in list(adapters.items()):
        # A copy is as configured, with a pool of its own. To close the old one here would take locks that a thread of
        # the parent may hold.
        adapters[prefix] = copy.copy(adapter)


class HttpSpanExporter(OTLPSpanExporter):
    """The official OTLP/HTTP exporter with the bridge's encoder; takes the same arguments and variables."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if _export is None:
            telemetry.warn_once(
                "otlp.fallback.shape", "the official OTLP/HTTP exporter is not as expected: it encodes the spans"
            )
        if hasattr(os, "register_at_fork"):
            seen = weakref.ref(self)

            def in_child() -> None:
                exporter = seen()
                if exporter is not None:
                    _forget_connections(exporter)

            os.register_at_fork(after_in_child=in_child)

    if _export is not None:
        export = _export
