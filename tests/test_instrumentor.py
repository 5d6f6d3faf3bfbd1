"""The bridge as an instrumentation of `opentelemetry-instrument`, in OpenTelemetry's own environment.

See tests/peers/prepare.py; where that cannot be installed the tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import opentracing
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from collectors import Arrival, http_collector
from ot_bridge import BridgeTracer, bootstrap
from peers.prepare import Missing, prepared
from zero_code import SOURCE, by_name, environment, spans_of

APP = """
import flask, json, opentracing, sys
app = flask.Flask(__name__)

@app.get("/")
def index():
    with opentracing.global_tracer().start_active_span("old"):
        return "done"

answer = app.test_client().get("/", headers={"Uber-Trace-Id": "%s:b7ad6b7169203331:0:1"})
try:
    import jaeger_client.constants
    found = jaeger_client.constants.__name__
except ModuleNotFoundError as error:
    found = str(error)
print(json.dumps([answer.text, type(opentracing.global_tracer()).__name__, found]))
"""
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACED = ["done", "BridgeTracer", "ot_bridge.jaeger_client.constants"]
NOT_TRACED = ["done", "Tracer", "No module named 'jaeger_client'"]


class Ended(NamedTuple):
    """What a program printed, and the spans that arrived."""

    printed: Any
    errors: str
    spans: list[str]
    arrivals: list[Arrival]


class Native(NamedTuple):
    """OpenTelemetry's environment, with ot_bridge installed in it before or behind the other packages."""

    command: str
    packages: Path
    paths: tuple[str, ...]

    def run(self, *words: str, folder: Path, text: str = APP, variables: Mapping[str, str] = {}) -> Ended:
        """Run a program, and return what came of it."""
        app = folder / "app.py"
        app.write_text(text.replace("%s", TRACE_ID), encoding="utf-8")
        own = {
            "PATH": os.pathsep.join([str(self.packages / "bin"), os.environ["PATH"]]),
            "PYTHONPATH": os.pathsep.join(self.paths),
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_SERVICE_NAME": "shop",
        }
        with http_collector() as (endpoint, arrivals):
            done = subprocess.run(
                [self.command, *words, str(app)],
                cwd=folder,
                env=environment(endpoint, **own, **variables),
                capture_output=True,
                text=True,
                timeout=90,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            return Ended(json.loads(done.stdout), done.stderr, [name for _, name in spans_of(arrivals)], arrivals)

    @property
    def instrument(self) -> str:
        """The program of OpenTelemetry."""
        return str(self.packages / "bin" / "opentelemetry-instrument")


@pytest.fixture(params=["first", "last"])
def native(request: pytest.FixtureRequest, tmp_path: Path) -> Native:
    """Its instrumentations are found in the order of the path."""
    found = prepared()["otel"]
    if isinstance(found, Missing):
        pytest.skip(found.reason)
    installed = metadata.distribution("ot-bridge")
    site = tmp_path / "site"
    home = site / f"ot_bridge-{installed.version}.dist-info"
    home.mkdir(parents=True)
    for name in ("METADATA", "entry_points.txt"):
        (home / name).write_text(installed.read_text(name) or "", encoding="utf-8")
    ours = (str(site), SOURCE)
    theirs = (str(found.packages),)
    return Native(found.command, found.packages, ours + theirs if request.param == "first" else theirs + ours)


def test_old_code_is_traced_below_the_instrumented_server(native: Native, tmp_path: Path) -> None:
    ended = native.run(native.instrument, native.command, folder=tmp_path)
    spans = by_name(ended.arrivals)
    assert (ended.printed, ended.errors, ended.spans) == (TRACED, "", ["GET /", "old"])
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE_ID}
    assert spans["old"].parent_span_id == spans["GET /"].span_id


def test_old_code_is_traced_without_other_instrumentations(native: Native, tmp_path: Path) -> None:
    off = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask,requests,wsgi,asgi"}
    ended = native.run(native.instrument, native.command, folder=tmp_path, variables=off)
    assert (ended.printed, ended.errors, ended.spans) == (TRACED, "", ["old"])


def test_variable_of_opentelemetry_disables_it(native: Native, tmp_path: Path) -> None:
    off = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "opentracing"}
    ended = native.run(native.instrument, native.command, folder=tmp_path, variables=off)
    assert (ended.printed, ended.errors, ended.spans) == (NOT_TRACED, "", ["GET /"])


def test_settings_of_the_bridge_steer_it(native: Native, tmp_path: Path) -> None:
    ended = native.run(native.instrument, native.command, folder=tmp_path, variables={"OT_BRIDGE_SCOPE_NAME": "mine"})
    scopes = {
        scope_spans.scope.name
        for arrival in ended.arrivals
        for resource_spans in arrival.request.resource_spans
        for scope_spans in resource_spans.scope_spans
    }
    assert scopes == {"mine", "opentelemetry.instrumentation.flask"}


def test_wrong_setting_leaves_the_other_instrumentations_alone(native: Native, tmp_path: Path) -> None:
    ended = native.run(native.instrument, native.command, folder=tmp_path, variables={"OT_BRIDGE_EXTRACT": "b4"})
    assert (ended.printed, ended.spans) == (NOT_TRACED, ["GET /"])
    assert ended.errors.startswith("OpenTracing code is not traced: cannot use extract: got 'b4'")


@pytest.mark.parametrize("outer", ["opentelemetry", "bridge"])
def test_both_launchers_work_in_one_another(outer: str, native: Native, tmp_path: Path) -> None:
    theirs, ours = (native.instrument, native.command), ("-m", "ot_bridge.cli", "run", native.command)
    words = (*theirs, *ours) if outer == "opentelemetry" else (*ours, *theirs)
    ended = native.run(*words, folder=tmp_path)
    assert (ended.printed, ended.errors, ended.spans) == (TRACED, "", ["GET /", "old"])


UNDONE = """
import json, opentracing
from opentelemetry import propagate
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
from ot_bridge.instrumentor import OpenTracingInstrumentor

before, propagator = opentracing.tracer, propagate.get_global_textmap()
one = OpenTracingInstrumentor()
one.instrument()
import jaeger_client
found = [isinstance(one, BaseInstrumentor), type(opentracing.tracer).__name__, jaeger_client.__name__]
one.uninstrument()
try:
    import jaeger_client
except ModuleNotFoundError as error:
    found += [str(error)]
found += [opentracing.tracer is before, propagate.get_global_textmap() is propagator]
print(json.dumps(found))
"""


def test_uninstrument_puts_everything_back(native: Native, tmp_path: Path) -> None:
    ended = native.run("-u", folder=tmp_path, text=UNDONE)
    assert ended.printed == [
        True,
        "BridgeTracer",
        "ot_bridge.jaeger_client",
        "No module named 'jaeger_client'",
        True,
        True,
    ]


@pytest.fixture
def instrumentor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The instrumentor over a stand-in for OpenTelemetry's base class, which is not installed in this environment."""

    class BaseInstrumentor:
        def instrument(self, **kwargs: Any) -> None:
            self._instrument(**kwargs)  # type: ignore[attr-defined]

        def uninstrument(self) -> None:
            self._uninstrument()  # type: ignore[attr-defined]

    for name in ("opentelemetry.instrumentation", "opentelemetry.instrumentation.instrumentor"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules[name], "BaseInstrumentor", BaseInstrumentor, raising=False)
    monkeypatch.delitem(sys.modules, "ot_bridge.instrumentor", raising=False)
    from ot_bridge.instrumentor import OpenTracingInstrumentor

    one = OpenTracingInstrumentor()
    yield one
    one.uninstrument()
    del sys.modules["ot_bridge.instrumentor"]


def test_provider_can_be_given(instrumentor: Any, provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    instrumentor.instrument(tracer_provider=provider)
    opentracing.global_tracer().start_span("one").finish()
    assert [span.name for span in exporter.get_finished_spans()] == ["one"]


def test_tracer_of_the_application_survives_uninstrument(instrumentor: Any, provider: TracerProvider) -> None:
    tracer = bootstrap.install(tracer_provider=provider)
    instrumentor.instrument()
    instrumentor.uninstrument()
    assert opentracing.global_tracer() is tracer


def test_unusable_provider_is_said_and_not_raised(instrumentor: Any, caplog: pytest.LogCaptureFixture) -> None:
    instrumentor.instrument(tracer_provider="mine")
    assert [record.getMessage()[:61] for record in caplog.records] == [
        "OpenTracing code is not traced: cannot use tracer_provider: g"
    ]
    assert not isinstance(opentracing.global_tracer(), BridgeTracer)


def test_what_it_instruments_is_named(instrumentor: Any) -> None:
    assert instrumentor.instrumentation_dependencies() == ("opentracing >= 2.3, < 3",)
