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

Everything that is not listed in ``__all__`` is private. For pytest, which under `ot-bridge run` comes after the package
and would warn of that: PYTEST_DONT_REWRITE.
"""

# What stands behind a name is imported when the name is first asked for: `ot-bridge run` and the Python processes below
# it import this package without the SDK. The name is typing's own, which would have to be imported.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from ot_bridge import meter as meter
    from ot_bridge import telemetry as telemetry
    from ot_bridge.bootstrap import install
    from ot_bridge.carrying import ContextExecutor, in_context
    from ot_bridge.config import Settings
    from ot_bridge.context import BridgeSpanContext
    from ot_bridge.errors import BridgeError, CarrierError, ConfigError, CorruptedContextError, FormatError
    from ot_bridge.propagator import MixedFleetPropagator
    from ot_bridge.scope import BridgeScope, BridgeScopeManager
    from ot_bridge.span import BridgeSpan
    from ot_bridge.tracer import BridgeTracer
    from ot_bridge.version import __version__
else:
    _HOMES = {
        "BridgeError": "errors",
        "BridgeScope": "scope",
        "BridgeScopeManager": "scope",
        "BridgeSpan": "span",
        "BridgeSpanContext": "context",
        "BridgeTracer": "tracer",
        "CarrierError": "errors",
        "ConfigError": "errors",
        "ContextExecutor": "carrying",
        "CorruptedContextError": "errors",
        "FormatError": "errors",
        "MixedFleetPropagator": "propagator",
        "Settings": "config",
        "__version__": "version",
        "in_context": "carrying",
        "install": "bootstrap",
    }

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name, name)
        if home == name and name.startswith("__"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415  (most processes never come here)

        try:
            module = import_module(f"{__name__}.{home}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{home}":
                raise
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
        if home == name:
            return module
        globals()[name] = value = getattr(module, name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, "meter", "telemetry"})


__all__ = [
    "BridgeError",
    "BridgeScope",
    "BridgeScopeManager",
    "BridgeSpan",
    "BridgeSpanContext",
    "BridgeTracer",
    "CarrierError",
    "ConfigError",
    "ContextExecutor",
    "CorruptedContextError",
    "FormatError",
    "MixedFleetPropagator",
    "Settings",
    "__version__",
    "in_context",
    "install",
]
