"""The same programs on OpenTracing's MockTracer and on ot_bridge.testing's: what their tests see is the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import opentracing
import pytest
from opentracing import mocktracer
from opentracing.harness.api_check import APICompatibilityCheckMixin
from opentracing.harness.scope_check import ScopeCompatibilityCheckMixin
from opentracing.scope_managers import ThreadLocalScopeManager

from mock_programs import DIFFERENCES, PROGRAMS
from ot_bridge import testing

PAGE = Path(__file__).parent.parent / "docs" / "testing.md"


def seen(value: Any) -> Any:
    """Return what a test can compare; of an exception's parts, what is the same in two runs."""
    if isinstance(value, BaseException):
        return type(value), str(value)
    return "traceback" if type(value).__name__ == "traceback" else value


def shown(tracer: Any) -> list[dict[str, Any]]:
    """Return all that MockSpan has of each finished span: ids as places in the list, times where they were given."""
    spans = tracer.finished_spans()
    ids = {span.context.span_id: number for number, span in enumerate(spans)}
    traces = list(dict.fromkeys(span.context.trace_id for span in spans))
    return [
        {
            "operation_name": span.operation_name,
            "tags": {key: seen(value) for key, value in span.tags.items()},
            "types": {key: type(value) for key, value in span.tags.items()},
            "logs": [
                ({key: seen(value) for key, value in log.key_values.items()}, _explicit(log.timestamp))
                for log in span.logs
            ],
            "times": (_explicit(span.start_time), _explicit(span.finish_time), span.finish_time >= span.start_time),
            "finished": span.finished,
            "parent": None if span.parent_id is None else ids.get(span.parent_id, "not finished"),
            "trace": traces.index(span.context.trace_id),
            "baggage": dict(span.context.baggage),
            "is of": (isinstance(span, opentracing.Span), span.tracer is tracer),
        }
        for span in spans
    ]


def _explicit(time_s: float) -> float | str:
    return time_s if time_s < 1_710_000_000 else "now"


def run(program: Callable[..., None], make: Callable[[], Any]) -> list[dict[str, Any]]:
    tracer = make()
    program(tracer, make)
    return shown(tracer)


MANAGERS = [None, ThreadLocalScopeManager]


@pytest.mark.parametrize("manager", MANAGERS, ids=["own-manager", "thread-local"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_program_is_seen_as_mocktracer_shows_it(program: Callable[..., None], manager: Any) -> None:
    made = [None if manager is None else manager() for _ in range(4)]
    expected = run(program, lambda: mocktracer.MockTracer(made.pop()))
    made = [None if manager is None else manager() for _ in range(4)]
    assert run(program, lambda: testing.MockTracer(made.pop())) == expected
    assert expected


@pytest.mark.parametrize("program", DIFFERENCES, ids=lambda program: program.__name__)
def test_difference_is_still_there(program: Callable[..., None]) -> None:
    assert run(program, testing.MockTracer) != run(program, mocktracer.MockTracer)


def test_page_lists_the_differences() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## What differs")[2]
    rows = re.findall(r"^\| (.*) \|$", table, flags=re.MULTILINE)
    assert rows[2:] == [" | ".join(row) for row in DIFFERENCES.values()]


class TestApi(APICompatibilityCheckMixin):
    """OpenTracing's checks of a tracer and its spans."""

    @pytest.fixture(autouse=True)
    def _closed(self) -> Any:
        self._tracer = testing.MockTracer()
        yield
        while self._tracer.scope_manager.active is not None:
            self._tracer.scope_manager.active.close()

    def tracer(self) -> testing.InMemoryTracer:
        return self._tracer

    def check_baggage_values(self) -> bool:
        return True

    def check_scope_manager(self) -> bool:
        return True

    def is_parent(self, parent: Any, span: Any) -> bool:
        return span.parent_id == (None if parent is None else parent.context.span_id)  # type: ignore[no-any-return]


class TestScopes(ScopeCompatibilityCheckMixin):
    """OpenTracing's checks of a scope manager."""

    @pytest.fixture(autouse=True)
    def _closed(self) -> Any:
        self._manager = testing.MockTracer().scope_manager
        yield
        while self._manager.active is not None:
            self._manager.active.close()

    def scope_manager(self) -> opentracing.ScopeManager:
        return self._manager
