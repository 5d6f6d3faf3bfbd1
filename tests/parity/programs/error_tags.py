"""The error tag in every spelling, at the start and later, beside status codes, kinds and other tags that decide."""

import time

from jaeger_client import Config
from opentracing.ext import tags

ERRORS = [
    ("true", True),
    ("false", False),
    ("text-true", "true"),
    ("text-True", "True"),
    ("text-false", "false"),
    ("one", 1),
    ("zero", 0),
    ("one-point-zero", 1.0),
    ("message", "connection refused"),
    ("exception", RuntimeError("went wrong")),
    ("none", None),
]

SEQUENCES = [
    ("false-then-true", [("error", False), ("error", True)]),
    ("true-then-false", [("error", True), ("error", False)]),
    ("http-500", [("http.status_code", 500)]),
    ("http-404-no-kind", [("http.status_code", 404)]),
    ("http-404-server", [("span.kind", "server"), ("http.status_code", 404)]),
    ("http-404-client", [("http.status_code", 404), ("span.kind", "client")]),
    ("http-text-404-client", [("http.status_code", "404"), ("span.kind", "client")]),
    ("http-399", [("http.status_code", 399)]),
    ("http-99", [("http.status_code", 99)]),
    ("http-500-and-error-false", [("http.status_code", 500), ("error", False)]),
    ("http-500-with-message", [("http.status_code", 500), ("http.status_message", "out of order")]),
    ("error-with-message", [("error", True), ("http.status_message", "out of order")]),
    ("otel-error", [("otel.status_code", "ERROR"), ("otel.status_description", "said so")]),
    ("otel-ok-beside-500", [("otel.status_code", "OK"), ("http.status_code", 500)]),
    ("kind-client", [("span.kind", "client")]),
    ("kind-producer", [("span.kind", "producer")]),
    ("kind-consumer", [("span.kind", "consumer")]),
    ("kind-upper", [("span.kind", "SERVER")]),
    ("kind-unknown", [("span.kind", "worker")]),
    ("kind-twice", [("span.kind", "client"), ("span.kind", "server")]),
    ("peer-port-text", [("peer.port", "8080")]),
]


def main():
    tracer = Config(
        {"sampler": {"type": "const", "param": 1}, "reporter_queue_size": 1000}, service_name="errors"
    ).new_tracer()
    for name, value in ERRORS:
        tracer.start_span("start-" + name, tags={tags.ERROR: value}).finish()
        span = tracer.start_span("later-" + name)
        span.set_tag(tags.ERROR, value)
        span.finish()
    for name, pairs in SEQUENCES:
        span = tracer.start_span(name)
        for key, value in pairs:
            span.set_tag(key, value)
        span.finish()
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
