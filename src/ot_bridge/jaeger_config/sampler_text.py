"""Samplers as the text that ``Settings.sampler`` takes, ``NAME:ARGUMENT``: from a type and a param, or an object."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from ot_bridge.jaeger_config.readers import Read, UnreadableError, as_text, flag

__all__ = ["REMOTE", "SAMPLER_TYPES", "fixed", "is_object", "remote", "sampler_type", "spec_of_object"]

REMOTE: Final = "remote"
SAMPLER_TYPES: Final[Mapping[str, str]] = {
    "const": "const",
    "probabilistic": "probabilistic",
    "ratelimiting": "ratelimiting",
    "rate_limiting": "ratelimiting",
}
"""What jaeger-client takes as sampler.type, and the name that the bridge has for it."""


def sampler_type(value: object) -> Read:
    """Read sampler.type; without one, jaeger-client asks the agent."""
    if not value:
        return Read(None, dropped="it is empty: jaeger-client asks the agent then")
    if isinstance(value, str) and value in SAMPLER_TYPES:
        return Read(SAMPLER_TYPES[value])
    known = ", ".join(map(repr, SAMPLER_TYPES))
    hint = "; without a sampler jaeger-client asks the agent" if value == REMOTE else ""
    raise UnreadableError(f"one of {known}, as jaeger-client has it{hint}", SAMPLER_TYPES)


def _const(param: object, *, numbers: bool) -> Read:
    if numbers:
        try:
            return Read(f"const:{int(float(as_text(param)) != 0)}")
        except ValueError:
            pass
    decision, note, _ = flag(default=False)(param)
    return Read(f"const:{int(decision)}", note)


def _probabilistic(param: object, **_: bool) -> Read:
    return Read(f"probabilistic:{_rate(param, 'a number from 0 to 1', most=1.0)!r}")


def _ratelimiting(param: object, **_: bool) -> Read:
    return Read(f"ratelimiting:{_rate(param, 'a number of traces per second of at least 0')!r}")


_FIXED: Final[Mapping[str, Callable[..., Read]]] = {
    "const": _const,
    "probabilistic": _probabilistic,
    "ratelimiting": _ratelimiting,
}


def fixed(name: str, param: object, *, numbers: bool = False) -> Read:
    """Return the text of a sampler that asks nobody.

    Args:
        name: of :data:`SAMPLER_TYPES`.
        param: sampler.param.
        numbers: read const's param as a number, as the clients of other languages do: there 1.0 is yes.

    Raises:
        UnreadableError: the param is none for this sampler.
    """
    return _FIXED[name](param, numbers=numbers)


def remote(endpoint: str, options: Mapping[str, object]) -> str:
    """Return the text of the sampler that asks ``endpoint``; options that are None are left to their defaults."""
    given = {"endpoint": endpoint, **options}
    return f"{REMOTE}:" + ",".join(f"{key}={value}" for key, value in given.items() if value is not None)


def is_object(value: object) -> bool:
    """Say whether somebody passed a sampler instead of a section."""
    return not isinstance(value, Mapping) and callable(getattr(value, "is_sampled", None))


def spec_of_object(sampler: Any) -> str | None:
    """Return the text for one of jaeger-client's own samplers, None for a sampler of somebody else's.

    The class is told by its name, so that nothing is imported, and the drop-in's classes count too.
    """
    kind = type(sampler).__name__
    try:
        if kind == "ConstSampler":
            return f"const:{int(bool(sampler.decision))}"
        if kind == "ProbabilisticSampler":
            return fixed("probabilistic", sampler.rate).value  # type: ignore[no-any-return]
        if kind == "RateLimitingSampler":
            return fixed("ratelimiting", sampler.traces_per_second).value  # type: ignore[no-any-return]
        if kind == "GuaranteedThroughputProbabilisticSampler":
            rate = _rate(sampler.rate, "", most=1.0)
            return f"guaranteed:{rate!r},{_rate(sampler.lower_bound, '')!r}"
    except (AttributeError, UnreadableError):
        return None
    return None


def _rate(value: object, wanted: str, most: float = math.inf) -> float:
    try:
        rate = float(value)  # type: ignore[arg-type]
    except Exception:
        raise UnreadableError(wanted) from None
    if not (math.isfinite(rate) and 0 <= rate <= most):
        raise UnreadableError(wanted)
    return rate
