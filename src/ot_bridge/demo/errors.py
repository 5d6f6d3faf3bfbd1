"""What can stop the demo: one error, with a text for the person at the terminal."""

from __future__ import annotations

from ot_bridge.errors import BridgeError

__all__ = ["DemoError"]


class DemoError(BridgeError):
    """The demo cannot go on. The text says which service or address, what was found and what was wanted."""
