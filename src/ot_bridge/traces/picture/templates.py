"""The one environment of all templates: everything from a span is escaped, and a link is a link only if it is http.

Source of the choice: seeing.md 4.2, safety. `|safe` is not used on anything that a span holds; a test looks.
"""

from __future__ import annotations

import datetime
import functools
from importlib.resources import files
from urllib.parse import quote, urlsplit

import jinja2
from markupsafe import Markup

from ot_bridge.traces import words
from ot_bridge.traces.model import Value

__all__ = ["environment", "link", "offset", "span_hex", "static", "trace_hex"]

_LONGEST_LINK = 2000
_LINKED = ("http", "https")


@functools.cache
def environment() -> jinja2.Environment:
    """Return the environment; templates of the page are beside those that it shares with the file."""
    env = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader("ot_bridge.traces.picture"), jinja2.PackageLoader("ot_bridge.traces.page")]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {
        "ago": ago,
        "clock": clock,
        "cut": cut,
        "duration": words.duration,
        "link": link,
        "number": words.number,
        "offset": offset,
        "plural": words.plural,
        "span_hex": span_hex,
        "text": words.text,
        "trace_hex": trace_hex,
    }
    return env


@functools.cache
def static(name: str) -> str:
    """Return the stylesheet or a script."""
    return (files("ot_bridge.traces.picture") / "static" / name).read_text("utf-8")


def trace_hex(trace_id: int) -> str:
    """Write a trace id: 16 digits when it has 64 bits, else 32."""
    return f"{trace_id:016x}" if trace_id < 1 << 64 else f"{trace_id:032x}"


def span_hex(span_id: int) -> str:
    """Write a span id."""
    return f"{span_id:016x}"


def clock(time_ns: int) -> str:
    """Write a time in UTC with its milliseconds; a time that no calendar has is written as its number."""
    try:
        moment = datetime.datetime.fromtimestamp(time_ns // 1_000_000_000, datetime.timezone.utc)
    except (OverflowError, ValueError, OSError):
        return f"{time_ns} ns"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{time_ns // 1_000_000 % 1000:03d}"


def offset(nanoseconds: int) -> str:
    """Write a time since the start of the trace, with its sign."""
    return ("+" if nanoseconds >= 0 else "") + words.duration(nanoseconds)


def ago(time_ns: int, now_ns: int) -> str:
    """Write how long ago a time was, roughly: `12 s ago`, `3 min ago`; a day and more as the date."""
    seconds = (now_ns - time_ns) // 1_000_000_000
    if seconds < -60 or seconds >= 86_400:
        return clock(time_ns)[:16]
    if seconds < 60:
        return f"{max(0, seconds)} s ago"
    return f"{seconds // 60} min ago" if seconds < 3600 else f"{seconds // 3600} h ago"


def cut(value: str, length: int) -> str:
    """Cut a text, and show that it was."""
    return value if len(value) <= length else value[: length - 3] + "..."


def link(value: Value) -> str:
    """Write an attribute's value, as a link when it is an address of the web and nothing else."""
    shown = words.text(value)
    if not isinstance(value, str) or len(value) > _LONGEST_LINK or not value.isprintable() or " " in value:
        return shown
    try:
        parts = urlsplit(value)
    except ValueError:
        return shown
    if parts.scheme not in _LINKED or not parts.hostname:
        return shown
    target = quote(value, safe="%/:=&?~#+!$,;'@()*[]-._")
    return Markup('<a href="{}" rel="noopener noreferrer" target="_blank">{}</a>').format(target, shown)
