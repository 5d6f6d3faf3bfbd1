"""``translate``: jaeger-client's configuration in, the bridge's values and a row for each old key out.

The order of the sources is jaeger-client's own: the dict wins over the variables, except for JAEGER_TAGS, which wins
over the dict; a service name in the dict wins over the argument. Variables of the new world that are set, ``OTEL_*``
and ``OT_BRIDGE_*``, win over all of it, as somebody has set them for the bridge; only a service name does not change.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from ot_bridge.environment import one_of, read, wrong
from ot_bridge.jaeger_config import process_tags
from ot_bridge.jaeger_config.addresses import OTLP_ENDPOINTS, protocol_of
from ot_bridge.jaeger_config.endpoint import add_endpoint, agent_of
from ot_bridge.jaeger_config.given import Given
from ot_bridge.jaeger_config.keys import CONFIG_KEYS
from ot_bridge.jaeger_config.reporter import add_reporter
from ot_bridge.jaeger_config.resource import RESOURCE, add_resource
from ot_bridge.jaeger_config.result import ARGUMENT, CONFIG, VARIABLE_PREFIX, Translation, setting_text
from ot_bridge.jaeger_config.sampler import add_sampler
from ot_bridge.jaeger_config.work import Work, default, wins

__all__ = ["JAEGER_ENVS", "translate"]

JAEGER_ENVS: Final = ("python", "all")
"""Which ``JAEGER_*`` variables are read: those of the client for Python, or those of every client."""

_SERVICE_NAME: Final = "OTEL_SERVICE_NAME"
_DISABLED: Final = "OTEL_SDK_DISABLED"
_FIELDS: Final[Mapping[str, str]] = {
    "max_tag_value_length": "max_tag_value_length",
    "max_traceback_length": "max_traceback_length",
    "trace_id_header": "trace_id_header",
    "debug_id_header": "debug_id_header",
    "baggage_header_prefix": "baggage_header_prefix",
    "generate_128bit_trace_id": "trace_id_bits",
}
# What jaeger-client does where there is no key for it.
_PARITY: Final = (
    ("generate_128bit_trace_id", "trace_id_bits", 64, "jaeger-client's ids are short unless it is told otherwise"),
    ("references", "references", "jaeger", "in jaeger-client the active span comes before references="),
)


def translate(
    config: Mapping[str, object],
    *,
    service_name: str | None = None,
    environ: Mapping[str, str] | None = None,
    jaeger_env: str = "python",
) -> Translation:
    """Translate a jaeger-client configuration. Nothing is set and the dict is not changed.

    Args:
        config: what ``jaeger_client.Config`` takes as its dict.
        service_name: what ``jaeger_client.Config`` takes beside the dict.
        environ: the variables; None for ``os.environ``.
        jaeger_env: "python" for the four ``JAEGER_*`` variables that jaeger-client for Python reads, "all" for those of
            the clients of other languages too.

    Raises:
        ConfigError: a value that jaeger-client would fail over; the text names the key, the value and what is wanted.
    """
    if jaeger_env not in JAEGER_ENVS:
        raise wrong("jaeger_env", jaeger_env, ARGUMENT, one_of(JAEGER_ENVS), JAEGER_ENVS)
    work = Work(config, dict(os.environ if environ is None else environ), jaeger_env)
    name = _service_name(work, service_name)
    enabled, logging, _ = (_switch(work, key) for key in ("enabled", "logging", "metrics"))
    agent = agent_of(work)
    asks_agent = add_sampler(work, agent)
    add_reporter(work)
    endpoint, endpoint_origin = add_endpoint(work, agent, asks_agent=asks_agent)
    resource = add_resource(work)
    _add_fields(work)
    throttler = [key for key in work.given if key.startswith("throttler.")]
    for key in throttler or ["throttler"]:
        work.leave(key)
    return Translation(
        service_name=name,
        settings=work.settings,
        resource=resource,
        endpoint=endpoint,
        endpoint_origin=endpoint_origin,
        protocol=protocol_of(work.environ),
        otel=work.otel,
        enabled=enabled,
        logging=logging,
        agent=agent,
        rows=work.in_order(),
        variables=_variables(work, name, endpoint, resource, enabled=enabled),
    )


def _service_name(work: Work, argument: str | None) -> str | None:
    candidates = [Given("service_name", argument, ARGUMENT, CONFIG_KEYS["service_name"].read)] if argument else []
    if given := work.given.get("service_name"):
        # JAEGER_SERVICE_NAME is the last to be asked.
        candidates.insert(0 if given.origin == CONFIG else len(candidates), given)
    found: str | None = None
    for given in candidates:
        name = work.taken(given)
        if name is None:
            continue
        if found is not None:
            work.unused(given, f"{found!r} wins")
            continue
        found = str(name)
        other = read(_SERVICE_NAME, work.environ)
        note = f"{_SERVICE_NAME}={other} is not used" if other not in (None, found) else None
        work.placed(given, {_SERVICE_NAME: found}, note)
    return found


def _switch(work: Work, key: str) -> bool:
    """Return a switch, and add its row."""
    given, usual = work.given.get(key), bool(CONFIG_KEYS[key].read("").value)
    if given is None:
        return usual
    value, note, _ = given.taken()
    if value == usual:
        work.unused(given, note or "it is so without the key, too")
    elif given.dropped:
        work.dropped(given, given.dropped)
    elif winner := work.winner(_DISABLED):
        work.unused(given, wins(winner, work.environ))
    else:
        note = "jaeger-client has the key and never acts on it; applications do" if given.origin == CONFIG else None
        work.placed(given, {_DISABLED: "true"}, note)
    return bool(value)


def _add_fields(work: Work) -> None:
    """Add what goes into a field of Settings as it is."""
    for key, field in _FIELDS.items():
        given = work.given.get(key)
        value = None if given is None else work.taken(given)
        if given is not None and value is not None:
            work.carry(given, settings={field: value}, note=given.taken().note)
    given = work.given.get("propagation")
    formats = None if given is None else work.taken(given)
    if given is not None and formats is not None:
        work.carry(given, settings=dict(zip(("extract", "inject"), formats, strict=True)))
    for key, field, value, note in _PARITY:
        if key not in work.given:
            work.carry(default(key), settings={field: value}, note=note)


def _variables(
    work: Work, service_name: str | None, endpoint: str | None, resource: Mapping[str, str], *, enabled: bool
) -> dict[str, str]:
    found: dict[str, str] = {}
    if service_name is not None:
        found[_SERVICE_NAME] = service_name
    if resource:
        merged = {**resource, **process_tags.attributes_in(read(RESOURCE, work.environ) or "")}
        found[RESOURCE] = process_tags.attributes_text(merged)
    if endpoint is not None:
        found[OTLP_ENDPOINTS[1]] = endpoint
    found.update(work.otel)
    if not enabled and work.winner(_DISABLED) is None:
        found[_DISABLED] = "true"
    found.update({VARIABLE_PREFIX + field.upper(): setting_text(value) for field, value in work.settings.items()})
    return found
