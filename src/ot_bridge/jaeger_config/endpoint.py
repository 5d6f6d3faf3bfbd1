"""Where the spans go: what a variable says, else the agent's host with OTLP's port, else OTLP's default."""

from __future__ import annotations

from typing import Final

from ot_bridge.environment import VARIABLE
from ot_bridge.jaeger_config.addresses import OTLP_ENDPOINTS, host_of, otlp_endpoint, otlp_of_collector
from ot_bridge.jaeger_config.given import Given
from ot_bridge.jaeger_config.keys import (
    DEFAULT_REPORTING_PORT,
    DEFAULT_SAMPLING_PORT,
    DEFAULT_THROTTLER_REFRESH_S,
)
from ot_bridge.jaeger_config.result import VARIABLE_PREFIX, Agent
from ot_bridge.jaeger_config.work import Work, default, wins

__all__ = ["add_endpoint", "agent_of"]

_HOST: Final = "local_agent.reporting_host"
_DEFAULT_HOST: Final = "localhost"
_ENDPOINT: Final = OTLP_ENDPOINTS[1]


def agent_of(work: Work) -> Agent:
    """Return the agent's addresses; a host that is none is dropped, and localhost counts."""
    given, host = work.given.get(_HOST), _DEFAULT_HOST
    if given is not None and host_of(given.value) is None:
        work.dropped(given, "it is no host name and no address; localhost counts")
        del work.given[_HOST]
    elif given is not None:
        host = str(given.value).strip()
    throttled = "throttler" in work.given
    return Agent(
        host=host,
        reporting_port=work.number("local_agent.reporting_port", DEFAULT_REPORTING_PORT),
        sampling_port=work.number("local_agent.sampling_port", DEFAULT_SAMPLING_PORT),
        throttler_port=work.number("throttler.port", DEFAULT_SAMPLING_PORT) if throttled else None,
        throttler_refresh_interval=work.number("throttler.refresh_interval", DEFAULT_THROTTLER_REFRESH_S)
        if throttled
        else None,
    )


def add_endpoint(work: Work, agent: Agent, *, asks_agent: bool) -> tuple[str | None, str]:
    """Return the endpoint, None where a variable names it, and where it comes from; add the rows of the addresses.

    Args:
        work: the translation.
        agent: jaeger-client's.
        asks_agent: the sampler asks the agent's host, so that it is carried there too.
    """
    work.leave("local_agent.reporting_port")
    if enabled := work.given.get("local_agent.enabled"):
        work.unused(enabled, "jaeger-client has the key and never acts on it")
    collector, url = _collector(work)
    host = work.given.get(_HOST)
    shown = collector if collector and (host is None or host.origin == VARIABLE) else host or default(_HOST)
    address = f"{host_of(agent.host)}:{agent.reporting_port}"
    endpoint = otlp_endpoint(str(host_of(agent.host)), work.environ)
    if shown is collector:
        endpoint = url
        origin = "the Collector of JAEGER_ENDPOINT takes no OTLP there; this is OTLP's port on its host"
    elif shown is host:
        origin = f"jaeger-client's agent {address} ({shown.key}) takes no OTLP; this is OTLP's port on its host"
    else:
        origin = f"no endpoint and no agent is named; jaeger-client's default agent {address} takes no OTLP"
    winner = work.winner(_ENDPOINT)
    for given in (collector, host, shown if shown not in (collector, host) else None):
        if given is None:
            continue
        places, note = {}, f"{shown.key} says where the spans go"
        if given is shown and winner is None:
            places, note = {_ENDPOINT: endpoint}, "with OTLP's port; the old port takes no OTLP"
        elif given is shown and winner is not None:
            note = wins(winner, work.environ)
        if given is host and asks_agent and "sampler" in work.settings:
            places[f"{VARIABLE_PREFIX}SAMPLER"] = str(work.settings["sampler"])
        work.placed(given, places, note)
    return (endpoint, origin) if winner is None else (None, f"{winner} is set")


def _collector(work: Work) -> tuple[Given | None, str]:
    """Return who names a Collector, and the endpoint beside it."""
    given = work.variables.get("JAEGER_ENDPOINT")
    if given is None:
        return None, ""
    url = otlp_of_collector(given.value, work.environ)
    if url is None:
        work.dropped(given, "it is no http or https URL with a host")
        return None, ""
    return given, url
