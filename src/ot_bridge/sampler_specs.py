"""How a Jaeger sampler is written in text: ``NAME:ARG``, the same in Settings, in variables and on a command line.

One row of :data:`SAMPLER_ROWS` per sampler: it drives the check of ``Settings.sampler``, the names that
``OTEL_TRACES_SAMPLER`` takes, and the tables of the pages. :mod:`ot_bridge.sampling` builds what is read here. To add a
sampler, add a row here, a builder there and an entry point in pyproject.toml.

Source of the keys of ``remote``: OpenTelemetry specification 1377f53b, configuration/sdk-environment-variables.md,
``jaeger_remote``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from ot_bridge.environment import parse_flag

__all__ = [
    "ENTRY_POINT_PREFIX",
    "NO_LIMIT",
    "SAMPLER_FORM",
    "SAMPLER_ROWS",
    "SamplerRow",
    "SamplerSpec",
    "SpecError",
    "read_argument",
    "read_endpoint",
    "read_spec",
]

ENTRY_POINT_PREFIX: Final = "ot_bridge_"
NO_LIMIT: Final = sys.float_info.max

_INTEGER_DIGITS: Final = 15


class SpecError(Exception):
    """Why a text is no sampler; the caller adds the key and where the text came from.

    Attributes:
        found: the part that cannot be used.
        wanted: what can.
        known: the words it may have been meant to be.
    """

    def __init__(self, found: object, wanted: str, known: Iterable[object] = ()) -> None:
        super().__init__(wanted)
        self.found, self.wanted, self.known = found, wanted, tuple(known)


class SamplerSpec(NamedTuple):
    """A sampler as it was written: which one, and what it is built with."""

    name: str
    arguments: Mapping[str, object]


class SamplerRow(NamedTuple):
    """One sampler as data."""

    name: str
    argument: str
    """What ARG is, in words."""
    example: str
    """An ARG."""
    meaning: str
    read: Callable[[str | None, str], dict[str, object]]
    """From ARG, None without one, and what is wanted, to the arguments of the builder. Raises SpecError."""

    @property
    def entry_point(self) -> str:
        """Its name in OTEL_TRACES_SAMPLER."""
        return ENTRY_POINT_PREFIX + self.name

    @property
    def text(self) -> str:
        """An example of the whole text."""
        return f"{self.name}:{self.example}"


def read_spec(text: object) -> SamplerSpec:
    """Read ``NAME:ARG``.

    Raises:
        SpecError: it is no such text.
    """
    if not isinstance(text, str):
        raise SpecError(text, SAMPLER_FORM)
    name, colon, argument = text.strip().partition(":")
    row = SAMPLER_ROWS.get(name.strip().lower())
    if row is None:
        raise SpecError(name, SAMPLER_FORM, SAMPLER_ROWS)
    try:
        read = row.read(argument.strip() if colon else None, f"{row.argument}, such as {row.text!r}")
    except SpecError as error:
        # The whole text is easier to find again than a part of it, unless the part has a likely cure.
        raise (error if error.known else SpecError(text, f"'{row.name}:' and {error.wanted}")) from None
    return SamplerSpec(row.name, read)


def read_argument(name: str, argument: str | None) -> SamplerSpec:
    """Read ARG alone, as ``OTEL_TRACES_SAMPLER_ARG`` has it.

    Args:
        name: a key of SAMPLER_ROWS.
        argument: the text; None or empty for none.

    Raises:
        SpecError: the sampler does not take it.
    """
    row = SAMPLER_ROWS[name]
    wanted = f"{row.argument}, such as {row.example!r}"
    return SamplerSpec(name, row.read((argument or "").strip() or None, wanted))


def read_endpoint(text: str, default_path: str, wanted: str) -> str:
    """Return the URL to ask, without a query for the service.

    Args:
        text: a URL, or ``host:port``.
        default_path: stands in for a missing path.
        wanted: for the error.

    Raises:
        SpecError: it is no such URL.
    """
    full = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(full)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    # What cannot stand in a request line would be an error at every poll; a second service is a 400 from the agent.
    plain = text.isascii() and text.isprintable() and " " not in text
    if not usable or not plain or "@" in parts.netloc or parts.fragment or "service" in dict(parse_qsl(parts.query)):
        raise SpecError(text, wanted)
    return parts._replace(path=parts.path if parts.path.strip("/") else default_path).geturl()


def _number(text: str, most: float, wanted: str) -> float:
    # float(text) is too kind: it also reads "1_0", "nan" and Arabic digits.
    try:
        number = float(text) if text.isascii() and "_" not in text else -1.0
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise SpecError(text, wanted)
    return number


def _read_const(argument: str | None, wanted: str) -> dict[str, object]:
    decision = parse_flag(argument or "")
    if decision is None:
        raise SpecError(argument, wanted)
    return {"decision": decision}


def _read_probabilistic(argument: str | None, wanted: str) -> dict[str, object]:
    return {"rate": _number(argument or "", 1, wanted)}


def _read_ratelimiting(argument: str | None, wanted: str) -> dict[str, object]:
    return {"max_traces_per_second": _number(argument or "", NO_LIMIT, wanted)}


def _read_guaranteed(argument: str | None, wanted: str) -> dict[str, object]:
    rate, comma, lower_bound = (argument or "").partition(",")
    if not comma:
        raise SpecError(argument, wanted)
    return {"rate": _number(rate.strip(), 1, wanted), "lower_bound": _number(lower_bound.strip(), NO_LIMIT, wanted)}


class _RemoteKey(NamedTuple):
    name: str
    default: object
    wanted: str
    read: Callable[[str, str], object]


def _endpoint(text: str, wanted: str) -> str:
    return read_endpoint(text, "/sampling", wanted)


def _count(text: str, wanted: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > _INTEGER_DIGITS or int(text) == 0:
        raise SpecError(text, wanted)
    return int(text)


def _rate(text: str, wanted: str) -> float:
    return _number(text, 1, wanted)


# OpenTelemetry's key -> the argument of the builder.
_REMOTE_KEYS: Final[Mapping[str, _RemoteKey]] = {
    "endpoint": _RemoteKey(
        "endpoint",
        "http://localhost:5778/sampling",
        "endpoint=URL of http or https, without user and fragment, such as 'endpoint=http://localhost:5778/sampling'",
        _endpoint,
    ),
    "pollingIntervalMs": _RemoteKey(
        "polling_interval_ms", 60_000, "pollingIntervalMs=MILLISECONDS, an integer above 0", _count
    ),
    "initialSamplingRate": _RemoteKey("initial_rate", 0.001, "initialSamplingRate=RATE, a number from 0 to 1", _rate),
    "maxOperations": _RemoteKey("max_operations", 2000, "maxOperations=NUMBER, an integer above 0", _count),
}


def _read_remote(argument: str | None, _: str) -> dict[str, object]:
    found = {key.name: key.default for key in _REMOTE_KEYS.values()}
    seen: set[str] = set()
    for item in (argument or "").split(","):
        name, equals, text = (part.strip() for part in item.partition("="))
        if not item.strip():
            continue
        key = _REMOTE_KEYS.get(name)
        if key is None:
            raise SpecError(name, f"one of {', '.join(_REMOTE_KEYS)}", _REMOTE_KEYS)
        if not equals or name in seen:
            raise SpecError(item, f"{key.wanted}, once")
        seen.add(name)
        found[key.name] = key.read(text, key.wanted)
    return found


_ROWS: Final = (
    SamplerRow("const", "1 or 0", "1", "every trace, or none", _read_const),
    SamplerRow(
        "probabilistic",
        "the rate, a number from 0 to 1",
        "0.1",
        "this part of the traces, the same ones as jaeger-client for Python",
        _read_probabilistic,
    ),
    SamplerRow(
        "ratelimiting",
        "traces per second, a number of at least 0",
        "2.5",
        "at most this many traces per second in this process",
        _read_ratelimiting,
    ),
    SamplerRow(
        "guaranteed",
        "the rate, a number from 0 to 1, a comma, and traces per second, a number of at least 0",
        "0.01,0.5",
        "this part of the traces, and of each operation this many per second where the rate gives fewer",
        _read_guaranteed,
    ),
    SamplerRow(
        "remote",
        "key=value,key=value out of " + ", ".join(_REMOTE_KEYS) + ", or nothing",
        "endpoint=http://agent:5778/sampling",
        "what Jaeger's agent or Collector says, asked again and again",
        _read_remote,
    ),
)

SAMPLER_ROWS: Final[Mapping[str, SamplerRow]] = MappingProxyType({row.name: row for row in _ROWS})
SAMPLER_FORM: Final = "one of " + ", ".join(f"{row.text!r}" for row in _ROWS)
