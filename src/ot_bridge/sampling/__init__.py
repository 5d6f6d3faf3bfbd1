"""Jaeger's samplers, for OpenTelemetry and for the bridge: const, probabilistic, ratelimiting, guaranteed, remote.

    sampler = sampling.build("probabilistic:0.1", service_name="checkout")

The texts are those of :mod:`ot_bridge.sampler_specs`. Deciders know no OpenTelemetry; the samplers ask them about roots
and follow the parent of every other span.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ot_bridge.environment import VARIABLE, wrong
from ot_bridge.sampler_specs import SamplerSpec, SpecError, read_argument, read_spec
from ot_bridge.sampling.adapter import JaegerSampler, RootSampler
from ot_bridge.sampling.decisions import (
    Const,
    Decider,
    GuaranteedThroughput,
    PerOperation,
    Probabilistic,
    RateLimiting,
)
from ot_bridge.sampling.tail import TailDecision, TailSamplingProcessor

if TYPE_CHECKING:
    from ot_bridge.sampling.throttling import RemoteThrottler

__all__ = [
    "BUILDERS",
    "Const",
    "Decider",
    "GuaranteedThroughput",
    "JaegerSampler",
    "PerOperation",
    "Probabilistic",
    "RateLimiting",
    "RootSampler",
    "TailDecision",
    "TailSamplingProcessor",
    "build",
    "build_decider",
    "build_from_variable",
    "build_throttler",
]


def _build_guaranteed(rate: float, lower_bound: float) -> Decider:
    return PerOperation(rate, lower_bound)


def _build_remote(
    service_name: str, *, endpoint: str, polling_interval_ms: int, initial_rate: float, max_operations: int
) -> Decider:
    # Whoever does not ask anybody loads no HTTP client.
    from ot_bridge.sampling.remote import Remote

    return Remote(
        endpoint,
        service_name,
        interval_s=polling_interval_ms / 1000,
        initial=Probabilistic(initial_rate),
        max_operations=max_operations,
    )


BUILDERS: Final[Mapping[str, Callable[..., Decider]]] = MappingProxyType(
    {
        "const": Const,
        "probabilistic": Probabilistic,
        "ratelimiting": RateLimiting,
        "guaranteed": _build_guaranteed,
        "remote": _build_remote,
    }
)
"""How each row of SAMPLER_ROWS is built from what its ARG says; the remote one also takes the service's name."""


def build_decider(spec: SamplerSpec, *, service_name: str) -> Decider:
    """Build what decides on roots; the remote one starts to ask at once, and has to be closed."""
    arguments: Mapping[str, Any] = spec.arguments
    names = (service_name,) if spec.name == "remote" else ()
    return BUILDERS[spec.name](*names, **arguments)


def build(spec: str, *, service_name: str) -> JaegerSampler:
    """Build an OpenTelemetry sampler that follows the parent, and decides on roots as the text says.

    Args:
        spec: ``NAME:ARG``, such as ``ratelimiting:2.5``.
        service_name: whose strategy a remote sampler asks for.

    Raises:
        ConfigError: it is no such text.
    """
    try:
        read = read_spec(spec)
    except SpecError as error:
        raise wrong("sampler", error.found, "argument of build", error.wanted, error.known) from None
    return JaegerSampler(build_decider(read, service_name=service_name))


def build_from_variable(name: str, argument: str | None, *, service_name: str) -> JaegerSampler:
    """Build the sampler that OTEL_TRACES_SAMPLER names, from OTEL_TRACES_SAMPLER_ARG.

    Args:
        name: a key of SAMPLER_ROWS.
        argument: the variable's text, None where it is not set.
        service_name: as for :func:`build`.

    Raises:
        ConfigError: the sampler does not take the argument.
    """
    try:
        read = read_argument(name, argument)
    except SpecError as error:
        raise wrong("OTEL_TRACES_SAMPLER_ARG", error.found or "", VARIABLE, error.wanted, error.known) from None
    return JaegerSampler(build_decider(read, service_name=service_name))


def build_throttler(endpoint: str, *, service_name: str) -> RemoteThrottler:
    """Return a throttler that asks for credits there, see :class:`ot_bridge.sampling.throttling.RemoteThrottler`."""
    from ot_bridge.sampling.throttling import RemoteThrottler

    return RemoteThrottler(endpoint, service_name)
