"""W3C Baggage, beyond the vectors; and OpenTelemetry's propagator as the other side."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import baggage as otel_baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context

from ot_bridge import telemetry
from ot_bridge.codecs.wire import WireContext
from ot_bridge.config import Settings
from ot_bridge.propagator import MixedFleetPropagator

# OpenTelemetry percent-codes keys as well, against the specification, and reads a plus in them as a space.
keys = st.text("abcXYZ012!#$&'*-.^_`|~", min_size=1, max_size=10)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def read(*items: tuple[Any, Any], plus_is_space: bool = False) -> dict[str, str]:
    propagator = MixedFleetPropagator(["baggage"], settings=Settings(baggage_plus_is_space=plus_is_space))
    wire = propagator.read(items, http=True).context
    return dict(wire.baggage) if wire else {}


def write(baggage: Any, *, http: bool = True) -> dict[str, str]:
    return dict(MixedFleetPropagator(inject=["baggage"]).write(WireContext(baggage=baggage), http=http))


def test_several_lines_and_lists_are_one_list() -> None:
    assert read(("baggage", "a=1"), ("Baggage", ["b=2", b"c=3"])) == {"a": "1", "b": "2", "c": "3"}


@pytest.mark.parametrize("char", [" ", '"', "\\", "\N{EURO SIGN}", "\x7f", "\0", "\n"], ids=ascii)
def test_member_with_a_character_that_is_not_allowed_is_dropped(char: str) -> None:
    assert read(("baggage", f"bad=a{char}b,ok=1")) == {"ok": "1"}
    assert telemetry.snapshot()["baggage.dropped.member"] == 1


def test_value_may_hold_an_equals_sign() -> None:
    assert read(("baggage", "k=a=b==")) == {"k": "a=b=="}


def test_value_may_be_a_plus_or_a_space_as_the_fleet_says() -> None:
    assert read(("baggage", "k=a+b%2Bc")) == {"k": "a+b+c"}
    assert read(("baggage", "k=a+b%2Bc"), plus_is_space=True) == {"k": "a b+c"}


def test_properties_are_not_kept_and_counted() -> None:
    assert read(("baggage", 'k=v;p;q="x y",j = w ; p=1')) == {"k": "v", "j": "w"}
    assert telemetry.snapshot()["baggage.properties"] == 2


def test_members_beyond_the_limit_are_dropped_and_counted() -> None:
    members = [f"k{n}={n}" for n in range(200)]
    assert read(("baggage", ",".join(members))) == {f"k{n}": str(n) for n in range(180)}
    assert telemetry.snapshot()["baggage.dropped.limit"] == 20


@pytest.mark.parametrize(("length", "kept"), [(4096, True), (4097, False)])
def test_member_of_4096_bytes_is_the_longest(length: int, kept: bool) -> None:
    value = "v" * (length - 2)
    assert read(("baggage", f"k={value},b=1")) == ({"k": value, "b": "1"} if kept else {"b": "1"})
    assert write({"k": value, "b": "1"}) == {"baggage": f"k={value},b=1" if kept else "b=1"}


@pytest.mark.parametrize(("last", "kept"), [(184, True), (185, False)])
def test_whole_members_within_8192_bytes_are_kept(last: int, kept: bool) -> None:
    baggage = {"a": "v" * 4000, "b": "v" * 4000, "c": "v" * last}
    header = ",".join(f"{key}={value}" for key, value in baggage.items())
    assert (len(header) <= 8192) == kept
    expected = baggage if kept else {key: baggage[key] for key in "ab"}
    assert read(("baggage", header)) == expected
    assert write(baggage) == {"baggage": header if kept else header[: header.index(",c=")]}


def test_huge_header_is_cut_at_the_limit() -> None:
    assert len(read(("baggage", "k=v," * 1_000_000))) == 1
    assert telemetry.snapshot()["baggage.dropped.limit"] == 1


def test_no_more_members_are_written_than_may_be_read() -> None:
    header = write({f"k{n}": "v" for n in range(200)})["baggage"]
    assert read(("baggage", header)) == {f"k{n}": "v" for n in range(180)}


def test_text_map_is_encoded_too() -> None:
    assert write({"k": "a b"}, http=False) == {"baggage": "k=a%20b"}


def test_nothing_to_send_is_no_header() -> None:
    assert write({}) == write({"not a token": "v"}) == {}


@settings(deadline=None)
@given(st.dictionaries(keys, texts, max_size=5))
def test_opentelemetry_reads_what_the_bridge_writes(baggage: dict[str, str]) -> None:
    context = W3CBaggagePropagator().extract(write(baggage), Context())
    # OpenTelemetry strips values.
    assert dict(otel_baggage.get_all(context)) == {key: text.strip() for key, text in baggage.items()}


@settings(deadline=None)
@given(st.dictionaries(st.text("abcXYZ012-_.", min_size=1, max_size=10), texts, max_size=5))
def test_the_bridge_reads_what_opentelemetry_writes(baggage: dict[str, str]) -> None:
    context = Context()
    for key, text in baggage.items():
        context = otel_baggage.set_baggage(key, text, context)
    headers: dict[str, str] = {}
    W3CBaggagePropagator().inject(headers, context)
    assert read(*headers.items(), plus_is_space=True) == baggage
