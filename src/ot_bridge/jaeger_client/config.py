"""``Config``: the dict, or the YAML section, that a service configures its tracer with."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import opentracing
from opentracing.propagation import Format
from opentracing.scope_manager import ScopeManager

from ot_bridge import bootstrap
from ot_bridge.config import Settings
from ot_bridge.environment import closest
from ot_bridge.errors import ConfigError
from ot_bridge.jaeger_client.codecs import B3Codec
from ot_bridge.jaeger_client.constants import (
    BAGGAGE_HEADER_PREFIX,
    DEBUG_ID_HEADER_KEY,
    DEFAULT_FLUSH_INTERVAL,
    DEFAULT_SAMPLING_INTERVAL,
    DEFAULT_THROTTLER_REFRESH_INTERVAL,
    MAX_TAG_VALUE_LENGTH,
    MAX_TRACEBACK_LENGTH,
    SAMPLER_TYPE_CONST,
    SAMPLER_TYPE_PROBABILISTIC,
    SAMPLER_TYPE_RATE_LIMITING,
    TRACE_ID_HEADER,
)
from ot_bridge.jaeger_client.local_agent_net import LocalAgentSender
from ot_bridge.jaeger_client.metrics import LegacyMetricsFactory, Metrics, MetricsFactory
from ot_bridge.jaeger_client.reporter import BaseReporter, CompositeReporter, LoggingReporter, Reporter
from ot_bridge.jaeger_client.sampler import (
    ConstSampler,
    OtelSampler,
    ProbabilisticSampler,
    RateLimitingSampler,
    RemoteControlledSampler,
    Sampler,
)
from ot_bridge.jaeger_client.throttler import RemoteThrottler, Throttler
from ot_bridge.jaeger_client.tracer import Tracer
from ot_bridge.jaeger_client.utils import ErrorReporter, get_boolean
from ot_bridge.provider import sampler_from_env

__all__ = [
    "BAGGAGE_HEADER_PREFIX",
    "DEBUG_ID_HEADER_KEY",
    "DEFAULT_FLUSH_INTERVAL",
    "DEFAULT_REPORTING_HOST",
    "DEFAULT_REPORTING_PORT",
    "DEFAULT_SAMPLING_INTERVAL",
    "DEFAULT_SAMPLING_PORT",
    "DEFAULT_THROTTLER_PORT",
    "DEFAULT_THROTTLER_REFRESH_INTERVAL",
    "LOCAL_AGENT_DEFAULT_ENABLED",
    "MAX_TAG_VALUE_LENGTH",
    "MAX_TRACEBACK_LENGTH",
    "SAMPLER_TYPE_CONST",
    "SAMPLER_TYPE_PROBABILISTIC",
    "SAMPLER_TYPE_RATE_LIMITING",
    "TRACE_ID_HEADER",
    "B3Codec",
    "BaseReporter",
    "CompositeReporter",
    "Config",
    "ConstSampler",
    "ErrorReporter",
    "Format",
    "LegacyMetricsFactory",
    "LocalAgentSender",
    "LoggingReporter",
    "Metrics",
    "MetricsFactory",
    "ProbabilisticSampler",
    "RateLimitingSampler",
    "RemoteControlledSampler",
    "RemoteThrottler",
    "Reporter",
    "Sampler",
    "ScopeManager",
    "Throttler",
    "Tracer",
    "get_boolean",
]

DEFAULT_REPORTING_HOST: Final = "localhost"
DEFAULT_REPORTING_PORT: Final = 6831
DEFAULT_SAMPLING_PORT: Final = 5778
DEFAULT_THROTTLER_PORT: Final = DEFAULT_SAMPLING_PORT
LOCAL_AGENT_DEFAULT_ENABLED: Final = True

logger: Final = logging.getLogger("jaeger_tracing")

# What ``validate`` lets through; other keys are read too.
_VALID_KEYS: Final = (
    "logging",
    "local_agent",
    "sampler",
    "tags",
    "enabled",
    "reporter_batch_size",
    "reporter_queue_size",
    "propagation",
    "max_tag_value_length",
    "max_traceback_length",
    "reporter_flush_interval",
    "sampling_refresh_interval",
    "trace_id_header",
    "generate_128bit_trace_id",
    "baggage_header_prefix",
    "service_name",
    "throttler",
)


class Config:
    """A tracer's configuration, with Jaeger's keys and their meaning.

    Args:
        config: the keys.
        metrics: deprecated, see ``metrics_factory``.
        service_name: the service's name, unless the config has one.
        metrics_factory: is given the tracer's own numbers.
        validate: refuse keys that are not known.
        scope_manager: any OpenTracing scope manager; None for the bridge's own.

    Raises:
        ValueError: there is no service name, or ``validate`` found an unknown key.
    """

    _initialized: ClassVar[bool] = False
    _initialized_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self,
        config: Mapping[str, Any],
        metrics: Metrics | None = None,
        service_name: str | None = None,
        metrics_factory: MetricsFactory | None = None,
        validate: bool = False,
        scope_manager: ScopeManager | None = None,
    ) -> None:
        if validate:
            self._validate_config(config)
        self.config = config
        self.scope_manager = scope_manager
        wanted = get_boolean(config.get("metrics", True), True)
        self._given_factory = metrics_factory or (LegacyMetricsFactory(metrics) if metrics is not None else None)
        if not wanted:
            self._given_factory = None
        self._metrics_factory = self._given_factory or MetricsFactory()
        self._service_name = config.get("service_name", service_name)
        if not self._service_name:
            raise ValueError("service_name required in the config or param")
        self._error_reporter = ErrorReporter(Metrics(), logger if self.logging else None)

    def _validate_config(self, config: Mapping[str, Any]) -> None:
        unknown = [key for key in config if key not in _VALID_KEYS]
        if unknown:
            near = {key: closest(key, _VALID_KEYS) for key in unknown}
            hints = [f"{key} (did you mean {near[key]}?)" if near[key] else str(key) for key in unknown]
            raise ConfigError(f"Unexpected keys found in config: {', '.join(hints)}")

    @property
    def service_name(self) -> str:
        """The service's name."""
        return str(self._service_name)

    @property
    def metrics(self) -> None:
        """Deprecated; None."""
        return

    @property
    def error_reporter(self) -> ErrorReporter:
        """Where errors are logged."""
        return self._error_reporter

    @property
    def enabled(self) -> bool:
        """What ``enabled`` says; jaeger-client never obeyed it."""
        return get_boolean(self.config.get("enabled", True), True)

    @property
    def reporter_batch_size(self) -> int:
        """Spans sent at once."""
        return int(self.config.get("reporter_batch_size", 10))

    @property
    def reporter_queue_size(self) -> int:
        """Spans that may wait."""
        return int(self.config.get("reporter_queue_size", 100))

    @property
    def reporter_flush_interval(self) -> float:
        """Seconds between batches."""
        return self.config.get("reporter_flush_interval", DEFAULT_FLUSH_INTERVAL)  # type: ignore[no-any-return]

    @property
    def logging(self) -> bool:
        """Whether every span is logged."""
        return get_boolean(self.config.get("logging", False), False)

    @property
    def trace_id_header(self) -> str:
        """Name of the header with the ids."""
        return self.config.get("trace_id_header", TRACE_ID_HEADER)  # type: ignore[no-any-return]

    @property
    def baggage_header_prefix(self) -> str:
        """Prefix of the headers with the baggage."""
        return self.config.get("baggage_header_prefix", BAGGAGE_HEADER_PREFIX)  # type: ignore[no-any-return]

    @property
    def debug_id_header(self) -> str:
        """Name of the header that forces a trace."""
        return self.config.get("debug_id_header", DEBUG_ID_HEADER_KEY)  # type: ignore[no-any-return]

    @property
    def generate_128bit_trace_id(self) -> bool:
        """Whether new traces get ids of 128 bits; ``JAEGER_TRACEID_128BIT`` counts where the config is silent."""
        if "generate_128bit_trace_id" in self.config:
            return get_boolean(self.config["generate_128bit_trace_id"], False)
        return os.environ.get("JAEGER_TRACEID_128BIT") == "true"

    @property
    def max_tag_value_length(self) -> int:
        """Characters kept of a tag value; without the key, what is exported is not cut."""
        return self.config.get("max_tag_value_length", MAX_TAG_VALUE_LENGTH)  # type: ignore[no-any-return]

    @property
    def max_traceback_length(self) -> int:
        """Characters kept of a stack trace; without the key, what is exported is not cut."""
        return self.config.get("max_traceback_length", MAX_TRACEBACK_LENGTH)  # type: ignore[no-any-return]

    @property
    def sampler(self) -> Any:
        """The sampler that the config names; None for the remote one.

        Raises:
            ValueError: its type or its parameter cannot be used.
        """
        section = self.config.get("sampler") or {}
        if isinstance(section, Sampler):
            return section
        kind: Any = section.get("type")
        param: Any = section.get("param")
        if not kind:
            return None
        if kind == SAMPLER_TYPE_CONST:
            return ConstSampler(get_boolean(param, False))
        if kind == SAMPLER_TYPE_PROBABILISTIC:
            return ProbabilisticSampler(float(param))
        if kind in (SAMPLER_TYPE_RATE_LIMITING, "rate_limiting"):
            return RateLimitingSampler(float(param))
        raise ConfigError(f"Unknown sampler type {kind}, expected const, probabilistic, ratelimiting or none at all")

    @property
    def sampling_refresh_interval(self) -> float:
        """Seconds between two questions to the sampling endpoint."""
        return self.config.get("sampling_refresh_interval", DEFAULT_SAMPLING_INTERVAL)  # type: ignore[no-any-return]

    @property
    def max_operations(self) -> Any:
        """How many operations the remote sampler remembers; None for 2000."""
        return self.config.get("max_operations")

    def local_agent_group(self) -> Any:
        """Return the section ``local_agent``, None without one."""
        return self.config.get("local_agent")

    @property
    def local_agent_enabled(self) -> bool:
        """What ``local_agent.enabled`` says; jaeger-client never obeyed it."""
        group = self.local_agent_group()
        named = isinstance(group, Mapping) and "enabled" in group
        return get_boolean(group["enabled"], LOCAL_AGENT_DEFAULT_ENABLED) if named else LOCAL_AGENT_DEFAULT_ENABLED

    @property
    def local_agent_sampling_port(self) -> int:
        """The agent's port for sampling strategies."""
        return _integer(_item(self.local_agent_group(), "sampling_port"), DEFAULT_SAMPLING_PORT)

    @property
    def local_agent_reporting_port(self) -> int:
        """The agent's port for spans; ``JAEGER_AGENT_PORT`` counts where the config is silent."""
        from_env = _integer(os.environ.get("JAEGER_AGENT_PORT"), DEFAULT_REPORTING_PORT)
        return _integer(_item(self.local_agent_group(), "reporting_port"), from_env)

    @property
    def local_agent_reporting_host(self) -> str:
        """The agent's host; ``JAEGER_AGENT_HOST`` counts where the config is silent."""
        group = self.local_agent_group()
        if isinstance(group, Mapping) and "reporting_host" in group:
            return group["reporting_host"]  # type: ignore[no-any-return]
        return os.environ.get("JAEGER_AGENT_HOST", DEFAULT_REPORTING_HOST)

    @property
    def tags(self) -> dict[str, Any]:
        """The process tags, with those of ``JAEGER_TAGS`` over them."""
        tags = dict(self.config.get("tags") or {})
        for item in os.environ.get("JAEGER_TAGS", "").split(","):
            key, equals, value = item.partition("=")
            if equals:
                tags[key.strip()] = value.strip()
        return tags

    @property
    def propagation(self) -> dict[str, Any]:
        """The codecs that ``propagation: b3`` asks for."""
        if self.config.get("propagation") == "b3":
            return {Format.HTTP_HEADERS: B3Codec(generate_128bit_trace_id=self.generate_128bit_trace_id)}
        return {}

    def throttler_group(self) -> Any:
        """Return the section ``throttler``, None without one."""
        return self.config.get("throttler")

    @property
    def throttler_port(self) -> int | None:
        """The agent's port for throttling credits, None without a throttler."""
        group = self.throttler_group()
        return None if group is None else _integer(_item(group, "port"), DEFAULT_THROTTLER_PORT)

    @property
    def throttler_refresh_interval(self) -> int | None:
        """Seconds between two questions for credits, None without a throttler."""
        group = self.throttler_group()
        if group is None:
            return None
        return _integer(_item(group, "refresh_interval"), DEFAULT_THROTTLER_REFRESH_INTERVAL)

    @staticmethod
    def initialized() -> bool:
        """Tell whether a tracer was initialized in this process."""
        with Config._initialized_lock:
            return Config._initialized

    def initialize_tracer(self, io_loop: Any = None) -> Tracer | None:
        """Make the tracer and set it as the global one, of OpenTracing and of OpenTelemetry.

        Returns:
            None when there is one already: only the first call has an effect.
        """
        with Config._initialized_lock:
            if Config._initialized:
                logger.warning("Jaeger tracer already initialized, skipping")
                return None
            Config._initialized = True
        tracer = self.new_tracer(io_loop)
        self._initialize_global_tracer(tracer)
        return tracer

    def new_tracer(self, io_loop: Any = None) -> Tracer:
        """Make a tracer that is nobody's global one."""
        channel = self._create_local_agent_channel(io_loop=io_loop)
        # Who sets a variable of the bridge's or of OpenTelemetry's knows of them; the config does not.
        told = sampler_from_env(Settings.from_env().sampler, self.service_name)
        sampler = self.sampler if told is None else OtelSampler(told)
        if sampler is None:
            sampler = RemoteControlledSampler(
                channel=channel,
                service_name=self.service_name,
                sampling_refresh_interval=self.sampling_refresh_interval,
                max_operations=self.max_operations,
            )
        logger.info("Using sampler %s", sampler)
        reporter: BaseReporter = Reporter(
            channel=channel,
            queue_capacity=self.reporter_queue_size if "reporter_queue_size" in self.config else None,
            batch_size=self.reporter_batch_size if "reporter_batch_size" in self.config else None,
            flush_interval=self.reporter_flush_interval if "reporter_flush_interval" in self.config else None,
            metrics_factory=self._metrics_factory,
        )
        if self.logging:
            reporter = CompositeReporter(reporter, LoggingReporter(logger))
        throttler = None
        if self.throttler_group() is not None:
            throttler = RemoteThrottler(
                channel,
                self.service_name,
                refresh_interval=self.throttler_refresh_interval,
                metrics_factory=self._metrics_factory,
            )
        return self.create_tracer(reporter=reporter, sampler=sampler, throttler=throttler)

    def create_tracer(self, reporter: Any, sampler: Any, throttler: Any = None) -> Tracer:
        """Make a tracer with this reporter and this sampler."""
        config = self.config
        return Tracer(
            service_name=self.service_name,
            reporter=reporter,
            sampler=sampler,
            metrics_factory=self._given_factory,
            trace_id_header=self.trace_id_header,
            generate_128bit_trace_id=self.generate_128bit_trace_id,
            baggage_header_prefix=self.baggage_header_prefix,
            debug_id_header=self.debug_id_header,
            tags=self.tags,
            max_tag_value_length=self.max_tag_value_length if "max_tag_value_length" in config else None,
            max_traceback_length=self.max_traceback_length if "max_traceback_length" in config else None,
            extra_codecs=self.propagation,
            throttler=throttler,
            scope_manager=self.scope_manager,
        )

    def _initialize_global_tracer(self, tracer: Any) -> None:
        if isinstance(tracer, Tracer):
            bootstrap.make_global(tracer)
        else:  # a derived class makes its own kind
            opentracing.set_global_tracer(tracer)
        logger.info("opentracing.tracer initialized to %s[app_name=%s]", tracer, self.service_name)

    def _create_local_agent_channel(self, io_loop: Any) -> LocalAgentSender:
        return LocalAgentSender(
            host=self.local_agent_reporting_host,
            sampling_port=self.local_agent_sampling_port,
            reporting_port=self.local_agent_reporting_port,
            throttling_port=self.throttler_port,
            io_loop=io_loop,
        )


def _item(group: Any, key: str) -> Any:
    return group.get(key) if isinstance(group, Mapping) else None


def _integer(value: Any, default: int) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return default
