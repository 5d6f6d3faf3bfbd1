"""OpenTracing's own conformance harness, every check of it on: what any tracer owes the applications that call it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentracing import ScopeManager, Span
from opentracing.harness.api_check import APICompatibilityCheckMixin
from opentracing.harness.scope_check import ScopeCompatibilityCheckMixin

from ot_bridge import BridgeTracer


def _checks(mixin: type) -> list[str]:
    return [name for name in dir(mixin) if name.startswith("test_")]


def close_all(manager: ScopeManager) -> None:
    """Close what a check left open on purpose, so that it leaks into no other test."""
    for _ in range(10):
        scope = manager.active
        if scope is None:
            return
        scope.close()


class TestApi(APICompatibilityCheckMixin):
    """The 25 checks of the tracer and its spans."""

    @pytest.fixture(autouse=True)
    def _tracer_under_check(self, provider: TracerProvider) -> Iterator[None]:
        self._tracer = BridgeTracer(provider)
        yield
        close_all(self._tracer.scope_manager)

    def tracer(self) -> BridgeTracer:
        return self._tracer

    def check_baggage_values(self) -> bool:
        return True

    def check_scope_manager(self) -> bool:
        return True

    def is_parent(self, parent: Span | None, span: Span) -> bool:
        found = span.unwrap().parent  # type: ignore[attr-defined]
        if parent is None:
            return found is None
        return found is not None and found.span_id == parent.context.span_id  # type: ignore[attr-defined]


class TestScopes(ScopeCompatibilityCheckMixin):
    """The 8 checks of the scope manager, with spans that are only mocks of OpenTracing's interface."""

    @pytest.fixture(autouse=True)
    def _manager_under_check(self, provider: TracerProvider) -> Iterator[None]:
        self._manager = BridgeTracer(provider).scope_manager
        yield
        close_all(self._manager)

    def scope_manager(self) -> ScopeManager:
        return self._manager


def test_the_harness_still_holds_33_checks() -> None:
    assert len(_checks(APICompatibilityCheckMixin)) + len(_checks(ScopeCompatibilityCheckMixin)) == 33
