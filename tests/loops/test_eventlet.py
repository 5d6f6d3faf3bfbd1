"""eventlet, in a process of its own that it patched."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from compat.cells import cell
from loops.running import run_program
from loops.scenario import REQUESTS, whole

if importlib.util.find_spec("eventlet") is None:  # not imported: it patches, and says that it is deprecated
    pytest.skip("needs eventlet: make compat", allow_module_level=True)

pytestmark = cell("loops", "eventlet, monkey-patched", packages=("eventlet", "greenlet"))


@pytest.fixture(scope="module")
def patched() -> dict[str, Any]:
    return run_program("eventlet_patched.py")


def result(trees: list[str], result: object = None) -> dict[str, Any]:
    return {"trees": trees, "result": result, "error": None}


@pytest.mark.parametrize("case", ["requests_in_greenlets", "requests_in_a_pool", "requests_in_patched_threads"])
def test_requests_do_not_mix(patched: dict[str, Any], case: str) -> None:
    assert patched[case] == result(whole(range(REQUESTS)))


def test_requests_over_http_do_not_mix(patched: dict[str, Any]) -> None:
    answers = [str(number) for number in range(REQUESTS)]
    assert patched["requests_over_http"] == result(whole(range(REQUESTS)), answers)


def test_new_greenlet_starts_with_nothing_active(patched: dict[str, Any]) -> None:
    assert patched["new_greenlet"] == result(["1: request", "2: work"])


def test_every_way_to_a_greenlet_or_thread_takes_the_context_along(patched: dict[str, Any]) -> None:
    assert patched["every_way"] == result(["1: request(work work work work work)"], ["acme"] * 5)


def test_greenlet_that_outlives_the_request_is_in_its_trace(patched: dict[str, Any]) -> None:
    assert patched["greenlet_that_outlives"] == result(["1: request(work)", "2: request(native(query))"], ["acme"])


def test_killed_and_failed_greenlets_leave_nothing_active(patched: dict[str, Any]) -> None:
    trees, ended = ["1: request(failing work(native) work(native))"], ["GreenletExit", "ValueError boom"]
    assert patched["killed_and_failed"] == result(trees, ended)
