"""What has to hold for any bytes that a receiver of spans takes. Called by ``invariants.check``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Final

from ot_bridge.traces import otlp
from ot_bridge.traces.formats import jaeger_thrift, otlp_json, otlp_proto, zipkin
from ot_bridge.traces.formats.decoded import Decoded
from ot_bridge.traces.formats.otlp_checks import OtlpError
from ot_bridge.traces.formats.thrift import ThriftError
from ot_bridge.traces.formats.zipkin import ZipkinError
from ot_bridge.traces.tree import Trace

__all__ = ["RECEIVERS", "check_received"]

RECEIVERS: Final[Mapping[bytes, tuple[Callable[[bytes], Decoded], type[ValueError]]]] = {
    b"packet": (jaeger_thrift.decode_packet, ThriftError),
    b"batch": (jaeger_thrift.decode_batch, ThriftError),
    b"zipkin": (zipkin.decode_json, ZipkinError),
    b"otlp": (otlp_proto.decode_traces, OtlpError),
    b"otlp logs": (otlp_proto.decode_logs, OtlpError),
    b"otlp json": (otlp_json.decode_traces, OtlpError),
    b"otlp json logs": (otlp_json.decode_logs, OtlpError),
    b"otlp file": (otlp_json.read_json, OtlpError),
}
"""First line of an input -> what reads it, and the one error that it may raise."""
_LATEST_NS: Final = (1 << 63) - 1


def check_received(mode: bytes, body: bytes) -> None:
    """Read an input. Raises AssertionError, or whatever a decoder raises, when something does not hold."""
    decode, error = RECEIVERS[mode]
    with contextlib.suppress(error):
        decoded = decode(body)
        _check(decoded)
        if not mode.startswith(b"otlp"):
            assert all(span.via in ("jaeger", "zipkin") for span in otlp.spans(decoded.batches))


def _check(decoded: Decoded) -> None:
    assert decoded.problem or not decoded.rejected, decoded
    assert len(decoded.problem) < 1000, decoded.problem
    for batch in (*decoded.batches, *decoded.logs):
        # What cannot be serialised cannot be kept.
        data = batch.SerializeToString()
        assert type(batch).FromString(data).SerializeToString() == data, batch
    spans = otlp.spans(decoded.batches)
    for span in spans:
        assert 0 < span.trace_id < 1 << 128, span
        assert 0 < span.span_id < 1 << 64, span
        assert 0 <= span.start_ns <= _LATEST_NS, span
        assert 0 <= span.end_ns <= _LATEST_NS, span
    assert len(Trace(spans, otlp.logs(decoded.logs))) <= len(spans)
    again = otlp_json.decode_traces(json.dumps(otlp_json.to_json(decoded.batches)).encode())
    assert (again.rejected, len(otlp.spans(again.batches))) == (0, len(spans)), again.problem
