"""An application of celery-opentracing: a client makes it with a tracer of its own, the worker in celery_worker.py."""

from __future__ import annotations

from typing import Any

from celery_opentracing import CeleryTracing

__all__ = ["made"]


def made(broker: str, backend: str, **options: Any) -> CeleryTracing:
    """Return the application and its tasks."""
    app = CeleryTracing("shop", broker=broker, backend=backend, set_as_current=False, **options)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        result_expires=60,
        task_ignore_result=False,
        worker_hijack_root_logger=False,
        worker_prefetch_multiplier=1,
    )

    @app.task(name="shop.add", shared=False)
    def add(left: int, right: int) -> dict[str, Any]:
        span = app._tracer.active_span
        with app._tracer.start_active_span("sum"):
            return {"sum": left + right, "tenant": span.get_baggage_item("tenant")}

    @app.task(name="shop.order", shared=False)
    def order(number: int) -> None:
        add.delay(number, number)

    @app.task(name="shop.fail", shared=False)
    def fail(message: str) -> None:
        raise ValueError(message)

    @app.task(name="shop.later", shared=False, bind=True, max_retries=2)
    def later(task: Any) -> int:
        if not task.request.retries:
            raise task.retry(countdown=0, exc=ValueError("not yet"))
        return int(task.request.retries)

    return app
