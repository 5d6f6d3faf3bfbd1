"""Process tags, from the dict and from JAEGER_TAGS, as attributes of the resource."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ot_bridge.environment import read
from ot_bridge.jaeger_config import process_tags
from ot_bridge.jaeger_config.given import Given
from ot_bridge.jaeger_config.process_tags import Item
from ot_bridge.jaeger_config.readers import EMPTY, as_text
from ot_bridge.jaeger_config.work import Work

__all__ = ["RESOURCE", "add_resource"]

RESOURCE: Final = "OTEL_RESOURCE_ATTRIBUTES"


def add_resource(work: Work) -> dict[str, str]:
    """Return the attributes, without those that the variable has already, and add a row for each tag."""
    from_variable = list(_of_variable(work))
    names = {item.name for _, item in from_variable if item.name and not item.reason}
    taken = process_tags.attributes_in(read(RESOURCE, work.environ) or "")
    found: dict[str, str] = {}
    for given, item in (*_of_section(work), *from_variable):
        if item.reason:
            work.dropped(given, item.reason)
        elif given.key.startswith("tags.") and item.name in names:
            work.unused(given, "JAEGER_TAGS has it too, and wins")
        elif item.name in taken:
            work.unused(given, f"{RESOURCE} has {item.name} already, and wins")
        elif item.name is not None:
            found[item.name] = item.value
            work.placed(given, {RESOURCE: process_tags.attributes_text({item.name: item.value})}, item.note)
    return found


def _of_section(work: Work) -> Iterator[tuple[Given, Item]]:
    given = work.given.get("tags")
    if given is None:
        return
    if not isinstance(given.value, Mapping):
        if given.value is None:
            work.unused(given, EMPTY)
        else:
            work.dropped(given, "tags are a section of names and values")
        return
    for key, value in given.value.items():
        yield given._replace(key=f"tags.{as_text(key)}", value=value), process_tags.attribute(key, value)


def _of_variable(work: Work) -> Iterator[tuple[Given, Item]]:
    given = work.variables.get("JAEGER_TAGS")
    for number, (key, text, note) in enumerate(process_tags.items_of(given.value) if given else (), 1):
        # The clients of other languages fill in ${...}.
        value = process_tags.resolve(text, work.environ) if work.jaeger_env == "all" else text
        if "${" in value:
            note = "; ".join(filter(None, (note, "jaeger-client for Python does not fill in ${...}")))
        item = process_tags.attribute(key, value)._replace(note=note)
        if not key:
            item = item._replace(reason="it is no key=value; jaeger-client fails over it")
        if given is not None:  # without a name it may be the rest of a password
            yield given._replace(key=f"JAEGER_TAGS: {key or f'item {number}'}", value=value, secret=not key), item
