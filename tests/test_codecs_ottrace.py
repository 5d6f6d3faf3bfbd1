"""The ot-tracer headers, beyond the vectors."""

from __future__ import annotations

from typing import Any

import pytest

from ot_bridge import telemetry
from ot_bridge.codecs.wire import WireContext
from ot_bridge.propagator import MixedFleetPropagator

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
LOW = TRACE_ID & 0xFFFFFFFFFFFFFFFF
SPAN_ID = 0xB7AD6B7169203331
IDS = {"ot-tracer-traceid": "8448eb211c80319c", "ot-tracer-spanid": "b7ad6b7169203331"}


def read(headers: dict[str, Any]) -> WireContext | None:
    return MixedFleetPropagator(["ottrace"]).read(headers.items(), http=True).context


def write(wire: WireContext) -> dict[str, str]:
    return dict(MixedFleetPropagator(inject=["ottrace"]).write(wire, http=True))


@pytest.mark.parametrize(
    ("decisions", "sampled"),
    [(["true", "TRUE", "1", " true ", b"true"], True), (["false", "0", "", "yes", None], False)],
    ids=["sampled", "not"],
)
def test_decision_is_sampled_when_it_says_so(decisions: list[Any], sampled: bool) -> None:
    for decision in decisions:
        wire = read({**IDS, "ot-tracer-sampled": decision})
        assert wire == WireContext(LOW, SPAN_ID, sampled, format="ottrace")


def test_upper_case_ids_are_read() -> None:
    wire = read({name.upper(): value.upper() for name, value in IDS.items()})
    assert wire == WireContext(LOW, SPAN_ID, format="ottrace")


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("random", [True, False])
def test_sampled_is_written_whatever_the_other_flags(sampled: bool, random: bool) -> None:
    headers = write(WireContext(TRACE_ID, SPAN_ID, sampled, debug=sampled, random=random))
    assert headers == {**IDS, "ot-tracer-sampled": "true" if sampled else "false"}


def test_trace_id_with_nothing_in_its_low_half_is_not_written_and_counted() -> None:
    assert write(WireContext(1 << 64, SPAN_ID, sampled=True)) == {}
    assert telemetry.snapshot() == {"inject.ottrace.zero_id": 1}


def test_baggage_is_raw_both_ways() -> None:
    baggage = {"user": "a b+%20", "n": "1"}
    headers = write(WireContext(baggage=baggage))
    assert headers == {"ot-baggage-user": "a b+%20", "ot-baggage-n": "1"}
    assert read(headers) == WireContext(baggage=baggage)


@pytest.mark.parametrize("value", ["a\r\nb", "\0", "\x7f", "\N{EURO SIGN}", "\x85"], ids=ascii)
def test_baggage_that_cannot_be_sent_raw_is_dropped_and_counted(value: str) -> None:
    assert write(WireContext(baggage={"bad": value, "ok": "1"})) == {"ot-baggage-ok": "1"}
    assert telemetry.snapshot() == {"baggage.dropped.value": 1}


def test_keys_are_written_in_lower_case() -> None:
    assert write(WireContext(baggage={"UserId": "a"})) == {"ot-baggage-userid": "a"}
