"""What jaeger_client 4.8.0 has and the drop-in has not: names, reasons, and what to do instead. Data only.

compat_matrix.md prints it, the redirection of ``import jaeger_client`` quotes it, and a test compares the two packages.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final, NamedTuple

__all__ = ["NOT_CARRIED", "NotCarried", "reason_for"]


class NotCarried(NamedTuple):
    """One row.

    Attributes:
        name: below ``jaeger_client``; ``*`` stands for anything, and what lies below a name is meant too.
        reason: why it is not there.
        instead: what to do.
    """

    name: str
    reason: str
    instead: str


_NO_THRIFT: Final = "spans leave over OTLP, so that nothing of Thrift or UDP is needed"
_ADD_PROCESSOR: Final = "add a SpanProcessor to OpenTelemetry's TracerProvider, or override report_span of a reporter"
_INSIDE: Final = "the decision is made by ot_bridge.sampling"

NOT_CARRIED: Final = (
    NotCarried("TUDPTransport", _NO_THRIFT, "remove the import; OTEL_EXPORTER_OTLP_ENDPOINT says where spans go"),
    NotCarried("local_agent_net.TUDPTransport", _NO_THRIFT, "remove the import"),
    NotCarried("thrift_gen.agent", _NO_THRIFT, "remove the import"),
    NotCarried("thrift_gen.sampling", "strategies are read as JSON", "remove the import; see sampler.AdaptiveSampler"),
    NotCarried("thrift_gen.zipkincore", _NO_THRIFT, "remove the import"),
    NotCarried("thrift_gen.jaeger.Collector", _NO_THRIFT, "remove the import; spans go to a collector over OTLP"),
    NotCarried("thrift_gen.jaeger.constants", "there is nothing in it", "remove the import"),
    *(
        NotCarried(f"thrift_gen.jaeger.ttypes.*.{name}", "nothing is serialised with Thrift", _ADD_PROCESSOR)
        for name in ("read", "write", "validate", "thrift_spec")
    ),
    NotCarried("thrift.parse_sampling_strategy", "strategies are read as JSON", "build the sampler by hand"),
    NotCarried("reporter.Reporter.agent", _NO_THRIFT, _ADD_PROCESSOR),
    NotCarried("reporter.Reporter.getProtocol", _NO_THRIFT, _ADD_PROCESSOR),
    *(
        NotCarried(f"reporter.Reporter.{name}", "OpenTelemetry's batch processor has the queue and the thread", instead)
        for name, instead in (
            ("io_loop", "remove it: no loop is needed"),
            ("queue", "queue_length() tells how many spans wait"),
            ("stop", "call close()"),
            ("stopped", "call close()"),
            ("stop_lock", "call close()"),
        )
    ),
    NotCarried(
        "local_agent_net.LocalAgentSender.readFrame", "the sender is an address, and no Thrift transport", "remove it"
    ),
    NotCarried("sampler.RateLimitingSampler.rate_limiter", _INSIDE, "read traces_per_second"),
    NotCarried("sampler.GuaranteedThroughputProbabilisticSampler.probabilistic_sampler", _INSIDE, "read rate"),
    NotCarried("sampler.GuaranteedThroughputProbabilisticSampler.lower_bound_sampler", _INSIDE, "read lower_bound"),
    NotCarried("sampler.AdaptiveSampler.samplers", _INSIDE, "ask is_sampled"),
    NotCarried("sampler.AdaptiveSampler.default_sampler", _INSIDE, "read default_sampling_probability"),
    *(
        NotCarried(f"{owner}.{name}", "a thread of ot_bridge asks the agent", instead)
        for owner in ("sampler.RemoteControlledSampler", "throttler.RemoteThrottler")
        for name, instead in (
            ("io_loop", "remove it: no loop is needed"),
            ("lock", "remove it: all calls are safe with threads"),
            ("periodic", "call close() to stop it"),
            ("running", "call close() to stop it"),
        )
    ),
    NotCarried("throttler.RemoteThrottler.credits", "the credits are counted by ot_bridge.sampling", "ask is_allowed"),
    *(
        NotCarried(f"utils.{name}", "the address is asked of the routing table", "call utils.local_ip()")
        for name in ("get_local_ip_by_interfaces", "interface_ip")
    ),
    NotCarried(
        "span.Span (derived)",
        "the tracer makes its spans itself, as OpenTelemetry's processors need them",
        "set attributes on the span, or replace its methods; both are kept",
    ),
)
"""Names of the modules, classes, functions and attributes of jaeger_client that are not in the drop-in."""


def reason_for(name: str) -> str:
    """Return ``: reason; what to do`` for a name below ``jaeger_client``; empty for one that is in no row."""
    for row in NOT_CARRIED:
        if fnmatchcase(name, row.name) or name.startswith(f"{row.name}."):
            return f": {row.reason}; {row.instead}"
    return ""
