"""What jaeger-client 4.8.0 makes of one value: each reader gives what counts, and what it did without telling.

A reader raises where jaeger-client raised, and falls back where jaeger-client fell back, but then with a note.

Source: jaeger_client/config.py, utils.get_boolean, codecs.TextCodec, reporter.Reporter and sampler.py of 4.8.0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

__all__ = [
    "EMPTY",
    "Read",
    "Reader",
    "UnreadableError",
    "as_text",
    "bits",
    "disabled",
    "duration",
    "exactly_true",
    "flag",
    "header",
    "host_and_port",
    "integer_or",
    "length",
    "name",
    "number_of_seconds",
    "optional_size",
    "port",
    "propagation",
    "propagations",
    "raw",
    "size",
    "url",
]

EMPTY: Final = "it is empty, as if it were not there"
_MAX_DIGITS: Final = 18  # what the OTEL_* variables can carry
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 7230, section 3.2.6
_UNIT_MS: Final = {"h": 3_600_000.0, "m": 60_000.0, "s": 1000.0, "ms": 1.0, "us": 1e-3, "µs": 1e-3, "ns": 1e-6}
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(h|ms|m|s|us|µs|ns)")
_B3: Final = (("b3", "jaeger", "tracecontext"), ("b3multi", "jaeger", "tracecontext"))
_FORMATS: Final = {"jaeger": ("jaeger", "jaeger"), "b3": ("b3", "b3multi"), "w3c": ("tracecontext", "tracecontext")}


class Read(NamedTuple):
    """What a value counts as."""

    value: Any
    note: str | None = None
    """What the reader should know of a value that is carried."""
    dropped: str | None = None
    """Why the value counts for nothing; then ``value`` is None, or what is taken in its place."""


class UnreadableError(Exception):
    """The value is refused, as jaeger-client refused it or failed over it; the caller adds the key and the origin."""

    def __init__(self, wanted: str, known: Iterable[object] = ()) -> None:
        super().__init__(wanted)
        self.wanted, self.known = wanted, known


Reader = Callable[[object], Read]


def as_text(value: object) -> str:
    """Return ``str(value)``, or the name of its class where that fails."""
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"


def raw(value: object) -> Read:
    """Take the value as it is."""
    return Read(value)


def flag(default: bool) -> Reader:
    """Read a boolean: only true, 1, false, 0 and none are words, anything else is the default."""

    def read(value: object) -> Read:
        text = as_text(value).lower()
        if text in ("true", "1"):
            return Read(value=True)
        if text in ("false", "0", "none"):
            return Read(value=False)
        note = f"jaeger-client knows only true, 1, false, 0 and none here, and takes its default, {default}"
        return Read(default, note=note)

    return read


def exactly_true(value: object) -> Read:
    """Read JAEGER_TRACEID_128BIT, where nothing but ``true`` in lower case switches anything on."""
    note = None
    if value not in ("true", "false"):
        note = "jaeger-client takes nothing but 'true', in lower case, for yes"
    return Read(128 if value == "true" else 64, note=note)


def bits(value: object) -> Read:
    """Read generate_128bit_trace_id as a width in bits."""
    wide, note, _ = flag(default=False)(value)
    return Read(128 if wide else 64, note)


def size(value: object) -> Read:
    """Read a number of spans, as ``int`` reads it."""
    number = _integer(value)
    if number is None:
        return Read(None, dropped=EMPTY)
    if not 1 <= number < 10**_MAX_DIGITS:
        raise UnreadableError("an integer above 0")
    return Read(number)


def optional_size(value: object) -> Read:
    """Read a number for which 0 and nothing stand for the default."""
    if not value:
        return Read(None, dropped="0 or nothing stands for the default, 2000")
    return size(value)


def length(value: object) -> Read:
    """Read a number of characters."""
    number = _integer(value)
    if number is None:
        return Read(None, dropped=EMPTY)
    if number < 1:
        raise UnreadableError("a number of characters above 0")
    return Read(number)


def number_of_seconds(otherwise: str) -> Reader:
    """Read seconds as milliseconds.

    Args:
        otherwise: why 0 and nothing are dropped.
    """

    def read(value: object) -> Read:
        if value is None or value == "":
            return Read(None, dropped=EMPTY)
        seconds = _float(value)
        if seconds is None or seconds < 0:
            raise UnreadableError("a number of seconds of at least 0")
        return _milliseconds(seconds * 1000) if seconds else Read(None, dropped=otherwise)

    return read


def duration(value: object) -> Read:
    """Read what the clients for Go (``1m30s``) and for Java and Node (milliseconds) take, as milliseconds."""
    text = as_text(value).strip()
    number = _float(text)
    if number is None:
        parts = _DURATION.findall(text)
        if not parts or "".join(amount + unit for amount, unit in parts) != text:
            raise UnreadableError("milliseconds, or a duration such as '500ms' or '1m30s'")
        number = sum(float(amount) * _UNIT_MS[unit] for amount, unit in parts)
    if number <= 0:
        raise UnreadableError("a duration above 0")
    return _milliseconds(number)


def _milliseconds(number: float) -> Read:
    if number >= 10**_MAX_DIGITS:
        raise UnreadableError("a time that ends before the machine does")
    return Read(max(1, round(number)))


def header(value: object) -> Read:
    """Read a header's name, or its beginning: in lower case, with ``-`` for ``_``."""
    if value is None:
        return Read(None, dropped=EMPTY)
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise UnreadableError("an HTTP header name (RFC 7230 token)")
    found = value.lower().replace("_", "-")
    return Read(found, note=None if found == value else "jaeger-client sends it in lower case, with '-' for '_'")


def name(value: object) -> Read:
    """Read a service's name."""
    if not value:
        return Read(None, dropped="it is empty; jaeger-client refuses to start then")
    text = as_text(value)
    if "\0" in text or not text.strip() or text != text.encode("utf-8", "replace").decode("utf-8"):
        raise UnreadableError("a name that a variable can hold")
    return Read(text)


def port(default: int) -> Reader:
    """Read a port; what is none is the default, as in jaeger-client, which does not tell."""
    return integer_or(default, "port", 0, 65535)


def integer_or(default: int, what: str, least: int, most: int) -> Reader:
    """Read an integer; what is none, or out of range, is the default, as in jaeger-client, which does not tell."""

    def read(value: object) -> Read:
        try:
            number = _integer(value)
        except UnreadableError:
            number = None
        if number is not None and least <= number <= most:
            return Read(number)
        return Read(default, dropped=f"it is no {what}; {default} counts, as jaeger-client falls back without a word")

    return read


def disabled(value: object) -> Read:
    """Read JAEGER_DISABLED as the opposite of enabled."""
    off, note, _ = flag(default=False)(value)
    return Read(not off, note)


def propagation(value: object) -> Read:
    """Read the one word that there is, b3, as the formats of extract and of inject."""
    if isinstance(value, str) and value == "b3":
        return Read(_B3)
    if value is None:
        return Read(None, dropped=EMPTY)
    return Read(None, dropped="jaeger-client knows only 'b3' here and ignores anything else: Jaeger's headers stay")


def propagations(value: object) -> Read:
    """Read the list of JAEGER_PROPAGATION; Jaeger's and W3C's headers stay on, behind what it names."""
    names = [each.strip().lower() for each in as_text(value).split(",") if each.strip()]
    for each in names:
        if each not in _FORMATS:
            raise UnreadableError("a list of jaeger, b3 and w3c", _FORMATS)
    order = list(dict.fromkeys([*names, "jaeger", "w3c"]))
    extract, inject = zip(*(_FORMATS[each] for each in order), strict=True)
    more = () if "b3" in order else ("baggage",)
    return Read(((*extract, *more), (*inject, *more)))


def url(value: object) -> Read:
    """Read the URL of a server."""
    text = as_text(value).strip()
    try:
        parts = urlsplit(text)
        found = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        found = False
    if not found or not text.isascii() or re.search(r"[\s,\x00-\x20\x7f]", text):
        raise UnreadableError("a URL such as 'http://localhost:5778/sampling'")
    return Read(text)


def host_and_port(value: object) -> Read:
    """Read ``host:port`` of the sampling server as its URL."""
    try:
        return url(f"http://{as_text(value).strip()}/sampling")
    except UnreadableError:
        raise UnreadableError("host:port, such as 'localhost:5778'") from None


def _integer(value: object) -> int | None:
    """Return ``int(value)``, None for nothing."""
    if value is None or value == "":
        return None
    try:
        return int(value)  # type: ignore[call-overload, no-any-return]
    except Exception:
        raise UnreadableError("an integer") from None


def _float(value: object) -> float | None:
    """Return a finite ``float(value)``, None where there is none."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except Exception:
        return None
    return number if math.isfinite(number) else None
