"""The redaction rules on whole spans: those of the bridge, and native ones of the same provider.

A span of the bridge is redacted when it starts, so that no ``on_start`` sees a secret among its initial tags, and when
it ends. A native span's attributes are set by OpenTelemetry's SDK: the provider's processors are put behind the rules.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.trace import TracerProvider
from opentelemetry.trace.status import Status

from ot_bridge.config import Settings
from ot_bridge.redaction import Redactor
from ot_bridge.redaction.engine import FAILED
from ot_bridge.redaction.rules import DEFAULT_RULES, read_key_rule, read_value_rule
from ot_bridge.telemetry import warn_once

if TYPE_CHECKING:
    from ot_bridge.recording import RecordingSpan

__all__ = ["Guard", "SpanRedactor", "protect", "redactor_of"]


@lru_cache(maxsize=16)
def redactor_of(settings: Settings) -> Redactor | None:
    """Return the rules that the settings ask for; None when they ask for none."""
    if settings.redact == "off":
        return None
    enabled = set(DEFAULT_RULES if settings.redact == "default" else ())
    enabled |= set(settings.redact_enabled_rules)
    enabled -= set(settings.redact_disabled_rules)
    return Redactor(
        enabled,
        own_keys=[read_key_rule(rule) for rule in settings.redact_keys],
        own_values=[read_value_rule(rule) for rule in settings.redact_values],
        safe_keys=settings.redact_safe_keys,
        hash_key=settings.redact_hash_key,
        dry_run=settings.redact_dry_run,
    )


class SpanRedactor:
    """Redacts spans, in place.

    Args:
        rules: what is redacted.
    """

    def __init__(self, rules: Redactor) -> None:
        self.rules = rules
        self._texts = rules.clean_texts
        self._resource: tuple[Any, Any] = (None, None)  # the last one seen, and what became of it

    def bridge_span(self, span: RecordingSpan) -> None:
        """Redact a span of the bridge: what it has so far. Never raises; what fails is blanked out."""
        status = span._final_status
        try:
            attributes = span._attributes
            if attributes:
                found = self.rules.attributes(attributes)
                if found is not attributes:
                    span._attributes = dict(found)
            # Asked here, as most spans have nothing of the kind: this is on the hot path twice.
            if span._name not in self._texts:
                span._name = self.rules.text(span._name)
            if span._records or span._links or span._error_message or (status is not None and status.description):
                self._rest(span)
        except Exception:
            try:  # a tag was set at this very moment
                span._attributes = dict(self.rules.attributes(span._attributes.copy()))
                span._name = self.rules.text(span._name)
                self._rest(span)
            except Exception as error:
                span._attributes, span._records, span._links = {}, None, ()
                span._explicit_status = span._error_message = None
                span._final_status = None if status is None else Status(status.status_code)
                span._name = _blank(error)

    def native_span(self, span: Any) -> None:
        """Redact a span of the SDK's. Never raises; what fails is blanked out."""
        rules = self.rules
        try:
            span._attributes = self._held(span._attributes)
            span._name = rules.text(span._name)
            for event in span._events or ():
                self._event(event)
            for link in span._links or ():
                link._attributes = self._held(link._attributes)
            self._status(span, "_status")
            if span._resource is not self._resource[1]:
                span._resource = self.resource(span._resource)
        except Exception as error:
            span._attributes, span._events, span._links = BoundedAttributes(), (), ()
            span._status = Status()
            span._name = _blank(error)

    def resource(self, resource: Resource) -> Resource:
        """Return the resource, redacted; the same object each time."""
        raw, redacted = self._resource
        if resource is raw or resource is redacted:
            return redacted  # type: ignore[no-any-return]
        attributes = self.rules.attributes(resource.attributes)
        redacted = resource if attributes is resource.attributes else Resource(dict(attributes), resource.schema_url)
        self._resource = (resource, redacted)
        return redacted

    # --- inside

    def _rest(self, span: RecordingSpan) -> None:
        rules = self.rules
        records = span._records
        if records is not None:
            for place, record in enumerate(records):
                if type(record) is not tuple:
                    self._event(record)
                    continue
                name, attributes, ns, dropped = record
                clean_name = name if name in self._texts else rules.text(name)
                found = rules.event(name, attributes) if name == "baggage" else rules.attributes(attributes)
                if found is not attributes or clean_name is not name:
                    records[place] = (clean_name, dict(found), ns, dropped)
        for link in span._links:
            if link.attributes:
                link._attributes = self._held(link._attributes)
        if span._error_message is not None:
            span._error_message = rules.text(span._error_message)
        self._status(span, "_final_status")

    def _event(self, event: Any) -> None:
        attributes = event._attributes
        event._attributes = self._held(attributes, event._name)
        event._name = self.rules.text(event._name)

    def _held(self, held: Any, event_name: str | None = None) -> Any:
        """Return attributes in the container that they came in, which knows how many were dropped."""
        if not held:
            return held
        plain = getattr(held, "_dict", held)  # the container's own iteration costs ten times as much
        found = self.rules.attributes(plain) if event_name is None else self.rules.event(event_name, plain)
        if found is plain:
            return held
        if plain is held:
            return dict(found)
        changed = copy.copy(held)
        changed._dict = type(plain)(found)
        return changed

    def _status(self, span: Any, field: str) -> None:
        status = getattr(span, field)
        if status is not None and status.description:
            found = self.rules.text(status.description)
            if found is not status.description:
                setattr(span, field, Status(status.status_code, found))


def _blank(error: Exception) -> str:
    # The text of the exception may hold what must not be seen.
    warn_once("redaction.failed.span", "a span could not be redacted and is blank (%s)", type(error).__name__)
    return FAILED


# -- native spans ------------------------------------------------------------------------------------------------------

_GUARDED: Final = ("on_start", "_on_ending", "on_end")


def protect(provider: TracerProvider | None, settings: Settings) -> Callable[[], None]:
    """Put the processors of the SDK's provider, also those added later, behind the rules, for native spans.

    ``on_start`` of every processor then sees the initial attributes redacted, ``on_end`` the whole span. An attribute
    that a native span gets while it runs is seen as it is by a processor that keeps the span from its start and looks
    at it before it ends.

    Args:
        provider: any; nothing happens with one that is not the SDK's.
        settings: the ``redact*`` fields count.

    Returns:
        What takes it back.
    """
    rules = redactor_of(settings)
    processor = getattr(provider, "_active_span_processor", None)
    # The methods of this one object: tracers and spans that exist hold it, in a field that cannot be reached.
    methods = getattr(processor, "__dict__", None)
    if rules is None or methods is None or not callable(getattr(processor, "on_end", None)) or "on_end" in methods:
        return _nothing
    guards = Guard(processor, SpanRedactor(rules), dry_run=settings.redact_dry_run)
    names = [name for name in _GUARDED if hasattr(processor, name)]
    methods.update({name: getattr(guards, name) for name in names})

    def undo() -> None:
        for name in names:
            methods.pop(name, None)

    return undo


def _nothing() -> None: ...


class Guard:
    """Stands before the methods of a processor."""

    def __init__(self, processor: Any, redactor: SpanRedactor, *, dry_run: bool) -> None:
        self._start, self._end = processor.on_start, processor.on_end
        self._ending = getattr(processor, "_on_ending", None)
        self._redact = redactor.native_span
        self._dry_run = dry_run
        self._seen = threading.local()

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        if not (_is_own(span) or self._dry_run):
            self._redact(span)
        self._start(span, parent_context=parent_context)

    def _on_ending(self, span: SdkSpan) -> None:
        if not _is_own(span):
            self._redact(span)
            self._seen.attributes = span._attributes
        if self._ending is not None:
            self._ending(span)

    def on_end(self, span: ReadableSpan) -> None:
        # The SDK makes it of the span that was ending, in this thread: it was redacted then.
        if not _is_own(span) and getattr(self._seen, "attributes", None) is not span._attributes:
            self._redact(span)
        self._seen.attributes = None
        self._end(span)


def _is_own(span: Any) -> bool:
    return getattr(span, "_rules", None) is not None  # a recorded span of the bridge, which redacts itself
