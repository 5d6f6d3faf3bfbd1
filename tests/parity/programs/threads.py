"""Worker threads: the parent is handed over, each thread has its own active span."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from jaeger_client import Config


def main():
    tracer = Config(
        {"sampler": {"type": "const", "param": 1}, "reporter_queue_size": 1000}, service_name="threads"
    ).new_tracer()
    barrier = threading.Barrier(3)

    def work(number, parent):
        before = tracer.active_span
        with tracer.start_active_span("work-%d" % number, child_of=parent) as scope:
            barrier.wait()  # all are active at once
            tracer.start_span("step-%d" % number).finish()
            own = tracer.active_span is scope.span
        return before is None, own, tracer.active_span is None

    with tracer.start_active_span("fan-out") as scope:
        with ThreadPoolExecutor(3) as pool:
            results = list(pool.map(work, range(3), [scope.span] * 3))
        print(results, tracer.active_span is scope.span)

    def activate(span):
        with tracer.scope_manager.activate(span, finish_on_close=True):
            tracer.start_span("in-another-thread").finish()

    handed = tracer.start_span("handed-over")
    thread = threading.Thread(target=activate, args=(handed,))
    thread.start()
    thread.join()
    print("finished there", handed.finished)
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
