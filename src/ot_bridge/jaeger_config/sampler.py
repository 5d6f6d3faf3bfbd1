"""The sampler: one that asks nobody, or jaeger-client's default, the one that asks the agent."""

from __future__ import annotations

from typing import Final

from ot_bridge.environment import VARIABLE, one_of, wrong
from ot_bridge.jaeger_config.addresses import host_of, sampling_endpoint
from ot_bridge.jaeger_config.given import Given
from ot_bridge.jaeger_config.readers import Read, UnreadableError
from ot_bridge.jaeger_config.result import Agent
from ot_bridge.jaeger_config.sampler_text import REMOTE, SAMPLER_TYPES, fixed, is_object, remote, spec_of_object
from ot_bridge.jaeger_config.work import Work, default

__all__ = ["add_sampler"]

_OF_REMOTE: Final = {"sampling_refresh_interval": "pollingIntervalMs", "max_operations": "maxOperations"}
_PORT: Final = "local_agent.sampling_port"
_SERVERS: Final = ("JAEGER_SAMPLING_ENDPOINT", "JAEGER_SAMPLER_MANAGER_HOST_PORT")
_ONLY_REMOTE: Final = "only the remote sampler uses it, as before"


def add_sampler(work: Work, agent: Agent) -> bool:
    """Add the sampler and the rows of its keys; return whether it asks the agent.

    Raises:
        ConfigError: jaeger-client would not have made a sampler of it.
    """
    whole, kind, param = (work.given.get(key) for key in ("sampler", "sampler.type", "sampler.param"))
    if whole is not None and is_object(whole.value):
        _add_object(work, whole)
    else:
        name = None if kind is None else _type_of(work, kind)
        if kind is None or name in (None, REMOTE):
            return _add_remote(work, agent, kind if name == REMOTE else None, param)
        spec = _fixed(str(name), kind, param)
        work.carry(kind, settings={"sampler": spec.value})
        if param is not None:
            work.carry(param, settings={"sampler": spec.value}, note=spec.note)
    for key in (*_OF_REMOTE, _PORT):
        if one := work.given.get(key):
            one.taken()
            work.unused(one, _ONLY_REMOTE)
    for key in _SERVERS:
        if one := work.variables.get(key):
            work.unused(one, _ONLY_REMOTE)
    return False


def _add_object(work: Work, given: Given) -> None:
    spec = spec_of_object(given.value)
    if spec is None:
        work.dropped(given, f"no text says what a {type(given.value).__name__} does: OTEL_TRACES_SAMPLER has to decide")
    else:
        work.carry(given, settings={"sampler": spec})


def _type_of(work: Work, given: Given) -> str | None:
    """Return the name of the sampler, None where the type is empty; then its row is added."""
    if given.origin != VARIABLE:
        found = work.taken(given)
        return None if found is None else str(found)
    text = str(given.value).strip().lower()
    known = (*SAMPLER_TYPES, REMOTE)
    if text not in known:
        raise wrong(given.key, given.value, VARIABLE, one_of(known), known)
    return SAMPLER_TYPES.get(text, REMOTE)


def _fixed(name: str, kind: Given, param: Given | None) -> Read:
    try:
        return fixed(
            name, None if param is None else param.value, numbers=param is not None and param.origin == VARIABLE
        )
    except UnreadableError as reason:
        wanted = f"{reason.wanted}, for {name}"
        if param is None:
            key = "JAEGER_SAMPLER_PARAM" if kind.origin == VARIABLE else "sampler.param"
            raise wrong(key, None, kind.origin, wanted) from None
        raise wrong(param.key, param.value, param.origin, wanted) from None


def _add_remote(work: Work, agent: Agent, kind: Given | None, param: Given | None) -> bool:
    options: dict[str, object] = {}
    parts: list[Given] = []
    for key, option in _OF_REMOTE.items():
        if one := work.given.get(key):
            value, _, dropped = one.taken()
            if dropped:
                work.unused(one, dropped)
            else:
                options[option] = value
                parts.append(one)
    if param is not None and param.origin == VARIABLE:
        options["initialSamplingRate"] = _fixed("probabilistic", param, param).value.partition(":")[2]
        parts.append(param)
    elif param is not None:
        work.dropped(param, "there is no sampler.type: jaeger-client asks the agent then")
    port = work.given.get(_PORT)
    if port is not None and work.taken(port) is not None:
        parts.append(port)
    server = _server(work)
    if server is not None:
        parts.append(server)
    endpoint = (
        sampling_endpoint(str(host_of(agent.host)), agent.sampling_port)
        if server is None
        else str(server.taken().value)
    )
    spec = {"sampler": remote(endpoint, options)}
    for one in parts:
        work.carry(one, settings=spec)
    work.carry(kind or default("sampler"), settings=spec, note="without a sampler jaeger-client asks the agent")
    return server is None


def _server(work: Work) -> Given | None:
    """Return the variable that names the server, and add the row of the one that loses."""
    found = [work.variables[key] for key in _SERVERS if key in work.variables]
    for one in found[1:]:
        one.taken()
        work.unused(one, f"{found[0].key} wins")
    return found[0] if found else None
