"""Over real sockets: all but the bytes of the spans is the official exporter's, which does each thing beside ours."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as official_grpc
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http import trace_exporter as official_http
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from collectors import Arrival, Reply, grpc_collector, http_collector
from ot_bridge import telemetry
from ot_bridge.otlp import grpc as own_grpc
from ot_bridge.otlp import http as own_http
from ot_bridge.otlp import official
from otlp_spans import span_of

HTTP = (official_http.OTLPSpanExporter, own_http.HttpSpanExporter)
GRPC = (official_grpc.OTLPSpanExporter, own_grpc.GrpcSpanExporter)
SPANS = [span_of(name="a", attributes={"n": 1, "text": "é" * 200}), span_of(name="b")]
CHANGING = ("content-length", "user-agent", "traceparent")
PARTIAL = ExportTraceServiceResponse(
    partial_success=ExportTracePartialSuccess(rejected_spans=1, error_message="one is too old")
)


def seen(arrivals: Sequence[Arrival]) -> list[dict[str, Any]]:
    """Return the requests as plain dicts; how long they are, and of whom, is left out."""
    return [
        {
            "path": arrival.path,
            "headers": {
                name: re.sub(r"127\.0\.0\.1:\d+", "HOST", value)
                for name, value in arrival.headers.items()
                if name not in CHANGING
            },
            "request": MessageToDict(arrival.request),
        }
        for arrival in arrivals
    ]


def outcome(
    collector: Callable[..., Any],
    build: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    variables: dict[str, str],
    **arguments: Any,
) -> dict[str, Any]:
    """Export the spans once; return what came of it, on both sides."""
    caplog.clear()
    with collector(**arguments) as (url, arrivals):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        exporter = build()
        try:
            result = exporter.export(SPANS).name
        except Exception as error:
            result = f"{type(error).__module__}.{type(error).__name__}"
        exporter.shutdown()
        after = exporter.export(SPANS).name
    return {
        "result": result,
        "after the shutdown": after,
        "arrived": seen(arrivals),
        "logged": [
            (record.name, record.levelname, record.msg if record.name.startswith("opentelemetry") else "")
            for record in caplog.records
        ],
    }


class Pair:
    """Both exporters, asked the same; what ours encodes is counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        self._monkeypatch, self._caplog = monkeypatch, caplog
        self.encoded = 0
        encode = official.encode

        def counted(*args: Any) -> bytes:
            self.encoded += 1
            return encode(*args)

        monkeypatch.setattr(official, "encode", counted)

    def same(
        self,
        collector: Callable[..., Any],
        classes: tuple[Any, Any],
        variables: dict[str, str] | None = None,
        build: Callable[[Any], Any] = lambda cls: cls(),
        **arguments: Any,
    ) -> dict[str, Any]:
        """Return what came of both, which has to be equal."""
        both = []
        for cls in classes:
            _forget_duplicates()
            both.append(
                outcome(
                    collector, lambda cls=cls: build(cls), self._monkeypatch, self._caplog, variables or {}, **arguments
                )
            )
        assert both[1] == both[0]
        assert "otlp" not in str(dict(telemetry.snapshot()))
        return both[1]


def _forget_duplicates() -> None:
    """Let the official gRPC exporter log what it logged a moment ago."""
    from opentelemetry.exporter.otlp.proto.grpc import exporter

    for one in exporter.logger.filters:
        vars(one).pop("last_log", None)


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Pair:
    """Both exporters."""
    return Pair(monkeypatch, caplog)


# --- HTTP


@pytest.mark.parametrize("compression", ["none", "gzip", "deflate"])
def test_http_request_is_the_official_one(compression: str, pair: Pair) -> None:
    variables = {
        "OTEL_EXPORTER_OTLP_COMPRESSION": compression,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=acme,authorization=Bearer%20t0ken",
    }
    found = pair.same(http_collector, HTTP, variables)
    (arrived,) = found["arrived"]
    headers = arrived["headers"]
    assert (found["result"], arrived["path"], pair.encoded) == ("SUCCESS", "/v1/traces", 1)
    assert (headers["x-tenant"], headers["authorization"]) == ("acme", "Bearer t0ken")
    assert headers.get("content-encoding", "none") == compression
    assert headers["content-type"] == "application/x-protobuf"


def test_http_arguments_are_the_official_ones(pair: Pair) -> None:
    with http_collector() as (url, arrivals):

        def build(cls: Any) -> Any:
            return cls(f"{url}/elsewhere", None, None, None, {"k": "v"}, 5, Compression.Gzip)

        pair.same(http_collector, HTTP, build=build)
        official_one, ours = seen(arrivals)
        assert ours == official_one
        assert (ours["path"], ours["headers"]["k"], ours["headers"]["content-encoding"]) == ("/elsewhere", "v", "gzip")


def test_http_endpoint_of_traces_is_used_as_it_is(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    with http_collector() as (url, arrivals):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{url}/as/it/is")
        pair.same(http_collector, HTTP, {"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "a=b"})
        assert [(one["path"], one["headers"]["a"]) for one in seen(arrivals)] == [("/as/it/is", "b")] * 2


def test_http_export_is_tried_again_without_encoding_again(pair: Pair) -> None:
    replies = [Reply(503, {"retry-after": "1"})]
    found = pair.same(http_collector, HTTP, replies=replies)
    assert (found["result"], len(found["arrived"]), pair.encoded) == ("SUCCESS", 2, 1)
    assert found["arrived"][0] == found["arrived"][1]


def test_http_error_that_is_no_use_to_try_again_is_a_failure(pair: Pair) -> None:
    found = pair.same(http_collector, HTTP, replies=[Reply(400)])
    assert (found["result"], len(found["arrived"])) == ("FAILURE", 1)


def test_http_partial_success_is_what_the_official_exporter_makes_of_it(pair: Pair) -> None:
    found = pair.same(http_collector, HTTP, replies=[Reply(200, {}, PARTIAL)])
    assert (found["result"], len(found["arrived"])) == ("SUCCESS", 1)


def test_http_time_out_is_kept(pair: Pair) -> None:
    began = time.monotonic()
    found = pair.same(http_collector, HTTP, {"OTEL_EXPORTER_OTLP_TIMEOUT": "0.3"}, replies=[Reply(None)] * 2)
    assert found["result"] != "SUCCESS"
    assert time.monotonic() - began < 20  # the default, twice


def test_http_collector_that_is_gone_is_a_failure(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:1/v1/traces")
    found = pair.same(http_collector, HTTP, {"OTEL_EXPORTER_OTLP_TIMEOUT": "0.3"})
    assert (found["result"] != "SUCCESS", found["arrived"]) == (True, [])


# --- gRPC


@pytest.mark.parametrize("compression", ["", "gzip"])
def test_grpc_request_is_the_official_one(compression: str, pair: Pair) -> None:
    variables = {"OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=acme,authorization=Bearer%20t0ken"}
    if compression:
        variables["OTEL_EXPORTER_OTLP_COMPRESSION"] = compression
    found = pair.same(grpc_collector, GRPC, variables)
    (arrived,) = found["arrived"]
    assert (found["result"], pair.encoded) == ("SUCCESS", 1)
    assert (arrived["headers"]["x-tenant"], arrived["headers"]["authorization"]) == ("acme", "Bearer t0ken")
    assert [len(group["spans"]) for of in arrived["request"]["resourceSpans"] for group in of["scopeSpans"]] == [2]


def test_grpc_export_is_tried_again_without_encoding_again(pair: Pair) -> None:
    # After UNAVAILABLE the newer official exporters connect anew, and make their stub a second time.
    found = pair.same(grpc_collector, GRPC, replies=[Reply(grpc.StatusCode.UNAVAILABLE)])
    assert (found["result"], len(found["arrived"]), pair.encoded) == ("SUCCESS", 2, 1)
    assert found["arrived"][0]["request"] == found["arrived"][1]["request"]


def test_grpc_error_that_is_no_use_to_try_again_is_a_failure(pair: Pair) -> None:
    found = pair.same(grpc_collector, GRPC, replies=[Reply(grpc.StatusCode.INVALID_ARGUMENT)])
    assert (found["result"], len(found["arrived"])) == ("FAILURE", 1)


def test_grpc_partial_success_is_what_the_official_exporter_makes_of_it(pair: Pair) -> None:
    found = pair.same(grpc_collector, GRPC, replies=[Reply(200, {}, PARTIAL)])
    assert (found["result"], len(found["arrived"])) == ("SUCCESS", 1)


def test_grpc_time_out_is_kept(pair: Pair) -> None:
    began = time.monotonic()
    found = pair.same(grpc_collector, GRPC, {"OTEL_EXPORTER_OTLP_TIMEOUT": "0.5"}, replies=[Reply(None)])
    assert found["result"] == "FAILURE"
    assert time.monotonic() - began < 20


def test_grpc_exporter_takes_a_request_that_is_a_message() -> None:
    with grpc_collector() as (url, arrivals):
        exporter = own_grpc.GrpcSpanExporter(endpoint=url)
        exporter._client.Export(official.encode_spans(SPANS))
        exporter.shutdown()
    assert [arrival.span_names for arrival in arrivals] == [["a", "b"]]


# --- TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, a server's certificate and a client's, in one folder."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make certificates with")
    folder = tmp_path_factory.mktemp("tls")
    # From Python 3.13 on certificates are read strictly: usage and key identifiers have to be there.
    (folder / "names").write_text(
        "subjectAltName=DNS:localhost,IP:127.0.0.1\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    )
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
    steps = [["req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=ca"]]
    steps[0] += ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    for who in ("server", "client"):
        steps += [
            ["req", *key, "-keyout", f"{who}.key", "-out", f"{who}.csr", "-subj", f"/CN={who}"],
            ["x509", "-req", "-in", f"{who}.csr", *signing, "-out", f"{who}.pem", "-extfile", "names"],
        ]
    for step in steps:
        subprocess.run([openssl, *step], cwd=folder, check=True, capture_output=True)
    return folder


def client_variables(folder: Path) -> dict[str, str]:
    """Return the variables of a client that trusts the CA, and shows its own certificate."""
    return {
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(folder / "ca.pem"),
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(folder / "client.key"),
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(folder / "client.pem"),
    }


def test_http_over_tls_is_the_official_one(certificates: Path, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # requests may prefer them
        monkeypatch.delenv(name, raising=False)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    tls.load_verify_locations(certificates / "ca.pem")
    tls.verify_mode = ssl.CERT_REQUIRED
    found = pair.same(http_collector, HTTP, client_variables(certificates), tls=tls)
    assert (found["result"], len(found["arrived"])) == ("SUCCESS", 1)


def test_grpc_over_tls_is_the_official_one(certificates: Path, pair: Pair) -> None:
    pem = {name: (certificates / name).read_bytes() for name in ("server.key", "server.pem", "ca.pem")}
    tls = grpc.ssl_server_credentials([(pem["server.key"], pem["server.pem"])], pem["ca.pem"], require_client_auth=True)
    found = pair.same(grpc_collector, GRPC, client_variables(certificates), tls=tls)
    assert (found["result"], len(found["arrived"])) == ("SUCCESS", 1)
