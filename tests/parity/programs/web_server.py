"""A request handler of the usual kind: extract, one server span, a client span whose headers are sent on."""

import time

import opentracing
from jaeger_client import Config
from opentracing.ext import tags
from opentracing.propagation import Format


def call_backend(tracer, path):
    with tracer.start_active_span("backend-call") as scope:
        span = scope.span
        span.set_tag(tags.SPAN_KIND, tags.SPAN_KIND_RPC_CLIENT)
        span.set_tag(tags.HTTP_URL, "http://backend.local" + path)
        span.set_tag(tags.PEER_SERVICE, "backend")
        span.set_tag(tags.PEER_PORT, 8080)
        headers = {}
        tracer.inject(span.context, Format.HTTP_HEADERS, headers)
        span.set_tag(tags.HTTP_STATUS_CODE, 503 if path == "/broken" else 200)
        return headers


def handle(tracer, method, path, headers):
    parent = tracer.extract(Format.HTTP_HEADERS, headers)
    print(method, path, "continues a trace" if parent is not None else "starts a trace")
    with tracer.start_active_span(
        "%s %s" % (method, path),
        child_of=parent,
        tags={
            tags.COMPONENT: "Flask",
            tags.HTTP_METHOD: method,
            tags.HTTP_URL: "http://shop.local" + path,
            tags.SPAN_KIND: tags.SPAN_KIND_RPC_SERVER,
        },
    ) as scope:
        outgoing = call_backend(tracer, path)
        context = scope.span.context
        print("same trace", outgoing["uber-trace-id"].split(":")[0].lstrip("0") == "%x" % context.trace_id)
        status = 500 if path == "/broken" else 404 if path == "/nothing" else 200
        scope.span.set_tag(tags.HTTP_STATUS_CODE, status)
        if status == 500:
            scope.span.set_tag(tags.ERROR, True)
        return status


def main():
    config = Config({"sampler": {"type": "const", "param": 1}}, service_name="shop", validate=True)
    tracer = config.initialize_tracer()
    print("global", opentracing.tracer is tracer, opentracing.global_tracer() is tracer)
    print(handle(tracer, "GET", "/cart", {"Host": "shop.local"}))
    print(handle(tracer, "GET", "/broken", {"Uber-Trace-Id": "6c0ffee5eed00001:6c0ffee5eed00002:0:1"}))
    print(handle(tracer, "POST", "/nothing", {"uber-trace-id": "6c0ffee5eed00001%3A6c0ffee5eed00003%3A0%3A1"}))
    # the caller decided against this one
    print(handle(tracer, "GET", "/quiet", {"uber-trace-id": "6c0ffee5eed00009:6c0ffee5eed00004:0:0"}))
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
