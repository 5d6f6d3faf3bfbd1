"""The way out: ``OTEL_*`` variables -> span processors and exporters.

OTLP's own are in :mod:`ot_bridge.otlp`; that package and this module alone import exporters. Endpoint, headers, TLS,
compression and time-out are the official exporters' reading of their variables; here they are only checked, so that a
mistake is an error at start and not a log line at each export.

Source: OpenTelemetry specification 1377f53b, protocol/exporter.md and configuration/sdk-environment-variables.md.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor, SpanExporter

from ot_bridge import telemetry
from ot_bridge.batching import CountingBatchProcessor
from ot_bridge.environment import VARIABLE, build_named, read, read_choice, read_integer, read_number, wrong
from ot_bridge.errors import ConfigError
from ot_bridge.otlp.exporter import GRPC, HTTP, first_set, new_exporter, protocol
from ot_bridge.shutdown import flush_provider, shutdown_processors, shutdown_provider

__all__ = ["build_processors", "flush_provider", "shutdown_processors", "shutdown_provider"]

_logger = logging.getLogger("ot_bridge")

_TRACES_EXPORTER: Final = "OTEL_TRACES_EXPORTER"
_GROUP: Final = "opentelemetry_traces_exporter"
_OTLP: Final = ("otlp", "ot_bridge_otlp")
_DEFAULT_ENDPOINTS: Final = {HTTP: "http://localhost:4318", GRPC: "http://localhost:4317"}
_PATHS: Final = {HTTP: "/v1/traces", GRPC: ""}
_COMPRESSIONS: Final = {HTTP: ("none", "gzip", "deflate"), GRPC: ("none", "gzip")}
# Targets that gRPC resolves itself; the official exporter hands them on unread.
_GRPC_SCHEMES: Final = ("http", "https", "dns", "unix", "unix-abstract", "ipv4", "ipv6", "xds", "vsock")
_GRPC_PORT: Final = 4317


def build_processors(
    endpoint: str | None = None,
    *,
    endpoint_origin: str = "",
    defaults: Mapping[str, str] | None = None,
    deferred: bool = False,
    watch: Callable[[SpanExporter], SpanExporter] = lambda one: one,
) -> tuple[SpanProcessor, ...]:
    """Build the processors that ``OTEL_TRACES_EXPORTER`` names: otlp (default), console, none, or an entry point.

    Args:
        endpoint: where OTLP goes when neither OTEL_EXPORTER_OTLP_TRACES_ENDPOINT nor OTEL_EXPORTER_OTLP_ENDPOINT is
            set, in the form of the latter; None for the protocol's own default. One warning says that it is used.
        endpoint_origin: why it is that one, for the warning.
        defaults: ``OTEL_BSP_*`` variables to take where none is set; those that are set win.
        deferred: check OTLP's variables now, and import and build its exporter at the first export.
        watch: may put something around each exporter.

    Raises:
        ConfigError: a variable that the chosen exporters read cannot be used. Nothing is left running.
    """
    names = _exporter_names()
    batch = _batch_arguments(defaults or {})
    exporters: list[tuple[str, SpanExporter]] = []
    try:
        exporters.extend((name, _build_exporter(name, endpoint, endpoint_origin, deferred=deferred)) for name in names)
    except Exception as error:
        for _, exporter in exporters:
            exporter.shutdown()
        if isinstance(error, ConfigError):
            raise
        reason = f"building the exporters failed with {type(error).__name__}: {error}"
        raise ConfigError(f"cannot use {_TRACES_EXPORTER}={','.join(names)}: {reason}") from error
    return tuple(
        SimpleSpanProcessor(watch(exporter)) if name == "console" else CountingBatchProcessor(watch(exporter), **batch)
        for name, exporter in exporters
    )


def _exporter_names() -> list[str]:
    text = read(_TRACES_EXPORTER) or "otlp"
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if names == ["none"]:
        return []
    if "none" in names:
        raise wrong(_TRACES_EXPORTER, text, VARIABLE, "'none' alone or names without it")
    return names


def _batch_arguments(defaults: Mapping[str, str]) -> dict[str, Any]:
    def number(name: str, default: int, *, least: int = 1) -> int:
        return read_integer(name, int(defaults.get(name, default)), least=least)

    queue = number("OTEL_BSP_MAX_QUEUE_SIZE", 2048)
    batch = number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", min(512, queue))
    if batch > queue:
        wanted = f"at most OTEL_BSP_MAX_QUEUE_SIZE, {queue}"
        raise wrong("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", batch, VARIABLE, wanted)
    return {
        "max_queue_size": queue,
        "max_export_batch_size": batch,
        "schedule_delay_millis": number("OTEL_BSP_SCHEDULE_DELAY", 5000),
        "export_timeout_millis": number("OTEL_BSP_EXPORT_TIMEOUT", 30000, least=0),
    }


def _build_exporter(name: str, endpoint: str | None, endpoint_origin: str, *, deferred: bool) -> SpanExporter:
    if name == "console":
        return ConsoleSpanExporter(out=sys.stdout)
    if name in _OTLP:
        return _build_otlp(endpoint, endpoint_origin, deferred=deferred)
    return build_named(_TRACES_EXPORTER, name, _GROUP, SpanExporter, known=["otlp", "console", "none"])


def _build_otlp(assumed: str | None, origin: str, *, deferred: bool) -> SpanExporter:
    chosen = protocol()
    _check_endpoint(chosen)
    _check_headers()
    _check_files()
    read_number(first_set("TIMEOUT"), 10, above_zero=True)
    read_choice(first_set("COMPRESSION"), _COMPRESSIONS[chosen], "none")
    # Some exporters take an empty variable for an endpoint.
    endpoint = None if read(first_set("ENDPOINT")) else (assumed or _DEFAULT_ENDPOINTS[chosen]) + _PATHS[chosen]
    if assumed is not None and endpoint is not None:
        # A warning, as Python shows no less by default, and nobody has asked for this address.
        _logger.warning("spans go to %s: %s; set %s to choose", endpoint, origin, first_set("ENDPOINT"))
    if chosen == GRPC:
        read_choice(first_set("INSECURE"), ("true", "false"), "false")
    build = partial(new_exporter, chosen, endpoint=endpoint)
    if not deferred:
        return build()
    if chosen == GRPC:
        # The official exporter imports it, and it starts threads: too late where the first export is that at the exit.
        import opentelemetry.sdk._logs  # noqa: F401
    from ot_bridge.deferred import DeferredExporter

    return DeferredExporter(build)


def _check_endpoint(chosen: str) -> None:
    name = first_set("ENDPOINT")
    text = read(name)
    if text is None:
        return
    schemes = ("http", "https") if chosen == HTTP else _GRPC_SCHEMES
    wanted = f"a URL such as 'http://{text.partition('://')[2] or text}'"
    try:
        parts = urlsplit(text)
        port = parts.port if parts.scheme in ("http", "https") else None
    except ValueError as error:
        raise wrong(name, text, VARIABLE, f"a URL: {error}") from None
    if parts.scheme not in schemes:
        # The gRPC exporter takes "collector:4317" and, when nobody says insecure, speaks TLS to it.
        if chosen == GRPC and "://" not in text and read(first_set("INSECURE")):
            return
        raise wrong(name, text, VARIABLE, wanted)
    if parts.scheme in ("http", "https") and not parts.hostname:
        raise wrong(name, text, VARIABLE, "a URL with a host, such as 'http://localhost:4318'")
    if chosen == HTTP and port == _GRPC_PORT:
        telemetry.warn_once(
            "export.port",
            "%s: port 4317 is usually gRPC's, and this exports %s; set OTEL_EXPORTER_OTLP_PROTOCOL=grpc or port 4318",
            name,
            HTTP,
        )


def _check_headers() -> None:
    name = first_set("HEADERS")
    for number, item in enumerate((read(name) or "").split(","), start=1):
        key, equals, _ = item.partition("=")
        if item.strip() and not (equals and key.strip()):
            # Headers carry credentials: the value stays out of the message.
            raise ConfigError(f"cannot use {name}: item {number} ({VARIABLE}) has no '=', expected key=value,key=value")


def _check_files() -> None:
    for suffix in ("CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE"):
        name = first_set(suffix)
        path = read(name)
        if path is not None and not os.path.isfile(path):  # noqa: PTH113  (pathlib takes longer to import than this package)
            raise wrong(name, path, VARIABLE, "the path of a file")
