"""The bridge from OpenTracing to OpenTelemetry: the old code, a new tracer, every span over OTLP.

::

    import opentracing
    import ot_bridge

    ot_bridge.install("checkout")  # where jaeger_client.Config(...).initialize_tracer() was

    with opentracing.tracer.start_active_span("charge", tags={"order": 7}) as scope:
        scope.span.set_baggage_item("tenant", "acme")
        headers: dict[str, str] = {}
        opentracing.tracer.inject(scope.span.context, opentracing.Format.HTTP_HEADERS, headers)
        scope.span.log_kv({"event": "charged", "amount": 12.5})

Everything that is not listed in ``__all__`` is private.
"""

from ot_bridge.bootstrap import install
from ot_bridge.config import Settings
from ot_bridge.context import BridgeSpanContext
from ot_bridge.errors import BridgeError, CarrierError, ConfigError, CorruptedContextError, FormatError
from ot_bridge.propagator import MixedFleetPropagator
from ot_bridge.scope import BridgeScope, BridgeScopeManager
from ot_bridge.span import BridgeSpan
from ot_bridge.tracer import BridgeTracer
from ot_bridge.version import __version__

__all__ = [
    "BridgeError",
    "BridgeScope",
    "BridgeScopeManager",
    "BridgeSpan",
    "BridgeSpanContext",
    "BridgeTracer",
    "CarrierError",
    "ConfigError",
    "CorruptedContextError",
    "FormatError",
    "MixedFleetPropagator",
    "Settings",
    "__version__",
    "install",
]
