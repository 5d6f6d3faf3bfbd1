"""Process tags as attributes of the resource, and JAEGER_TAGS read as jaeger-client reads it.

Source: jaeger_client/config.py and tracer.py of 4.8.0; the Collector's Jaeger translator for the names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from ot_bridge.jaeger_config.readers import as_text

__all__ = ["Item", "attribute", "attributes_in", "attributes_text", "items_of", "resolve"]

_RENAMED: Final = {"hostname": "host.name"}
_REPLACED: Final = {
    "service.name": "the service's name comes from service_name",
    "jaeger.version": "telemetry.sdk.* says what sends the spans",
}
_REFERENCE: Final = re.compile(r"\$\{([^}:]+)(?::([^}]*))?\}")


class Item(NamedTuple):
    """One process tag as it becomes an attribute; without a name it is dropped."""

    name: str | None
    value: str
    note: str | None = None
    reason: str | None = None


def attribute(key: object, value: object) -> Item:
    """Return the attribute that a process tag becomes: text, as OTEL_RESOURCE_ATTRIBUTES has nothing else."""
    name = as_text(key).strip()
    text = str(value).lower() if isinstance(value, bool) else _decoded(value)
    if name in _REPLACED:
        return Item(None, text, reason=_REPLACED[name])
    if not name or re.search(r"[,=%\s\x00-\x1f\x7f]", name) or not _encodes(name):
        return Item(None, text, reason="its name cannot stand in OTEL_RESOURCE_ATTRIBUTES")
    return Item(_RENAMED.get(name, name), text)


def items_of(text: str) -> Iterable[tuple[str, str, str | None]]:
    """Yield name, value and a note for each item of JAEGER_TAGS; without ``=`` the name is empty."""
    for item in text.split(","):
        key, equals, value = item.partition("=")
        note = None
        if "=" in value:
            note = "jaeger-client fails over a second '='; here the first one separates"
        yield (key.strip(), value.strip(), note) if equals else ("", item.strip(), note)


def resolve(value: str, environ: Mapping[str, str]) -> str:
    """Fill in ``${NAME}`` and ``${NAME:default}``, as the clients of other languages do."""
    return _REFERENCE.sub(lambda found: environ.get(found[1]) or found[2] or "", value)


def attributes_in(text: str) -> dict[str, str]:
    """Read OTEL_RESOURCE_ATTRIBUTES as the SDK does; what is malformed is left for its own error."""
    pairs = (item.partition("=") for item in text.split(","))
    return {key.strip(): unquote(value.strip()) for key, equals, value in pairs if equals and key.strip()}


def attributes_text(attributes: Mapping[str, str]) -> str:
    """Write attributes as OTEL_RESOURCE_ATTRIBUTES takes them."""
    return ",".join(f"{name}={quote(value, safe='/:@', errors='replace')}" for name, value in attributes.items())


def _decoded(value: object) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else as_text(value)
    return text.encode("utf-8", "replace").decode("utf-8")


def _encodes(text: str) -> bool:
    return text == text.encode("utf-8", "replace").decode("utf-8")
