"""A translation as text that something else reads: a shell, Docker, Kubernetes, an OpenTelemetry SDK, a program.

Source: the OpenTelemetry configuration schema 1.0 as opentelemetry-configuration 0.66b1 reads it; Kubernetes'
dependent variables (``$(NAME)``); the files that python-dotenv and Docker Compose read.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from ot_bridge.jaeger_config.readers import as_text
from ot_bridge.jaeger_config.result import Row, Translation

__all__ = ["FORMATS", "MASK", "is_secret", "shown_value"]

MASK: Final = "(not shown)"

_JSON_VERSION: Final = 1
_SAFE: Final = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")
_SECRET: Final = re.compile(
    r"passw|passwd|pwd|passphrase|secret|token|api[_.-]?key|access[_.-]?key|private[_.-]?key|credential|authorization"
    r"|cookie|(^|[_.-])auth($|[_.-])",
    re.IGNORECASE,
)
_SECRET_VALUE: Final = re.compile(
    r"://[^/\s:@]*:[^/\s@]+@|^(bearer|basic)\s|^eyJ|-----BEGIN|^gh[pousr]_|^AKIA", re.IGNORECASE
)
_INITIAL_RATE: Final = "0.001"
_BATCH: Final = {
    "OTEL_BSP_SCHEDULE_DELAY": "schedule_delay",
    "OTEL_BSP_MAX_QUEUE_SIZE": "max_queue_size",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "max_export_batch_size",
}
_BY_FILE: Final = ("OTEL_BSP_", "OTEL_EXPORTER_", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_", "OTEL_SDK_DISABLED")


def is_secret(row: Row) -> bool:
    """Say whether the value of a row is, or looks like, a credential."""
    return row.secret or bool(_SECRET.search(row.key) or _SECRET_VALUE.search(as_text(row.value)))


def shown_value(row: Row) -> str:
    """Return the old value for people; a credential is not shown, wherever in it it stands."""
    if is_secret(row):
        return MASK
    return "" if row.value is None and row.origin != "configuration" else as_text(_masked(row.value))


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: MASK if _SECRET.search(as_text(key)) else _masked(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(each) for each in value]
    return MASK if _SECRET_VALUE.search(as_text(value)) else value


def shell(translation: Translation) -> str:
    """Return commands that a POSIX shell runs."""
    return _lines(f"export {name}={shlex.quote(value)}" for name, value in translation.variables.items())


def dotenv(translation: Translation) -> str:
    """Return a .env file; a value is quoted only where it has to be, as not every reader takes quotes off."""

    def quoted(value: str) -> str:
        if _SAFE.fullmatch(value):
            return value
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    return _lines(f"{name}={quoted(value)}" for name, value in translation.variables.items())


def kubernetes(translation: Translation) -> str:
    """Return the list for the ``env`` of a container. All values are quoted: Kubernetes takes nothing but strings."""
    lines = []
    for name, value in translation.variables.items():
        lines += [f"- name: {name}", f"  value: {_string(value)}"]
    return _lines(lines)


def as_json(translation: Translation) -> str:
    """Return everything for programs; what looks like a credential is not among the old values."""
    rows = [
        {
            "key": row.key,
            "value": shown_value(row),
            "origin": row.origin,
            "outcome": row.outcome,
            "places": {name: MASK if is_secret(row) else text for name, text in row.places.items()},
            "note": row.note,
            "reason": row.reason,
            "closest": row.closest,
        }
        for row in translation.rows
    ]
    found = {"version": _JSON_VERSION, "environment": dict(translation.variables), "rows": rows}
    return json.dumps({**found, "endpoint_origin": translation.endpoint_origin}, indent=2) + "\n"


def otel_config(translation: Translation) -> str:
    """Return a declarative configuration file; what it cannot say stands in comments at its head."""
    sampler, unsaid = _sampler(translation.settings.get("sampler"))
    beside = {name: text for name, text in translation.variables.items() if not name.startswith(_BY_FILE)}
    if not unsaid:
        beside.pop("OT_BRIDGE_SAMPLER", None)
    comments = ["The propagator is that of ot_bridge, which has to be installed."]
    if beside:
        comments += ["What this file cannot say; to be set beside OTEL_CONFIG_FILE, for ot_bridge:"]
        comments += [f"  {name}={shlex.quote(text)}" for name, text in beside.items()]
    comments += [*unsaid, *(f"{row.key}: dropped because {row.reason}" for row in translation.lost)]
    lines = [f"# {_ascii(line)}" for line in comments]
    lines.append('file_format: "1.0"')
    if not translation.enabled:
        lines.append("disabled: true")
    lines += _resource(translation)
    lines += ["propagator:", "  composite:", "    - ot_bridge: {}"]
    lines += ["tracer_provider:", "  processors:", "    - batch:", *_batch(translation), "  sampler:", *sampler]
    return _lines(lines)


def _resource(translation: Translation) -> list[str]:
    attributes = dict(translation.resource)
    if translation.service_name is not None:
        attributes = {"service.name": translation.service_name, **attributes}
    lines = ["resource:"]
    if attributes:
        lines.append("  attributes:")
    for name, value in attributes.items():
        lines += [f"    - name: {_string(name)}", f"      value: {_string(value)}"]
    # jaeger-client tells the name of the host with every process.
    return [
        *lines,
        "  detection/development:",
        "    attributes:",
        "      included:",
        '        - "host.name"',
        "    detectors:",
        "      - host: {}",
    ]


def _batch(translation: Translation) -> list[str]:
    lines = [f"        {key}: {translation.otel[name]}" for name, key in _BATCH.items() if name in translation.otel]
    kind, path = ("otlp_grpc", "") if translation.protocol == "grpc" else ("otlp_http", "/v1/traces")
    lines.append("        exporter:")
    if translation.endpoint is None:
        # The exporter asks the variable that is set.
        return [*lines, f"          {kind}: {{}}"]
    return [*lines, f"          {kind}:", f"            endpoint: {_string(translation.endpoint + path)}"]


def _sampler(spec: Any) -> tuple[list[str], list[str]]:
    """Return the lines of the root sampler, and the comments where it says less than the text."""
    name, _, argument = (spec or "").partition(":")
    unsaid: list[str] = []
    root = ["always_on: {}"]
    if name == "const":
        root = ["always_on: {}" if argument == "1" else "always_off: {}"]
    elif name == "probabilistic":
        root = ["trace_id_ratio_based:", f"  ratio: {argument}"]  # it takes the same trace ids
    elif name == "remote":
        start = re.search(r"initialSamplingRate=([^,]*)", argument)
        root = ["trace_id_ratio_based:", f"  ratio: {start[1] if start else _INITIAL_RATE}"]
        unsaid = ["No sampler of such a file asks the agent. The one here is what jaeger-client starts with."]
    else:
        what = f"does what {spec} does" if spec else "is what OTEL_TRACES_SAMPLER or OT_BRIDGE_SAMPLER says"
        unsaid = [f"No sampler of such a file {what}. The one here takes every trace."]
    return ["    parent_based:", "      root:", *(f"        {line}" for line in root)], unsaid


def _string(text: str) -> str:
    """Return a text as YAML takes it between double quotes, with ``$`` doubled for who fills in variables."""
    return '"' + _ascii(text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")) + '"'


def _ascii(text: str) -> str:
    """Return printable ASCII, with YAML's escapes for the rest."""
    return "".join(one if " " <= one <= "~" else f"\\U{ord(one):08x}" for one in text)


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


FORMATS: Final[Mapping[str, Callable[[Translation], str]]] = {
    "env": shell,
    "dotenv": dotenv,
    "k8s": kubernetes,
    "otel-config": otel_config,
    "json": as_json,
}
"""Name of a format -> what writes it."""
