"""The names of those who are compared, as they stand in the tables."""

from __future__ import annotations

from typing import Final

__all__ = ["BRIDGE", "BRIDGE_BARE", "DROP_IN", "JAEGER", "NATIVE", "NOOP", "SHIM"]

NATIVE: Final = "native SDK"
SHIM: Final = "official shim"
JAEGER: Final = "jaeger-client"
NOOP: Final = "OpenTracing no-op"
BRIDGE: Final = "ot_bridge"
"""With the settings that it has by default."""
BRIDGE_BARE: Final = "ot_bridge, redact off"
DROP_IN: Final = "ot_bridge.jaeger_client"
