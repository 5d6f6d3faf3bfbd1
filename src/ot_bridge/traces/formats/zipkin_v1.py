"""Zipkin's v1 spans, which Jaeger's agent takes as `emitZipkinBatch`, as v2 spans in the shape of JSON. Pure.

Source: `zipkincore.thrift` of jaeger-idl; `pkg/translator/zipkin/zipkinv1` of opentelemetry-collector-contrib. In v1 a
kind is what annotations say: `cs` and `cr` a client's, `sr` and `ss` a server's. A span that has both was reported by
both halves under one id, and becomes two.
"""

from __future__ import annotations

import base64
import ipaddress
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ot_bridge.traces.formats.thrift import Fields, Value

__all__ = ["CORE", "as_v2"]

CORE: Final[Mapping[str, tuple[str, str]]] = {
    "CLIENT": ("cs", "cr"),
    "SERVER": ("sr", "ss"),
    "PRODUCER": ("ms", "ws"),
    "CONSUMER": ("mr", "wr"),
}
"""Kind -> the annotations that it begins and ends with."""
_ADDRESSES: Final = ("sa", "ca", "ma")
_LOCAL_COMPONENT: Final = "lc"

_TRACE_ID, _NAME, _ID, _PARENT_ID, _ANNOTATIONS, _BINARY_ANNOTATIONS = 1, 3, 4, 5, 6, 8
_TIMESTAMP, _DURATION, _TRACE_ID_HIGH = 10, 11, 12
_ANNOTATION_TIME, _ANNOTATION_VALUE, _ANNOTATION_HOST = 1, 2, 3
_TAG_KEY, _TAG_VALUE, _TAG_TYPE, _TAG_HOST = 1, 2, 3, 4
_IPV4, _PORT, _SERVICE, _IPV6 = 1, 2, 3, 4
_BOOL, _BYTES, _STRING = 0, 1, 6
_NUMBERS: Final = {2: struct.Struct(">h"), 3: struct.Struct(">i"), 4: struct.Struct(">q"), 5: struct.Struct(">d")}


def as_v2(span: Fields) -> Iterator[dict[str, Any]]:
    """Give the v2 spans of one v1 span: one, or both halves of a call."""
    annotations = [
        (_number(one.get(_ANNOTATION_TIME)), _text(one.get(_ANNOTATION_VALUE)), _endpoint(one.get(_ANNOTATION_HOST)))
        for one in _structs(span.get(_ANNOTATIONS))
    ]
    values = {value for _, value, _ in annotations}
    kinds = [kind for kind, core in CORE.items() if values & set(core)]
    tags, peer, hosts = _tags(span)
    hosts += [host for _, value, host in annotations if host]
    for place, kind in enumerate(kinds or [""]):
        core = CORE.get(kind, ())
        times = sorted(time for time, value, _ in annotations if value in core and time > 0)
        own = [host for _, value, host in annotations if value in core and host] or hosts
        start = _number(span.get(_TIMESTAMP)) if place == 0 else 0
        duration = _number(span.get(_DURATION)) if place == 0 else 0
        yield {
            "traceId": f"{_unsigned(span.get(_TRACE_ID_HIGH)):016x}{_unsigned(span.get(_TRACE_ID)):016x}",
            "id": f"{_unsigned(span.get(_ID)):016x}",
            "parentId": f"{_unsigned(span.get(_PARENT_ID)):016x}",
            "kind": kind,
            "name": _text(span.get(_NAME)),
            "timestamp": start if start > 0 else (times[0] if times else None),
            "duration": duration if duration > 0 else (times[-1] - times[0] if times else None),
            "shared": place > 0,
            "localEndpoint": next((host for host in own if host.get("serviceName")), own[0] if own else {}),
            "remoteEndpoint": peer,
            "annotations": [
                {"timestamp": time, "value": value}
                for time, value, _ in annotations
                if place == 0 and not any(value in of_kind for of_kind in CORE.values())
            ],
            "tags": tags,
        }


def _tags(span: Fields) -> tuple[dict[str, str], dict[str, Any], list[dict[str, Any]]]:
    """The tags, the other side's endpoint, and the hosts that wrote the tags."""
    tags, peer, hosts = dict[str, str](), dict[str, Any](), list[dict[str, Any]]()
    for one in _structs(span.get(_BINARY_ANNOTATIONS)):
        key, host = _text(one.get(_TAG_KEY)), _endpoint(one.get(_TAG_HOST))
        if key in _ADDRESSES and one.get(_TAG_TYPE, _BOOL) == _BOOL and host:
            peer = host
            continue
        hosts += [host] if host else []
        tags["component" if key == _LOCAL_COMPONENT else key] = _value(one.get(_TAG_TYPE), one.get(_TAG_VALUE))
    return tags, peer, hosts


def _value(kind: Value | None, value: Value | None) -> str:
    raw = value if isinstance(value, bytes) else b""
    if kind == _BYTES:
        return base64.b64encode(raw).decode()
    if kind == _BOOL:
        return "true" if raw == b"\1" else "false"
    number = _NUMBERS.get(kind) if isinstance(kind, int) else None
    if number is not None and len(raw) == number.size:
        return str(number.unpack(raw)[0])
    return _text(raw)


def _endpoint(value: Value | None) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {}
    found: dict[str, Any] = {"serviceName": _text(value.get(_SERVICE)), "port": _number(value.get(_PORT)) & 0xFFFF}
    if ipv4 := _number(value.get(_IPV4)) & 0xFFFFFFFF:
        found["ipv4"] = str(ipaddress.IPv4Address(ipv4))
    ipv6 = value.get(_IPV6)
    if isinstance(ipv6, bytes) and len(ipv6) == 16:
        found["ipv6"] = str(ipaddress.IPv6Address(ipv6))
    return found


def _structs(value: Value | None) -> list[Fields]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _number(value: Value | None) -> int:
    return value if type(value) is int else 0


def _unsigned(value: Value | None) -> int:
    return _number(value) & 0xFFFFFFFFFFFFFFFF


def _text(value: Value | None) -> str:
    return str(value, "utf-8", "replace") if isinstance(value, bytes) else ""
