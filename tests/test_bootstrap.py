"""install: what it sets, what it leaves alone, and that a failed one sets nothing."""

from __future__ import annotations

import atexit
import copy
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import opentracing
import pytest
from opentelemetry import propagate, trace
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentracing.mocktracer import MockTracer

import ot_bridge
from ot_bridge import BridgeTracer, ConfigError, MixedFleetPropagator, Settings, bootstrap, sigterm
from shown import shown


@pytest.fixture(autouse=True)
def _no_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")


def names(exporter: InMemorySpanExporter) -> list[str]:
    return [span.name for span in exporter.get_finished_spans()]


def globals_now() -> tuple[Any, ...]:
    """Return every global that install may set."""
    early = opentracing.tracer
    return (
        early,
        type(early),
        type(early.scope_manager),
        opentracing.is_tracer_registered,
        trace.get_tracer_provider(),
        propagate.get_global_textmap(),
        threading.active_count(),
    )


# -- what it sets ------------------------------------------------------------------------------------------------------


def test_install_sets_the_globals_of_both_libraries() -> None:
    tracer = ot_bridge.install("checkout")
    provider = trace.get_tracer_provider()
    assert opentracing.global_tracer() is opentracing.tracer is tracer
    assert isinstance(provider, TracerProvider)
    assert provider.resource.attributes["service.name"] == "checkout"
    assert isinstance(propagate.get_global_textmap(), MixedFleetPropagator)
    assert opentracing.is_global_tracer_registered()


def test_both_apis_export_to_one_provider(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    early_native = trace.get_tracer("native, made before install")
    tracer = ot_bridge.install(tracer_provider=provider)
    with tracer.start_active_span("old"), early_native.start_as_current_span("new"):
        pass
    new, old = exporter.get_finished_spans()
    assert (new.name, old.name, new.parent) == ("new", "old", old.context)


def test_uninstall_puts_every_global_back() -> None:
    before = globals_now()
    ot_bridge.install("checkout")
    bootstrap._uninstall()
    bootstrap._uninstall()
    assert globals_now() == before


def test_settings_come_from_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OT_BRIDGE_REFERENCES", "jaeger")
    assert ot_bridge.install().settings == Settings(references="jaeger")


def test_settings_reach_tracer_and_propagator(provider: TracerProvider) -> None:
    tracer = ot_bridge.install(settings=Settings(inject="tracecontext"), tracer_provider=provider)
    with tracer.start_active_span("op") as scope:
        headers: tuple[dict[str, str], dict[str, str]] = ({}, {})
        tracer.inject(scope.span.context, opentracing.Format.HTTP_HEADERS, headers[0])
        propagate.inject(headers[1])
    assert [list(written) for written in headers] == [["traceparent"], ["traceparent"]]


# -- what it leaves alone ----------------------------------------------------------------------------------------------


def test_existing_global_provider_is_used_and_told_of(
    provider: TracerProvider, exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ot_bridge")
    trace.set_tracer_provider(provider)
    try:
        tracer = ot_bridge.install("test")
        tracer.start_span("old").finish()
        assert trace.get_tracer_provider() is provider
        assert names(exporter) == ["old"]
        assert caplog.messages == ["using the TracerProvider that is there, with its own exporters"]
    finally:
        bootstrap._uninstall()
        bootstrap._forget_otel_provider()


def test_service_name_beside_a_provider_is_warned_of(
    provider: TracerProvider, caplog: pytest.LogCaptureFixture
) -> None:
    ot_bridge.install("checkout", tracer_provider=provider)
    assert caplog.messages == ["service_name='checkout' has no effect: the provider in use says 'test'"]


def test_given_provider_beside_another_global_one_is_used(
    provider: TracerProvider, exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    other = TracerProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(other)
    try:
        ot_bridge.install(tracer_provider=provider).start_span("old").finish()
        assert trace.get_tracer_provider() is other
        assert names(exporter) == ["old"]
        assert caplog.messages == ["OpenTelemetry's global provider stays another one than install was given"]
    finally:
        bootstrap._uninstall()
        bootstrap._forget_otel_provider()


def test_placeholder_of_the_global_provider_counts_as_none() -> None:
    ot_bridge.install("checkout", tracer_provider=trace.get_tracer_provider())
    assert isinstance(trace.get_tracer_provider(), TracerProvider)


def test_given_provider_is_flushed_and_not_shut_down(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    tracer = ot_bridge.install(tracer_provider=provider)
    tracer.close()
    tracer.start_span("later").finish()
    assert names(exporter) == ["later"]


@pytest.mark.parametrize("named", ["tracecontext", "none"])
def test_propagators_of_the_variable_stay(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PROPAGATORS", named)
    before = propagate.get_global_textmap()
    ot_bridge.install("checkout")
    assert propagate.get_global_textmap() is before


def test_propagator_chosen_by_the_program_stays(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ot_bridge")
    before = propagate.get_global_textmap()
    chosen = CompositePropagator([TraceContextTextMapPropagator()])
    propagate.set_global_textmap(chosen)
    try:
        ot_bridge.install("checkout")
        assert propagate.get_global_textmap() is chosen
        assert caplog.messages[0].startswith("OpenTelemetry's global propagator was already chosen and stays")
    finally:
        bootstrap._uninstall()
        propagate.set_global_textmap(before)


def test_tracer_registered_before_is_replaced_and_not_touched() -> None:
    mock = MockTracer()
    opentracing.set_global_tracer(mock)
    try:
        assert opentracing.tracer is not ot_bridge.install("checkout")
        assert type(mock) is MockTracer
    finally:
        bootstrap._uninstall()
        opentracing._reset_global_tracer()


# -- again -------------------------------------------------------------------------------------------------------------


def test_second_install_returns_the_first_tracer(caplog: pytest.LogCaptureFixture) -> None:
    first = ot_bridge.install("checkout")
    assert ot_bridge.install() is ot_bridge.install("checkout", settings=Settings()) is first
    assert caplog.messages == []


def test_second_install_warns_once_of_what_differs(provider: TracerProvider, caplog: pytest.LogCaptureFixture) -> None:
    first = ot_bridge.install("checkout")
    for _ in range(2):
        assert ot_bridge.install("other", settings=Settings(semconv="new"), tracer_provider=provider) is first
    assert caplog.messages == [
        "ot_bridge is installed already; service_name, settings, tracer_provider of this call has no effect"
    ]


def test_install_from_many_threads_installs_once() -> None:
    barrier = threading.Barrier(8)

    def install(_: int) -> BridgeTracer:
        barrier.wait()
        return ot_bridge.install("checkout")

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(install, range(8)))) == 1


# -- mistakes ----------------------------------------------------------------------------------------------------------

BAD_ARGUMENTS = [
    ({"service_name": ""}, "cannot use service_name: got '' (argument of install), expected a non-empty str"),
    ({"service_name": 7}, "cannot use service_name: got 7 (argument of install)"),
    ({"settings": {"extract": "b3"}}, "expected ot_bridge.Settings or None: write Settings(**values)"),
    ({"settings": Settings}, "cannot use settings: got <class 'ot_bridge.config.Settings'>"),
    ({"tracer_provider": "otlp"}, "expected an OpenTelemetry TracerProvider or None"),
    ({"tracer_provider": opentracing.Tracer()}, "or None: this is a tracer, give the provider it came from"),
]


@pytest.mark.parametrize(
    ("arguments", "reason"), BAD_ARGUMENTS, ids=[shown(next(iter(c[0].items()))) for c in BAD_ARGUMENTS]
)
@pytest.mark.parametrize("again", [False, True], ids=["first", "second"])
def test_bad_argument_is_refused_and_sets_nothing(arguments: dict[str, Any], reason: str, again: bool) -> None:
    if again:
        ot_bridge.install("checkout")
    before = globals_now()
    with pytest.raises(ConfigError) as caught:
        ot_bridge.install(**arguments)
    assert reason in str(caught.value)
    assert globals_now() == before


BAD_VARIABLES = [
    ("OT_BRIDGE_EXTRACT", "jaegr"),
    ("OTEL_TRACES_SAMPLER", "alway_on"),
    ("OTEL_TRACES_EXPORTER", "oltp"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
]


@pytest.mark.parametrize(("variable", "value"), BAD_VARIABLES)
def test_bad_variable_is_refused_and_sets_nothing(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    before = globals_now()
    with pytest.raises(ConfigError, match=variable):
        ot_bridge.install("checkout")
    assert globals_now() == before


def test_failure_in_the_tracer_shuts_the_new_provider_down(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no tracer")

    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setattr(bootstrap, "BridgeTracer", fail)
    before = globals_now()
    with pytest.raises(RuntimeError, match="no tracer"):
        ot_bridge.install("checkout")
    assert globals_now() == before


# -- disabled ----------------------------------------------------------------------------------------------------------


def test_disabled_sdk_leaves_everything_callable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    tracer = ot_bridge.install("checkout")
    with tracer.start_active_span("op", tags={"error": True}) as scope:
        scope.span.set_tag("k", "v").log_kv({"event": "e"}).set_baggage_item("tenant", "acme")
        headers: dict[str, str] = {}
        tracer.inject(scope.span.context, opentracing.Format.HTTP_HEADERS, headers)
    assert headers == {"uberctx-tenant": "acme", "baggage": "tenant=acme"}
    assert tracer.flush(1)
    tracer.close()


# -- code that took the tracer before ----------------------------------------------------------------------------------


@pytest.fixture
def early() -> Iterator[opentracing.Tracer]:
    """OpenTracing's default tracer, as a module would have taken it."""
    opentracing._reset_global_tracer()
    yield opentracing.tracer
    bootstrap._uninstall()
    opentracing._reset_global_tracer()


def test_early_tracer_reaches_the_installed_one(
    early: opentracing.Tracer, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    tracer = ot_bridge.install(tracer_provider=provider)
    with early.start_active_span("outer") as outer:
        assert early.active_span is outer.span is tracer.active_span
        early.start_span("inner", tags={"k": "v"}).finish()
    assert names(exporter) == ["inner", "outer"]
    assert exporter.get_finished_spans()[0].parent == exporter.get_finished_spans()[1].context


def test_early_tracer_carries_contexts(early: opentracing.Tracer, provider: TracerProvider) -> None:
    ot_bridge.install(tracer_provider=provider)
    headers: dict[str, str] = {}
    span = early.start_span("op")
    early.inject(span.context, opentracing.Format.TEXT_MAP, headers)
    assert early.extract(opentracing.Format.TEXT_MAP, headers).trace_id == span.context.trace_id


def test_early_tracer_has_what_only_the_installed_one_has(early: Any, provider: TracerProvider) -> None:
    tracer = ot_bridge.install(tracer_provider=provider)
    assert early.settings is tracer.settings
    assert early.close() == tracer.close()
    assert not hasattr(early, "no_such_thing")


def test_early_scope_manager_reaches_the_installed_one(
    early: opentracing.Tracer, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    manager = early.scope_manager
    tracer = ot_bridge.install(tracer_provider=provider)
    with manager.activate(tracer.start_span("op"), finish_on_close=True) as scope:
        assert manager.active is scope is tracer.scope_manager.active
    assert (names(exporter), manager.active) == (["op"], None)


def test_early_tracer_can_be_copied(early: opentracing.Tracer, provider: TracerProvider) -> None:
    tracer = ot_bridge.install(tracer_provider=provider)
    assert copy.copy(early).scope_manager is tracer.scope_manager


def test_early_tracer_is_the_no_op_one_again_after_uninstall(
    early: opentracing.Tracer, provider: TracerProvider
) -> None:
    manager, attributes = early.scope_manager, dict(vars(early))
    ot_bridge.install(tracer_provider=provider)
    bootstrap._uninstall()
    assert (type(early), type(manager)) == (opentracing.Tracer, opentracing.ScopeManager)
    assert vars(early) == attributes


def test_subclass_of_the_default_tracer_is_left_alone(provider: TracerProvider, early: opentracing.Tracer) -> None:
    class Own(opentracing.Tracer):
        """Somebody's no-op tracer."""

    own = Own()
    opentracing.set_global_tracer(own)
    ot_bridge.install(tracer_provider=provider)
    assert type(own) is Own
    assert own.start_span("op") is own._noop_span


# -- exit --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("owned", [True, False], ids=["own-provider", "given-provider"])
def test_only_a_provider_of_our_own_is_closed_at_exit(
    owned: bool, provider: TracerProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered: list[Callable[..., object]] = []
    monkeypatch.setattr(atexit, "register", registered.append)
    tracer = ot_bridge.install(tracer_provider=None if owned else provider)
    # The last one is called first: the handler of SIGTERM hears that the exit has begun.
    assert registered == [*([tracer.close] if owned else []), sigterm._note_exit]


CYCLES = {
    "package first": "import ot_bridge",
    "propagate first": "import opentelemetry.propagate; import ot_bridge",
    "propagator first": "import ot_bridge.propagator",
}


@pytest.mark.parametrize("statement", CYCLES.values(), ids=CYCLES)
def test_propagator_entry_point_and_package_load_each_other(statement: str, tmp_path: Path) -> None:
    program = (
        f"{statement}; from opentelemetry import propagate; import ot_bridge; ot_bridge.install('s'); "
        "print(type(propagate.get_global_textmap()).__name__)"
    )
    environ = {"PATH": os.defpath, "OTEL_PROPAGATORS": "ot_bridge", "OTEL_TRACES_EXPORTER": "none"}
    run = subprocess.run(
        [sys.executable, "-c", program],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (run.stdout.strip(), run.stderr) == ("MixedFleetPropagator", "")
