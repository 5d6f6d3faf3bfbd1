"""Limits on baggage, in and out: items, bytes and keys of the settings, whole items in their order, every format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from opentelemetry import baggage as otel_baggage
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentracing import Format

from ot_bridge import BridgeSpanContext, BridgeTracer, ConfigError, MixedFleetPropagator, Settings, telemetry
from ot_bridge.codecs import CODECS, binary
from ot_bridge.codecs.wire import WireContext
from ot_bridge.limits import BaggageLimits

IDS = WireContext(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, sampled=True)
FIVE = {"a": "1", "b": "22", "user-id": "333", "user-name": "4444", "tenant": "5"}

keys = st.text("abcdABCD-_.", min_size=1, max_size=6)
patterns = st.builds(lambda key, star: key + star, keys, st.sampled_from(["", "*"])) | st.just("*")
baggages = st.dictionaries(keys, st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=12)
limited = st.builds(
    lambda items, size, allow, deny: Settings(
        baggage_max_items=items, baggage_max_bytes=size, baggage_allow=allow, baggage_deny=deny
    ),
    st.none() | st.integers(1, 8),
    st.none() | st.integers(1, 100),
    st.lists(patterns, max_size=3),
    st.lists(patterns, max_size=3),
)


def sent(baggage: Mapping[str, Any], http: bool = True, **limits: Any) -> dict[str, str]:
    """Return what a container of this baggage becomes in W3C baggage, read back without limits."""
    propagator = MixedFleetPropagator(["baggage"], ["baggage"], settings=Settings(**limits))
    context = MixedFleetPropagator().read(propagator.write(WireContext(baggage=baggage), http=http), http=http).context
    return {} if context is None else dict(context.baggage)


def received(baggage: Mapping[str, str], **limits: Any) -> dict[str, str]:
    headers = MixedFleetPropagator(inject=["baggage"]).write(WireContext(baggage=baggage), http=True)
    context = MixedFleetPropagator(settings=Settings(**limits)).read(headers, http=True).context
    return {} if context is None else dict(context.baggage)


LIMITS = [
    pytest.param({}, "a b user-id user-name tenant", {}, id="none"),
    pytest.param({"baggage_max_items": 2}, "a b", {"limit": 3}, id="items"),
    pytest.param({"baggage_max_items": 5}, "a b user-id user-name tenant", {}, id="items-just-enough"),
    pytest.param({"baggage_max_bytes": 5}, "a b", {"limit": 3}, id="bytes"),
    pytest.param({"baggage_max_bytes": 4}, "a", {"limit": 4}, id="bytes-one-less"),
    pytest.param({"baggage_max_bytes": 12}, "a b tenant", {"limit": 2}, id="a-smaller-item-still-fits"),
    pytest.param({"baggage_allow": "tenant,b"}, "b tenant", {"deny": 3}, id="allow"),
    pytest.param({"baggage_allow": ["USER-*"]}, "user-id user-name", {"deny": 3}, id="allow-start-any-case"),
    pytest.param({"baggage_deny": ("User-Id",)}, "a b user-name tenant", {"deny": 1}, id="deny-any-case"),
    pytest.param({"baggage_deny": "user*"}, "a b tenant", {"deny": 2}, id="deny-start"),
    pytest.param({"baggage_deny": "*"}, "", {"deny": 5}, id="deny-all"),
    pytest.param({"baggage_allow": "user*", "baggage_deny": "user-id"}, "user-name", {"deny": 4}, id="deny-wins"),
    pytest.param(
        {"baggage_deny": "a", "baggage_max_items": 1}, "b", {"deny": 1, "limit": 3}, id="denied-takes-no-room"
    ),
]


@pytest.mark.parametrize(("limits", "left", "counted"), LIMITS)
@pytest.mark.parametrize("way", [sent, received], ids=["sent", "received"])
def test_limit_holds_both_ways(way: Any, limits: dict[str, Any], left: str, counted: dict[str, int]) -> None:
    assert way(FIVE, **limits) == {key: FIVE[key] for key in left.split()}
    dropped = {name: number for name, number in telemetry.snapshot().items() if name.startswith("baggage.")}
    assert dropped == {f"baggage.dropped.{reason}": number for reason, number in counted.items()}


@pytest.mark.parametrize(("limits", "left", "counted"), LIMITS)
def test_limit_holds_for_binary_both_ways(
    provider: TracerProvider, limits: dict[str, Any], left: str, counted: dict[str, int]
) -> None:
    expected = {key: FIVE[key] for key in left.split()}
    tracer = BridgeTracer(provider, settings=Settings(**limits))
    data = bytearray()
    tracer.inject(BridgeSpanContext(IDS.trace_id, IDS.span_id, baggage=FIVE), Format.BINARY, data)
    wire = binary.decode(data)
    context = tracer.extract(Format.BINARY, bytearray(binary.encode(IDS._replace(baggage=FIVE))))
    assert wire is not None
    assert context is not None
    assert (wire.baggage, context.baggage, context.is_valid) == (expected, expected, True)
    twice = {f"baggage.dropped.{reason}": 2 * number for reason, number in counted.items()}
    assert telemetry.snapshot() == {"extract.binary": 1, "inject.binary": 1, **twice}


@pytest.mark.parametrize("name", [name for name in CODECS if name in ("jaeger", "baggage", "ottrace")])
@pytest.mark.parametrize("http", [True, False])
def test_limit_holds_in_every_format_that_sends_baggage(name: str, http: bool) -> None:
    propagator = MixedFleetPropagator((), [name], settings=Settings(baggage_max_items=2, baggage_deny="a"))
    context = MixedFleetPropagator(tuple(CODECS)).read(
        propagator.write(IDS._replace(baggage=FIVE), http=http), http=http
    )
    assert context.context is not None
    assert context.context.baggage == {"b": "22", "user-id": "333"}


def test_formats_send_the_same_items() -> None:
    headers = MixedFleetPropagator(settings=Settings(baggage_max_items=2)).write(WireContext(baggage=FIVE), http=True)
    assert headers == [("uberctx-a", "1"), ("uberctx-b", "22"), ("baggage", "a=1,b=22")]


def test_bytes_are_those_of_utf_8() -> None:
    euro = {"k": "\N{EURO SIGN}" * 3}
    assert (sent(euro, baggage_max_bytes=9), sent(euro, baggage_max_bytes=10)) == ({}, euro)


def test_bytes_of_the_key_count_too() -> None:
    assert (sent({"key": "v"}, baggage_max_bytes=3), sent({"key": "v"}, baggage_max_bytes=4)) == ({}, {"key": "v"})


def test_item_that_cannot_be_sent_takes_no_room() -> None:
    assert sent({"no token": "x", "none": None, "k": "v"}, baggage_max_items=1) == {"k": "v"}


def test_limit_counts_items_of_all_sources_together() -> None:
    items = [("uberctx-a", "1"), ("baggage", "b=2,c=3"), ("jaeger-baggage", "d=4")]
    reading = MixedFleetPropagator(settings=Settings(baggage_max_items=3)).read(items, http=True)
    assert reading.context is not None
    assert dict(reading.context.baggage) == {"d": "4", "b": "2", "c": "3"}


def test_baggage_of_which_nothing_is_left_is_no_container() -> None:
    reading = MixedFleetPropagator(settings=Settings(baggage_deny="*")).read([("uberctx-a", "1")], http=True)
    assert (reading.context, telemetry.snapshot()) == (None, {"baggage.dropped.deny": 1})


def test_limit_does_not_touch_the_ids() -> None:
    propagator = MixedFleetPropagator(settings=Settings(baggage_deny="*"))
    headers = propagator.write(IDS._replace(baggage=FIVE), http=True)
    assert [name for name, _ in headers] == ["uber-trace-id", "traceparent"]
    assert propagator.read([*headers, ("baggage", "a=1")], http=True).context == IDS._replace(format="jaeger")


def test_limit_holds_on_opentelemetrys_side() -> None:
    propagator = MixedFleetPropagator(settings=Settings(baggage_deny="secret*"))
    headers: dict[str, str] = {}
    propagator.inject(headers, otel_baggage.set_baggage("secret-1", "x", otel_baggage.set_baggage("k", "v", Context())))
    context = propagator.extract({"baggage": "Secret=1,k=v"}, otel_baggage.set_baggage("secret", "own", Context()))
    assert (headers, otel_baggage.get_all(context)) == (
        {"uberctx-k": "v", "baggage": "k=v"},
        {"secret": "own", "k": "v"},
    )


def test_limit_does_not_hold_inside_the_process(provider: TracerProvider) -> None:
    tracer = BridgeTracer(provider, settings=Settings(baggage_deny="*"))
    span = tracer.start_span("op")
    span.set_baggage_item("k", "v")
    assert tracer.start_span("child", child_of=span).get_baggage_item("k") == "v"


# -- any baggage -------------------------------------------------------------------------------------------------------


def allowed(key: str, settings: Settings) -> bool:
    def named(patterns: tuple[str, ...]) -> bool:
        return any(
            key.lower() == pattern.lower() or (pattern[-1] == "*" and key.lower().startswith(pattern[:-1].lower()))
            for pattern in patterns
        )

    return not named(settings.baggage_deny) and (not settings.baggage_allow or named(settings.baggage_allow))


def check(before: Mapping[str, str], after: Mapping[str, str], settings: Settings) -> None:
    """Whole items, in order, within the limits; and nothing is left out that would have fitted in its place."""
    assert [item for item in before.items() if item in after.items()] == list(after.items())
    most = settings.baggage_max_items or len(before)
    size = settings.baggage_max_bytes or sum(len(f"{key}{value}".encode()) for key, value in before.items())
    taken, used = 0, 0
    for key, value in before.items():
        more = len(f"{key}{value}".encode())
        fits = allowed(key, settings) and taken < most and used + more <= size
        assert (key in after) is fits
        taken, used = taken + fits, used + more * fits
    assert taken <= most
    assert used <= size


@hypothesis_settings(deadline=None)
@given(baggages, limited)
def test_any_baggage_is_received_within_the_limits(baggage: dict[str, str], settings: Settings) -> None:
    data = binary.encode(IDS._replace(baggage=baggage))
    context = MixedFleetPropagator(settings=settings).read_binary(data).context
    assert context is not None
    check(baggage, context.baggage, settings)


@hypothesis_settings(deadline=None)
@given(baggages, limited, st.booleans())
def test_any_baggage_is_sent_within_the_limits(baggage: dict[str, str], settings: Settings, http: bool) -> None:
    headers = MixedFleetPropagator((), ("baggage",), settings=settings).write(WireContext(baggage=baggage), http=http)
    context = MixedFleetPropagator(("baggage",)).read(headers, http=http).context
    check(baggage, {} if context is None else context.baggage, settings)
    decoded = binary.decode(MixedFleetPropagator(settings=settings).write_binary(IDS._replace(baggage=baggage)))
    assert decoded is not None
    check(baggage, decoded.baggage, settings)


# -- the settings ------------------------------------------------------------------------------------------------------


def test_settings_without_limits_ask_nothing() -> None:
    assert BaggageLimits.of(Settings()) is None


def test_variables_set_the_limits() -> None:
    settings = Settings.from_env(
        {
            "OT_BRIDGE_BAGGAGE_MAX_ITEMS": "16",
            "OT_BRIDGE_BAGGAGE_MAX_BYTES": "none",
            "OT_BRIDGE_BAGGAGE_ALLOW": "tenant, User-*,",
            "OT_BRIDGE_BAGGAGE_DENY": "user-secret",
        }
    )
    limits = (settings.baggage_max_items, settings.baggage_max_bytes, settings.baggage_allow, settings.baggage_deny)
    assert limits == (16, None, ("tenant", "User-*"), ("user-secret",))


@pytest.mark.parametrize("name", ["baggage_allow", "baggage_deny"])
@pytest.mark.parametrize("value", ["a*b", "**", ["a", ""], ["a", 1], None, 7], ids=repr)
def test_star_stands_at_the_end_of_a_key_only(name: str, value: Any) -> None:
    limits: dict[str, Any] = {name: value}
    with pytest.raises(ConfigError, match=f"cannot use {name}: got .* expected baggage keys"):
        Settings(**limits)


@pytest.mark.parametrize("name", ["baggage_max_items", "baggage_max_bytes"])
@pytest.mark.parametrize("value", [0, -1, True, "5", 1.5], ids=repr)
def test_limit_is_a_positive_integer_or_none(name: str, value: Any) -> None:
    limits: dict[str, Any] = {name: value}
    with pytest.raises(ConfigError, match=f"cannot use {name}: got .* expected an integer above 0, or None"):
        Settings(**limits)
