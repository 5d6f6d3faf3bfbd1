"""The family of errors. Each also inherits the class that callers of the old libraries already catch.

::

    BridgeError
    +-- ConfigError(ValueError)           a setting, an argument of install or of the CLI
    +-- CarrierError(opentracing.InvalidCarrierException)
    +-- FormatError(opentracing.UnsupportedFormatException)
    +-- CorruptedContextError(opentracing.SpanContextCorruptedException)   only with strict_extract
"""

from __future__ import annotations

import opentracing

__all__ = ["BridgeError", "CarrierError", "ConfigError", "CorruptedContextError", "FormatError"]


class BridgeError(Exception):
    """Any error that ot_bridge raises on purpose: at set-up, or where OpenTracing's own API promises one."""


class ConfigError(BridgeError, ValueError):
    """A setting is wrong. The text names the key, the value, where it came from and the closest known one."""


class CarrierError(BridgeError, opentracing.InvalidCarrierException):
    """The carrier is not what the format needs: a mapping for text, a bytearray for BINARY."""


class FormatError(BridgeError, opentracing.UnsupportedFormatException):
    """The format is none of HTTP_HEADERS, TEXT_MAP and BINARY."""


class CorruptedContextError(BridgeError, opentracing.SpanContextCorruptedException):
    """A trace header was there and could not be read. Raised only with ``strict_extract=True``."""
