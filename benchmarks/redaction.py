"""What redaction costs on spans with nothing to redact, on and off in turns: ``python benchmarks/redaction.py``."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable
from timeit import Timer
from typing import Any

from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from rich.table import Table
from side_by_side import measure
from tables import console, show_machine

from ot_bridge import BridgeTracer, Settings
from ot_bridge.redacting import protect
from ot_bridge.redaction import Redactor

ATTRIBUTES: dict[str, Any] = {
    "component": "flask",
    "http.method": "GET",
    "http.url": "http://shop.example:8080/orders?page=2&size=50",
    "http.status_code": 200,
    "peer.service": "payment-service",
    "db.statement": "SELECT id, name FROM orders WHERE customer = ? AND state = ?",
    "retry": False,
    "order.id": "7b2a9d3e-5f10-4c2e-9a53-0c7f1c1d9e11",
}
INITIAL = {key: ATTRIBUTES[key] for key in ("component", "http.method")}
LATER = {key: value for key, value in ATTRIBUTES.items() if key not in INITIAL}
NUMBERS = itertools.count()


class Ignoring(SpanProcessor):
    """A processor that does nothing: an exporter would only add noise."""


def tracer_of(redact: str, *, native: bool) -> Any:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Ignoring())
    settings = Settings(redact=redact)
    if native:
        protect(provider, settings)
        return provider.get_tracer("benchmark")
    return BridgeTracer(provider, settings=settings)


def known(tracer: Any) -> Callable[[], object]:
    """Return a span whose values were all seen before."""

    def span() -> None:
        started = tracer.start_span("op", tags=INITIAL)
        for key, value in LATER.items():
            started.set_tag(key, value)
        started.finish()

    return span


def fresh(tracer: Any) -> Callable[[], object]:
    """Return a span with one id and one URL that nobody has seen before."""

    def span() -> None:
        number = next(NUMBERS)
        started = tracer.start_span("op", tags=INITIAL)
        for key, value in LATER.items():
            started.set_tag(key, value)
        started.set_tag("order.id", f"7b2a9d3e-5f10-4c2e-9a53-{number:012x}")
        started.set_tag("http.url", f"http://shop.example:8080/orders?page=2&order={number}")
        started.finish()

    return span


def bare(tracer: Any) -> Callable[[], object]:
    """Return a span without attributes."""
    return lambda: tracer.start_span("op").finish()


def native(tracer: Any) -> Callable[[], object]:
    """Return a native span whose values were all seen before."""

    def span() -> None:
        started = tracer.start_span("op", attributes=INITIAL)
        for key, value in LATER.items():
            started.set_attribute(key, value)
        started.end()

    return span


SPANS: dict[str, tuple[Callable[[Any], Callable[[], object]], bool]] = {
    "no attributes": (bare, False),
    "8 attributes, values seen before": (known, False),
    "8 attributes, a new id and a new URL": (fresh, False),
    "native, 8 attributes, values seen before": (native, True),
}


def main() -> None:
    """Measure and print."""
    show_machine()
    table = Table(
        title="nanoseconds per clean span; the difference is the median of that of the rounds", title_justify="left"
    )
    for column in ("", "off", "on", "difference"):
        table.add_column(column, justify="right" if column else "left")
    for name, (make, is_native) in SPANS.items():
        rounds = measure({mode: Timer(make(tracer_of(mode, native=is_native))) for mode in ("off", "default")})
        differences = [on - off for on, off in zip(rounds["default"], rounds["off"], strict=True)]
        figures = (
            statistics.median(rounds["off"]),
            statistics.median(rounds["default"]),
            statistics.median(differences),
        )
        table.add_row(name, *(f"{figure * 1e9:,.0f}" for figure in figures))
    console.print(table)

    rules = Redactor()
    texts = Table(title="nanoseconds per clean text that is new", title_justify="left")
    texts.add_column("")
    texts.add_column("ns", justify="right")
    for name, text in {
        "7 digits": "{:07}",
        "UUID": "7b2a9d3e-5f10-4c2e-9a53-{:012x}",
        "3 KB of SQL": "SELECT a FROM t {} " * 1 + "WHERE b = ? " * 250,
    }.items():
        form = text.format
        both = measure(
            {
                "form": Timer(lambda form=form: form(next(NUMBERS))),
                "rule": Timer(lambda form=form: rules.value("k", form(next(NUMBERS)))),
            }
        )
        gaps = [rule - made for rule, made in zip(both["rule"], both["form"], strict=True)]
        texts.add_row(name, f"{statistics.median(gaps) * 1e9:,.0f}")
    console.print(texts)


if __name__ == "__main__":
    main()
