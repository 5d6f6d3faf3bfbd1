"""Test code that is traced: with pytest by the fixture, or in any code by ``installed()``.

Run it: ``python examples/test_with_memory.py``, or ``pytest examples/test_with_memory.py``.
"""

from __future__ import annotations

import opentracing

from ot_bridge.testing import InMemoryTracer


def reserve(item: str, stock: dict[str, int]) -> bool:
    """What is tested: it knows of OpenTracing, and of nothing else."""
    with opentracing.global_tracer().start_active_span("reserve", tags={"item": item}) as scope:
        if not stock.get(item):
            scope.span.log_kv({"event": "sold out"})
            return False
        stock[item] -= 1
        return True


def test_reserved_item_is_a_tag(ot_bridge_tracer: InMemoryTracer) -> None:
    assert reserve("teapot", {"teapot": 3})
    (span,) = ot_bridge_tracer.finished_spans()
    assert (span.operation_name, span.tags, span.logs) == ("reserve", {"item": "teapot"}, [])


def test_sold_out_item_is_a_log(ot_bridge_tracer: InMemoryTracer) -> None:
    assert not reserve("lamp", {})
    (span,) = ot_bridge_tracer.finished_spans()
    assert [log.key_values for log in span.logs] == [{"event": "sold out"}]


if __name__ == "__main__":
    for test in (test_reserved_item_is_a_tag, test_sold_out_item_is_a_log):
        with InMemoryTracer().installed() as tracer:
            test(tracer)
        for span in tracer.finished_spans():
            print(f"{test.__name__}: {span.operation_name} {span.tags} {[log.key_values for log in span.logs]}")
