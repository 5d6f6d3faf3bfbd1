"""Growth by counting: twice as much takes twice the steps of the interpreter, not four times."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import growth
import pytest
from names import BRIDGE

SERIES = [name for name in growth.SERIES if name != "threads at once"]  # a thread is traced by itself


def steps(work: Callable[[], object]) -> int:
    """Return how many instructions of Python's own it takes."""
    found = 0

    def count(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal found
        frame.f_trace_opcodes = True
        found += event == "opcode"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        work()
    finally:
        sys.settrace(before)
    return found


steps(lambda: None)  # Python 3.12 tells of no instruction the first time that somebody asks


def squared(size: int) -> None:
    for _ in range(size):
        for _ in range(size):
            pass


def test_steps_of_a_loop_in_a_loop_are_four_times_as_many() -> None:
    assert steps(lambda: squared(200)) / steps(lambda: squared(100)) > 3.9


@pytest.mark.parametrize("name", SERIES)
def test_twice_as_many_take_at_most_twice_the_steps(name: str) -> None:
    (small, half), (large, whole) = list(growth.cases(growth.SERIES[name], BRIDGE))[-2:]
    assert large == 2 * small
    for warm_up in (half, whole):
        warm_up.timeit(1)
    assert steps(lambda: whole.timeit(1)) / steps(lambda: half.timeit(1)) < 2.05
