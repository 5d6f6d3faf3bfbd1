"""How spans are timed without a price for those that are not.

The recorder counts a start with one C call, and makes the span that is due of another class: its methods read the
thread's CPU clock around those of the plain class. All other spans run the plain code. The class is made once for each
plain one, shows its name, and is derived from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context

from ot_bridge.config import Settings
from ot_bridge.recording import RecordingSpan
from ot_bridge.scope import BridgeScope, BridgeScopeManager
from ot_bridge.span import OWN_CLASSES

if TYPE_CHECKING:
    from ot_bridge.meter import Meter
    from ot_bridge.span import BridgeSpan

__all__ = ["MeteredScopeManager", "is_wanted", "timed", "timed_class"]

_CALLS: Final[Mapping[str, str]] = {
    "set_tag": "tag",
    "set_operation_name": "tag",
    "set_attribute": "tag",
    "set_attributes": "tag",
    "set_status": "tag",
    "add_link": "tag",
    "set_baggage_item": "tag",
    "log_kv": "log",
    "add_event": "log",
    "record_exception": "log",
}
_classes: Final[dict[tuple[type, Meter | None], Any]] = {}
_TIMED: Final[set[type]] = set()


def is_wanted(settings: Settings) -> bool:
    """Tell whether the settings ask for a meter: by name, or with a budget."""
    return settings.meter or settings.cpu_budget is not None or settings.adaptive_budget


def timed(span: BridgeSpan, meter: Meter | None, began_ns: int, *, recorded: bool) -> BridgeSpan:
    """Take the time of a start, and return the span.

    Args:
        span: has just been started.
        meter: is told; there is one.
        began_ns: when that began, by its clock.
        recorded: whether it is recorded.
    """
    if meter is not None:
        meter.add_start(meter.thread_ns() - began_ns, recorded=recorded)
    return span


def timed_class(plain: type[RecordingSpan], meter: Meter | None) -> type[RecordingSpan]:
    """Return the class of timed spans that stands in for ``plain``."""
    made: type[RecordingSpan] = _classes.get((plain, meter)) or _made(plain, meter)
    return made


def _made(plain: type[RecordingSpan], meter: Meter | None) -> Any:
    methods = {name: _timed(getattr(plain, name), path) for name, path in _CALLS.items()}
    methods["finish"] = _timed_finish(plain.finish)
    shown = {"__module__": plain.__module__, "__qualname__": plain.__qualname__, "__doc__": plain.__doc__}
    meta: Any = type(plain)
    made = meta(plain.__name__, (plain,), {**shown, **methods, "_meter": meter})
    OWN_CLASSES.add(made)
    plain._alike.add(made)
    _TIMED.add(made)
    _classes[plain, meter] = made
    return made


def _timed(method: Callable[..., Any], path: str) -> Callable[..., Any]:
    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        meter: Meter = self._meter
        busy, key = meter.busy, id(self)
        if key in busy:  # one call of the bridge inside another
            return method(self, *args, **kwargs)
        busy.add(key)
        began_ns = meter.thread_ns()
        try:
            return method(self, *args, **kwargs)
        finally:
            spent_ns = meter.thread_ns() - began_ns
            busy.discard(key)
            meter.add(path, spent_ns)

    return call


def _timed_finish(method: Callable[..., None]) -> Callable[..., None]:
    @wraps(method)
    def finish(self: Any, *args: Any, **kwargs: Any) -> None:
        meter: Meter = self._meter
        told, settled_ns = self._record_end_metrics, list[int]()

        def settled() -> None:
            settled_ns.append(meter.thread_ns())
            if told is not None:
                told()

        # It is called between the bridge's own work and that of the processors.
        self._record_end_metrics, self._is_judged = settled, True
        began_ns = meter.thread_ns()
        try:
            method(self, *args, **kwargs)
        finally:
            over_ns = meter.thread_ns()
            self._record_end_metrics = told
            between_ns = settled_ns[0] if settled_ns else over_ns
            meter.add("end", between_ns - began_ns)
            meter.add("decide", over_ns - between_ns)

    return finish


class MeteredScopeManager(BridgeScopeManager):
    """Times the scopes of timed spans."""

    def activate(self, span: Any, finish_on_close: bool = True) -> BridgeScope:
        return (_TimedScope if type(span) in _TIMED else BridgeScope)(self, span, finish_on_close)


class _TimedScope(BridgeScope):
    def __init__(self, manager: BridgeScopeManager, span: Any, finish_on_close: bool) -> None:
        meter: Meter = span._meter
        began = meter.thread_ns()
        super().__init__(manager, span, finish_on_close)
        self._is_special = True
        meter.add("scope", meter.thread_ns() - began)

    def _leave(self, current: Context) -> None:
        meter: Meter = self.span._meter
        began = meter.thread_ns()
        super()._leave(current)
        meter.add("scope", meter.thread_ns() - began)
