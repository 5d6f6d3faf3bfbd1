"""For the tests of applications: a tracer that keeps its spans in memory, in the shape of OpenTracing's ``MockTracer``.

::

    from ot_bridge.testing import MockTracer  # was: from opentracing.mocktracer import MockTracer

    tracer = MockTracer()
    with tracer.start_active_span("charge", tags={"span.kind": "client"}) as scope:
        scope.span.log_kv({"event": "paid"})
    (span,) = tracer.finished_spans()
    assert (span.operation_name, span.tags, span.logs[0].key_values["event"]) == (
        "charge", {"span.kind": "client"}, "paid",
    )
    assert span.otel.kind.name == "CLIENT"  # what would be sent

pytest finds a fixture in the installed package, ``ot_bridge_tracer``: see :mod:`ot_bridge.pytest_plugin`.
"""

from ot_bridge.testing.span import LogData, as_dict
from ot_bridge.testing.tracer import InMemoryTracer, LeakedScopeWarning, MockTracer

__all__ = ["InMemoryTracer", "LeakedScopeWarning", "LogData", "MockTracer", "as_dict"]
