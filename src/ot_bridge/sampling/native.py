"""The samplers by name for services without the bridge's tracer: the entry points of ``OTEL_TRACES_SAMPLER``.

OpenTelemetry's own set-up (``opentelemetry-instrument``) calls them with ``OTEL_TRACES_SAMPLER_ARG``. An argument that
cannot be used raises ConfigError; that set-up logs it and samples everything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector

from ot_bridge.sampling import JaegerSampler, build_from_variable

__all__ = ["const", "guaranteed", "probabilistic", "ratelimiting", "remote"]

_UNKNOWN: Final = "unknown_service"


def _service_name() -> str:
    # The SDK gives a sampler no resource; these are the variables that it makes the resource's name of.
    return str(OTELResourceDetector().detect().attributes.get(SERVICE_NAME) or _UNKNOWN)


def _factory(name: str) -> Callable[[str | None], JaegerSampler]:
    def build(argument: str | None = None) -> JaegerSampler:
        return build_from_variable(name, argument, service_name=_service_name())

    return build


const: Final = _factory("const")
probabilistic: Final = _factory("probabilistic")
ratelimiting: Final = _factory("ratelimiting")
guaranteed: Final = _factory("guaranteed")
remote: Final = _factory("remote")
