"""Values from outside, read strictly: an error names the key, what was found, where, and the closest known value.

An empty variable counts as unset, as the OpenTelemetry specification 1377f53b says
(configuration/sdk-environment-variables.md, "Empty value").
"""

from __future__ import annotations

import math
import os
import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ot_bridge.errors import ConfigError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

__all__ = [
    "VARIABLE",
    "build_named",
    "closest",
    "one_of",
    "parse_flag",
    "read",
    "read_choice",
    "read_integer",
    "read_number",
    "wrong",
]

_Part = TypeVar("_Part")

VARIABLE: Final = "environment variable"

_MAX_DIGITS: Final = 18
_repr: Final = reprlib.Repr()
_repr.maxstring = _repr.maxother = 100

_FLAGS: Final[Mapping[str, bool]] = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}


def closest(value: object, known: Iterable[object], cutoff: float = 0.6) -> str | None:
    """Return the known word that ``value`` was most likely meant to be, None when nothing is near.

    Args:
        value: the word that is not known.
        known: the words that are.
        cutoff: how alike the two must be, from 0 to 1.
    """
    import difflib  # only for who has made a mistake

    words = {str(word).lower(): str(word) for word in known}
    near = difflib.get_close_matches(str(value).strip().lower(), list(words), n=1, cutoff=cutoff)
    return words[near[0]] if near else None


def one_of(known: Iterable[object]) -> str:
    """Write the known values for a reader: ``'explicit' or 'jaeger'``."""
    words = [repr(word) for word in known]
    return " or ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def wrong(key: str, value: object, origin: str, wanted: str, known: Iterable[object] = ()) -> ConfigError:
    """Build the error for one value: where, what was found, what was wanted, and the closest known one."""
    near = closest(value, known) if isinstance(value, str | int) else None
    hint = f"; did you mean {near!r}?" if near else ""
    return ConfigError(f"cannot use {key}: got {_repr.repr(value)} ({origin}), expected {wanted}{hint}")


def parse_flag(text: str) -> bool | None:
    """Read 1/0, true/false, yes/no, on/off in any case; None for anything else."""
    return _FLAGS.get(text.strip().lower())


def read(name: str, environ: Mapping[str, str] | None = None) -> str | None:
    """Return the variable without outer spaces, None when it is unset or empty."""
    return (os.environ if environ is None else environ).get(name, "").strip() or None


def read_choice(name: str, known: Iterable[str], default: str) -> str:
    """Return the variable in lower case when it is one of ``known``, ``default`` when it is unset.

    Raises:
        ConfigError: it is none of them.
    """
    text = read(name)
    if text is None:
        return default
    choices = tuple(known)
    if text.lower() not in choices:
        raise wrong(name, text, VARIABLE, one_of(choices), choices)
    return text.lower()


def read_integer(name: str, default: int, *, least: int = 0) -> int:
    """Return the variable as an integer, ``default`` when it is unset.

    Raises:
        ConfigError: it is no integer in decimal digits, or below ``least``.
    """
    text = read(name)
    if text is None:
        return default
    # int(text) is too kind: it also reads "1_000" and Arabic digits.
    if not (text.isascii() and text.isdigit()) or len(text) > _MAX_DIGITS or int(text) < least:
        raise wrong(name, text, VARIABLE, f"an integer of at least {least}")
    return int(text)


def read_number(name: str, default: float, *, most: float = math.inf, above_zero: bool = False) -> float:
    """Return the variable as a finite number from 0 (or above 0) to ``most``, ``default`` when it is unset.

    Raises:
        ConfigError: it is no such number.
    """
    text = read(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and 0 <= number <= most) or (above_zero and number == 0):
        lower = "above 0" if above_zero else "of at least 0"
        upper = "" if most == math.inf else f" and at most {most:g}"
        raise wrong(name, text, VARIABLE, f"a number {lower}{upper}")
    return number


def entry_points(group: str) -> EntryPoints:
    """Return what the installed packages offer. What reads that takes as long to import as half of the SDK."""
    from importlib import metadata

    return metadata.entry_points(group=group)


def build_named(
    variable: str,
    name: str,
    group: str,
    wanted: type[_Part],
    *,
    known: Iterable[str] = (),
    build: Callable[[Any], object] = lambda factory: factory(),
) -> _Part:
    """Build a part of the pipeline that an installed package offers as an entry point.

    Args:
        variable: the variable that named it.
        name: the entry point's name.
        group: the entry point's group.
        wanted: the class that the part must be of.
        known: names that need no entry point, for the error.
        build: how the loaded factory is called.

    Raises:
        ConfigError: no package offers it, or building it fails, or it is of another class.
    """
    offered = entry_points(group=group)
    if name not in offered.names:
        names = list(dict.fromkeys([*known, *sorted(offered.names)]))
        raise wrong(variable, name, VARIABLE, f"one of {', '.join(names)}", names)
    try:
        part = build(offered[name].load())
    except Exception as error:
        raise ConfigError(
            f"cannot use {variable}: building {name!r} ({VARIABLE}) failed with {type(error).__name__}: {error}"
        ) from error
    if not isinstance(part, wanted):
        found = type(part).__qualname__
        raise wrong(variable, name, VARIABLE, f"a {wanted.__name__}, but its entry point gives {found}")
    return part
