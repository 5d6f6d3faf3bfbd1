"""The two tiers: gateways that any span may reach, and samplers that see whole traces.

Plain data in, mappings out, with the comments beside them. :mod:`ot_bridge.collector.text` writes both as YAML.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ot_bridge.collector.rules import Policy
from ot_bridge.collector.sizing import Fleet
from ot_bridge.collector.versions import is_at_least, spelled

__all__ = ["STRATEGIES", "TARGETS", "Document", "Plan", "gateway", "sampler"]

TARGETS: Final = ("collector", "jaeger-v2")
STRATEGIES: Final[Mapping[str, Any]] = MappingProxyType(
    {"default_strategy": MappingProxyType({"type": "probabilistic", "param": 1.0})}
)
"""What jaeger-clients are told: send everything."""

_EXPORTER_DELAY_S: Final = 5  # of OpenTelemetry's batch processors
_MARGIN_S: Final = 2


class Document(NamedTuple):
    """A configuration, and its comments by the keys that they stand before."""

    configuration: Mapping[str, Any]
    comments: Mapping[tuple[str, ...], str]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Where everything is.

    Args:
        fleet: the load.
        version: the Collector's minor version; None for names that all take.
        target: of :data:`TARGETS`, what tier 2 is.
        sampler_hosts: ``host:port`` of every sampler.
        backend: ``host:port`` for OTLP over gRPC, a URL for OTLP over HTTP.
        backend_tls: whether gRPC to the backend is encrypted; a URL says so itself.
        strategies: the path of strategies.json where the Collector runs; None to serve none.
    """

    fleet: Fleet = field(default_factory=Fleet)
    version: int | None = None
    target: str = "collector"
    sampler_hosts: Sequence[str] = ("sampler-0.sampler:4317", "sampler-1.sampler:4317", "sampler-2.sampler:4317")
    backend: str = "jaeger:4317"
    backend_tls: bool = False
    strategies: str | None = "/etc/otelcol/strategies.json"


def gateway(plan: Plan) -> Document:
    """Return tier 1: takes spans of old and new services, and sends each trace to one sampler."""
    balancer = spelled("loadbalancing", plan.version)
    extensions: dict[str, Any] = {}
    if plan.strategies is not None:
        extensions["jaegerremotesampling"] = {
            "source": {"file": plan.strategies, "reload_interval": "60s"},
            "http": {"endpoint": "0.0.0.0:5778"},
            "grpc": {"endpoint": "0.0.0.0:5779"},
        }
    below: dict[str, Any] = {
        "routing_key": "traceID",
        "timeout": "10s",
        "retry_on_failure": {"enabled": True, "max_elapsed_time": "60s"},
        "sending_queue": {"enabled": True, "queue_size": 2000},
        "protocol": {
            "otlp": {
                "timeout": "5s",
                "tls": {"insecure": True},
                "sending_queue": {"enabled": False},
                "retry_on_failure": {"enabled": False},
            }
        },
        "resolver": {"static": {"hostnames": list(plan.sampler_hosts)}},
    }
    configuration = _configuration(
        extensions,
        _receivers(),
        {"memory_limiter": _memory_limiter(), "batch": {"send_batch_size": 2048, "timeout": "200ms"}},
        {balancer: below},
    )
    return Document(
        configuration,
        {
            ("extensions", "jaegerremotesampling"): "jaeger-clients ask here, at /sampling. Its usual gRPC port, "
            "14250, is the jaeger receiver's.",
            **_RECEIVER_COMMENTS,
            ("exporters", balancer): "All spans of a trace go to one sampler. Queue and retries stand here, not below "
            "protocol: a batch that fails is routed anew when a sampler has come or gone.",
            ("exporters", balancer, "resolver"): "One fixed list in every gateway: two lists would share traces out in "
            "two ways. About 1 of N traces move to another sampler when the list changes.",
        },
    )


def sampler(plan: Plan, policies: Sequence[Policy]) -> Document:
    """Return tier 2: holds traces and decides. A fixed number of instances, each under a name of its own."""
    processors: dict[str, Any] = {
        "memory_limiter": _memory_limiter(),
        "tail_sampling": _tail_sampling(plan, policies),
        "batch": {"send_batch_size": 4096, "timeout": "1s"},
    }
    comments = {
        ("processors",): "In this order: what reads the context of a request (k8sattributes) before tail_sampling, "
        "connectors that count spans too, batch after it.",
        ("processors", "tail_sampling", "decision_wait"): "From the first span on: the longest usual trace, and the "
        f"{_EXPORTER_DELAY_S} s that services hold spans back, plus {_MARGIN_S} s. Longer traces are decided on with "
        "what is there.",
        ("processors", "tail_sampling", "num_traces"): "Too small: traces are dropped undecided, which "
        "otelcol_processor_tail_sampling_sampling_trace_dropped_too_early counts.",
        ("processors", "tail_sampling", "decision_cache"): "Late spans follow the decision about their trace; lost "
        "with a restart.",
        ("processors", "tail_sampling", "policies"): "All are asked, and one that keeps is enough.",
    }
    if plan.target == "jaeger-v2":
        return _jaeger(plan, processors, comments)
    name, exporter = _backend(plan)
    configuration = _configuration(
        {},
        {"otlp": {"protocols": {"grpc": {"endpoint": "0.0.0.0:4317"}}}},
        processors,
        {name: exporter},
    )
    return Document(configuration, comments)


def _jaeger(plan: Plan, processors: Mapping[str, Any], comments: Mapping[tuple[str, ...], str]) -> Document:
    extensions: dict[str, Any] = {
        "jaeger_storage": {"backends": {"kept": {"memory": {"max_traces": 100_000}}}},
        "jaeger_query": {"storage": {"traces": "kept"}},
    }
    if plan.strategies is not None:
        extensions["remote_sampling"] = {
            "file": {"path": plan.strategies, "reload_interval": "60s", "default_sampling_probability": 1.0},
            "http": {"endpoint": "0.0.0.0:5778"},
            "grpc": {"endpoint": "0.0.0.0:5779"},
        }
    configuration = _configuration(
        extensions, _receivers(), processors, {"jaeger_storage_exporter": {"trace_storage": "kept"}}
    )
    return Document(
        configuration,
        {
            **comments,
            **_RECEIVER_COMMENTS,
            ("extensions", "jaeger_storage"): "Put your storage in the place of memory.",
            ("extensions", "remote_sampling"): "The file or adaptive, not both; adaptive sampling and tail sampling "
            "together make little sense.",
        },
    )


def _configuration(
    extensions: Mapping[str, Any],
    receivers: Mapping[str, Any],
    processors: Mapping[str, Any],
    exporters: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the whole, with one pipeline through all of it."""
    pipeline = {"receivers": list(receivers), "processors": list(processors), "exporters": list(exporters)}
    service: dict[str, Any] = {"extensions": list(extensions)} if extensions else {}
    service["pipelines"] = {"traces": pipeline}
    found = {"extensions": extensions} if extensions else {}
    return {**found, "receivers": receivers, "processors": processors, "exporters": exporters, "service": service}


def _memory_limiter() -> dict[str, Any]:
    return {"check_interval": "1s", "limit_percentage": 80, "spike_limit_percentage": 20}


def _receivers() -> dict[str, Any]:
    return {
        "otlp": {
            "protocols": {"grpc": {"endpoint": "0.0.0.0:4317"}, "http": {"endpoint": "0.0.0.0:4318"}},
        },
        "jaeger": {
            "protocols": {
                "grpc": {"endpoint": "0.0.0.0:14250"},
                "thrift_http": {"endpoint": "0.0.0.0:14268"},
                "thrift_compact": {"endpoint": "0.0.0.0:6831", "queue_size": 5000, "socket_buffer_size": 8_388_608},
                "thrift_binary": {"endpoint": "0.0.0.0:6832"},
            }
        },
    }


_RECEIVER_COMMENTS: Final[Mapping[tuple[str, ...], str]] = MappingProxyType(
    {
        ("receivers", "otlp"): "The default address is localhost; this one is open to every host that reaches it.",
        ("receivers", "jaeger", "protocols", "thrift_compact"): "UDP loses spans between hosts: run a gateway on each "
        "host too, as jaeger-agent was. The buffer needs sysctl net.core.rmem_max as high.",
    }
)


def _tail_sampling(plan: Plan, policies: Sequence[Policy]) -> dict[str, Any]:
    fleet = plan.fleet
    found: dict[str, Any] = {"decision_wait": _duration(fleet.decision_wait_s)}
    # The root arrives last but for what other services hold back.
    after_root = _EXPORTER_DELAY_S + _MARGIN_S
    if is_at_least(plan.version, 144) and fleet.decision_wait_s > after_root:
        found["decision_wait_after_root_received"] = _duration(after_root)
    return {
        **found,
        "num_traces": fleet.num_traces,
        "expected_new_traces_per_sec": fleet.traces_per_sampler,
        "decision_cache": {
            "sampled_cache_size": fleet.kept_ids,
            "non_sampled_cache_size": fleet.dropped_ids,
        },
        "policies": [policy.as_dict() for policy in policies],
    }


def _backend(plan: Plan) -> tuple[str, dict[str, Any]]:
    queue = {"sending_queue": {"enabled": True, "queue_size": 5000}}
    if "://" in plan.backend:
        return spelled("otlphttp", plan.version), {"endpoint": plan.backend, **queue}
    tls = {"tls": {"insecure": not plan.backend_tls}}
    return spelled("otlp", plan.version), {"endpoint": plan.backend, **tls, **queue}


def _duration(seconds: float) -> str:
    milliseconds = max(1, math.ceil(seconds * 1000 - 1e-6))
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"
