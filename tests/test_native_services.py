"""Native OpenTelemetry services that speak every header, by ``OTEL_PROPAGATORS=ot_bridge`` alone, and export with it.

They run on an OpenTelemetry of their own, with its instrumentations; see tests/peers/prepare.py. Where that cannot be
installed the tests are skipped.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from collectors import grpc_collector, http_collector
from ot_bridge.demo.fleet import Service
from ot_bridge.demo.launcher import Shop
from peers.fleet import HERE, SOURCE, clean_environment
from peers.prepare import Missing, Ready, prepared

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
HEADERS = {"Uber-Trace-Id": f"{TRACE_ID}:{SPAN_ID}:0:1", "Uberctx-Tenant": "a%20b%2Cc%2B%C3%BC"}
BAGGAGE = {"tenant": "a b,c+\u00fc"}


class Native(NamedTuple):
    """How a program is started on OpenTelemetry's own environment, with ot_bridge installed in it."""

    command: str
    packages: Path
    variables: Mapping[str, str]


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Native:
    """The environment; what an installed ot_bridge adds to it is its source and its metadata."""
    found = prepared()["otel"]
    if isinstance(found, Missing):
        pytest.skip(found.reason)
    assert isinstance(found, Ready)
    installed = metadata.distribution("ot-bridge")
    site = tmp_path_factory.mktemp("site")
    home = site / f"ot_bridge-{installed.version}.dist-info"
    home.mkdir()
    for name in ("METADATA", "entry_points.txt"):
        (home / name).write_text(installed.read_text(name) or "", encoding="utf-8")
    paths = ":".join(map(str, (found.packages, site, SOURCE)))
    variables = {
        "PYTHONPATH": paths,
        "OTEL_PROPAGATORS": "ot_bridge",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }
    return Native(found.command, found.packages, variables)


def ask(address: str, headers: Mapping[str, str]) -> dict[str, Any]:
    connection = HTTPConnection(address.removeprefix("http://"), timeout=30)
    try:
        connection.request("POST", "/", b"", dict(headers))
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    assert answer.status == 200, text
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.fixture
def answer(native: Native) -> Iterator[dict[str, Any]]:
    """What an old service sees that is called by an instrumented Flask service that an old service called."""
    old = Service("old", "jaeger-client", (sys.executable, str(HERE / "jaeger_python.py")), {})
    with Shop([old], clean_environment()) as below:
        address = below.address_of("old").removeprefix("http://")
        instrument = str(native.packages / "bin" / "opentelemetry-instrument")
        command = (native.command, instrument, native.command, str(HERE / "flask_app.py"), address)
        with Shop([Service("flask", "OpenTelemetry", command, native.variables)], clean_environment()) as above:
            yield ask(above.address_of("flask"), HEADERS)


def test_instrumented_service_continues_an_old_trace_and_sends_it_on(answer: dict[str, Any]) -> None:
    server, (client,), old = answer["server"], answer["client"], answer["next"]
    assert {span["trace_id"] for span in (server, client, old)} == {TRACE_ID}
    assert [span["parent_id"] for span in (server, client, old)] == [SPAN_ID, server["span_id"], client["span_id"]]
    assert (old["sampled"], old["debug"], old["baggage"], answer["baggage"]) == (True, False, BAGGAGE, BAGGAGE)


@pytest.mark.parametrize(
    "headers",
    [
        HEADERS,
        {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01", "Baggage": "tenant=a%20b%2Cc%2B%C3%BC"},
        {"uber-trace-id": f"{TRACE_ID}%3A{SPAN_ID}%3A0%3A1", "traceparent": "00-0-0-00", "jaeger-baggage": "tenant=x"},
    ],
    ids=["old", "native", "encoded beside a malformed one"],
)
def test_getters_of_frameworks_find_every_header(native: Native, headers: Mapping[str, str]) -> None:
    done = subprocess.run(
        [native.command, str(HERE / "getters.py")],
        env={**clean_environment(), **native.variables},
        input=json.dumps(headers),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    baggage = {"tenant": "x"} if "jaeger-baggage" in headers else BAGGAGE
    seen = {"trace_id": TRACE_ID, "span_id": SPAN_ID, "sampled": True, "baggage": baggage}
    assert json.loads(done.stdout) == dict.fromkeys(("asgi", "wsgi", "default", "lists"), seen)


def test_propagator_of_the_entry_point_is_the_global_one(native: Native) -> None:
    program = (
        "from opentelemetry import propagate; print(type(propagate.get_global_textmap()._propagators[0]).__name__)"
    )
    done = subprocess.run(
        [native.command, "-c", program],
        env={**clean_environment(), **native.variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("MixedFleetPropagator\n", "")


@pytest.mark.parametrize(
    ("collector", "protocol"), [(http_collector, "http/protobuf"), (grpc_collector, "grpc")], ids=["http", "grpc"]
)
def test_instrumented_service_exports_with_the_encoder_of_the_bridge(
    collector: Callable[[], Any], protocol: str, native: Native
) -> None:
    program = (
        "from opentelemetry import trace; span = trace.get_tracer('n').start_span('native'); span.end();"
        "print(type(trace.get_tracer_provider()._active_span_processor._span_processors[0].span_exporter).__module__)"
    )
    with collector() as (url, arrivals):
        chosen = {
            "OTEL_TRACES_EXPORTER": "ot_bridge_otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        }
        done = subprocess.run(
            [native.command, str(native.packages / "bin" / "opentelemetry-instrument"), native.command, "-c", program],
            env={**clean_environment(), **native.variables, **chosen},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.stdout, done.stderr) == (f"ot_bridge.otlp.{protocol.partition('/')[0]}\n", "")
    assert [arrival.span_names for arrival in arrivals] == [["native"]]
