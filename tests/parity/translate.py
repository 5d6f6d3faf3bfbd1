"""A recorded span of jaeger-client as the bridge has to send it: the Collector's translation, plus named improvements.

`translated` is the Collector's Jaeger translator on plain dicts (the thrift path), and nothing else; test_parity.py
holds it against vectors/translator.json. `expected` then applies IMPROVEMENTS, row by row: what the bridge sends
otherwise than the translator would, each with the place that decided it.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from parity.running import Span

__all__ = ["IMPROVEMENTS", "Improvement", "expected", "translated"]

_KINDS = ("server", "client", "producer", "consumer", "internal")
_REFERENCE_TYPES = {"CHILD_OF": "child_of", "FOLLOWS_FROM": "follows_from"}
_UNSET = ["UNSET", ""]


def translated(source: Span) -> Span:
    """Return what the translator makes of a recorded span."""
    tags = _last_of_each(source["tags"])
    kind = tags.pop("span.kind", ["string", ""])[1]
    kind = kind.upper() if kind in _KINDS else "UNSPECIFIED"
    status = _status(tags, kind)
    parent_id = source["parent_id"] or _parent(source)
    return {
        "service": source["service"],
        "process": _resource(source["process"]),
        "scope": "",
        "name": source["name"],
        "trace_id": source["trace_id"],
        "trace_id_bits": source["trace_id_bits"],
        "span_id": source["span_id"],
        "parent_id": parent_id,
        "parent_is_local": source["parent_is_local"],
        "kind": kind,
        "trace_state": "",
        "start_ns": source["start_ns"],
        "end_ns": source["end_ns"],
        "status": status,
        "attributes": tags,
        "logs": [_event(log) for log in source["logs"]],
        "references": [
            {
                "trace_id": each["trace_id"],
                "span_id": each["span_id"],
                "attributes": {"opentracing.ref_type": ["string", _REFERENCE_TYPES[each["type"]]]},
            }
            for each in source["references"]
            if (each["type"], each["span_id"]) != ("CHILD_OF", parent_id)
        ],
        "dropped": [0, 0, 0],
    }


def _last_of_each(pairs: list[list[Any]]) -> dict[str, Any]:
    return {key: [kind, value] for key, kind, value in pairs}


def _resource(process: dict[str, Any]) -> dict[str, Any]:
    names = {"hostname": "host.name", "jaeger.version": "opencensus.exporterversion"}
    resource = {names.get(key, key): value for key, value in process.items()}
    if "opencensus.exporterversion" in resource:
        resource["opencensus.exporterversion"] = ["string", f"Jaeger-{resource['opencensus.exporterversion'][1]}"]
    return resource


def _status(tags: dict[str, Any], kind: str) -> list[str]:
    described = tags.get("http.status_message", ["string", ""])[1]
    if tags.get("error") == ["bool", True]:
        del tags["error"]
        tags.pop("otel.status_code", None)
        return ["ERROR", tags.pop("otel.status_description", ["string", described])[1]]
    if "otel.status_code" in tags:
        code = str(tags.pop("otel.status_code")[1]).upper()
        message = tags.pop("otel.status_description", ["string", described])[1]
        return [code, message] if code in ("OK", "ERROR") else _UNSET
    return ["ERROR", described] if _is_http_error(tags.get("http.status_code"), kind) else _UNSET


def _is_http_error(tag: list[Any] | None, kind: str) -> bool:
    if tag is None or tag[0] not in ("long", "string") or not str(tag[1]).isdecimal():
        return False
    code = int(tag[1])
    return code >= 500 or code < 100 or code == 399 or (code >= 400 and kind != "SERVER")


def _parent(source: Span) -> str | None:
    """Return the parent of a span that names none: its trace's first CHILD_OF, else its first FOLLOWS_FROM."""
    same = [each for each in source["references"] if each["trace_id"] == source["trace_id"]]
    return next((each["span_id"] for each in sorted(same, key=lambda each: each["type"])), None)


def _event(log: dict[str, Any]) -> dict[str, Any]:
    fields = _last_of_each(log["fields"])
    kind, event = fields.pop("event", ["string", ""])
    return {"ns": log["ns"], "name": event if kind == "string" else "", "attributes": fields}


# --- improvements: each changes the translation of one span


class Improvement(NamedTuple):
    """What the bridge sends otherwise than the translator does.

    Attributes:
        name: of the rule, in a sentence.
        source: who decided it: a heading of RATIONALE.md, which ends with its question mark, else the reason itself.
        apply: is given the recorded span, and its translation to be changed.
    """

    name: str
    source: str
    apply: Callable[[Span, Span], None]


def _no_version(source: Span, span: Span) -> None:
    span["process"].pop("opencensus.exporterversion", None)


def _scope(source: Span, span: Span) -> None:
    span["scope"] = "opentracing-shim"


def _named(source: Span, span: Span) -> None:
    span["name"] = span["name"] or "unnamed"


def _internal(source: Span, span: Span) -> None:
    if span["kind"] == "UNSPECIFIED":
        span["kind"] = "INTERNAL"


def _kind_in_any_case(source: Span, span: Span) -> None:
    told = [str(value).strip().lower() for key, _, value in source["tags"] if key == "span.kind"]
    known = [kind for kind in told if kind in _KINDS]
    if known and span["kind"] == "INTERNAL":
        span["kind"] = known[-1].upper()


def _unknown_kind(source: Span, span: Span) -> None:
    kind = _last_of_each(source["tags"]).get("span.kind")
    if kind and str(kind[1]).strip().lower() not in _KINDS:
        span["attributes"]["span.kind"] = kind


def _error(source: Span, span: Span) -> None:
    told = [[kind, value] for key, kind, value in source["tags"] if key == "error"]
    read = [answer for answer in map(_truth, told) if answer is not None]
    if read:
        span["attributes"].pop("error", None)
    if read and read[-1] and span["status"][0] == "UNSET":
        span["status"] = ["ERROR", span["attributes"].get("http.status_message", ["string", ""])[1]]


def _truth(tag: list[Any]) -> bool | None:
    kind, value = tag
    if kind == "string":
        return {"true": True, "false": False}.get(value.strip().lower())
    return {1.0: True, 0.0: False}.get(float(value))


def _digits(source: Span, span: Span) -> None:
    for key in ("http.status_code", "peer.port"):
        kind, value = span["attributes"].get(key, ["", ""])
        if kind == "string" and value.isdecimal():
            span["attributes"][key] = ["long", int(value)]


def _399(source: Span, span: Span) -> None:
    tags = _last_of_each(source["tags"])
    if tags.get("http.status_code") in (["long", 399], ["string", "399"]) and not tags.get("error"):
        span["status"] = _UNSET


def _none_tag(source: Span, span: Span) -> None:
    for key in [key for key, value in span["attributes"].items() if value == ["string", "None"]]:
        del span["attributes"][key]


def _forced(source: Span, span: Span) -> None:
    keys = [key for key, _, _ in source["tags"]]
    # The tags that a span starts with come before those of the sampler.
    if "sampling.priority" in keys and "sampler.type" in keys[keys.index("sampling.priority") :]:
        del span["attributes"]["sampler.type"], span["attributes"]["sampler.param"]


def _debug(source: Span, span: Span) -> None:
    if source["flags"] & 3 == 3:
        span["trace_state"] = "jaeger=d:1"
        if not source["parent_is_local"]:
            span["attributes"]["jaeger.debug"] = ["bool", True]


def _event_name(source: Span, span: Span) -> None:
    for log, event in zip(source["logs"], span["logs"], strict=True):
        told = _last_of_each(log["fields"]).get("event", ["string", ""])[1]
        event["name"] = str(told) or "log"


def _exception_event(source: Span, span: Span) -> None:
    for event in span["logs"]:
        if event["name"] == "error":
            event["name"] = "exception"
            _rename_error_fields(event["attributes"])


def _rename_error_fields(fields: dict[str, Any]) -> None:
    exception, message = fields.pop("error.object", None), fields.get("message")
    kind, stack = fields.pop("error.kind", None), fields.pop("stack", None)
    text = exception or message
    if kind is not None:
        fields["exception.type"] = ["string", _class_name(kind[1])]
    if text is not None:
        fields["exception.message"] = text
    if stack is not None:
        fields["exception.stacktrace"] = stack


def _class_name(text: str) -> str:
    found = re.fullmatch(r"<class '(?:builtins\.)?(.*)'>", text)
    return found[1] if found else text


def _once(source: Span, span: Span) -> None:
    """Merge what the application and then the end of its with-block logged of one exception."""
    seen: dict[str, dict[str, Any]] = {}
    for log, event in zip(source["logs"], list(span["logs"]), strict=True):
        text = str(_last_of_each(log["fields"]).get("error.object"))
        if event["name"] == "exception" and text != "None":
            if text in seen:
                names = ("exception.type", "exception.stacktrace")
                seen[text]["attributes"] |= {name: event["attributes"][name] for name in names}
                span["logs"].remove(event)
            seen.setdefault(text, event)


def _whole_stack(source: Span, span: Span) -> None:
    for event in span["logs"]:
        fields = event["attributes"]
        frames = fields.get("exception.stacktrace", ["", ""])[1]
        if frames.startswith("  File "):
            name = fields["exception.type"][1].removeprefix("__main__.")
            message = fields["exception.message"][1]
            text = f"Traceback (most recent call last):\n{frames}{name}{': ' if message else ''}{message}\n"
            fields["exception.stacktrace"] = ["string", text]


def _traceback_header(source: Span, span: Span) -> None:
    for event in span["logs"]:
        stack = event["attributes"].get("stack", ["", ""])[1]
        if stack.startswith("  File "):
            event["attributes"]["stack"] = ["string", f"Traceback (most recent call last):\n{stack}"]


def _described_by_log(source: Span, span: Span) -> None:
    if span["status"] != ["ERROR", ""]:
        return
    for event in reversed(span["logs"]):
        if event["name"] == "exception":
            told = event["attributes"].get("message") or event["attributes"].get("exception.message")
            if told:
                span["status"] = ["ERROR", told[1]]
                return


def _containers(source: Span, span: Span) -> None:
    for values in (span["attributes"], *(event["attributes"] for event in span["logs"])):
        for key, value in values.items():
            values[key] = _container(*value)


def _container(kind: str, value: Any) -> list[Any]:
    """Read the text that str() makes of a list, a tuple, a dict or bytes; the programs send no such text themselves."""
    if kind != "string" or not re.match(r"[\[({]|b'|bytearray\(", value):
        return [kind, value]
    try:
        read = ast.literal_eval(re.sub(r"^bytearray\((.*)\)$", r"\1", value))
    except (SyntaxError, ValueError):
        return [kind, value]
    if isinstance(read, bytes):
        try:
            return ["string", read.decode()]
        except UnicodeDecodeError:
            return ["binary", read.hex()]
    if isinstance(read, dict):
        return ["string", json.dumps(read, ensure_ascii=False)]
    if isinstance(read, list | tuple):
        if len({type(item) for item in read}) < 2 and not isinstance(next(iter(read), 0), list | tuple | dict):
            return ["array", [_typed(item) for item in read]]
        return ["string", json.dumps(read, ensure_ascii=False)]
    return [kind, value]


def _typed(value: Any) -> list[Any]:
    names = {bool: "bool", int: "long", float: "double", str: "string"}
    return [names[type(value)], str(value) if isinstance(value, float) else value]


def _texts(source: Span, span: Span) -> None:
    for values in (span["attributes"], *(event["attributes"] for event in span["logs"])):
        for key, (kind, value) in values.items():
            if kind == "string" and re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d.*", value):
                values[key] = [kind, value.replace(" ", "T", 1)]
            elif kind == "string" and key == "class":
                values[key] = [kind, _class_name(value)]


def _keys(source: Span, span: Span) -> None:
    for values in (span["attributes"], *(event["attributes"] for event in span["logs"])):
        for key in [key for key in values if re.fullmatch(r"b'.*'", key)]:
            values[ast.literal_eval(key).decode()] = values.pop(key)


IMPROVEMENTS = (
    Improvement("telemetry.sdk.* says what sent it", "What becomes of jaeger-client's process tags?", _no_version),
    Improvement(
        "the scope says what made the span", "Why is the instrumentation scope not named after the package?", _scope
    ),
    Improvement("a span has a name", "What is an empty operation name?", _named),
    Improvement("INTERNAL for a kind that nobody stated", "Is span.kind mapped?", _internal),
    Improvement("a kind is read in any case", "Is span.kind mapped?", _kind_in_any_case),
    Improvement("an unknown kind is kept", "Is span.kind mapped?", _unknown_kind),
    Improvement("a tag None is skipped", "What if a value cannot be sent at all?", _none_tag),
    Improvement("error is the status, in every spelling", "Which values of error are true?", _error),
    Improvement("399 is no error", "Is 399 an error?", _399),
    Improvement("a code in digits is a number", "Does an HTTP status code set the status?", _digits),
    Improvement("a forced root is not the sampler's", "Which spans carry sampler.type and sampler.param?", _forced),
    Improvement("debug is kept", "How does the debug flag cross a native service?", _debug),
    Improvement("an event has a name", "What is the name of a log without an event?", _event_name),
    Improvement("an error log is an exception event", "How is an exception recorded?", _exception_event),
    Improvement("an exception is recorded once", "How is an exception recorded?", _once),
    Improvement("the stack trace is whole", "How is an exception recorded?", _whole_stack),
    Improvement("a traceback in any other log is whole", "How is an exception recorded?", _traceback_header),
    Improvement(
        "an error log describes the error", "Where does the description of an error come from?", _described_by_log
    ),
    Improvement(
        "lists are arrays, dicts JSON, bytes text", "Why are dicts and mixed lists sent as JSON text?", _containers
    ),
    Improvement("datetimes and classes are readable", "compat_matrix.md: Values", _texts),
    Improvement("a key of bytes is decoded", "compat_matrix.md: Values", _keys),
)
"""In the order in which they apply."""


def expected(source: Span) -> Span:
    """Return what the bridge has to send for a recorded span."""
    span = translated(source)
    for improvement in IMPROVEMENTS:
        improvement.apply(source, span)
    return span
