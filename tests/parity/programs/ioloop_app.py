"""A Tornado application: the tracer shares its loop, handlers are coroutines, close is awaited on the loop."""

import opentracing
from jaeger_client import Config
from tornado import gen
from tornado.ioloop import IOLoop


@gen.coroutine
def lookup(parent, name):
    span = opentracing.tracer.start_span("lookup", child_of=parent, tags={"user.name": name})
    yield gen.sleep(0.01)
    span.log_kv({"event": "found", "rows": len(name)})
    span.finish()
    raise gen.Return(name.upper())


@gen.coroutine
def handle(name):
    span = opentracing.global_tracer().start_span("GET /users", tags={"span.kind": "server", "http.status_code": 200})
    try:
        result = yield lookup(span, name)
        raise gen.Return(result)
    finally:
        span.finish()


@gen.coroutine
def main():
    config = Config({"sampler": {"type": "const", "param": True}}, service_name="tornado-users")
    tracer = config.initialize_tracer(io_loop=IOLoop.current())
    answer = yield handle("ann")
    print("answer", answer)
    yield tracer.close()
    print("closed")


if __name__ == "__main__":
    IOLoop.current().run_sync(main)
