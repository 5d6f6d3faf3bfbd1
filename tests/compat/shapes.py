"""Finished spans without what differs from run to run: ids and times out, parents by name, tracebacks by their end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from spans import as_dict

__all__ = ["raised", "shape", "shapes"]


def shapes(spans: Iterable[ReadableSpan]) -> list[dict[str, Any]]:
    """Return the shape of each span, in the order in which they were finished."""
    listed = list(spans)
    names = {f"{span.context.span_id:016x}": span.name for span in listed}
    return [_shape(as_dict(span), names) for span in listed]


def shape(name: str, *, kind: str = "CLIENT", parent: str | None = None, **more: Any) -> dict[str, Any]:
    """Return what ``shapes`` gives for a span without events that ended well, but for what is said."""
    well = {"status": {"code": "UNSET", "description": ""}, "attributes": {}, "events": [], "links": []}
    return {"name": name, "kind": kind, "parent": parent, **well, **more}


def raised(kind: str, message: str) -> dict[str, Any]:
    """Return what ``shape`` takes for a span that an exception of this kind went through."""
    event = {
        "name": "exception",
        "exception.type": kind,
        "exception.message": message,
        "exception.stacktrace": f"{kind}: {message}".splitlines()[-1],
    }
    return {"status": {"code": "ERROR", "description": message}, "events": [event]}


def _shape(span: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    assert span["end_time"] >= span["start_time"], span
    parent = span["parent_id"]
    return {
        "name": span["name"],
        "kind": span["kind"],
        "parent": None if parent is None else names.get(parent, parent),
        "status": span["status"],
        "attributes": span["attributes"],
        "events": [
            {"name": event["name"], **{key: _end(key, value) for key, value in event["attributes"].items()}}
            for event in span["events"]
        ],
        "links": span["links"],
    }


def _end(key: str, value: Any) -> Any:
    return value.strip().splitlines()[-1] if key == "exception.stacktrace" else value
