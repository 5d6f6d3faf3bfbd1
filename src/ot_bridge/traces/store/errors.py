"""What can stop the store: one error, with a text for the person at the terminal."""

from __future__ import annotations

from ot_bridge.errors import BridgeError

__all__ = ["StoreError"]


class StoreError(BridgeError):
    """The database cannot be used. The text says which file, what was found and what to do."""
