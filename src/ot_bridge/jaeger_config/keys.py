"""Every key of jaeger-client's configuration, and every variable, as data: how it is read, and where it goes.

The rows drive the translation and the table in compat_matrix.md. A row without a place has the reason why.

Source: jaeger_client/config.py of 4.8.0; the README files of jaeger-client-go, -java, -node and -csharp for the
variables that the client for Python never read.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from ot_bridge.jaeger_config import readers
from ot_bridge.jaeger_config.readers import Reader
from ot_bridge.jaeger_config.sampler_text import sampler_type

__all__ = [
    "CONFIG_KEYS",
    "DEFAULT_REPORTING_PORT",
    "DEFAULT_SAMPLING_PORT",
    "DEFAULT_THROTTLER_REFRESH_S",
    "ENV_KEYS",
    "SECTIONS",
    "ConfigKey",
    "EnvKey",
]

DEFAULT_REPORTING_PORT: Final = 6831
DEFAULT_SAMPLING_PORT: Final = 5778
DEFAULT_THROTTLER_REFRESH_S: Final = 5

_SAMPLER: Final = ("OT_BRIDGE_SAMPLER",)
_ENDPOINT: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT",)
_FORMATS: Final = ("OT_BRIDGE_EXTRACT", "OT_BRIDGE_INJECT")
_RESOURCE: Final = ("OTEL_RESOURCE_ATTRIBUTES",)

_NO_OTLP: Final = "a UDP port of Jaeger's agent takes no OTLP; the endpoint has OTLP's own port"
_CREDENTIALS: Final = (
    "credentials are not sent to an address that they were not meant for; set OTEL_EXPORTER_OTLP_HEADERS"
)
_NO_LOGGING: Final = (
    "no variable logs every span: ot_bridge.jaeger_client does so from this key, elsewhere "
    "OTEL_TRACES_EXPORTER=otlp,console prints them"
)
_NO_THROTTLER: Final = (
    "no variable throttles debug traces: ot_bridge.jaeger_client asks the agent from this key, elsewhere "
    "debug ids are always honoured"
)


class ConfigKey(NamedTuple):
    """One key of the dict."""

    name: str
    """With a dot for a key in a section: ``sampler.type``."""
    read: Reader
    places: tuple[str, ...]
    meaning: str
    dropped: str | None = None
    """Why it goes nowhere, when it says anything but the default."""


CONFIG_KEYS: Final[Mapping[str, ConfigKey]] = MappingProxyType(
    {
        row.name: row
        for row in (
            ConfigKey("service_name", readers.name, ("OTEL_SERVICE_NAME",), "wins over the argument, as before"),
            ConfigKey(
                "enabled",
                readers.flag(default=True),
                ("OTEL_SDK_DISABLED",),
                "false disables; jaeger-client itself never read it, only applications did",
            ),
            ConfigKey(
                "logging", readers.flag(default=False), (), "true logs every span in the drop-in", dropped=_NO_LOGGING
            ),
            ConfigKey(
                "metrics",
                readers.flag(default=True),
                (),
                "true is how it is: the counters are metrics wherever there is a MeterProvider",
                dropped="the bridge's counters are metrics wherever the process has a MeterProvider; they cost nothing "
                "without one",
            ),
            ConfigKey("sampler", readers.raw, _SAMPLER, "a section, or one of jaeger-client's sampler objects"),
            ConfigKey("sampler.type", sampler_type, _SAMPLER, "none: the remote sampler, at the agent"),
            ConfigKey("sampler.param", readers.raw, _SAMPLER, "read as the type wants it"),
            ConfigKey(
                "sampling_refresh_interval",
                readers.number_of_seconds("0 stands for the default, 60 seconds"),
                _SAMPLER,
                "pollingIntervalMs of the remote sampler; the others ask nobody",
            ),
            ConfigKey(
                "max_operations",
                readers.optional_size,
                _SAMPLER,
                "maxOperations of the remote sampler; the others count no operations",
            ),
            ConfigKey(
                "reporter_batch_size",
                readers.size,
                ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE",),
                "at most the size of the queue",
            ),
            ConfigKey(
                "reporter_queue_size",
                readers.size,
                ("OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
                "the batch too, where its default would not fit in",
            ),
            ConfigKey(
                "reporter_flush_interval",
                readers.number_of_seconds(
                    "0 stands for no schedule, and OpenTelemetry always has one: its default, 5 seconds, stays"
                ),
                ("OTEL_BSP_SCHEDULE_DELAY",),
                "seconds become milliseconds",
            ),
            ConfigKey("local_agent", readers.raw, _ENDPOINT, "a section"),
            ConfigKey(
                "local_agent.enabled",
                readers.flag(default=True),
                (),
                "nothing: jaeger-client has the key and never acts on it",
            ),
            ConfigKey(
                "local_agent.reporting_host",
                readers.raw,
                (*_ENDPOINT, *_SAMPLER),
                "the host of the OTLP endpoint, with OTLP's port; the host of the remote sampler",
            ),
            ConfigKey(
                "local_agent.reporting_port", readers.port(DEFAULT_REPORTING_PORT), (), "nothing", dropped=_NO_OTLP
            ),
            ConfigKey(
                "local_agent.sampling_port",
                readers.port(DEFAULT_SAMPLING_PORT),
                _SAMPLER,
                "the port of the remote sampler; the others ask nobody",
            ),
            ConfigKey(
                "tags", readers.raw, _RESOURCE, "each an attribute of the resource, as text; hostname: host.name"
            ),
            ConfigKey(
                "propagation", readers.propagation, _FORMATS, "b3: B3 before Jaeger's headers and W3C's, both ways"
            ),
            ConfigKey(
                "max_tag_value_length",
                readers.length,
                ("OT_BRIDGE_MAX_TAG_VALUE_LENGTH",),
                "only when given: the default, 1024, is not carried",
            ),
            ConfigKey(
                "max_traceback_length",
                readers.length,
                ("OT_BRIDGE_MAX_TRACEBACK_LENGTH",),
                "only when given: the default, 4096, is not carried",
            ),
            ConfigKey("trace_id_header", readers.header, ("OT_BRIDGE_TRACE_ID_HEADER",), "in lower case, - for _"),
            ConfigKey("debug_id_header", readers.header, ("OT_BRIDGE_DEBUG_ID_HEADER",), "in lower case, - for _"),
            ConfigKey(
                "baggage_header_prefix", readers.header, ("OT_BRIDGE_BAGGAGE_HEADER_PREFIX",), "in lower case, - for _"
            ),
            ConfigKey(
                "generate_128bit_trace_id", readers.bits, ("OT_BRIDGE_TRACE_ID_BITS",), "128 or 64; without it 64"
            ),
            ConfigKey("throttler", readers.raw, (), "a section throttles debug traces", dropped=_NO_THROTTLER),
            ConfigKey("throttler.port", readers.port(DEFAULT_SAMPLING_PORT), (), "of the agent", dropped=_NO_THROTTLER),
            ConfigKey(
                "throttler.refresh_interval",
                readers.integer_or(DEFAULT_THROTTLER_REFRESH_S, "number of seconds", 1, 10**9),
                (),
                "in seconds",
                dropped=_NO_THROTTLER,
            ),
        )
    }
)
"""Old key -> its row."""

SECTIONS: Final = ("sampler", "local_agent", "throttler")
"""The keys whose value is a dict of known keys; tags is one of free keys."""


class EnvKey(NamedTuple):
    """One variable."""

    name: str
    by_python: bool
    """jaeger-client for Python reads it; the others are read when asked for, with ``jaeger_env="all"``."""
    stands_for: str | None
    """The key of the dict that it is another way to give; the dict wins, except for tags."""
    read: Reader
    meaning: str
    dropped: str | None = None
    secret: bool = False


ENV_KEYS: Final[Mapping[str, EnvKey]] = MappingProxyType(
    {
        row.name: row
        for row in (
            EnvKey("JAEGER_AGENT_HOST", True, "local_agent.reporting_host", readers.raw, "the dict wins"),
            EnvKey(
                "JAEGER_AGENT_PORT",
                True,
                "local_agent.reporting_port",
                readers.port(DEFAULT_REPORTING_PORT),
                "nothing",
                dropped=_NO_OTLP,
            ),
            EnvKey("JAEGER_TAGS", True, "tags", readers.raw, "key=value,key=value; wins over the dict, key by key"),
            EnvKey(
                "JAEGER_TRACEID_128BIT",
                True,
                "generate_128bit_trace_id",
                readers.exactly_true,
                "only the word true means yes; the dict wins",
            ),
            EnvKey(
                "JAEGER_SERVICE_NAME", False, "service_name", readers.name, "where neither dict nor argument has one"
            ),
            EnvKey("JAEGER_DISABLED", False, "enabled", readers.disabled, "true disables"),
            EnvKey(
                "JAEGER_ENDPOINT",
                False,
                None,
                readers.raw,
                "the Collector's host, with OTLP's port: Thrift over HTTP is no OTLP; before JAEGER_AGENT_HOST",
            ),
            *(
                EnvKey(name, False, None, readers.raw, "of JAEGER_ENDPOINT", dropped=_CREDENTIALS, secret=True)
                for name in ("JAEGER_USER", "JAEGER_PASSWORD", "JAEGER_AUTH_TOKEN")
            ),
            EnvKey("JAEGER_PROPAGATION", False, "propagation", readers.propagations, "jaeger, b3, w3c in any order"),
            EnvKey("JAEGER_SAMPLER_TYPE", False, "sampler.type", readers.raw, "remote too"),
            EnvKey("JAEGER_SAMPLER_PARAM", False, "sampler.param", readers.raw, "of remote: the rate to start with"),
            EnvKey(
                "JAEGER_SAMPLER_MANAGER_HOST_PORT", False, None, readers.host_and_port, "where the remote sampler asks"
            ),
            EnvKey("JAEGER_SAMPLING_ENDPOINT", False, None, readers.url, "where the remote sampler asks"),
            EnvKey(
                "JAEGER_SAMPLER_REFRESH_INTERVAL",
                False,
                "sampling_refresh_interval",
                readers.duration,
                "1m30s, or milliseconds",
            ),
            EnvKey("JAEGER_SAMPLER_MAX_OPERATIONS", False, "max_operations", readers.optional_size, "as in the dict"),
            EnvKey(
                "JAEGER_REPORTER_LOG_SPANS",
                False,
                "logging",
                readers.flag(False),
                "as in the dict",
                dropped=_NO_LOGGING,
            ),
            EnvKey("JAEGER_REPORTER_MAX_QUEUE_SIZE", False, "reporter_queue_size", readers.size, "as in the dict"),
            EnvKey(
                "JAEGER_REPORTER_FLUSH_INTERVAL",
                False,
                "reporter_flush_interval",
                readers.duration,
                "1s, or milliseconds",
            ),
            *(
                EnvKey(name, False, None, readers.raw, "nothing", dropped="OTLP exporters connect anew by themselves")
                for name in (
                    "JAEGER_REPORTER_ATTEMPT_RECONNECTING_DISABLED",
                    "JAEGER_REPORTER_ATTEMPT_RECONNECT_INTERVAL",
                )
            ),
            EnvKey(
                "JAEGER_RPC_METRICS",
                False,
                None,
                readers.raw,
                "nothing",
                dropped="the bridge derives no metrics from spans; the Collector's span metrics connector does",
            ),
            *(
                EnvKey(name, False, None, readers.raw, "nothing", dropped="the sender is an OTLP exporter")
                for name in (
                    "JAEGER_SENDER_FACTORY",
                    "JAEGER_GRPC_TARGET",
                    "JAEGER_GRPC_ROOT_CERTIFICATE",
                    "JAEGER_GRPC_CLIENT_CHAIN",
                    "JAEGER_GRPC_CLIENT_KEY",
                )
            ),
        )
    }
)
"""Variable -> its row."""
