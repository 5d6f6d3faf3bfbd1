"""The SDK's TracerProvider from a service name and the ``OTEL_*`` variables, with errors instead of silent defaults.

Where the SDK logs a mistake and goes on (an unknown sampler becomes parentbased_always_on, a bad rate becomes 1.0),
this raises: a service that samples everything by mistake is found at its start, not on the bill.

Source: OpenTelemetry specification 1377f53b, configuration/sdk-environment-variables.md.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, DEFAULT_ON, ParentBased, Sampler, TraceIdRatioBased

from ot_bridge import telemetry
from ot_bridge.environment import VARIABLE, build_named, read, read_number, wrong
from ot_bridge.errors import ConfigError

__all__ = ["SAMPLERS", "build_provider", "host_attributes", "is_disabled", "sampler_from_env"]

_logger = logging.getLogger("ot_bridge")

_DISABLED: Final = "OTEL_SDK_DISABLED"
_SAMPLER: Final = "OTEL_TRACES_SAMPLER"
_SAMPLER_ARG: Final = "OTEL_TRACES_SAMPLER_ARG"
_SAMPLER_GROUP: Final = "opentelemetry_traces_sampler"
_ID_GENERATOR: Final = "OTEL_PYTHON_ID_GENERATOR"
_ID_GENERATOR_GROUP: Final = "opentelemetry_id_generator"
_RESOURCE: Final = "OTEL_RESOURCE_ATTRIBUTES"
_SERVICE_NAME: Final = "OTEL_SERVICE_NAME"
_ANY_OTHER_HOST: Final = ("192.0.2.1", 9)  # of the block that is reserved for documentation


def _ratio() -> Sampler:
    # The specification's default is 1.0. The SDK would take NaN as a rate, and then sample nothing.
    return TraceIdRatioBased(read_number(_SAMPLER_ARG, 1.0, most=1.0))


SAMPLERS: Final[Mapping[str, Callable[[], Sampler]]] = {
    "always_on": lambda: ALWAYS_ON,
    "always_off": lambda: ALWAYS_OFF,
    "traceidratio": _ratio,
    "parentbased_always_on": lambda: DEFAULT_ON,
    "parentbased_always_off": lambda: ParentBased(ALWAYS_OFF),
    "parentbased_traceidratio": lambda: ParentBased(_ratio()),
}


def is_disabled() -> bool:
    """Say whether ``OTEL_SDK_DISABLED`` is true. As specified, anything but true is false."""
    return (read(_DISABLED) or "").lower() == "true"


def build_provider(
    service_name: str | None,
    build_processors: Callable[[], Iterable[SpanProcessor]],
    *,
    sampler: str | Sampler | None = None,
    tail: str | None = None,
    resource: Mapping[str, str | bool | int | float] | None = None,
) -> TracerProvider:
    """Build a provider that is nobody's global yet and that does not shut itself down at exit.

    Args:
        service_name: wins over ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES``; None leaves it to them.
        build_processors: called last, when all else is valid, as it may start threads; not called when
            ``OTEL_SDK_DISABLED`` is true.
        sampler: a Sampler, or as in ``Settings.sampler``; wins over ``OTEL_TRACES_SAMPLER``, None leaves it to that.
        tail: as in ``Settings.tail``: what decides on what the processors export.
        resource: further attributes of the resource; what ``OTEL_RESOURCE_ATTRIBUTES`` says wins.

    Raises:
        ConfigError: a variable or the sampler cannot be used. Nothing is left running.
    """
    if is_disabled():
        return TracerProvider(shutdown_on_exit=False, sampler=ALWAYS_OFF)
    built, ids, limits = _build_resource(service_name, resource or {}), _build_id_generator(), _build_limits()
    if tail is not None:
        from ot_bridge.sampling.tail import RecordingSampler, in_front_of, rules_of, takes_all

        rules = rules_of(tail, "argument of build_provider")
    # Last but for the processors: a remote sampler asks at once, in a thread.
    if not isinstance(sampler, Sampler):
        sampler = _build_sampler(sampler, str(built.attributes[SERVICE_NAME]))
    try:
        provider = TracerProvider(
            sampler=RecordingSampler(sampler) if tail is not None and rules.promote_local else sampler,
            resource=built,
            id_generator=ids,
            span_limits=limits,
            shutdown_on_exit=False,
        )
        processors = build_processors()
        if tail is not None:
            processors = in_front_of(processors, rules, head_takes_all=takes_all(sampler))
        for processor in processors:
            provider.add_span_processor(processor)
    except BaseException:
        from ot_bridge.sampling import JaegerSampler

        if isinstance(sampler, JaegerSampler):
            sampler.close()
        raise
    return provider


def _build_resource(service_name: str | None, attributes: Mapping[str, str | bool | int | float]) -> Resource:
    for number, item in enumerate((read(_RESOURCE) or "").split(","), start=1):
        key, equals, _ = item.partition("=")
        if item.strip() and not (equals and key.strip()):
            raise wrong(_RESOURCE, item, f"{VARIABLE}, item {number}", "key=value,key=value")
    # What jaeger-client told of every process; what the variables say comes on top.
    host = Resource({**host_attributes(), **attributes})
    from_env = read(_SERVICE_NAME)
    if service_name is None:
        return host.merge(Resource.create())
    if from_env not in (None, service_name):
        _logger.info(
            "the service name is %r, as given to install; %s=%s is not used", service_name, _SERVICE_NAME, from_env
        )
    return host.merge(Resource.create({SERVICE_NAME: service_name}))


def host_attributes() -> dict[str, str]:
    """Return the host's name, and the address that it has towards others, as the Collector names Jaeger's tags."""
    attributes = {"host.name": socket.gethostname()}
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            # Nothing is sent: connecting a datagram socket only asks the routing table, and no name server.
            probe.connect(_ANY_OTHER_HOST)
            attributes["ip"] = probe.getsockname()[0]
    except OSError:  # a host without a route
        telemetry.count("install.no_address")
    return attributes


def _build_limits() -> SpanLimits:
    try:
        return SpanLimits()
    except ValueError as error:
        raise ConfigError(f"cannot use a span limit ({VARIABLE}): {error}") from error


def sampler_from_env(settings_sampler: str | None, service_name: str) -> Sampler | None:
    """Return the sampler that ``Settings.sampler`` or ``OTEL_TRACES_SAMPLER`` names; None when neither does.

    Raises:
        ConfigError: it cannot be used.
    """
    if settings_sampler is None and read(_SAMPLER) is None:
        return None
    return _build_sampler(settings_sampler, service_name)


def _build_sampler(spec: str | None, service_name: str) -> Sampler:
    chosen = read(_SAMPLER)
    name = chosen or "parentbased_always_on"
    if spec is None and name.lower() in SAMPLERS:
        return SAMPLERS[name.lower()]()

    from ot_bridge import sampling
    from ot_bridge.sampler_specs import ENTRY_POINT_PREFIX, SAMPLER_ROWS

    if spec is not None:
        if chosen is not None:
            _logger.info("the sampler is %s, as the settings say; %s=%s is not used", spec, _SAMPLER, chosen)
        return sampling.build(spec, service_name=service_name)
    own = name.removeprefix(ENTRY_POINT_PREFIX)
    if own != name and own in SAMPLER_ROWS:  # not by its entry point, which cannot know the name that install was given
        return sampling.build_from_variable(own, read(_SAMPLER_ARG), service_name=service_name)

    def build(factory: Callable[[str | None], object]) -> object:
        return factory(read(_SAMPLER_ARG))

    known = (*SAMPLERS, *(row.entry_point for row in SAMPLER_ROWS.values()))
    return build_named(_SAMPLER, name, _SAMPLER_GROUP, Sampler, known=known, build=build)  # type: ignore[type-abstract]


def _build_id_generator() -> IdGenerator:
    name = read(_ID_GENERATOR) or "random"
    if name == "random":
        return RandomIdGenerator()
    return build_named(_ID_GENERATOR, name, _ID_GENERATOR_GROUP, IdGenerator, known=["random"])  # type: ignore[type-abstract]
