"""The initial tags of a span, read once: attributes, which the sampler sees, and what is none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from opentelemetry.trace import SpanKind

from ot_bridge.config import Settings
from ot_bridge.conventions import ROLES, Role, accepted_priority, read_error, read_int, read_kind
from ot_bridge.telemetry import count
from ot_bridge.values import clean_key, clean_value

__all__ = ["NO_TAGS", "Tags", "read_tags", "split_tags"]

# On CPython 3.11 reading a member from its enum costs a twentieth of a span.
_KIND, _ERROR, _PRIORITY, _INTEGER, _HTTP = Role.KIND, Role.ERROR, Role.PRIORITY, Role.INTEGER, Role.HTTP_STATUS
_INTERNAL: Final = SpanKind.INTERNAL

Tags = tuple[SpanKind, "bool | None", Any, bool]
"""Kind; what ``sampling.priority`` asks for; the ``error`` tag; whether another tag may decide on the status."""

NO_TAGS: Final[Tags] = (_INTERNAL, None, None, False)


def read_tags(tags: Any, attributes: dict[str, Any], clean: Callable[[Any], Any]) -> Tags:
    """Read the tags of a recorded span.

    Args:
        tags: what the application passed; it is not changed.
        attributes: takes the attributes.
        clean: how a value is cleaned.
    """
    kind, priority, error, status_tags = NO_TAGS
    for key, value in tags.items() if type(tags) is dict else _items(tags):
        if value is None:
            continue
        if type(key) is not str or not key.isascii():
            key = clean_key(key)
        role = ROLES.get(key)
        if role is not None:
            if role is _KIND:
                known = read_kind(value)
                if known is not None:
                    kind = known
                    continue
            elif role is _ERROR:
                if read_error(value) is not None:
                    error = value
                    continue
            elif role is _PRIORITY:
                priority = accepted_priority(value)
            else:
                status_tags = status_tags or role is not _INTEGER
                if role is _INTEGER or role is _HTTP:
                    value = read_int(value)
        if key:
            attributes[key] = clean(value)
    return kind, priority, error, status_tags


def split_tags(tags: Any, settings: Settings) -> tuple[SpanKind, dict[str, Any], list[tuple[str, Any]]]:
    """Read the tags of a span that another provider makes.

    Returns:
        The kind, the plain attributes and, to be set after the start, the tags that have a role.
    """
    kind, attributes, special = _INTERNAL, {}, []
    for key, value in _items(tags):
        name = clean_key(key)
        known = read_kind(value) if name == "span.kind" else None
        if known is not None:
            kind = known
        elif name in ROLES:
            special.append((name, value))
        elif name and value is not None:
            attributes[name] = clean_value(value, settings.max_tag_value_length, settings.stringify_sequences)
    return kind, attributes, special


def _items(tags: Any) -> Iterable[tuple[Any, Any]]:
    if tags is None:  # and not "if not tags": the truth of some objects raises
        return ()
    try:
        return tags.items() if isinstance(tags, Mapping) else dict(tags).items()
    except Exception:
        count("start.tags.unreadable")
        return ()
