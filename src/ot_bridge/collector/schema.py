"""The keys that a component takes, by version: the ones that are written here, and those that might be.

One row of :data:`COMPONENTS` per component. A key is a dotted path; ``[]`` stands for the items of a list, and the
number is the first minor version that has it, 0 for one that every version from 0.140 on has. It is held against what
is generated, so that a slip of a name is found without a Collector, which refuses unknown keys.

Sources: opentelemetry-collector-contrib, the config.go or config.schema.yaml of each component; jaegertracing/jaeger,
cmd/jaeger/internal/extension.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from ot_bridge.collector.versions import OLDEST, RENAMED

__all__ = ["COMPONENTS", "NEVER", "Component", "unknown_keys"]

NEVER: Final = frozenset(
    {
        "adaptive_tail_sampling",
        "bytes_limiting",
        "dynamic_sampling",
        "groupbytrace",
        "invert_match",
        "not",
        "not_sub_policy",
        "tail_storage",
    }
)
"""Words that stand for nothing here: they change their meaning between versions, or are in no distribution."""


class Component(NamedTuple):
    """What a component is called in which version, and its keys."""

    section: str
    names: Mapping[str, int]
    keys: Mapping[str, int]


def _always(*keys: str) -> dict[str, int]:
    return dict.fromkeys(keys, 0)


def _below(prefix: str, keys: Iterable[str]) -> dict[str, int]:
    return {f"{prefix}.{key}": 0 for key in keys}


_QUEUE: Final = ("sending_queue.enabled", "sending_queue.queue_size", "sending_queue.num_consumers")
_RETRY: Final = (
    "retry_on_failure.enabled",
    "retry_on_failure.initial_interval",
    "retry_on_failure.max_interval",
    "retry_on_failure.max_elapsed_time",
)
_EXPORTER: Final = ("endpoint", "timeout", "tls.insecure", "tls.ca_file", "compression", "headers", *_QUEUE, *_RETRY)
_UDP: Final = ("endpoint", "queue_size", "max_packet_size", "workers", "socket_buffer_size")
_FILTERS: Final = (
    "name",
    "type",
    "boolean_attribute.key",
    "boolean_attribute.value",
    "latency.threshold_ms",
    "latency.upper_threshold_ms",
    "numeric_attribute.key",
    "numeric_attribute.max_value",
    "numeric_attribute.min_value",
    "ottl_condition.error_mode",
    "ottl_condition.span[]",
    "ottl_condition.spanevent[]",
    "probabilistic.hash_salt",
    "probabilistic.sampling_percentage",
    "rate_limiting.spans_per_second",
    "span_count.max_spans",
    "span_count.min_spans",
    "status_code.status_codes[]",
    "string_attribute.cache_max_size",
    "string_attribute.enabled_regex_matching",
    "string_attribute.key",
    "string_attribute.values[]",
)


def _renamed(name: str) -> dict[str, int]:
    return {name: 0, RENAMED[name].name: RENAMED[name].since}


COMPONENTS: Final = (
    Component(
        "extensions",
        {"jaegerremotesampling": 0},
        _always("source.file", "source.reload_interval", "http.endpoint", "grpc.endpoint"),
    ),
    Component(
        "extensions",
        {"remote_sampling": 0},
        _always(
            "file.path",
            "file.reload_interval",
            "file.default_sampling_probability",
            "http.endpoint",
            "grpc.endpoint",
        ),
    ),
    Component("extensions", {"jaeger_storage": 0}, _always("backends.kept.memory.max_traces")),
    Component("extensions", {"jaeger_query": 0}, _always("storage.traces")),
    Component("receivers", {"otlp": 0}, _always("protocols.grpc.endpoint", "protocols.http.endpoint")),
    Component(
        "receivers",
        {"jaeger": 0},
        {
            **_always("protocols.grpc.endpoint", "protocols.thrift_http.endpoint"),
            **_below("protocols.thrift_compact", _UDP),
            **_below("protocols.thrift_binary", _UDP),
        },
    ),
    Component(
        "processors",
        {"memory_limiter": 0},
        _always("check_interval", "limit_percentage", "spike_limit_percentage", "limit_mib", "spike_limit_mib"),
    ),
    Component("processors", {"batch": 0}, _always("send_batch_size", "send_batch_max_size", "timeout")),
    Component(
        "processors",
        {"tail_sampling": 0},
        {
            **_always(
                "decision_wait",
                "num_traces",
                "expected_new_traces_per_sec",
                "decision_cache.sampled_cache_size",
                "decision_cache.non_sampled_cache_size",
            ),
            **_below("policies[]", _FILTERS),
            **_below("policies[].drop.drop_sub_policy[]", _FILTERS),
            "decision_wait_after_root_received": 144,
            "sampling_strategy": 149,
            "policies[].rate_limiting.burst_capacity": 153,
            "num_shards": 159,
        },
    ),
    Component(
        "exporters",
        _renamed("loadbalancing"),
        {
            **_always("routing_key", "timeout", "resolver.static.hostnames[]", *_QUEUE, *_RETRY),
            **_always("resolver.dns.hostname", "resolver.dns.port", "resolver.dns.interval", "resolver.dns.timeout"),
            **_always("resolver.k8s.service", "resolver.k8s.ports[]", "resolver.k8s.return_hostnames"),
            **_below("protocol.otlp", _EXPORTER),
        },
    ),
    Component("exporters", _renamed("otlp"), _always(*_EXPORTER)),
    Component("exporters", _renamed("otlphttp"), _always(*_EXPORTER)),
    Component("exporters", {"jaeger_storage_exporter": 0}, _always("trace_storage")),
    Component(
        "service",
        {"pipelines": 0},
        _always("traces.receivers[]", "traces.processors[]", "traces.exporters[]"),
    ),
)


def unknown_keys(configuration: Mapping[str, Any], version: int | None = None) -> list[str]:
    """Return the paths of a configuration that a Collector of this version, None for any, would not take."""
    version = OLDEST if version is None else version
    known = {
        (part.section, name): part for part in COMPONENTS for name, since in part.names.items() if since <= version
    }
    found = []
    for section, below in configuration.items():
        for name, value in below.items():
            if (section, name) == ("service", "extensions"):
                continue
            part = known.get((section, name))
            if part is None:
                found.append(f"{section}.{name}")
                continue
            keys = [key for key, since in part.keys.items() if since <= version]
            found += [f"{section}.{name}.{path}" for path in _leaves(value) if path not in keys]
    return found


def _leaves(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _leaves(below, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, f"{path}[]")
    else:
        yield path
