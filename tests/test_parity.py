"""Parity: the same program on jaeger-client and on the drop-in gives the same output and the same spans, ids aside.

The programs of parity/programs/ know jaeger_client and nothing else. What the real one made of them is recorded in
parity/records/; where it can be imported, a live run is held against the record. The drop-in has to send what the
Collector would have made of the recorded spans, changed by the rows of parity/translate.py and parity/differences.py
and by nothing else.
"""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from parity import bridge, real
from parity.differences import ADDED, FIELDS, LINES, expected_run
from parity.running import HERE, PROGRAMS, Run, Span
from parity.translate import IMPROVEMENTS, expected, translated

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "vectors" / "translator.json").read_text("utf-8"))[
    "cases"
]

every_program = pytest.mark.parametrize("program", PROGRAMS)
# From 3.14 on asyncio gives no loop to who has none, and jaeger-client's futures need one.
needs_the_real_one = pytest.mark.skipif(
    not real.is_installed() or sys.version_info >= (3, 14), reason="jaeger-client cannot be imported here"
)


@pytest.mark.parametrize("way", bridge.WAYS)
@every_program
def test_drop_in_prints_and_sends_what_jaeger_client_did(program: str, way: str) -> None:
    run, stderr = bridge.run(program, way)
    wanted = expected_run(program, real.load(program), way)
    assert (run.status, run.stdout) == (wanted.status, wanted.stdout), stderr
    assert run.spans == wanted.spans


@needs_the_real_one
@every_program
def test_record_is_what_jaeger_client_does_today(program: str) -> None:
    assert real.run(program) == real.load(program)


def test_every_program_has_a_record_and_every_record_a_program() -> None:
    assert sorted(path.stem for path in (HERE / "records").glob("*.json")) == PROGRAMS


@every_program
def test_program_knows_nothing_of_the_bridge(program: str) -> None:
    text = (HERE / "programs" / f"{program}.py").read_text(encoding="utf-8")
    assert "ot_bridge" not in text
    assert "opentelemetry" not in text


# --- the translation


def _recorded(given: dict[str, Any]) -> Span:
    """Return the input of a vector in the form of a record."""
    types = {"bool": "bool", "int64": "long", "float64": "double", "string": "string", "binary": "binary"}

    def pairs(tags: list[dict[str, Any]]) -> list[list[Any]]:
        return [[tag["key"], types[tag["type"]], tag["value"]] for tag in tags]

    return {
        "service": "",
        "process": {},
        "name": "op",
        "trace_id": given["trace_id"],
        "trace_id_bits": 128,
        "span_id": given["span_id"],
        "parent_id": None if given["parent_span_id"] == "0" * 16 else given["parent_span_id"],
        "parent_is_local": False,
        "flags": given["flags"],
        "start_ns": "now",
        "end_ns": "now",
        "references": given["references"],
        "tags": pairs(given["tags"]),
        "logs": [{"ns": "now", "fields": pairs(log["fields"])} for log in given["logs"]],
    }


def _like_a_vector(span: Span) -> dict[str, Any]:
    def values(attributes: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, (_, value) in attributes.items()}

    return {
        "parent_span_id": span["parent_id"],
        "kind": span["kind"],
        "status": {"code": span["status"][0], "message": span["status"][1]},
        "attributes": values(span["attributes"]),
        "events": [{"name": event["name"], "attributes": values(event["attributes"])} for event in span["logs"]],
        "links": [{**link, "attributes": values(link["attributes"])} for link in span["references"]],
    }


@pytest.mark.parametrize("case", VECTORS, ids=[case["id"] for case in VECTORS])
def test_translation_is_the_translators(case: dict[str, Any]) -> None:
    found = _like_a_vector(translated(_recorded(case["input"])))
    assert found == {key: case["expect"][key] for key in found}


# --- the tables: a row that changes nothing hides something, or is dead


def _records() -> list[Run]:
    return [real.load(program) for program in PROGRAMS]


def test_every_improvement_changes_a_recorded_span() -> None:
    changed = set()
    for record in _records():
        for source in record.spans:
            span = translated(source)
            for improvement in IMPROVEMENTS:
                before = copy.deepcopy(span)
                improvement.apply(source, span)
                if span != before:
                    changed.add(improvement.name)
    assert changed == {improvement.name for improvement in IMPROVEMENTS}


def test_every_question_that_a_row_names_is_answered() -> None:
    headings = (HERE.parent.parent / "RATIONALE.md").read_text(encoding="utf-8").splitlines()
    sources = {row.source for table in (IMPROVEMENTS, LINES, FIELDS, ADDED) for row in table}
    assert [source for source in sources if source.endswith("?") and f"### {source}" not in headings] == []


def test_every_difference_of_a_line_is_one() -> None:
    dead = [line for line in LINES if line.real not in real.load(line.program).stdout or line.real == line.bridge]
    assert dead == []


def test_every_difference_of_a_field_is_one() -> None:
    dead = []
    for field in FIELDS:
        (source,) = (span for span in real.load(field.program).spans if span["span_id"] == field.span_id)
        span = expected(source)
        field.apply(span)
        if span == expected(source):
            dead.append(field)
    assert dead == []


def test_every_added_span_was_not_sent() -> None:
    sent = {(program, span["name"]) for program in PROGRAMS for span in real.load(program).spans}
    assert not sent & {(added.program, added.name) for added in ADDED}
