"""Sends received spans on to an OTLP/HTTP backend of the user's, as they came; Jaeger's spans go as OTLP too."""

from __future__ import annotations

import gzip
import os
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from ot_bridge.demo.errors import DemoError

__all__ = ["forward", "traces_url"]

_LIMIT_S = 5.0
_PATH = "/v1/traces"


def traces_url(endpoint: str) -> str:
    """Complete an endpoint as `OTEL_EXPORTER_OTLP_ENDPOINT` is completed: `/v1/traces` is added unless it is there.

    Raises:
        ValueError: it is not an http or https URL with a host.
    """
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"got {endpoint!r}, expected an OTLP/HTTP address such as http://localhost:4318")
    return endpoint if parts.path.endswith(_PATH) else endpoint.rstrip("/") + _PATH


def forward(batches: Sequence[ResourceSpans], url: str) -> int:
    """Send the batches in one request and return the number of spans; a vendor's headers are taken from OTEL_*.

    Raises:
        DemoError: the backend cannot be reached or refuses the spans.
    """
    body = gzip.compress(ExportTraceServiceRequest(resource_spans=batches).SerializeToString())
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", **_user_headers()}
    try:
        response = requests.post(url, data=body, headers=headers, timeout=_LIMIT_S)
    except requests.RequestException as error:
        raise DemoError(f"cannot send the spans to {url}: {_reason(error)}") from error
    if not response.ok:
        answer = " ".join(response.text.split())[:200]
        raise DemoError(
            f"cannot send the spans to {url}: got {response.status_code} {response.reason} {answer}".rstrip()
        )
    return sum(len(scope.spans) for batch in batches for scope in batch.scope_spans)


def _user_headers() -> dict[str, str]:
    for name in ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"):
        if text := os.environ.get(name):
            pairs = (pair.partition("=") for pair in text.split(",") if "=" in pair)
            return {key.strip(): unquote(value.strip()) for key, _, value in pairs}
    return {}


def _reason(error: BaseException) -> str:
    """Find the operating system's word in a chain of wrapped errors: "Connection refused" says more than its wraps."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        inner = getattr(seen, "reason", None) or next((arg for arg in seen.args if isinstance(arg, Exception)), None)
        seen = inner if isinstance(inner, BaseException) else seen.__cause__ or seen.__context__
    return "no answer in time" if isinstance(error, requests.Timeout) else str(error)
