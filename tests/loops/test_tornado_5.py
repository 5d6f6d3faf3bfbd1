"""OpenTracing's scope manager for tornado, with the last tornado that has what it needs."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pytest

from compat.cells import cell, limited
from loops.running import run_program
from loops.scenario import REQUESTS, whole

try:
    old_enough = int(importlib.metadata.version("tornado").split(".", maxsplit=1)[0]) < 6
except importlib.metadata.PackageNotFoundError:
    old_enough = False
if not old_enough:
    pytest.skip("needs tornado before 6: make compat", allow_module_level=True)

TRACERS = ["BridgeTracer", "the drop-in"]
ANSWERS = [f"200 {number}" for number in range(REQUESTS)]
pytestmark = [
    cell("loops", "TornadoScopeManager", packages=("opentracing", "tornado")),
    pytest.mark.parametrize("tracer", TRACERS),
]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return run_program("tornado_5.py")


def result(trees: list[str], result: object) -> dict[str, Any]:
    return {"trees": trees, "result": result, "error": None}


def test_manager_keeps_its_class(found: dict[str, Any], tracer: str) -> None:
    assert found[f"manager_keeps_its_class of {tracer}"] == result([], True)


def test_requests_in_coroutines_do_not_mix(found: dict[str, Any], tracer: str) -> None:
    trees = whole(range(REQUESTS), "request(query(native))")
    assert found[f"requests_in_coroutines of {tracer}"] == result(trees, ANSWERS)


def test_coroutines_callbacks_and_threads_of_a_request_are_in_its_trace(found: dict[str, Any], tracer: str) -> None:
    trees = whole(range(REQUESTS), "request(work work work)")
    assert found[f"coroutines_and_callbacks of {tracer}"] == result(trees, ANSWERS)


@limited(
    "tornado 5, the last one with stack contexts, needs collections.MutableMapping put back on Python 3.10 and later, "
    "and knows no context variables: a native span of OpenTelemetry that is open over a yield stays current in that "
    "coroutine; close it before the yield"
)
def test_native_span_over_a_step_of_a_coroutine_stays_current(found: dict[str, Any], tracer: str) -> None:
    assert found[f"native_spans_over_steps of {tracer}"] == result(["1: request(native)"], True)
