"""OpenTracing code beside OpenTelemetry's own instrumentations: the same requests with each on, off, and half of each.

What is run, and what must come of it, is data: see worlds/table.py.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from compat.cells import cell, limited
from worlds.running import LAUNCHERS, Outcome, run, tree
from worlds.table import CASES, Case

pytest.importorskip("opentelemetry.instrumentation.flask", reason="needs OpenTelemetry's instrumentations: make compat")

Run = tuple[Case, str]
OUTSIDE = [["", ""], ["0", "0"]]
"""What a log has instead of ids where no span is active: OpenTracing code's choice, and OpenTelemetry's."""


def _parameters(cases: Sequence[Case]) -> list[object]:
    found = []
    for case in cases:
        for launcher in LAUNCHERS:
            marks = []
            if launcher != "install()":
                row, packages = f"{case.row} under {launcher}", case.layer.packages
                marks.append(cell("worlds", row, case.column, packages=packages, counterpart=case.layer.counterpart))
            elif case.column != "both" or case.number:
                continue  # it differs from `ot-bridge run` by who calls install() alone
            if case.limit is not None:
                marks.append(limited(case.limit.reason, rationale=case.limit.rationale))
            found.append(pytest.param((case, launcher), id=f"{case.name}-{launcher}", marks=marks))
    return found


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Run, Future[Outcome]]]:
    """The runs of all tests that were chosen: at the same time, as many as there are processors."""
    chosen = [item.callspec.params["case"] for item in request.session.items if "outcomes" in item.fixturenames]
    names = {case.layer.server for case, _ in chosen} - {""}
    servers = {"": "", **{name: request.getfixturevalue(name).url for name in sorted(names)}}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = {}
        for case, launcher in chosen:
            key = (case.name, launcher)
            if key not in found:
                folder = tmp_path_factory.mktemp("run")
                found[key] = pool.submit(run, case, launcher, folder, servers[case.layer.server])
        yield found
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def outcome(outcomes: dict[Run, Future[Outcome]], case: Run) -> Outcome:
    """What came of the test's run."""
    return outcomes[case[0].name, case[1]].result()


@pytest.mark.parametrize("case", _parameters(CASES))
def test_spans_are_one_tree(case: Run, outcome: Outcome) -> None:
    assert tree(outcome.spans) == case[0].tree


@pytest.mark.parametrize("case", _parameters(CASES))
def test_baggage_is_the_same_in_both_apis(case: Run, outcome: Outcome) -> None:
    wanted = case[0].baggage
    spans = [one for one in outcome.spans if "baggage.opentracing" in one.attributes]
    seen = {
        (one.span.name, one.attributes["baggage.opentracing"], one.attributes["baggage.opentelemetry"]) for one in spans
    }
    texts = {name: json.dumps(dict(sorted(items.items()))) for name, items in wanted.items()}
    assert seen == {(name, text, text) for name, text in texts.items()}


@pytest.mark.parametrize("case", _parameters(CASES))
def test_doubles_are_named_and_nothing_else_is_said(case: Run, outcome: Outcome) -> None:
    said = outcome.errors.splitlines()
    doubles = [line for line in said if " both make a " in line]
    pairs = case[0].warned
    assert len(doubles) == len(pairs), outcome.errors
    assert all(name in line for pair, line in zip(pairs, doubles, strict=True) for name in pair), outcome.errors
    noise = () if case[0].limit is None else case[0].limit.noise
    assert all(text in outcome.errors for text in noise)
    assert noise or len(said) == len(doubles), outcome.errors


@pytest.mark.parametrize("case", _parameters([case for case in CASES if case.row == "logging"]))
def test_logs_have_the_ids_of_the_active_span(case: Run, outcome: Outcome) -> None:
    (span,) = (one.span for one in outcome.spans if one.span.name == "count")
    ids = [span.trace_id.hex(), span.span_id.hex()]
    way = case[0].who["logging"]
    lines = [json.loads(line) for line in outcome.printed.splitlines()]
    inside = {line["by"]: line["ids"] for line in lines if line["message"] == "inside"}
    outside = [found for line in lines if line["message"] != "inside" for found in line.get("ids", ())]
    assert inside == {
        "logging": [ids] * (2 if way == "both" else 1),
        "structlog": [ids] * (1 if way == "native" else 2),
    }
    assert [line["message"] for line in lines] == [word for word in ("before", "inside", "after") for _ in range(2)]
    assert all(found in OUTSIDE for found in outside)
