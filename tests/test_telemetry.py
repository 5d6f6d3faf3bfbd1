"""The counters: one table, every name that the code counts is in it, and what headers leave in them."""

from __future__ import annotations

import ast
import logging
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentracing import Format

from ot_bridge import BridgeSpanContext, BridgeTracer, MixedFleetPropagator, Settings, telemetry
from ot_bridge.codecs import CODECS
from ot_bridge.codecs.wire import WireContext
from ot_bridge.telemetry import COUNTERS

SOURCE = Path(telemetry.__file__).parent
TOOLS = ("cli", "demo", "explain", "matrix")
FAMILIES = {name.partition(".")[0] for name in COUNTERS}
COUNTING = ("count", "count_all", "steps_of", "warn_first", "warn_once", "_give_up", "append", "extend")

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
SPAN_ID = 0xB7AD6B7169203331
UBER = f"{TRACE_ID:032x}:{SPAN_ID:016x}:0:1"
PARENT = f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-01"
WIRE = WireContext(TRACE_ID, SPAN_ID, sampled=True)


# -- the table ---------------------------------------------------------------------------------------------------------


def texts_of(node: ast.expr) -> Iterator[str]:
    """Yield the texts in an expression; what is filled in at run time is ``<>``."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "<>" for part in node.values)
    else:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                yield from texts_of(child)


def counted_in(module: Path) -> Iterator[str]:
    """Yield every counter that a module names where it counts, or where it keeps a name for later."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in COUNTING and node.args:
            values = [node.args[0]]
        elif isinstance(node, ast.Assign | ast.AugAssign) and (module.stem == "propagator" or "codecs" in module.parts):
            values = [node.value]
        else:
            continue
        for value in values:
            yield from (
                text for text in texts_of(value) if re.fullmatch(r"[a-z]+(\.[\w<>]+)+", text) and is_counter(text)
            )


def is_counter(text: str) -> bool:
    return text.partition(".")[0] in FAMILIES


def modules() -> list[Path]:
    paths = [path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] not in TOOLS]
    return [path for path in paths if path.name not in ("telemetry.py", "metrics.py")]


def named() -> set[str]:
    return {name for module in modules() for name in counted_in(module)} | {"metrics.failed"}


def pattern_of(row: str) -> str:
    """Return the names that a row stands for; what is filled in at run time is ``<>`` in the code."""
    formats = "|".join([*CODECS, "binary", "<>"])
    return re.sub("<.*>", lambda filled: f"({formats})" if filled[0] == "<format>" else r"[\w<>]+", re.escape(row))


def test_every_counter_in_the_code_is_in_the_table() -> None:
    patterns = [pattern_of(row) for row in COUNTERS]
    assert len(named()) > 40
    assert sorted(name for name in named() if not any(re.fullmatch(one, name) for one in patterns)) == []


def test_every_counter_in_the_table_is_in_the_code() -> None:
    found = [(name, re.escape(name).replace("<>", r"\w+")) for name in named()]
    assert [
        row
        for row in COUNTERS
        if not any(re.fullmatch(pattern_of(row), name) or re.fullmatch(pattern, row) for name, pattern in found)
    ] == []


@pytest.mark.parametrize("call", ["count", "warn_once"])
def test_every_call_that_counts_names_its_counter_in_place(call: str) -> None:
    # The propagator counts notes, which are named where they are taken.
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in modules() if path.name != "propagator.py"]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    counting = [node for node in calls if ast.unparse(node.func) in (call, f"telemetry.{call}")]
    assert len(counting) > 10
    assert [ast.unparse(node) for node in counting if not any(map(is_counter, texts_of(node.args[0])))] == []


def test_every_meaning_is_a_phrase() -> None:
    assert [meaning for meaning in COUNTERS.values() if not re.fullmatch(r"[\x20-\x7e]*[^.\s]", meaning)] == []


def test_table_cannot_be_changed() -> None:
    table: Any = COUNTERS
    with pytest.raises(TypeError):
        table["extract.<format>"] = "something else"


# -- counting ----------------------------------------------------------------------------------------------------------


def test_names_are_counted_as_often_as_they_are_given() -> None:
    telemetry.count_all(["a.b", "a.c", "a.b"])
    telemetry.count("a.c", 5)
    assert telemetry.snapshot() == {"a.b": 2, "a.c": 6}
    assert list(telemetry.snapshot()) == ["a.b", "a.c"]


def test_snapshot_is_a_copy() -> None:
    before = telemetry.snapshot()
    telemetry.count("a.b")
    assert (before, telemetry.snapshot()) == ({}, {"a.b": 1})


def test_asking_for_a_counter_makes_none() -> None:
    assert telemetry.snapshot().get("a.b", 0) == 0
    assert telemetry.snapshot() == {}


def test_warning_is_logged_once_and_counted_every_time(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            telemetry.warn_once("a.b", "told %s", "once")
    assert [record.getMessage() for record in caplog.records] == ["told once"]
    assert telemetry.snapshot() == {"a.b": 3}


def test_counting_what_was_counted_before_takes_no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry.count_all(["a.b"])
    with monkeypatch.context() as patched:
        patched.setattr(telemetry, "_lock", None)
        telemetry.count_all(["a.b", "a.b"])
        telemetry.count("a.b")
    assert telemetry.snapshot() == {"a.b": 4}


def test_no_count_is_lost_between_threads() -> None:
    def work() -> None:
        for _ in range(500):
            telemetry.count("a.b")
            telemetry.count_all(("a.b", "a.c"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert telemetry.snapshot() == {"a.b": 8000, "a.c": 4000}


# -- what headers leave in the counters --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in CODECS if name != "baggage"])
def test_format_is_counted_where_it_is_read_and_written(name: str) -> None:
    propagator = MixedFleetPropagator([name], [name])
    propagator.read(propagator.write(WIRE, http=True), http=True)
    assert telemetry.snapshot() == {f"extract.{name}": 1, f"inject.{name}": 1}


@pytest.mark.parametrize(
    ("wire", "counted"),
    [
        pytest.param(WIRE, {"inject.jaeger": 1, "inject.tracecontext": 1}, id="ids"),
        pytest.param(
            WIRE._replace(baggage={"k": "v"}),
            {"inject.jaeger": 1, "inject.tracecontext": 1, "inject.baggage": 1},
            id="ids-and-baggage",
        ),
        pytest.param(WireContext(baggage={"k": "v"}), {"inject.baggage": 1}, id="container"),
        pytest.param(WireContext(), {}, id="nothing"),
    ],
)
@pytest.mark.parametrize("http", [True, False])
def test_injection_is_counted_by_format(wire: WireContext, counted: dict[str, int], http: bool) -> None:
    MixedFleetPropagator().write(wire, http=http)
    assert telemetry.snapshot() == counted


def test_format_that_could_not_write_is_not_counted() -> None:
    MixedFleetPropagator((), ("ottrace", "b3")).write(WireContext(1 << 64, SPAN_ID), http=True)
    assert telemetry.snapshot() == {"inject.b3": 1, "inject.ottrace.zero_id": 1}


def test_binary_is_counted_both_ways(tracer: BridgeTracer) -> None:
    data = bytearray()
    tracer.inject(BridgeSpanContext(TRACE_ID, SPAN_ID), Format.BINARY, data)
    tracer.extract(Format.BINARY, data)
    tracer.extract(Format.BINARY, bytearray(b"short"))
    tracer.inject(BridgeSpanContext(baggage={"k": "v"}), Format.BINARY, container := bytearray())
    tracer.extract(Format.BINARY, container)
    assert telemetry.snapshot() == {
        "extract.binary": 1,
        "extract.container": 1,
        "extract.malformed.binary": 1,
        "inject.binary": 1,
    }


def test_binary_that_cannot_be_handled_is_given_up_and_counted() -> None:
    wrong: Any = object()
    propagator = MixedFleetPropagator()
    assert propagator.read_binary(wrong).context is None
    assert propagator.write_binary(WIRE._replace(baggage=wrong)) == b""
    assert telemetry.snapshot() == {"extract.gave_up": 1, "inject.gave_up": 1}


@pytest.mark.parametrize(
    ("order", "won", "ignored"),
    [
        (("jaeger", "tracecontext"), "jaeger", "tracecontext"),
        (("tracecontext", "jaeger"), "tracecontext", "jaeger"),
    ],
)
def test_valid_context_that_did_not_win_is_counted(order: tuple[str, str], won: str, ignored: str) -> None:
    headers = {"uber-trace-id": UBER, "traceparent": PARENT}
    MixedFleetPropagator(order).read(headers.items(), http=True)
    assert telemetry.snapshot() == {f"extract.{won}": 1, f"extract.ignored.{ignored}": 1}


def test_conflict_is_counted_beside_the_ignored_format() -> None:
    headers = {"uber-trace-id": "abc:1:0:1", "traceparent": PARENT}
    MixedFleetPropagator().read(headers.items(), http=True)
    assert telemetry.snapshot() == {"extract.jaeger": 1, "extract.ignored.tracecontext": 1, "extract.conflict": 1}


def test_trace_id_that_an_old_hop_cut_is_counted() -> None:
    headers = {"uber-trace-id": f"{TRACE_ID & 0xFFFFFFFFFFFFFFFF:x}:1:0:1", "traceparent": PARENT}
    MixedFleetPropagator().read(headers.items(), http=True)
    assert telemetry.snapshot() == {"extract.jaeger": 1, "extract.ignored.tracecontext": 1, "extract.truncated": 1}


# -- the random bit ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sampled", "flags"), [(True, "01"), (False, "00")])
def test_random_bit_is_masked_when_asked_for(sampled: bool, flags: str) -> None:
    wire = WIRE._replace(random=True, sampled=sampled)
    headers = dict(MixedFleetPropagator(settings=Settings(mask_random_bit=True)).write(wire, http=True))
    assert headers["traceparent"] == PARENT[:-2] + flags
    assert telemetry.snapshot() == {"inject.jaeger": 1, "inject.masked": 1, "inject.tracecontext": 1}


@pytest.mark.parametrize(
    ("wire", "settings"),
    [
        pytest.param(WIRE, Settings(mask_random_bit=True), id="no-random-bit"),
        pytest.param(WIRE._replace(random=True), Settings(), id="not-asked-for"),
        pytest.param(WIRE._replace(random=True), Settings(mask_random_bit=True, inject="jaeger"), id="no-traceparent"),
    ],
)
def test_nothing_is_masked_otherwise(wire: WireContext, settings: Settings) -> None:
    headers = dict(MixedFleetPropagator(settings=settings).write(wire, http=True))
    expected = PARENT[:-1] + "3" if wire.random else PARENT
    assert headers.get("traceparent", expected) == expected
    assert "inject.masked" not in telemetry.snapshot()


def test_masked_bit_stays_in_the_process(provider: TracerProvider) -> None:
    tracer = BridgeTracer(provider, settings=Settings(mask_random_bit=True))
    context = tracer.extract(Format.HTTP_HEADERS, {"traceparent": PARENT[:-1] + "3"})
    span = tracer.start_span("op", child_of=context)
    headers: dict[str, str] = {}
    tracer.inject(span.context, Format.HTTP_HEADERS, headers)
    assert (span.context.trace_flags, headers["traceparent"][-2:]) == (3, "01")


def test_what_is_counted_may_count_while_it_is_drawn() -> None:
    def names() -> Iterator[str]:
        telemetry.count("b")
        yield "a"

    telemetry.count_all(names())
    assert telemetry.snapshot() == {"a": 1, "b": 1}
