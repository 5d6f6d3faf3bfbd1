"""A program on the real jaeger-client: what it sends over UDP, recorded.

    PYTHONPATH=tests python -m parity.real [PROGRAM ...]

writes the records of all programs, or of these, to tests/parity/records/. A record is what test_parity.py compares the
drop-in with where jaeger-client cannot be imported, and what it compares a live run with where it can.
"""

from __future__ import annotations

import importlib.util
import json
import socket
import sys
from pathlib import Path
from typing import Any

from parity.running import HERE, PROGRAMS, Run, Span, clean, execute

__all__ = ["is_installed", "load", "run"]

_LARGEST_PACKET = 65536
_QUIET_S = 0.3  # what was sent before the process ended is in the socket's buffer by then
_RECORDS = HERE / "records"


def is_installed() -> bool:
    """Say whether jaeger-client can be imported: it needs six, which nothing brings along any more."""
    return all(importlib.util.find_spec(name) is not None for name in ("jaeger_client", "six", "thrift"))


def run(program: str) -> Run:
    """Run a program on jaeger-client."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
        agent.bind(("127.0.0.1", 0))
        agent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        port = agent.getsockname()[1]
        output = execute(program, [sys.executable], {"JAEGER_AGENT_HOST": "127.0.0.1", "JAEGER_AGENT_PORT": str(port)})
        agent.settimeout(_QUIET_S)
        return Run.of(program, output, _received(agent))


def load(program: str) -> Run:
    """Return the record of a program. Raises FileNotFoundError without one: make it with this file."""
    return Run(**json.loads(_path(program).read_text(encoding="utf-8")))


def store(program: str, record: Run) -> None:
    """Write the record of a program."""
    _RECORDS.mkdir(exist_ok=True)
    text = json.dumps(record._asdict(), indent=1, ensure_ascii=True, sort_keys=True)
    _path(program).write_text(text + "\n", encoding="utf-8")


def _path(program: str) -> Path:
    return _RECORDS / f"{program}.json"


def _received(agent: socket.socket) -> list[Span]:
    spans: list[Span] = []
    while True:
        try:
            packet = agent.recv(_LARGEST_PACKET)
        except TimeoutError:
            return spans
        batch = _batch(packet)
        process = {tag.key: _value(tag) for tag in batch.process.tags}
        spans += [_span(span, batch.process.serviceName, process) for span in batch.spans]


def _batch(packet: bytes) -> Any:
    """Read a packet with jaeger-client's own classes: a record has its words."""
    from jaeger_client.thrift_gen.agent.Agent import emitBatch_args
    from thrift.protocol.TCompactProtocol import TCompactProtocol
    from thrift.transport.TTransport import TMemoryBuffer

    protocol, arguments = TCompactProtocol(TMemoryBuffer(packet)), emitBatch_args()
    protocol.readMessageBegin()
    arguments.read(protocol)
    return arguments.batch


def _span(span: Any, service: str, process: dict[str, Any]) -> Span:
    from jaeger_client.thrift_gen.jaeger.ttypes import SpanRefType

    return {
        "service": service,
        "process": process,
        "name": span.operationName,
        "trace_id": _unsigned(span.traceIdHigh) << 64 | _unsigned(span.traceIdLow),
        "span_id": _unsigned(span.spanId),
        "parent_id": _unsigned(span.parentSpanId),
        "flags": span.flags,
        "start_ns": span.startTime * 1000,
        "end_ns": (span.startTime + span.duration) * 1000,
        "references": [
            {
                "type": SpanRefType._VALUES_TO_NAMES[reference.refType],
                "trace_id": _unsigned(reference.traceIdHigh) << 64 | _unsigned(reference.traceIdLow),
                "span_id": _unsigned(reference.spanId),
            }
            for reference in span.references or ()
        ],
        "tags": [[tag.key, *_value(tag)] for tag in span.tags],
        "logs": [
            {"ns": log.timestamp * 1000, "fields": [[field.key, *_value(field)] for field in log.fields]}
            for log in span.logs
        ],
    }


def _unsigned(number: int | None) -> int:
    return (number or 0) % (1 << 64)


def _value(tag: Any) -> list[Any]:
    """Return a value beside its type: to Python True, 1 and 1.0 are equal."""
    from jaeger_client.thrift_gen.jaeger.ttypes import TagType

    kind = TagType._VALUES_TO_NAMES[tag.vType].lower()
    value = getattr(tag, {"string": "vStr", "double": "vDouble", "bool": "vBool", "long": "vLong"}[kind])
    return [kind, str(value) if kind == "double" else clean(value)]


def main(programs: list[str]) -> int:
    """Write the records; return 1 when a program failed."""
    failed = False
    for program in programs or PROGRAMS:
        record = run(program)
        if record.status:
            failed = True
            print(f"{program}: exit status {record.status}", file=sys.stderr)
            continue
        store(program, record)
        print(f"{program}: {len(record.spans)} spans, {len(record.stdout)} lines")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
