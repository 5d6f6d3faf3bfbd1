"""What a sampling endpoint answers: its JSON, read strictly. Whatever is not as it should be is refused as a whole.

The legacy field ``strategyType`` (a string in some servers, a number or nothing in others) is not looked at: which
object is there tells the kind, ``operationSampling`` first. Source: jaeger-idl, proto/api_v2/sampling.proto. As plain
proto3 JSON leaves out what is zero, a number that is missing is 0, provided that nothing unknown stands in its place.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ot_bridge.sampler_specs import NO_LIMIT
from ot_bridge.sampling.decisions import is_number
from ot_bridge.sampling.polling import AnswerError

__all__ = [
    "PerOperationStrategy",
    "ProbabilisticStrategy",
    "RateLimitingStrategy",
    "Strategy",
    "read_json",
    "read_strategy",
]

_BELOW_500: Final = math.nextafter(500, 0)  # jaeger-client refuses 500 traces per second and more
_PER_OPERATION_KEYS: Final = (
    "defaultSamplingProbability",
    "defaultLowerBoundTracesPerSecond",
    "defaultUpperBoundTracesPerSecond",
    "perOperationStrategies",
)


class ProbabilisticStrategy(NamedTuple):
    """One rate for all."""

    rate: float


class RateLimitingStrategy(NamedTuple):
    """So many traces per second."""

    max_traces_per_second: float


class PerOperationStrategy(NamedTuple):
    """A rate for each operation."""

    default_rate: float
    lower_bound: float
    rates: Mapping[str, float]


Strategy = ProbabilisticStrategy | RateLimitingStrategy | PerOperationStrategy


def read_json(body: bytes) -> dict[str, Any]:
    """Read an answer.

    Raises:
        AnswerError: it is no JSON object.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise AnswerError("json", f"no JSON: {error}") from None
    if not isinstance(answer, dict):
        raise AnswerError("shape", f"a JSON {type(answer).__name__}, expected an object")
    return answer


def read_strategy(body: bytes) -> Strategy:
    """Read the answer of a sampling endpoint.

    Raises:
        AnswerError: it is none, or a value is out of range.
    """
    answer = read_json(body)
    per_operation = answer.get("operationSampling")
    if per_operation not in (None, {}):
        return _read_per_operation(per_operation)
    if answer.get("probabilisticSampling") is not None:
        return ProbabilisticStrategy(_rate_in(answer))
    if answer.get("rateLimitingSampling") is not None:
        limiting = _object(answer, "rateLimitingSampling", ("maxTracesPerSecond",))
        return RateLimitingStrategy(_number(limiting, "maxTracesPerSecond", _BELOW_500, "from 0 to below 500"))
    wanted = "operationSampling, probabilisticSampling or rateLimitingSampling"
    raise AnswerError("shape", f"an object with {sorted(answer)}, expected {wanted}")


def _read_per_operation(found: object) -> PerOperationStrategy:
    strategies = _object({"operationSampling": found}, "operationSampling", _PER_OPERATION_KEYS)
    listed = strategies.get("perOperationStrategies")
    if not isinstance(listed, list | None):
        raise AnswerError("shape", f"perOperationStrategies: {type(listed).__name__}, expected a list")
    return PerOperationStrategy(
        _number(strategies, "defaultSamplingProbability", 1, "from 0 to 1"),
        _number(strategies, "defaultLowerBoundTracesPerSecond", NO_LIMIT, "of at least 0"),
        dict(map(_read_operation, listed or ())),
    )


def _read_operation(found: object) -> tuple[str, float]:
    operation = found.get("operation", "") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(operation, str):
        raise AnswerError("shape", "perOperationStrategies: expected objects, each with an operation")
    return operation, _rate_in(found)


def _rate_in(answer: Mapping[str, object]) -> float:
    probabilistic = _object(answer, "probabilisticSampling", ("samplingRate",))
    return _number(probabilistic, "samplingRate", 1, "from 0 to 1")


def _object(answer: Mapping[str, object], name: str, keys: tuple[str, ...]) -> Mapping[str, object]:
    found = answer.get(name)
    if not isinstance(found, dict):
        raise AnswerError("shape", f"{name}: {type(found).__name__}, expected an object")
    if found and not any(key in found for key in keys):
        raise AnswerError("shape", f"{name}: an object with {sorted(found)}, expected {' or '.join(keys)}")
    return found


def _number(found: Mapping[str, object], name: str, most: float, wanted: str) -> float:
    value = found.get(name, 0)
    if not is_number(value, most):
        raise AnswerError("values", f"{name}: got {str(value)[:50]!r}, expected a number {wanted}")
    return value  # type: ignore[return-value]
