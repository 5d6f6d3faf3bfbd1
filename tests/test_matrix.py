"""compat_matrix.md: it is what is printed, it leaves nothing out, and every test that it names is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import opentracing
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import test_tags
from named_tests import all_tests
from ot_bridge import BridgeSpan, BridgeSpanContext, BridgeTracer
from ot_bridge.codecs import CODECS
from ot_bridge.config import SETTINGS
from ot_bridge.conventions import LOG_RULES, TAG_RULES
from ot_bridge.matrix import held_by, page
from ot_bridge.matrix.api import API_RULES
from ot_bridge.matrix.page import SAMPLES
from ot_bridge.parents import REFERENCE_RULES
from ot_bridge.sampler_specs import SAMPLER_ROWS
from ot_bridge.tail_specs import LIMIT_ROWS, POLICY_ROWS
from ot_bridge.values import VALUE_RULES

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "compat_matrix.md"


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ot_bridge.cli", "matrix", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# -- the page and the command ------------------------------------------------------------------------------------------


def test_page_is_what_is_printed() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "compat_matrix.md is old: run `make matrix`"


def test_page_is_ascii() -> None:
    assert page().isascii()


def test_command_prints_the_page() -> None:
    done = command()
    assert (done.returncode, done.stdout, done.stderr) == (0, page(), "")


def test_check_of_the_page_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "new.md").write_text(page(), encoding="utf-8")
    done = command("--check", str(tmp_path / "new.md"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_check_of_an_old_page_shows_the_difference_and_fails(tmp_path: Path) -> None:
    old = tmp_path / "old.md"
    old.write_text(page().replace("| `any other` |", "| `anything else` |"), encoding="utf-8")
    done = command("--check", str(old))
    changed = [line.split(" | ")[0] for line in done.stdout.splitlines() if line.startswith(("-|", "+|"))]
    assert (done.returncode, changed) == (1, ["-| `anything else`", "+| `any other`"])
    assert "write it anew with 'make matrix'" in done.stderr


def test_check_of_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    done = command("--check", str(tmp_path / "nowhere.md"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "nowhere.md' does not exist" in done.stderr


# -- every row is there and is held ------------------------------------------------------------------------------------


def test_every_named_test_exists() -> None:
    named = set(re.findall(r"`(test_\w+::test_\w+)`", page()))
    assert len(named) > 100
    assert sorted(named - all_tests()) == []


TABLES = {
    "tags": ([rule.tag for rule in TAG_RULES], held_by.TAGS),
    "logs": ([rule.field for rule in LOG_RULES], held_by.LOGS),
    "values": ([rule.value for rule in VALUE_RULES], held_by.VALUES),
    "references": ([given for given, _ in REFERENCE_RULES], held_by.REFERENCES),
    "formats": ([*CODECS, "BINARY"], held_by.FORMATS),
    "samplers": (list(SAMPLER_ROWS), held_by.SAMPLERS),
    "tail": ([*POLICY_ROWS, *LIMIT_ROWS], held_by.TAIL),
    "settings": ([setting.name for setting in SETTINGS], held_by.SETTINGS),
}


@pytest.mark.parametrize("name", TABLES)
def test_tests_are_named_for_rows_that_are_there(name: str) -> None:
    rows, tests = TABLES[name]
    assert sorted(tests.keys() - set(rows)) == []


@pytest.mark.parametrize("name", TABLES)
def test_every_row_names_a_test(name: str) -> None:
    rows, tests = TABLES[name]
    assert [row for row in rows if not tests.get(row)] == []


def test_plain_tags_are_among_those_that_their_test_tries() -> None:
    tried = {tag for tag, _, _ in test_tags.PLAIN}
    said = {tag for tag, tests in held_by.TAGS.items() if "test_tags::test_tag_is_only_an_attribute" in tests}
    assert sorted(said - tried) == []


def test_values_shown_are_of_rows_that_are_there() -> None:
    assert sorted(SAMPLES.keys() - {rule.value for rule in VALUE_RULES}) == []


# -- nothing of the API is left out ------------------------------------------------------------------------------------


def api_names(owner: str) -> set[str]:
    """Return the names of one class that have a row."""
    found: set[str] = set()
    for rule in API_RULES:
        if rule.name.startswith(f"{owner}."):
            listed = re.sub(r" \(.*", "", rule.name.removeprefix(f"{owner}."))
            found.update(name.removesuffix("()") for name in listed.split(", "))
    return found


def public(cls: type) -> set[str]:
    return {name for name in vars(cls) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        ("Tracer", public(opentracing.Tracer) | public(BridgeTracer)),
        ("Span", public(opentracing.Span) | public(BridgeSpan)),
        ("SpanContext", (public(opentracing.SpanContext) | public(trace.SpanContext)) - {"EMPTY_BAGGAGE"}),
        ("Scope", public(opentracing.Scope)),
        ("ScopeManager", public(opentracing.ScopeManager)),
        ("opentracing", {"tracer", "global_tracer", "set_global_tracer", "start_child_span", "child_of"}),
    ],
)
def test_every_public_name_has_a_row(owner: str, names: set[str]) -> None:
    assert sorted(names - api_names(owner)) == []


@pytest.mark.parametrize("owner", ["Tracer", "Span", "SpanContext"])
def test_every_row_is_a_name_that_is_there(owner: str) -> None:
    cls = {"Tracer": BridgeTracer, "Span": BridgeSpan, "SpanContext": BridgeSpanContext}[owner]
    assert [name for name in api_names(owner) if not hasattr(cls, name)] == []


# -- rows that have no other test --------------------------------------------------------------------------------------


def test_start_child_span_gives_a_child(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    parent = tracer.start_span("parent")
    opentracing.start_child_span(parent, "child", tags={"k": "v"}).finish()
    (child,) = exporter.get_finished_spans()
    assert (child.name, child.parent, dict(child.attributes or {})) == ("child", parent.context, {"k": "v"})


def test_tracer_unwraps_to_opentelemetrys(tracer: BridgeTracer) -> None:
    assert isinstance(tracer.unwrap(), trace.Tracer)


def test_span_tells_its_flags_as_jaeger_does(tracer: BridgeTracer) -> None:
    sampled, debug = tracer.start_span("a"), tracer.start_span("b", tags={"sampling.priority": 1})
    dropped = tracer.start_span("c", tags={"sampling.priority": 0})
    assert [span.flags for span in (sampled, debug, dropped)] == [1, 3, 0]
    assert [(span.is_sampled(), span.is_debug()) for span in (sampled, debug)] == [(True, False), (True, True)]


def test_scope_knows_its_manager(tracer: BridgeTracer) -> None:
    with tracer.start_active_span("op") as scope:
        assert scope.manager is tracer.scope_manager
