"""Exceptions that leave with-blocks, and handlers that tag, log and raise again."""

import time
import traceback

from jaeger_client import Config
from opentracing.ext import tags


class PaymentError(Exception):
    pass


def charge(tracer, amount):
    with tracer.start_active_span("charge") as scope:
        scope.span.set_tag("amount", amount)
        if amount < 0:
            raise PaymentError("negative amount: %d" % amount)


def handled(tracer):
    with tracer.start_active_span("handled") as scope:
        try:
            charge(tracer, -5)
        except PaymentError as error:
            scope.span.set_tag(tags.ERROR, True)
            scope.span.log_kv({"event": "error", "error.object": error, "message": "payment failed"})


def logged_and_raised(tracer):
    with tracer.start_active_span("logged-and-raised") as scope:
        try:
            charge(tracer, -6)
        except PaymentError as error:
            scope.span.set_tag(tags.ERROR, True)
            scope.span.log_kv({"event": "error", "error.object": error})
            raise


def main():
    tracer = Config({"sampler": {"type": "const", "param": 1}}, service_name="raising").new_tracer()
    try:
        with tracer.start_span("plain-span"):
            raise KeyError("missing")
    except KeyError as error:
        print("passed through", repr(error))
    handled(tracer)
    try:
        logged_and_raised(tracer)
    except PaymentError as error:
        print("raised again", error)
    try:
        with tracer.start_active_span("outer"), tracer.start_active_span("inner"):
            raise PaymentError("both see it")
    except PaymentError:
        print("frames", len(traceback.format_exc().splitlines()) > 2)
    try:
        with tracer.start_active_span("stopped"):
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        print("stopped")
    with tracer.start_active_span("not-raised"):
        pass
    print("nothing active", tracer.active_span)
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
