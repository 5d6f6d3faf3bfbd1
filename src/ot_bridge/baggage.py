"""Baggage that is one thing in both APIs.

OpenTracing keeps baggage in the span, OpenTelemetry in its Context. While a span of the bridge is active, the Context
holds a :class:`LiveBaggage`: a dict that shows what the span's baggage is *now*, so that an item set on the span is
read by OpenTelemetry's API and sent by its propagators, in every thread and task where the span is active. What
OpenTelemetry's API then adds is a :class:`ChangedBaggage`: it remembers what it started from, so that both sides'
changes can be put together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from opentelemetry.context import Context

from ot_bridge.context import BAGGAGE_KEY, BridgeSpanContext
from ot_bridge.dict_view import DictView
from ot_bridge.values import clean_key, to_text

__all__ = ["ChangedBaggage", "LiveBaggage", "Owner", "baggage_of", "live", "texts"]

_NONE: Final[dict[str, str]] = {}


class Owner(Protocol):
    """Whoever has a current context of its own: a span."""

    _context: BridgeSpanContext


class LiveBaggage(DictView):
    """A read-only view of one span's baggage, in the shape that OpenTelemetry's baggage API asks for: a dict.

    Every read goes to the owner's present, immutable items.
    """

    __slots__ = ("owner",)

    owner: Owner

    def _now(self) -> dict[str, str]:
        return self.owner._context.items

    def copy(self) -> dict[str, Any]:
        now = self._now()
        return ChangedBaggage(now, now, self.owner)


def live(owner: Owner) -> LiveBaggage:
    """Return the live view of a span's baggage."""
    view: LiveBaggage = dict.__new__(LiveBaggage)
    view.owner = owner
    return view


class ChangedBaggage(dict[str, Any]):
    """What OpenTelemetry's API made of a span's baggage; ``base`` is what ``owner``'s was when the change began."""

    __slots__ = ("base", "owner")

    def __init__(self, items: Mapping[str, Any], base: Mapping[str, str], owner: Owner) -> None:
        super().__init__(items)
        self.base = base
        self.owner = owner

    def copy(self) -> dict[str, Any]:
        return ChangedBaggage(self, self.base, self.owner)


def baggage_of(owner: Owner, context: Context) -> dict[str, str]:
    """Return the baggage of a span in a Context in which it is the current one: the span's and the Context's.

    Where both changed, the Context's word is the later one. The result belongs to the caller only to read.
    """
    own: dict[str, str] = owner._context.items
    held = context.get(BAGGAGE_KEY)
    if held is None or (type(held) is LiveBaggage and held.owner is owner) or not isinstance(held, dict):
        return own
    if type(held) is ChangedBaggage:
        base = held.base
        # Those of the span that the change began with, which may be one further out, below a native span.
        items = own if held.owner is owner else own | held.owner._context.items
        kept = {key: value for key, value in items.items() if key not in base or key in held}
        return kept | texts({key: value for key, value in held.items() if base.get(key) != value})
    if not held and type(held) is dict:  # only baggage.clear() leaves an empty dict behind
        return _NONE
    return own | texts(held)


def texts(items: Mapping[Any, Any]) -> dict[str, str]:
    """Return the items with every key and value as text; OpenTelemetry's API takes any object."""
    return {name: to_text(value) for key, value in items.items() if (name := clean_key(key))}
