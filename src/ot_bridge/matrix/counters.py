"""The counters of the tracer, the spans and the set-up; those of the headers are the propagator's own table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["COUNTERS"]

COUNTERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "start.failed": "spans that could not be started and are not recorded (warns once)",
        "start.failed.parent": "parents that could not be read; the span became a root (warns once)",
        "start.tags.unreadable": "tags= arguments that are no mapping",
        "parent.ignored": "parents and references that name no span: a no-op tracer's, another tracer's",
        "inject.nothing": "contexts to inject without ids and without baggage",
        "inject.failed": "carriers that took no headers (warns once)",
        "span.after_finish": "calls on a span that was finished already",
        "span.finished_twice": "second calls of finish or end",
        "span.key.empty": "tags with an empty key",
        "span.time.unreadable.<where>": "start, finish and log times that are no time; now was taken",
        "span.failed.<call>": "calls on a span that failed inside and changed nothing",
        "span.failed.start": "span processors that failed when a span started (warns once)",
        "span.failed.ending": "span processors that failed when a span was about to end (warns once)",
        "span.failed.end": "span processors that failed when a span ended (warns once)",
        "tag.error.unreadable": "error tags that say neither true nor false (warns once)",
        "sampling.priority.late": "sampling.priority on spans that are not recorded (warns once)",
        "scope.closed_elsewhere": "scopes closed in another thread or task than they were opened in",
        "scope.closed_out_of_order": "scopes closed while one inside them was open",
        "scope.failed.finish": "spans that could not be finished with their scope (warns once)",
        "scope.view.not_kept": "native spans that take no attribute: their view is made anew each time",
        "tracer.wrapped.<class>": "tracers that are not the SDK's own: their spans are wrapped (warns once)",
        "flush.incomplete": "flushes that did not end in time",
        "close.incomplete": "closes that did not end in time: spans may be lost (warns once)",
        "close.error": "exporters that failed to shut down or to flush (warns once)",
        "install.no_address": "processes whose host has no route: the resource has no ip",
        "install.again": "second calls of install with other arguments (warns once)",
        "install.service_name": "service names given to install beside a provider that has its own (warns once)",
        "install.two_providers": "providers given to install beside another global one (warns once)",
        "export.port": "OTLP over HTTP sent to port 4317, which is usually gRPC's (warns once)",
        "config.unknown.<variable>": "OT_BRIDGE_* variables that nothing reads (warns once)",
        "config.propagator.<name>": "names in OTEL_PROPAGATORS that the bridge has no format for (warns once)",
    }
)
