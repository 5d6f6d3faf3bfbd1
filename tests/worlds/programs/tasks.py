"""A Celery application, as a worker and, run by itself, as the request that calls it."""

from __future__ import annotations

import os

from celery import Celery
from sides import OLD, begin, entry, native_baggage, work

begin()
BROKER = os.environ["BROKER"]
if "publish" in OLD or "worker" in OLD:
    from celery_opentracing import CeleryTracing

    app = CeleryTracing("tasks", broker=BROKER, backend=BROKER)
else:
    app = Celery("tasks", broker=BROKER, backend=BROKER)
app.conf.task_default_queue = os.environ["QUEUE"]


@app.task(name="charge")
def charge() -> str:
    with work("count"):
        return "3"


if __name__ == "__main__":
    with entry("front"), work("work") as span, native_baggage("by", "native"):
        span.set_baggage_item("order", "42")
        print(charge.delay().get(timeout=30))
