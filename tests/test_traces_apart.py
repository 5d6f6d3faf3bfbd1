"""Large bodies are decoded in processes of their own, which hold up nobody and do not outlive their use."""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from decoders_apart import asked, decode
from ot_bridge.traces.formats import jaeger_thrift, otlp_json, otlp_proto, zipkin
from ot_bridge.traces.formats.decoded import Decoded
from ot_bridge.traces.receive import decoder, http
from ot_bridge.traces.receive.apart import DecoderError, Decoding
from ot_bridge.traces.receive.body import Limits
from ot_bridge.traces.receive.inbox import Counts
from ot_bridge.traces.receive.ports import Ports
from ot_bridge.traces.receive.servers import Servers
from otlp_made import LOGS, SPAN, body
from traces_inbox import KeepingInbox, Reply, ask
from traces_receiving import eventually

OTLP = Ports(*[None] * len(Ports._fields))._replace(otlp_http=0)
JSON = {"content-type": "application/json"}
HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

# -- what comes back ---------------------------------------------------------------------------------------------------


def through(made: Decoded) -> Decoded:
    """Return what comes back of what a decoder made."""
    return decoder.read(io.BytesIO(b"".join(decoder.written(lambda _: made, b""))))


def plain(found: Decoded) -> Decoded:
    """Return the same, with lists and dicts for whatever sequences and mappings there are."""
    return found._replace(batches=list(found.batches), logs=list(found.logs), noted=dict(found.noted))


def spans(sizes: list[list[int]], named: bool) -> list[ResourceSpans]:
    """Return a batch for each list, with a group for each size."""
    batches = [ResourceSpans(schema_url="r" * named) for _ in sizes]
    for batch, groups in zip(batches, sizes, strict=True):
        if named:
            batch.resource.attributes.add(key="service.name").value.string_value = "a"
        for number, size in enumerate(groups):
            group = batch.scope_spans.add(schema_url="s" * named)
            if named:
                group.scope.name = f"scope {number}"
            for item in range(size):
                group.spans.add(name=f"{number}.{item}", trace_id=item.to_bytes(16, "big"))
    return batches


def logs(sizes: list[list[int]]) -> list[ResourceLogs]:
    batches = [ResourceLogs() for _ in sizes]
    for batch, groups in zip(batches, sizes, strict=True):
        for size in groups:
            group = batch.scope_logs.add()
            for item in range(size):
                group.log_records.add(severity_text=str(item))
    return batches


SIZES = st.lists(st.lists(st.sampled_from([0, 1, 2, decoder._PIECE, 2 * decoder._PIECE + 1]), max_size=3), max_size=3)


@given(SIZES, SIZES, st.booleans(), st.integers(0, 9), st.text(), st.dictionaries(st.text(), st.integers(1)))
def test_what_a_process_decodes_comes_back_as_it_is(
    batches: list[list[int]], records: list[list[int]], named: bool, rejected: int, problem: str, noted: dict[str, int]
) -> None:
    made = Decoded(spans(batches, named), rejected, problem, logs(records), noted)
    assert plain(through(made)) == plain(made)


def test_frames_that_end_too_early_are_told_from_whole_ones() -> None:
    made = Decoded(spans([[2], [1]], named=True), 1, "p", logs([[1]]), {"n": 1})
    whole = b"".join(decoder.written(lambda _: made, b""))
    for size in range(len(whole)):
        with pytest.raises(decoder.CutShortError):
            decoder.read(io.BytesIO(whole[:size]))


@pytest.mark.parametrize(
    ("decode", "data"),
    [
        (otlp_json.decode_traces, body(SPAN, {**SPAN, "spanId": "no"})),
        (otlp_json.decode_logs, json.dumps(LOGS).encode()),
        (otlp_proto.decode_traces, b"\x0a\x00"),
        (otlp_json.decode_traces, b"[" * 100_000),
        (zipkin.decode_json, b'[{"traceId":"1","id":"2"},{}]'),
        (jaeger_thrift.decode_batch, b"\x0c"),
    ],
    ids=["bad span", "logs", "protobuf", "nested", "Zipkin", "thrift"],
)
def test_a_process_decodes_as_a_thread_does(decode: Callable[[bytes], Decoded], data: bytes) -> None:
    def outcome(run: Callable[[], Decoded]) -> Decoded | str:
        try:
            return plain(run())
        except ValueError as error:
            return str(error)

    assert outcome(Decoding(decode, data).run) == outcome(lambda: decode(data))


# -- what it does to others --------------------------------------------------------------------------------------------


@dataclass
class Held:
    """A server whose decoder waits until it may go on."""

    port: int
    directory: Path
    counts: Counts
    sent: list[socket.socket] = field(default_factory=list)

    def send(self, does: str = "") -> socket.socket:
        """Send a large body, from a thread: the server may be slow to take it."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        self.sent.append(client)
        data = asked(self.directory, does)
        client.sendall(HEAD % len(data) + data)
        return client

    def said(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return (self.directory / "said").read_text().splitlines()
        return []

    def begun(self) -> int:
        """Wait until a process decodes, and return its number."""
        eventually(self.said)
        return int(self.said()[0].removeprefix("begins "))

    def go(self) -> None:
        (self.directory / "go").touch()

    def small(self) -> Reply:
        return ask(self.port, "/v1/traces", body(SPAN), JSON)


@contextlib.contextmanager
def holding(directory: Path, limits: Limits) -> Iterator[Held]:
    counts = Counts()
    with Servers(KeepingInbox(), counts, ports=OTLP, limits=limits) as servers:
        held = Held(servers.ports.otlp_http or 0, directory, counts)
        try:
            yield held
        finally:
            for one in held.sent:
                one.close()


@pytest.fixture(autouse=True)
def held_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(http.SIGNALS["traces"].decoders, "application/json", decode)


def is_gone(process: int) -> bool:
    """Tell whether a process is neither running nor waiting for somebody to ask how it ended."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def test_small_requests_are_answered_while_a_large_body_is_decoded(tmp_path: Path) -> None:
    with holding(tmp_path, Limits()) as held:
        large = held.send()
        process = held.begun()
        assert [held.small().status for _ in range(3)] == [200, 200, 200]
        assert select.select([large], [], [], 0)[0] == []
        held.go()
        assert large.recv(100).startswith(b"HTTP/1.1 200 ")
        assert process != os.getpid()
        assert is_gone(process)


def test_no_more_large_bodies_are_decoded_at_a_time_than_are_allowed(tmp_path: Path) -> None:
    with holding(tmp_path, Limits(decoders=1)) as held:
        large = [held.send() for _ in range(3)]
        held.begun()
        held.go()
        assert {client.recv(12) for client in large} == {b"HTTP/1.1 200"}
        assert [line.split()[0] for line in held.said()] == ["begins", "ends"] * 3


def test_a_process_ends_with_its_client(tmp_path: Path) -> None:
    with holding(tmp_path, Limits(decoders=1)) as held:
        first, waiting = held.send(), held.send()
        process = held.begun()
        for client in (first, waiting):
            client.close()
        eventually(lambda: is_gone(process))
        eventually(lambda: held.counts.snapshot().get(("otlp/http", "bodies not read")) == 2)
        assert held.said() == [f"begins {process}"]
        assert held.small().status == 200


def test_a_process_ends_with_the_server(tmp_path: Path) -> None:
    with holding(tmp_path, Limits()) as held:
        held.send()
        process = held.begun()
    assert is_gone(process)


@pytest.mark.parametrize(
    ("does", "status", "text"),
    [
        ("exits", 500, "the process that decodes the body ended early, with 3"),
        ("lacks memory", 413, "cannot decode 1,"),
        ("refuses", 400, "not one word of it"),
        ("waits", 413, "cannot decode 1,"),
    ],
)
def test_what_cannot_be_decoded_is_answered_in_the_protocols_way_and_counted(
    tmp_path: Path, does: str, status: int, text: str
) -> None:
    with holding(tmp_path, Limits(decode_s=1.5 if does == "waits" else 60)) as held:
        reply = ask(held.port, "/v1/traces", asked(tmp_path, does), JSON)
        assert reply.status == status
        assert text in reply.body.decode()
        (counted,) = held.counts.examples().values()
        assert counted.startswith(text)
        assert held.small().status == 200


def test_a_process_that_cannot_be_started_is_an_error_of_this_body(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(DecoderError, match="cannot start a process to decode the body"):
        Decoding(decode, b"").run()


def test_what_is_stopped_before_it_begins_starts_no_process() -> None:
    decoding = Decoding(decode, asked(Path("nowhere")))
    decoding.stop()
    with pytest.raises(DecoderError, match="nobody waits"):
        decoding.run()


def test_a_process_without_the_rest_of_its_body_ends() -> None:
    given = decoder.SIZE.pack(100) + b"{"
    process = subprocess.run(decoder.command(decode), input=given, capture_output=True, timeout=20, check=True)
    assert process.stdout == b""
