"""Carriers of every kind: what they hold for the codecs, and what may be put into them."""

from __future__ import annotations

from typing import Any

import pytest

from hostile import Hostile
from ot_bridge.codecs.carrier import CarrierReader, Lines, any_text, by_lower_key, outgoing, percent_decoded
from shown import shown

READER_HEADERS = {"one": Lines.EQUAL, "equal": Lines.EQUAL, "list": Lines.LIST}


class Shouting(str):
    """A text with its own ideas."""

    __slots__ = ()

    def __str__(self) -> str:
        return "SHOUTED"


def kind(value: object) -> str:
    return type(value).__name__


def found(*items: Any) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    return CarrierReader(READER_HEADERS, ["p-"]).read(items, []) or ({}, {})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        (Shouting("text"), "text"),
        (b"bytes", "bytes"),
        (bytearray(b"bytes"), "bytes"),
        (memoryview(b"bytes"), "bytes"),
        (b"\xff", "\ufffd"),
        ("\udc80", "\udc80"),
        (1, "1"),
        (["text"], "text"),
        (("text",), "text"),
        ([b"text", "text"], "text"),
        ([None, "text"], "text"),
    ],
    ids=shown,
)
def test_value_of_any_kind_becomes_its_text(value: object, expected: str) -> None:
    assert found(("equal", value)) == ({"equal": expected}, {})


@pytest.mark.parametrize(
    "value", [None, [], (), [None], {}, object(), Hostile(), 10**5000, {"a": 1}, [["nested"]]], ids=kind
)
def test_value_without_a_text_is_absent(value: object) -> None:
    assert found(("equal", value)) == ({}, {})


@pytest.mark.parametrize("name", ["EQUAL", "Equal", b"Equal", b"equal", Shouting("equal")], ids=repr)
def test_name_of_any_case_and_kind_is_found(name: object) -> None:
    assert found((name, "v")) == ({"equal": "v"}, {})


@pytest.mark.parametrize("name", [None, 1, "", b"\xff", "equal ", "other", [], Hostile(), ("equal",), "p-"], ids=kind)
def test_name_of_somebody_else_is_ignored(name: object) -> None:
    assert found((name, "v")) == ({}, {})


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([("list", "a"), ("list", "b")], {"list": "a,b"}),
        ([("list", ["a", "a"])], {"list": "a,a"}),
        ([("equal", "a"), ("Equal", "a")], {"equal": "a"}),
        ([("equal", ["a", "a"])], {"equal": "a"}),
        ([("equal", "a"), ("equal", "b")], {"equal": "a\nb"}),
        ([("equal", ["a", "b"])], {"equal": "a\nb"}),
        ([("one", "a"), ("one", "a")], {"one": "a"}),
        ([("one", ["a", "a"])], {"one": "a"}),
    ],
    ids=str,
)
def test_several_lines_come_together(lines: list[Any], expected: dict[str, str]) -> None:
    assert found(*lines) == (expected, {})


def test_prefixed_keys_are_lower_cased() -> None:
    assert found(("P-UserId", "a"), ("p-b", ["c"])) == ({}, {"p-": {"userid": "a", "b": "c"}})


def test_item_with_several_different_values_is_dropped_and_noted() -> None:
    notes: list[str] = []
    items = [("p-k", "a"), ("P-K", "b"), ("p-same", ["x", "x"])]
    assert CarrierReader({}, ["p-"]).read(items, notes) == ({}, {"p-": {"same": "x"}})
    assert notes == ["baggage.dropped.ambiguous"]


def test_exact_name_comes_before_a_prefix() -> None:
    assert CarrierReader({"p-id": Lines.EQUAL}, ["p-"]).read([("p-id", "v")], []) == ({"p-id": "v"}, {})


def test_bad_items_do_not_hide_good_ones() -> None:
    notes: list[str] = []
    items: list[Any] = [None, ("one",), (1, 2, 3), ([], "v"), Hostile(), ("equal", "v")]
    assert CarrierReader(READER_HEADERS, []).read(items, notes) == ({"equal": "v"}, {})
    assert notes == ["extract.unreadable"] * 5


def test_iterable_that_cannot_be_iterated_holds_nothing() -> None:
    notes: list[str] = []
    assert CarrierReader(READER_HEADERS, []).read(Hostile(), notes) is None  # type: ignore[arg-type]
    assert notes == ["extract.unreadable"]


def test_iterator_that_always_raises_comes_to_an_end() -> None:
    class Endless:
        def __iter__(self) -> Endless:
            return self

        def __next__(self) -> Any:
            raise RuntimeError("again")

    notes: list[str] = []
    assert CarrierReader(READER_HEADERS, []).read(Endless(), notes) is None
    assert set(notes) == {"extract.unreadable"}


def test_cached_names_are_bounded() -> None:
    reader = CarrierReader(READER_HEADERS, ["p-"])
    for number in range(5000):
        reader.read([(f"name-{number}", ""), (f"p-{number}", "v"), ("x" * 1000 + str(number), "")], [])
    assert len(reader._ignored) + len(reader._slots) <= 512
    assert reader.read([("EQUAL", "v")], []) == ({"equal": "v"}, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("a%20b", "a b"),
        ("%E2%82%AC", "\N{EURO SIGN}"),
        ("%ff", "\ufffd"),
        ("100%zz", "100%zz"),
        ("%", "%"),
        ("\N{EURO SIGN}%20", "\N{EURO SIGN} "),
        ("\udc80%20", "\udc80 "),
        ("a+b", "a+b"),
    ],
    ids=ascii,
)
def test_percent_decoding_keeps_what_it_cannot_decode(text: str, expected: str) -> None:
    assert percent_decoded(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        (Shouting("text"), "text"),
        (b"bytes", "bytes"),
        (1, "1"),
        (True, "True"),
        (1.5, "1.5"),
        ([1], "[1]"),
        ("\udc80", "?"),
        (None, None),
        (Hostile(), None),
    ],
    ids=kind,
)
def test_any_object_becomes_a_text_or_none(value: object, expected: str | None) -> None:
    assert any_text(value) == expected


def test_outgoing_items_have_token_keys_and_encoded_values() -> None:
    notes: list[str] = []
    baggage: Any = {
        "K-1": "a b+\N{EURO SIGN}/",
        "": "1",
        "a b": "1",
        "x:y": "1",
        "n\n": "1",
        1: "1",
        "o": Hostile(),
        "i": 1,
    }
    assert outgoing(baggage, notes) == [
        ("K-1", "k-1", "a b+\N{EURO SIGN}/", "a%20b%2B%E2%82%AC%2F"),
        ("i", "i", "1", "1"),
    ]
    assert notes == ["baggage.dropped.key"] * 5 + ["baggage.dropped.value"]


@pytest.mark.parametrize(
    ("keys", "kept"),
    [
        (["A", "b"], {"a": "A", "b": "b"}),
        (["Ab", "AB"], {"ab": "Ab"}),
        (["Ab", "ab", "AB"], {"ab": "ab"}),
        (["ab", "AB"], {"ab": "ab"}),
    ],
    ids=str,
)
def test_keys_that_differ_in_case_keep_the_lower_one_else_the_first(keys: list[str], kept: dict[str, str]) -> None:
    notes: list[str] = []
    items = [(key, key.lower(), key, key) for key in keys]
    assert {lower: item[0] for lower, item in by_lower_key(items, notes).items()} == kept
    assert notes == ["baggage.dropped.collision"] * (len(keys) - len(kept))
