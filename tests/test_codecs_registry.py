"""The registry of codecs, and what holds for every one of them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from ot_bridge import codecs
from ot_bridge.codecs import CODECS, KNOWN_EXTRACT, KNOWN_INJECT, readers, writers
from ot_bridge.codecs.codec import Codec, ListSource, Options, Rank

NAMES = ["jaeger", "tracecontext", "baggage", "b3", "b3multi", "ottrace"]


def test_registry_knows_the_public_names() -> None:
    assert list(CODECS) == list(KNOWN_EXTRACT) == list(KNOWN_INJECT) == NAMES


def test_registry_rows_carry_the_names_of_their_codecs() -> None:
    assert {row.name: row.make.name for row in CODECS.values()} == {name: name for name in NAMES}


@pytest.mark.parametrize(
    ("extract", "expected"),
    [
        (["jaeger"], ["jaeger"]),
        (["tracecontext"], ["tracecontext", "baggage"]),
        (["b3"], ["b3", "b3multi"]),
        (["b3multi"], ["b3", "b3multi"]),
        (["b3multi", "jaeger", "b3"], ["b3", "b3multi", "jaeger"]),
        (["jaeger", "tracecontext", "baggage"], ["jaeger", "tracecontext", "baggage"]),
        ([], []),
    ],
    ids=str,
)
def test_readers_come_in_order_and_once(extract: list[str], expected: list[str]) -> None:
    assert [codec.name for codec in readers(extract)] == expected


def test_writers_are_those_named_and_no_others() -> None:
    assert [codec.name for codec in writers(["b3", "tracecontext", "b3"])] == ["b3", "tracecontext"]


@pytest.mark.parametrize("name", NAMES)
def test_codec_lists_only_lower_case_names(name: str) -> None:
    codec = CODECS[name].make(Options())
    lists = [source.header for source in codec.sources if isinstance(source, ListSource)]
    read = [*codec.headers, *codec.fields, *lists]
    assert read == [header.lower() for header in read]
    assert set(lists) <= set(codec.headers)


def test_baggage_ranks_are_those_of_the_rules() -> None:
    strongest_first = ["UBERCTX", "W3C_BAGGAGE", "JAEGER_BAGGAGE", "B3_BAGGAGE", "OT_BAGGAGE"]
    assert [rank.name for rank in sorted(Rank, reverse=True)] == strongest_first


def test_codec_of_ids_only_has_no_baggage_to_write() -> None:
    for name in ("tracecontext", "b3", "b3multi"):
        codec: Codec = CODECS[name].make(Options())
        assert not codec.writes_baggage
        assert codec.encode_baggage([("k", "k", "v", "v")], http=True, notes=[]) == ()


def test_codec_of_baggage_only_has_no_ids() -> None:
    codec: Codec = CODECS["baggage"].make(Options())
    notes: list[str] = []
    assert codec.decode({"baggage": "k=v"}, notes) is None
    assert (codec.writes_ids, notes) == (False, [])


def test_codecs_import_nothing_of_opentelemetry() -> None:
    imported = set()
    for path in Path(codecs.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
    assert {name for name in imported if not name.startswith("ot_bridge.codecs")} <= {
        "__future__", "abc", "collections.abc", "enum", "functools", "importlib", "re", "struct", "types", "typing",
        "urllib.parse",
    }  # fmt: skip
