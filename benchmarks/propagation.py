"""Headers in and out, beside jaeger-client and OpenTelemetry's own propagators.

    python benchmarks/propagation.py

Everybody is asked through the API that applications call: ``Tracer.inject`` and ``Tracer.extract`` of jaeger-client and
of the bridge, ``opentelemetry.propagate`` with the two propagators that it has by default. The names and values of the
headers to read are other objects in each request, as they are from a socket: what was remembered of one request is
compared, not merely recognised. What all cases contain, the loop with an empty carrier or the next one, is measured by
itself and taken off.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from timeit import Timer

import opentracing
from jaeger_client import ConstSampler
from jaeger_client import SpanContext as JaegerContext
from jaeger_client import Tracer as JaegerTracer
from jaeger_client.reporter import NullReporter
from names import JAEGER, NATIVE
from opentelemetry import baggage, propagate
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from side_by_side import LOOP, Effort, measure, repeated, table_of
from tables import Table
from topic import run

from ot_bridge import BridgeSpanContext, BridgeTracer, MixedFleetPropagator, Settings

HTTP = opentracing.Format.HTTP_HEADERS
TRACE_ID, SPAN_ID = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
OTHERS = {
    "Host": "shop.example", "User-Agent": "curl/8.1", "Accept": "*/*", "Accept-Encoding": "gzip", "Via": "1.1 proxy",
    "Content-Type": "application/json", "Content-Length": "512", "X-Request-Id": "7b2a", "X-Forwarded-For": "10.0.0.1",
    "X-Forwarded-Proto": "https", "Cache-Control": "no-cache", "Cookie": "session=abc",
}  # fmt: skip
FORMATS = {"uber": ("jaeger",), "W3C": ("tracecontext", "baggage"), "both": ("jaeger", "tracecontext", "baggage")}
INJECT, EXTRACT = "inject(context, HTTP, {})", "extract(HTTP, request())"
REQUESTS = 64

Headers = dict[str, str]


def tracer_for(formats: tuple[str, ...]) -> BridgeTracer:
    settings = Settings(extract=formats, inject=formats)
    return BridgeTracer(TracerProvider(shutdown_on_exit=False), settings=settings)


def jaeger_tracer() -> JaegerTracer:
    return JaegerTracer("benchmark", reporter=NullReporter(), sampler=ConstSampler(True))


def inject_cases(items: Headers) -> dict[str, Timer]:
    jaeger_context = JaegerContext(TRACE_ID, SPAN_ID, 0, 1, items)
    ids = SpanContext(TRACE_ID, SPAN_ID, False, TraceFlags(1))
    context = set_span_in_context(NonRecordingSpan(ids), Context())
    for key, value in items.items():
        context = baggage.set_baggage(key, value, context)
    bridge_context = BridgeSpanContext(TRACE_ID, SPAN_ID, False, TraceFlags(1), None, items)
    cases = {
        LOOP: statement("{}"),
        JAEGER: statement(INJECT, inject=jaeger_tracer().inject, context=jaeger_context),
        NATIVE: statement("inject({}, context)", inject=propagate.inject, context=context),
    }
    for name, formats in FORMATS.items():
        cases[f"ot_bridge {name}"] = statement(INJECT, inject=tracer_for(formats).inject, context=bridge_context)
    otel = MixedFleetPropagator(("tracecontext", "baggage"), ("tracecontext", "baggage"))
    cases["ot_bridge W3C, as propagator"] = statement("inject({}, context)", inject=otel.inject, context=context)
    return cases


def requests(formats: tuple[str, ...], items: Headers) -> Callable[[], Headers]:
    """Return what gives one request after the other, each with ids and strings of its own."""
    inject = tracer_for(formats).inject
    drawn = random.Random(1)  # noqa: S311  (the same ids in each run)
    carriers: list[Headers] = []
    for _ in range(REQUESTS):
        context = BridgeSpanContext(drawn.getrandbits(128), drawn.getrandbits(64), False, TraceFlags(1), None, items)
        headers = dict(OTHERS)
        inject(context, HTTP, headers)
        carriers.append({_copy(name): _copy(value) for name, value in headers.items()})
    return itertools.cycle(carriers).__next__


def extract_cases(items: Headers) -> dict[str, Timer]:
    received = {name: requests(formats, items) for name, formats in FORMATS.items()}
    uber, w3c = received["uber"], received["W3C"]
    cases = {
        LOOP: statement("request()", request=uber),
        JAEGER: statement(EXTRACT, extract=jaeger_tracer().extract, request=uber),
        NATIVE: statement("extract(request())", extract=propagate.extract, request=w3c),
    }
    for name, formats in FORMATS.items():
        extract = tracer_for(formats).extract
        cases[f"ot_bridge {name}"] = statement(EXTRACT, extract=extract, request=received[name])
    otel = MixedFleetPropagator(("tracecontext", "baggage"), ("tracecontext", "baggage"))
    cases["ot_bridge W3C, as propagator"] = statement("extract(request())", extract=otel.extract, request=w3c)
    return cases


def statement(text: str, **names: object) -> Timer:
    return repeated(text, {**names, "HTTP": HTTP})


CASES: dict[str, tuple[str, Callable[[Headers], Mapping[str, Timer]]]] = {
    "inject": ("inject", inject_cases),
    "extract": ("extract, beside 12 other headers", extract_cases),
}


def tables(effort: Effort) -> Iterator[Table]:
    propagate.set_global_textmap(CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()]))
    for count in (0, 3, 32):
        items = {f"key-{number}": f"value {number}" for number in range(count)}
        for key, (title, cases) in CASES.items():
            title = f"{title}, {count or 'no'} baggage items"
            yield table_of(f"{key}, {count}", title, measure(cases(items), effort, what=title), (NATIVE, JAEGER))


def _copy(text: str) -> str:
    return text.encode().decode()


if __name__ == "__main__":
    run(tables, __doc__)
