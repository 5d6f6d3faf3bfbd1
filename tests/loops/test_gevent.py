"""gevent, with and without its patches, in processes of their own."""

from __future__ import annotations

from typing import Any

import pytest

from compat.cells import cell
from loops.running import run_program
from loops.scenario import REQUESTS, whole

pytest.importorskip("gevent", reason="needs gevent: make compat")

patched_cell = cell("loops", "gevent, monkey-patched", packages=("gevent", "greenlet"))
greenlets_cell = cell("loops", "gevent greenlets", packages=("gevent", "greenlet"))


@pytest.fixture(scope="module")
def patched() -> dict[str, Any]:
    return run_program("gevent_patched.py")


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return run_program("gevent_plain.py")


def result(trees: list[str], result: object = None) -> dict[str, Any]:
    return {"trees": trees, "result": result, "error": None}


@patched_cell
@pytest.mark.parametrize("case", ["requests_in_greenlets", "requests_in_patched_threads"])
def test_requests_do_not_mix(patched: dict[str, Any], case: str) -> None:
    assert patched[case] == result(whole(range(REQUESTS)))


@patched_cell
def test_requests_over_http_do_not_mix(patched: dict[str, Any]) -> None:
    answers = [str(number) for number in range(REQUESTS)]
    assert patched["requests_over_http"] == result(whole(range(REQUESTS)), answers)


@patched_cell
def test_new_greenlet_starts_with_nothing_active(patched: dict[str, Any]) -> None:
    assert patched["new_greenlet"] == result(["1: request", "2: work"])


@patched_cell
def test_every_way_to_a_greenlet_takes_the_context_along(patched: dict[str, Any]) -> None:
    assert patched["every_way"] == result(["1: request(work work work work work work)"], ["acme"] * 6)


@patched_cell
def test_real_threads_of_gevent_take_the_context_along(patched: dict[str, Any]) -> None:
    assert patched["real_threads"] == result(["1: request(work work work work)"], ["acme"] * 4)


@patched_cell
def test_patched_executor_carries_the_context_of_each_submit(patched: dict[str, Any]) -> None:
    seen = [[f"tenant-{number}"] * 2 for number in range(REQUESTS)]
    assert patched["patched_executor"] == result(whole(range(REQUESTS), "request(work work)"), seen)


@patched_cell
def test_greenlet_that_outlives_the_request_is_in_its_trace(patched: dict[str, Any]) -> None:
    assert patched["greenlet_that_outlives"] == result(["1: request(work)", "2: request(native(query))"], ["acme"])


@patched_cell
def test_killed_and_failed_greenlets_leave_nothing_active(patched: dict[str, Any]) -> None:
    trees, ended = ["1: request(failing work(native) work(native))"], ["GreenletExit", "boom", "timeout"]
    assert patched["killed_and_failed"] == result(trees, ended)


@greenlets_cell
@pytest.mark.parametrize("case", ["requests_in_greenlets", "requests_in_bare_greenlets"])
def test_requests_in_greenlets_do_not_mix(plain: dict[str, Any], case: str) -> None:
    assert plain[case] == result(whole(range(REQUESTS)))


@greenlets_cell
def test_greenlets_are_given_the_context(plain: dict[str, Any]) -> None:
    assert plain["context_is_given"] == result(["1: request(work work work work)"], ["acme"] * 4)
