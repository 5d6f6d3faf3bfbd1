"""A span that the bridge did not make, seen as an OpenTracing span: native ones, and those of other providers.

The same tables as in :mod:`ot_bridge.recording`, written through OpenTelemetry's API. What that API cannot say is
written to the SDK's fields where they have the known shape (the kind after the start, UNSET after ERROR), and kept as
an attribute elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry import trace as trace_api
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.trace import SpanKind
from opentelemetry.trace.status import Status, StatusCode

from ot_bridge.context import BridgeSpanContext
from ot_bridge.conventions import (
    ROLES,
    Role,
    accepted_priority,
    log_to_event,
    read_error,
    read_int,
    read_kind,
    resolve_status,
)
from ot_bridge.span import BridgeSpan, operation_name_of
from ot_bridge.telemetry import count
from ot_bridge.values import clean_key, clean_value, to_ns, to_text

if TYPE_CHECKING:
    from ot_bridge.tracer import BridgeTracer

__all__ = ["WrappedSpan", "view_of"]

_VIEW = "_ot_bridge_view"


class WrappedSpan(BridgeSpan):
    """An OpenTracing span over any OpenTelemetry span.

    Args:
        tracer: the tracer through which it is seen.
        otel_span: the OpenTelemetry span.
        baggage: what it carries, None for none.
        name: its operation name, where the span itself does not tell.
    """

    def __init__(
        self,
        tracer: BridgeTracer,
        otel_span: trace_api.Span,
        baggage: Mapping[str, str] | None = None,
        name: str = "unnamed",
    ) -> None:
        self._tracer = tracer
        self._otel_span = otel_span
        self._context = BridgeSpanContext.of(otel_span.get_span_context(), baggage)
        self._name = getattr(otel_span, "name", None) or name
        self._parent = getattr(otel_span, "parent", None)
        self._tags: dict[str, Any] = {}  # those with a role for the status; attributes of a foreign span can't be read
        self._error: bool | None = None
        self._error_message: str | None = None
        self._kind = getattr(otel_span, "kind", SpanKind.INTERNAL)

    def unwrap(self) -> trace_api.Span:
        return self._otel_span

    def set_tag(self, key: Any, value: Any) -> WrappedSpan:
        """Set a tag, by its row in TAG_RULES, through OpenTelemetry's API."""
        try:
            key = clean_key(key)
            role = ROLES.get(key)
            if key and value is not None and not (role and self._apply(role, key, value)):
                self._set_attribute(key, self._clean(value))
        except Exception:
            count("span.failed.set_tag")
        return self

    def log_kv(self, key_values: Any, timestamp: Any = None) -> WrappedSpan:
        """Add an event for the log, by LOG_RULES."""
        try:
            event = log_to_event(key_values, self._clean, self._tracer.settings.max_traceback_length)
            name, attributes = event.name, event.attributes
            redactor = self._tracer._redactor
            if redactor is not None:
                name, attributes = redactor.text(name), dict(redactor.event(name, attributes))
            self._otel_span.add_event(name, attributes, None if timestamp is None else to_ns(timestamp))
            if event.exception is not None:
                self._remember(event.exception)
            if event.error_message is not None:
                self._error_message = event.error_message
                if self._error or self._tracer.settings.error_log_sets_status:
                    self._error = True
                    self._set_status()
        except Exception:
            count("span.failed.log_kv")
        return self

    def set_operation_name(self, operation_name: Any) -> WrappedSpan:
        """Rename the span."""
        self._name = operation_name_of(operation_name)
        try:
            redactor = self._tracer._redactor
            self._otel_span.update_name(self._name if redactor is None else redactor.text(self._name))
        except Exception:
            count("span.failed.set_operation_name")
        return self

    def finish(self, finish_time: Any = None) -> None:
        """End the span; ``finish_time`` is a Unix time in seconds, default now."""
        self._exceptions = None
        try:
            if self._otel_span.is_recording():
                for key in set(self._tags).difference(self._set_status()):
                    if key.startswith("otel."):  # held back until now, when it is known whether the status takes them
                        self._set_attribute(key, self._tags[key])
        except Exception:
            count("span.failed.finish")
        try:
            self._otel_span.end(None if finish_time is None else to_ns(finish_time))
        except Exception:
            count("span.failed.finish")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WrappedSpan) and other._otel_span is self._otel_span

    def __hash__(self) -> int:
        return id(self._otel_span)

    def _set_attribute(self, key: str, value: Any) -> None:
        redactor = self._tracer._redactor
        self._otel_span.set_attribute(key, value if redactor is None else redactor.value(key, value))

    def _clean(self, value: Any) -> Any:
        settings = self._tracer.settings
        return clean_value(value, settings.max_tag_value_length, settings.stringify_sequences)

    def _apply(self, role: Role, key: str, value: Any) -> bool:
        """Give a tag its place; tell whether it is settled and needs no attribute."""
        if role is Role.KIND:
            kind = read_kind(value)
            if kind is None or not _set_sdk_field(self._otel_span, "_kind", kind):
                return False
            self._kind = kind
            return True
        if role is Role.ERROR:
            failed = read_error(value)
            if failed is None:
                return False
            was, self._error = self._error, failed
            if isinstance(value, BaseException):
                self._error_message = to_text(value)
            if failed:
                self._set_status()
            elif was:  # the bridge's own tag said so; an error that native code set stays
                _set_sdk_field(self._otel_span, "_status", Status(StatusCode.UNSET))
            return True
        if role is Role.PRIORITY:
            wanted = accepted_priority(value)
            if wanted and not self._context.debug and not self._tracer._may_force(self._name):
                return True
            if wanted is not None:
                self._context = self._context.with_sampling(sampled=wanted, debug=wanted)
            return wanted is False
        if role in (Role.INTEGER, Role.HTTP_STATUS):
            value = read_int(value)
            self._set_attribute(key, self._clean(value))
        if role is not Role.INTEGER:
            self._tags[key] = self._clean(value)
        return role in (Role.INTEGER, Role.HTTP_STATUS, Role.STATUS_CODE, Role.STATUS_DESCRIPTION)

    def _set_status(self) -> tuple[str, ...]:
        """Set the status that the tags imply by now; return the tags that it consumes."""
        settings = self._tracer.settings
        status, consumed = resolve_status(
            self._tags,
            explicit=None,
            error=self._error,
            error_message=self._error_message,
            kind=self._kind,
            http=settings.status_from_http,
            error_false_as_ok=settings.error_false_as_ok,
        )
        before = getattr(getattr(self._otel_span, "status", None), "status_code", None)
        same = before is status.status_code
        # A status without description would erase the description of an earlier one.
        if status.status_code is not StatusCode.UNSET and (status.description or not same):
            redactor = self._tracer._redactor
            if redactor is not None and status.description:
                status = Status(status.status_code, redactor.text(status.description))
            self._otel_span.set_status(status)
        return consumed


def view_of(tracer: BridgeTracer, otel_span: trace_api.Span) -> BridgeSpan:
    """Return the span as OpenTracing sees it: itself when the bridge made it, else one view that stays the same."""
    if isinstance(otel_span, BridgeSpan):
        return otel_span
    views: dict[int, WrappedSpan] | None = getattr(otel_span, _VIEW, None)
    if views is not None and id(tracer) in views:
        return views[id(tracer)]
    view = tracer._wrapped_class(tracer, otel_span)
    try:
        # Kept on the span: it lives exactly as long. Another tracer's view is another object.
        if views is None:
            setattr(otel_span, _VIEW, {id(tracer): view})
        else:
            views[id(tracer)] = view
    except AttributeError:  # a vendor's span with slots: views of it are equal, but not identical
        count("scope.view.not_kept")
    return view


def _set_sdk_field(otel_span: trace_api.Span, name: str, value: Any) -> bool:
    if isinstance(otel_span, SdkSpan) and otel_span.is_recording() and hasattr(otel_span, name):
        setattr(otel_span, name, value)
        return True
    return False
