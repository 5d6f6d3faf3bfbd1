"""The benchmarks run, judge and draw what they measure; what the figures are is nobody's test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree as ET

import chart
import goals
import page
import pytest
from tables import Cell, Column, Table, from_json, to_json

ROOT = Path(__file__).parent.parent
LIMIT_S = 300
SVG = "{http://www.w3.org/2000/svg}"

PEERS = ["native SDK", "official shim", "jaeger-client"]
OURS = ["ot_bridge", "ot_bridge, redact off"]
DROP_IN = "ot_bridge.jaeger_client"
SPANS = [*PEERS, "OpenTracing no-op", *OURS, DROP_IN]
HEADERS = [
    "jaeger-client",
    "native SDK",
    *(f"ot_bridge {name}" for name in ("uber", "W3C", "both", "W3C, as propagator")),
]
EXPORTS = [
    *(f"{name}, official OTLP/{how}" for name in ("native SDK", "ot_bridge") for how in ("HTTP", "gRPC")),
    "official shim, official OTLP/HTTP",
    "jaeger-client, UDP to its agent",
]
OWN = [f"{name}, own encoder, {how}" for name in ("native SDK", "ot_bridge") for how in ("HTTP", "gRPC")]
GROWING = [
    "tags on one span", "logs on one span", "spans inside each other", "baggage items sent",
    "baggage items that a child inherits", "baggage items beside one more", "threads at once", "asyncio tasks at once",
]  # fmt: skip
STARTS = [
    "Python alone", "the SDK imported", "import ot_bridge", "from ot_bridge import install",
    "the SDK set up by hand, with OTLP/HTTP", "ot_bridge.install()",
]  # fmt: skip
HAS_OWN_ENCODER = find_spec("ot_bridge.otlp") is not None

EXPECTED: Mapping[str, Mapping[str, list[str]]] = {
    "spans": {
        **{
            f"spans, {name}": SPANS
            for name in ("sampled", "unsampled", "nested", "HTTP", "error", "custom sampler", "three processors")
        },
        "spans, tail": ["native SDK", "jaeger-client", *OURS],
    },
    "propagation": {f"{way}, {count}": HEADERS for way in ("inject", "extract") for count in (0, 3, 32)},
    "export": {"export": EXPORTS + OWN * HAS_OWN_ENCODER, "exporting": OWN * HAS_OWN_ENCODER},
    "memory": {f"memory, {name}": [*PEERS, *OURS, DROP_IN] for name in ("live", "buffered")},
    "growth": {f"growth, {name}": ["native SDK", "ot_bridge"] for name in GROWING},
    "footprint": {"footprint": STARTS, "wheel": ["wheel"]},
}
"""Topic -> the key of each table -> its rows."""


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    # Its figures are worth nothing beside a tracer of coverage; no outer options reach the peers.
    command = [sys.executable, str(ROOT / "benchmarks"), *arguments]
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "nonsense", "COLUMNS": "120"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Table]]:
    """What a run of all topics but valgrind's printed, and its tables."""
    if find_spec("opentelemetry.shim") is None:
        pytest.skip("needs the extra bench, for the peers")
    into = tmp_path_factory.mktemp("bench") / "tables.json"
    done = bench("--smoke", "--into", str(into), *EXPECTED)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout, from_json(json.loads(into.read_text(encoding="utf-8")))


@pytest.mark.parametrize("topic", EXPECTED)
def test_every_case_of_a_topic_has_its_row(topic: str, smoke: tuple[str, list[Table]]) -> None:
    found = {table.key: sorted(table.rows) for table in smoke[1]}
    assert {key: found[key] for key in EXPECTED[topic]} == {key: sorted(rows) for key, rows in EXPECTED[topic].items()}


def test_every_goal_has_a_figure_and_is_printed(smoke: tuple[str, list[Table]]) -> None:
    judged = [verdict for verdict in goals.judge(smoke[1]) if verdict.goal.table != "instructions"]
    unmeasured = {verdict.goal.metric for verdict in judged if verdict.cell is None}
    assert unmeasured == (set() if HAS_OWN_ENCODER else {"make and export, own encoder", "export alone, own encoder"})
    lines = [" ".join(line.replace("│", " ").split()) for line in smoke[0].splitlines()]
    assert [verdict for verdict in judged if " ".join(verdict.texts()) not in lines] == []


def test_no_span_is_lost_on_its_way_to_the_receiver(smoke: tuple[str, list[Table]]) -> None:
    (table,) = (table for table in smoke[1] if table.key == "export")
    assert [note for note in table.notes if "not measured" not in note] == []


def test_a_topic_that_is_not_there_is_refused_by_name() -> None:
    done = bench("spams")
    assert done.returncode == 2
    assert "no topic spams: there are spans, propagation" in done.stderr


# --- goals


def judged(value: float | None) -> tuple[bool, list[str]]:
    """Return the verdict on the first goal, at 0.20, and what is printed of it."""
    table = Table("spans, sampled", "", (Column("x native SDK"),), {"ot_bridge": [value and Cell(value, 0.1, 0.3)]})
    verdict = goals.judge([table])[0]
    return verdict.met, verdict.texts()


def test_a_goal_is_met_up_to_its_limit() -> None:
    row = ["sampled span", "x native SDK", "0.20"]
    assert judged(0.2) == (True, [*row, "0.200 (0.100-0.300)", "met"])
    assert judged(0.201) == (False, [*row, "0.201 (0.100-0.300)", "NOT met"])


def test_a_goal_that_was_not_measured_is_not_met() -> None:
    unmeasured = (False, ["sampled span", "x native SDK", "0.20", "not measured", "NOT met"])
    assert (judged(None), goals.judge([])[0].texts()) == (unmeasured, unmeasured[1])


# --- tables, page and chart


def test_tables_come_back_from_json_as_they_were() -> None:
    table = Table("key", "title", (Column("us"), Column("x", 0)), {"a": [Cell(1.5, 1.0, 2.0), None]}, ["a note"])
    assert from_json(json.loads(json.dumps(to_json([table])))) == [table]


def test_the_page_and_the_chart_are_those_of_the_stored_figures() -> None:
    docs = ROOT / "docs"
    made = page.pages(docs, *page.load(docs))
    assert {name: (docs / name).read_text(encoding="utf-8") for name in made} == dict(made)


def test_a_page_without_the_marks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "performance.md").write_text("# Performance", encoding="utf-8")
    with pytest.raises(ValueError, match="cannot write goals into the page"):
        page.pages(tmp_path, "a machine", [])


def test_the_chart_is_well_formed_whatever_its_texts_are() -> None:
    drawn = ET.fromstring(chart.draw({"a <span> & more": {"ot_bridge": 0.2}, "none": {}}, 'CPU "x" & <y>'))  # noqa: S314
    texts = [text.text for text in drawn.iter(f"{SVG}text")]
    assert [text for text in texts if text in ("a <span> & more", "none", "0.20", 'CPU "x" & <y>')] == [
        "a <span> & more", "0.20", "none", 'CPU "x" & <y>',
    ]  # fmt: skip
    described = {name: drawn.findtext(f"{SVG}{name}") for name in ("title", "desc")}
    assert described == {
        "title": "Cost beside OpenTelemetry's native SDK",
        "desc": 'The native SDK is 1. a <span> & more: ot_bridge 0.20; none: not measured. CPU "x" & <y>',
    }


def test_the_chart_draws_a_bar_for_each_figure_and_cuts_one_that_is_too_long() -> None:
    figures = {"span": {"ot_bridge": 0.2, "jaeger-client": 0.6, "official shim": 99.0}}
    drawn = ET.fromstring(chart.draw(figures, ""))  # noqa: S314
    bars = {bar.get("class"): float(bar.get("width", "")) for bar in list(drawn.iter(f"{SVG}rect"))[3:]}
    assert bars == {"bridge": 64.0, "jaeger": 192.0, "shim": 496.0}
    assert [text.text for text in drawn.iter(f"{SVG}text")][-4:] == ["0.20", "0.60", "99.00", "native SDK = 1"]
    assert float(drawn.get("width", "")) > 200 + 496


def test_the_chart_fetches_nothing() -> None:
    drawn = chart.draw({}, "").replace("http://www.w3.org/2000/svg", "")
    assert [word for word in ("http", "url(", "@import", "<script", "@font-face") if word in drawn] == []
