"""Writes ``seeds/`` anew out of ``tests/vectors/``: ``python fuzz/make_seeds.py``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from ot_bridge.codecs import binary
from ot_bridge.codecs.wire import WireContext
from ot_bridge.traces.formats import otlp_json

SEEDS: Final = Path(__file__).parent / "seeds"
VECTORS: Final = Path(__file__).parent.parent / "tests" / "vectors"
_PARENT: Final = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_CAPTURES: Final = {
    "curl_dump": f"* Connected to shop\n> GET /cart HTTP/1.1\n> Host: shop\n> {_PARENT}\n>\n< HTTP/1.1 200 OK\n< a: b",
    "curl_command": f"curl 'http://shop/cart?a=1' -sH '{_PARENT}' \\\n  --header $'baggage: a=it\\'s' -d '-H x' | jq .",
    "curl_cmd": f'curl ^"http://shop/cart^" ^\n  -H ^"{_PARENT}^" ^\n  -H ^"baggage: a=^\\^"b^\\^"^"',
    "har": json.dumps(
        {
            "log": {
                "entries": [
                    {"request": {"method": "GET", "url": "http://shop", "headers": [{"name": "b3", "value": "1"}]}}
                ]
            }
        }
    ),
    "raw_request": f"POST /cart HTTP/1.1\nHost: shop\n{_PARENT}\n\nno: header",
}
_ZIPKIN: Final = {
    "traceId": "0af7651916cd43dd8448eb211c80319c",
    "id": "b7ad6b7169203331",
    "parentId": "b7ad6b7169203332",
    "kind": "CLIENT",
    "name": "get",
    "timestamp": 1767268800000001,
    "duration": 1500,
    "localEndpoint": {"serviceName": "shop", "ipv4": "10.0.0.1", "port": 80},
    "remoteEndpoint": {"serviceName": "bank", "ipv6": "::1"},
    "annotations": [{"timestamp": 1767268800000002, "value": 'retry|{"tries":2}|1'}],
    "tags": {"error": "refused", "host.name": "h1", "otlp.link.0": f"{1:032x}|{2:016x}||{{}}|0"},
}
_ATTRIBUTES: Final = [
    {"key": "text", "value": {"stringValue": "a"}},
    {"key": "bool", "value": {"boolValue": True}},
    {"key": "int", "value": {"intValue": "-5"}},
    {"key": "double", "value": {"doubleValue": 1.5}},
    {"key": "bytes", "value": {"bytesValue": "AQI="}},
    {"key": "list", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {}]}}},
    {"key": "map", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"intValue": 1}}]}}},
]
_IDS: Final = {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331"}
_OTLP: Final = {
    **_IDS,
    "parentSpanId": "b7ad6b7169203332",
    "name": "get",
    "kind": 2,
    "startTimeUnixNano": "1767268800000000001",
    "endTimeUnixNano": "1767268801000000001",
    "attributes": _ATTRIBUTES,
    "events": [{"timeUnixNano": "1767268800000000002", "name": "retry", "attributes": _ATTRIBUTES[:1]}],
    "links": [_IDS],
    "status": {"code": 2, "message": "refused"},
}
_OTLP_LOG: Final = {**_IDS, "severityText": "INFO", "body": {"stringValue": "a"}, "timeUnixNano": "1767268800000000001"}
# Where one repeat of a pattern ends and the next one begins: quadratic, once.
_SLOW: Final = {
    "slow_baggage": 'http\nbaggage: k={blanks}"',
    "slow_b3": "http\nb3: a-b-1-{blanks}-",
    "slow_traceparent": "http\ntraceparent: cc{rest}-{blanks}\ntraceparent: x",
}


def seeds() -> dict[str, bytes]:
    """Return the content of each file by its name."""
    made = {name: text.encode() for name, text in _of_vectors()}
    made |= {name: f"capture\n{text}".encode() for name, text in _CAPTURES.items()}
    blanks, rest = " " * 1000, _PARENT.partition("00")[2]
    made |= {name: text.format(blanks=blanks, rest=rest).encode() for name, text in _SLOW.items()}
    return made | dict(_of_contexts()) | dict(_of_spans()) | dict(_of_otlp())


def _of_vectors() -> Iterator[tuple[str, str]]:
    for number, case in enumerate(_vectors()["cases"]):
        lines = [f"{name}: {value}" for name, value in case["headers"]]
        # What has lines in it is no line.
        if not any("\n" in line for line in lines):
            mode = "http" if case["format"] == "HTTP_HEADERS" else "text"
            yield case["id"], "\n".join([mode, *lines])
            if number % 8 == 0:
                yield f"{case['id']}.explain", "\n".join(["explain", *lines])


def _of_contexts() -> Iterator[tuple[str, bytes]]:
    for case in _vectors()["inject_cases"]:
        given = case["input"]
        ids = (int(given["trace_id"] or "0", 16), int(given["span_id"] or "0", 16))
        wire = WireContext(*ids, given["sampled"], given.get("debug", False), baggage=given.get("baggage", {}))
        yield f"{case['id']}.binary", b"binary\n" + binary.encode(wire)


def _of_spans() -> Iterator[tuple[str, bytes]]:
    for case in json.loads((VECTORS / "thrift.json").read_text(encoding="utf-8"))["cases"]:
        yield case["id"], case["read_as"].encode() + b"\n" + bytes.fromhex(case["hex"])
    yield "zipkin_spans", b"zipkin\n" + json.dumps([_ZIPKIN, {**_ZIPKIN, "kind": "SERVER", "shared": True}]).encode()


def _of_otlp() -> Iterator[tuple[str, bytes]]:
    spans = {"resourceSpans": [{"resource": {"attributes": _ATTRIBUTES[:1]}, "scopeSpans": [{"spans": [_OTLP] * 2}]}]}
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [_OTLP_LOG]}]}]}
    read = otlp_json.read_json(f"{json.dumps(spans)}\n{json.dumps(logs)}".encode())
    made = {
        "otlp json": json.dumps(spans).encode(),
        "otlp json logs": json.dumps(logs).encode(),
        "otlp file": f"{json.dumps(spans)}\n{json.dumps(logs)}\n{json.dumps(spans)[:200]}".encode(),
        "otlp": TracesData(resource_spans=read.batches).SerializeToString(),
        "otlp logs": LogsData(resource_logs=read.logs).SerializeToString(),
    }
    for mode, body in made.items():
        yield mode.replace(" ", "_"), f"{mode}\n".encode() + body


def _vectors() -> Any:
    return json.loads((VECTORS / "headers.json").read_text(encoding="utf-8"))


def main() -> None:
    """Write the files; one that is no longer made goes."""
    made = seeds()
    SEEDS.mkdir(exist_ok=True)
    for file in SEEDS.iterdir():
        if file.name not in made:
            file.unlink()
    for name, content in made.items():
        (SEEDS / name).write_bytes(content)
    print(f"{len(made)} seeds in {SEEDS.name}/")


if __name__ == "__main__":
    main()
