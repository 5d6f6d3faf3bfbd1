"""The constants that code imports from ``jaeger_client.constants``, with the values of 4.8.0."""

from __future__ import annotations

from typing import Final

MAX_ID_BITS: Final = 64
_max_id_bits: Final = 64
_max_trace_id_bits: Final = 128

DEFAULT_SAMPLING_INTERVAL: Final = 60  # seconds
DEFAULT_FLUSH_INTERVAL: Final = 1  # seconds
DEFAULT_THROTTLER_REFRESH_INTERVAL: Final = 5  # seconds

TRACE_ID_HEADER: Final = "uber-trace-id"
BAGGAGE_HEADER_PREFIX: Final = "uberctx-"
DEBUG_ID_HEADER_KEY: Final = "jaeger-debug-id"
BAGGAGE_HEADER_KEY: Final = "jaeger-baggage"

JAEGER_CLIENT_VERSION: Final = "Python-4.8.0"
JAEGER_VERSION_TAG_KEY: Final = "jaeger.version"
JAEGER_HOSTNAME_TAG_KEY: Final = "hostname"
JAEGER_IP_TAG_KEY: Final = "ip"
CLIENT_UUID_TAG_KEY: Final = "client-uuid"

SAMPLER_TYPE_CONST: Final = "const"
SAMPLER_TYPE_REMOTE: Final = "remote"
SAMPLER_TYPE_PROBABILISTIC: Final = "probabilistic"
SAMPLER_TYPE_RATE_LIMITING: Final = "ratelimiting"
SAMPLER_TYPE_LOWER_BOUND: Final = "lowerbound"

MAX_TAG_VALUE_LENGTH: Final = 1024  # characters
MAX_TRACEBACK_LENGTH: Final = 4096  # characters

SAMPLED_FLAG: Final = 0x01
DEBUG_FLAG: Final = 0x02
