"""The one place that knows every part: ``install`` builds them, and sets both libraries' globals last.

    import ot_bridge
    ot_bridge.install("checkout")

Reached afterwards: ``opentracing.tracer`` and ``opentracing.global_tracer()``, also where a module took the default
tracer object (or its scope manager) before install, and OpenTelemetry tracers made at any time. Not reached: bound
methods taken before (``start = opentracing.tracer.start_span``), and no-op spans and scopes that are still held.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final, NamedTuple

import opentracing
from opentelemetry import trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk.resources import SERVICE_NAME
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import ProxyTracerProvider, TracerProvider
from opentelemetry.util._once import Once

from ot_bridge import endings, forks, late_binding, metrics, telemetry
from ot_bridge.config import Settings
from ot_bridge.environment import read, wrong
from ot_bridge.export import build_processors, flush_provider, shutdown_provider
from ot_bridge.native import watch_native
from ot_bridge.propagator import MixedFleetPropagator
from ot_bridge.provider import build_provider
from ot_bridge.redacting import protect
from ot_bridge.tracer import BridgeTracer, check_provider, check_settings
from ot_bridge.yielding import give_way

__all__ = ["foreign_provider", "install", "instead", "make_global", "preinstall"]

_logger = logging.getLogger("ot_bridge")

_ARGUMENT: Final = "argument of install"
_OTEL_PROPAGATORS: Final = "OTEL_PROPAGATORS"
# What OpenTelemetry's own default propagators write: a global one with other fields was chosen by somebody.
_DEFAULT_FIELDS: Final = frozenset({"traceparent", "tracestate", "baggage"})


class _Installation(NamedTuple):
    tracer: BridgeTracer
    provider: TracerProvider
    settings: Settings
    service_name: str | None
    meter_provider: MeterProvider | None
    undo: contextlib.ExitStack


_lock: Final = threading.RLock()
_installation: _Installation | None = None
# What was installed before, has given way and may still have spans to send: each takes the seconds that it may need.
_given_way: Final[list[Callable[[float], object]]] = []


def install(
    service_name: str | None = None,
    *,
    settings: Settings | None = None,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> BridgeTracer:
    """Make ot_bridge the tracer of this process, for OpenTracing and for OpenTelemetry.

    Without ``tracer_provider`` OpenTelemetry's global provider is used, with its exporters; where there is none, one is
    built from ``service_name`` and the ``OTEL_*`` variables (OTLP over http/protobuf unless told otherwise), becomes
    the global one, and is closed at exit within ``settings.close_timeout_s``. OpenTelemetry's global propagator becomes
    a :class:`MixedFleetPropagator`, unless ``OTEL_PROPAGATORS`` or the program has chosen another.

    A second call returns the installed tracer; different arguments are warned of once.

    Args:
        service_name: the service's name for a provider that is built here; wins over ``OTEL_SERVICE_NAME``.
        settings: None for ``Settings.from_env()``.
        tracer_provider: a provider of your own. It stays yours: closing the tracer flushes it, and no more.
        meter_provider: is given the bridge's counters, see :mod:`ot_bridge.metrics`; None for OpenTelemetry's global
            one, also when that is set later.

    Raises:
        ConfigError: an argument or a variable cannot be used. Nothing is set then.
    """
    global _installation  # a process has one tracer: the globals of both libraries are its kind
    _check_arguments(service_name, settings, tracer_provider, meter_provider)
    with _lock:
        if _installation is not None:
            _warn_of_difference(_installation, service_name, settings, tracer_provider, meter_provider)
            return _installation.tracer
        _installation = _install(service_name, settings or Settings.from_env(), tracer_provider, meter_provider)
        return _installation.tracer


def make_global(tracer: BridgeTracer) -> None:
    """Make a tracer that exists, and its provider, those of this process; one that was installed before gives way.

    OpenTelemetry's global provider stays what it is when the application has set one.
    """
    global _installation
    with _lock:
        before, _installation = _installation, None
        if before is not None:
            before.undo.close()
            if before.tracer._owns_provider:
                atexit.register(before.tracer.close)  # what it has recorded so far is still sent
                _given_way.append(before.tracer.flush)
        undo = contextlib.ExitStack()
        existing = _real(trace.get_tracer_provider())
        if existing is None:
            trace.set_tracer_provider(tracer._provider)
            undo.callback(_forget_otel_provider, tracer._provider)
        else:
            _logger.info("OpenTelemetry's global provider stays the %s that is there", type(existing).__qualname__)
        _set_propagator(tracer._propagator, undo)
        _set_opentracing(tracer, undo)
        metrics.expose(None)
        _send_at_the_end(tracer.settings, undo)
        undo.callback(forks.arm(tracer._provider))
        name = _service_name_of(tracer._provider)
        _installation = _Installation(tracer, tracer._provider, tracer.settings, name, None, undo)


@contextlib.contextmanager
def instead(tracer: BridgeTracer) -> Iterator[None]:
    """Make a tracer, and its provider, those of this process while the block runs; then all globals are what they were.

    What was installed before waits meanwhile. What is installed, or set as a global, inside the block is forgotten; a
    tracer that was installed there is closed.
    """
    global _installation
    from opentelemetry import propagate

    with _lock:
        waiting, textmap = _installation, propagate.get_global_textmap()
        otel = trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE
        global_tracer = opentracing.tracer, opentracing.is_tracer_registered
        undo = contextlib.ExitStack()
        # Not by set_tracer_provider: that takes one for good, and who gives way to another does so for good.
        trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = tracer._provider, _spent()
        _set_propagator(tracer._propagator, undo)
        undo.callback(late_binding.redirect(tracer))
        _set_opentracing(tracer, undo)
        name = _service_name_of(tracer._provider)
        _installation = _Installation(tracer, tracer._provider, tracer.settings, name, None, undo)
    try:
        yield
    finally:
        with _lock:
            found, _installation = _installation, None
            if found is not None and found.tracer is not tracer:
                found.tracer.close()
                found.undo.close()
            undo.close()
            _installation = waiting
            trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = otel
            opentracing.tracer, opentracing.is_tracer_registered = global_tracer
            propagate.set_global_textmap(textmap)


def foreign_provider() -> TracerProvider | None:
    """Return OpenTelemetry's global provider when somebody else has set one, such as opentelemetry-instrument."""
    existing = _real(trace.get_tracer_provider())
    with _lock:
        own = _installation is not None and _installation.tracer._owns_provider
        return None if own and _installation is not None and existing is _installation.provider else existing


def preinstall() -> bool:
    """Install for an application that did not ask for it, and that may have ideas of its own.

    As ``install()``, but OTLP's exporter is imported at its first export; and where the provider is ours, it gives way
    to one that the application sets later, for OpenTelemetry's spans and for OpenTracing's.

    Returns:
        Whether this call installed the tracer that is there.

    Raises:
        ConfigError: a variable cannot be used. Nothing is set then.
    """
    global _installation
    with _lock:
        if _installation is not None:
            return False
        _installation = _install(None, Settings.from_env(), None, None, partial(build_processors, deferred=True))
        installed = _installation
        if installed.tracer._owns_provider:
            installed.undo.callback(give_way(installed.provider, partial(_go_over, installed)))
        return True


def _go_over(installed: _Installation, provider: TracerProvider) -> None:
    """Use the provider that the application has set. What ours has recorded is still sent, at exit."""
    global _installation
    with _lock:
        if _installation is None or _installation.tracer is not installed.tracer:
            return
        tracer = installed.tracer
        tracer._owns_provider = False
        tracer._bind(provider)
        _installation = installed._replace(provider=provider, service_name=_service_name_of(provider))
        atexit.register(shutdown_provider, installed.provider, tracer.settings.close_timeout_s)
        _given_way.append(partial(flush_provider, installed.provider))
    _tell_of_foreign(provider, provider, None, installed.settings)


def _install(
    service_name: str | None,
    settings: Settings,
    given: TracerProvider | None,
    meter_provider: MeterProvider | None,
    processors: Callable[[], Iterable[SpanProcessor]] = build_processors,
) -> _Installation:
    propagator = MixedFleetPropagator(settings=settings)
    existing = _real(trace.get_tracer_provider())
    provider = _real(given) or existing
    owned = provider is None
    if provider is None:
        provider = build_provider(service_name, processors, sampler=settings.sampler, tail=settings.tail)
    try:
        tracer = BridgeTracer(provider, settings=settings)
    except BaseException:
        if owned:
            shutdown_provider(provider, settings.close_timeout_s)
        raise
    tracer._owns_provider = owned  # agreed between the two modules, not for users
    undo = contextlib.ExitStack()
    undo.callback(protect(provider, settings))
    refer = tracer._propagator.sent
    if refer is not None:
        propagator.tell_sent(refer)
    undo.callback(watch_native(provider, refer, nest=settings.double_servers == "nest"))
    name = _service_name_of(provider) or service_name
    installation = _Installation(tracer, provider, settings, name, meter_provider, undo)
    if existing is None:
        trace.set_tracer_provider(provider)
        undo.callback(_forget_otel_provider, provider)
    _set_propagator(propagator, undo)
    _set_opentracing(tracer, undo)
    metrics.expose(meter_provider)
    if owned:
        atexit.register(tracer.close)
        undo.callback(atexit.unregister, tracer.close)
    else:
        _tell_of_foreign(provider, existing, service_name, settings)
    _send_at_the_end(settings, undo)
    undo.callback(forks.arm(provider))
    return installation


def _send_at_the_end(settings: Settings, undo: contextlib.ExitStack) -> None:
    """Prepare the ends that are no ends of the interpreter."""
    close, flush = partial(_send, close=True), partial(_send, close=False)
    if not settings.flush_on_sigterm:
        undo.callback(endings.arm(close, flush))
        return
    from ot_bridge import sigterm

    undo.callback(endings.arm(sigterm.uninterrupted(close), flush))
    undo.callback(sigterm.arm(close, flush, settings.close_timeout_s))


def _send(*, close: bool) -> None:
    """Send what has finished, within the time of the installed tracer for all together."""
    installed = _installation
    if installed is None:
        return
    tracer = installed.tracer
    end_s = time.monotonic() + tracer.settings.close_timeout_s
    for step in (tracer.close if close else tracer.flush, *_given_way):
        step(max(0.0, end_s - time.monotonic()))


def _check_arguments(service_name: object, settings: object, tracer_provider: object, meter_provider: object) -> None:
    if service_name is not None and not (isinstance(service_name, str) and service_name.strip()):
        raise wrong("service_name", service_name, _ARGUMENT, "a non-empty str, or None for OTEL_SERVICE_NAME")
    check_settings(settings, _ARGUMENT)
    check_provider(tracer_provider, _ARGUMENT)
    if meter_provider is not None and not callable(getattr(meter_provider, "get_meter", None)):
        raise wrong("meter_provider", meter_provider, _ARGUMENT, "an OpenTelemetry MeterProvider or None")


def _real(provider: TracerProvider | None) -> TracerProvider | None:
    """Take OpenTelemetry's placeholder for what it is: no provider yet."""
    return None if isinstance(provider, ProxyTracerProvider) else provider


def _service_name_of(provider: TracerProvider) -> str | None:
    attributes = getattr(getattr(provider, "resource", None), "attributes", None) or {}
    name = attributes.get(SERVICE_NAME)
    return None if name is None else str(name)


def _set_propagator(propagator: MixedFleetPropagator, undo: contextlib.ExitStack) -> None:
    from opentelemetry import propagate  # reads OTEL_PROPAGATORS and asks the installed packages for them

    before = propagate.get_global_textmap()
    chosen = read(_OTEL_PROPAGATORS)
    if chosen not in (None, "ot_bridge"):
        _logger.info("OpenTelemetry's propagators stay as %s=%s says", _OTEL_PROPAGATORS, chosen)
    elif chosen is None and before.fields != _DEFAULT_FIELDS:
        _logger.info("OpenTelemetry's global propagator was already chosen and stays: %r", before)
    else:
        propagate.set_global_textmap(propagator)
        undo.callback(propagate.set_global_textmap, before)


def _set_opentracing(tracer: BridgeTracer, undo: contextlib.ExitStack) -> None:
    before, registered = opentracing.tracer, opentracing.is_tracer_registered
    undo.callback(late_binding.bind(before, tracer))
    opentracing.set_global_tracer(tracer)

    def restore() -> None:
        opentracing.tracer, opentracing.is_tracer_registered = before, registered

    undo.callback(restore)


def _tell_of_foreign(
    provider: TracerProvider, existing: TracerProvider | None, service_name: str | None, settings: Settings
) -> None:
    _logger.info("using the %s that is there, with its own exporters", type(provider).__qualname__)
    if existing not in (None, provider):
        telemetry.warn_once(
            "install.two_providers", "OpenTelemetry's global provider stays another one than install was given"
        )
    name = _service_name_of(provider)
    if service_name is not None and name != service_name:
        telemetry.warn_once(
            "install.service_name", "service_name=%r has no effect: the provider in use says %r", service_name, name
        )
    if settings.sampler is not None:
        telemetry.warn_once(
            "install.sampler", "sampler=%r has no effect: the provider in use has its own", settings.sampler
        )
    if settings.tail is not None:
        telemetry.warn_once(
            "install.tail", "tail=%r has no effect on a provider that is there: see docs/sampling.md", settings.tail
        )


def _warn_of_difference(
    installed: _Installation,
    service_name: str | None,
    settings: Settings | None,
    tracer_provider: TracerProvider | None,
    meter_provider: MeterProvider | None,
) -> None:
    pairs = (
        ("service_name", service_name, installed.service_name),
        ("settings", settings, installed.settings),
        ("tracer_provider", _real(tracer_provider), installed.provider),
        ("meter_provider", meter_provider, installed.meter_provider),
    )
    ignored = [name for name, asked, used in pairs if asked is not None and asked != used]
    if ignored:
        telemetry.warn_once(
            "install.again", "ot_bridge is installed already; %s of this call has no effect", ", ".join(ignored)
        )


def _forget_otel_provider(provider: TracerProvider | None = None) -> None:
    """Forget OpenTelemetry's global provider, whatever it is, or if it is still this one."""
    if provider is None or trace._TRACER_PROVIDER is provider:
        trace._TRACER_PROVIDER = None  # OpenTelemetry has no public way back
        trace._TRACER_PROVIDER_SET_ONCE = Once()


def _spent() -> Once:
    once = Once()
    once.do_once(lambda: None)
    return once


def _uninstall() -> None:
    """Close the installed tracer and put every global back. For tests; does nothing when nothing is installed."""
    global _installation
    with _lock:
        if _installation is None:
            return
        installed, _installation = _installation, None
        installed.tracer.close()
        installed.undo.close()
        _given_way.clear()
