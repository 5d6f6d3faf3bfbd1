"""Every shape of log: with and without an event, the deprecated calls, errors with and without their objects."""

import sys
import time
import traceback

from jaeger_client import Config


def boom():
    raise ValueError("boom")


def main():
    tracer = Config({"sampler": {"type": "const", "param": 1}}, service_name="logs").new_tracer()

    span = tracer.start_span("plain")
    span.log_kv({"event": "started"})
    span.log_kv({"event": "query", "rows": 3, "cached": False, "ratio": 0.5, "table": "users"})
    span.log_kv({"message": "no event here"})
    span.log_kv({"event": "with message", "message": "hello", "payload": {"a": 1}})
    span.log_kv({})
    span.log_kv({"event": 5, "a": 1})
    span.log_kv({"event": "", "a": 1})
    span.log_kv({"event": "nothing", "value": None, "items": [1, 2], "raw": b"abc"})
    span.log_kv({"event": "given time"}, timestamp=1577836800.5)
    span.finish()

    span = tracer.start_span("deprecated")
    span.log_event("cache miss")
    span.log_event("cache fill", payload={"size": 10})
    span.log(event="logged", payload="text")
    span.log(event="logged alone")
    span.log(event="at a time", timestamp=1577836800.5)
    span.info("for your information")
    span.info("with payload", payload="more")
    span.finish()

    span = tracer.start_span("deprecated-error")
    print("chain", span.error("it broke") is span)
    span.error("it broke again", payload="details")
    span.finish()

    span = tracer.start_span("error-logs")
    try:
        boom()
    except ValueError as error:
        span.log_kv(
            {
                "event": "error",
                "message": str(error),
                "error.object": error,
                "error.kind": type(error),
                "stack": sys.exc_info()[2],
            }
        )
    span.finish()

    span = tracer.start_span("error-log-texts")
    span.log_kv({"event": "error", "message": "payment refused", "error.kind": "PaymentError", "stack": "line 1"})
    span.log_kv({"event": "error", "error.object": "just a text"})
    span.log_kv({"event": "error"})
    span.finish()

    span = tracer.start_span("exceptions-elsewhere")
    try:
        boom()
    except ValueError as error:
        span.log_kv({"event": "exception", "error.object": error})
        span.log_kv({"exception": error, "lines": len(traceback.format_exc().splitlines()) > 2})
    span.finish()
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
