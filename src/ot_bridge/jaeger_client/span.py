"""A stand-in for the drop-in's Span."""

from ot_bridge.span import BridgeSpan


class Span(BridgeSpan):
    """Nothing of its own."""
