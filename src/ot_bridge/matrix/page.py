"""The page: each table as Markdown, with what can be computed computed by the code that it describes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from opentelemetry.trace import SpanKind

from ot_bridge import telemetry
from ot_bridge.codecs import CODECS
from ot_bridge.codecs.codec import ListSource, Options, PrefixSource
from ot_bridge.codecs.wire import WireContext
from ot_bridge.config import SETTINGS
from ot_bridge.conventions import LOG_RULES, TAG_RULES, Role
from ot_bridge.jaeger_config import CONFIG_KEYS, ENV_KEYS
from ot_bridge.matrix import held_by
from ot_bridge.matrix.api import API_RULES, CARRIER_RULES
from ot_bridge.matrix.dropin import DROPIN_RULES, SURFACE_TESTS
from ot_bridge.matrix.peer_tables import peer_parts
from ot_bridge.matrix.recorded import LEGEND, SECTIONS, parts, recorded
from ot_bridge.meter import PATHS
from ot_bridge.metrics import MEASURES, METER
from ot_bridge.not_carried import NOT_CARRIED
from ot_bridge.parents import REFERENCE_RULES
from ot_bridge.propagator import MixedFleetPropagator
from ot_bridge.sampler_specs import SAMPLER_ROWS
from ot_bridge.semconv import DB_SYSTEMS, translate
from ot_bridge.tail_specs import LIMIT_ROWS, POLICY_ROWS
from ot_bridge.values import VALUE_RULES, clean_value

__all__ = ["SAMPLES", "page"]

_HEAD: Final = """\
# Compatibility matrix

What each part of OpenTracing becomes. Printed by `ot-bridge matrix` from the tables that the code runs on: change the
code, then run `make matrix`. `ot-bridge matrix --check compat_matrix.md` tells whether this page is up to date.
"Held by" names the tests in [tests/](tests/). Reasons are in [RATIONALE.md](RATIONALE.md).
"""

_JAEGER_CONFIG: Final = """\
As `Settings.from_jaeger` and `ot-bridge config` translate it, see [docs/config.md](docs/config.md). The dict wins over
the variables, except for JAEGER_TAGS. `OTEL_*` and `OT_BRIDGE_*` variables that are set win over both.
"""

SAMPLES: Final[Mapping[str, Any]] = {
    "bool, str, float, int within 64 bits": 12.5,
    "int beyond 64 bits": 2**63,
    "bytes, bytearray, memoryview": b"\xff\x00",
    "list, tuple of values that become one primitive type": [1, 2],
    "mixed or nested list, dict": {"item": "teapot", "sizes": [1, 2]},
    "exception, class, traceback": os.PathLike,
    "set, Decimal, UUID, Enum, complex, other objects": 1 + 2j,
    "text with a lone surrogate": "a\ud800",
}
"""A value for a row of VALUE_RULES, for the page to show what becomes of it."""

_TAG_SAMPLES: Final[Mapping[str, Any]] = {
    "db.type": "sql",
    "http.method": "GET",
    "http.status_code": 200,
    "http.url": "http://shop:8080/pay?order=7",
    "peer.address": "cache-1:6379",
    "peer.port": 6379,
}
_WIRE: Final = WireContext(
    trace_id=0x0AF7651916CD43DD8448EB211C80319C,
    span_id=0xB7AD6B7169203331,
    sampled=True,
    tracestate="vendor=1",
    baggage={"tenant": "acme & sons"},
)
_RECEIVED: Final = "a%20b+c"


def page() -> str:
    """Return the whole page, in ASCII, with one line feed at its end."""
    parts = [_HEAD, *(f"## {title}\n\n{text}" for title, text in _sections())]
    return "\n".join(parts)


def _sections() -> Iterable[tuple[str, str]]:
    api = [(_code(rule.name), rule.does, _tests(rule.held_by)) for rule in API_RULES]
    yield "OpenTracing API", _table(("Name", "What the bridge does", "Held by"), api)
    yield "Tags", _tags()
    logs = [(_code(rule.field), rule.ordinary, rule.error, _tests(held_by.LOGS.get(rule.field))) for rule in LOG_RULES]
    yield "Logs", _table(("Field", 'In a log without event="error"', 'In a log with event="error"', "Held by"), logs)
    yield "Values", _values()
    references = [(given, becomes, _tests(held_by.REFERENCES.get(given))) for given, becomes in REFERENCE_RULES]
    yield "References", _table(("Given", "What becomes of it", "Held by"), references)
    yield "Formats", _formats()
    carriers = [(rule.carrier, rule.becomes, _tests(rule.held_by)) for rule in CARRIER_RULES]
    yield "Carriers", _table(("Carrier", "What becomes of it", "Held by"), carriers) + "\n" + _lines()
    yield "Peers", _mixed(peer_parts())
    yield "Found by running it", LEGEND
    for name, section in SECTIONS.items():
        yield section.title, _mixed(parts(name, recorded()))
    yield "Samplers", _samplers()
    yield "Tail sampling", _tail()
    yield "Settings", _settings()
    yield "jaeger-client's configuration", _jaeger_config()
    yield "What the drop-in for jaeger_client does not do", _dropin()
    rows = [(_code(name), telemetry.COUNTERS[name]) for name in sorted(telemetry.COUNTERS)]
    yield "Counters", "From `ot_bridge.telemetry.snapshot()`.\n\n" + _table(("Counter", "What it counts"), rows)
    yield "Measures", _measures()


def _mixed(given: Iterable[Any]) -> str:
    """Return texts and tables, one below the other."""
    return "\n".join(f"{part}\n" if isinstance(part, str) else _table(*part) for part in given)


def _tags() -> str:
    rows = [
        (
            _code(rule.tag),
            "attribute" if rule.role is None else rule.role.value,
            _new_names(rule.tag, rule.role),
            rule.source,
            _tests(held_by.TAGS.get(rule.tag)),
        )
        for rule in TAG_RULES
    ]
    table = _table(("Tag", "Becomes", 'Attributes with semconv="new"', "Source", "Held by"), rows)
    systems = _table(("`db.type`", "`db.system.name`"), [(_code(old), _code(new)) for old, new in DB_SYSTEMS.items()])
    return (
        f'{table}\nA tag that is not in the table is an attribute of the same name. With `semconv="dup"` both names '
        f"are sent. Held by {_tests(held_by.NEW_NAMES, ', ')}.\n\n{systems}\n"
        "Any other `db.type` is kept as it is.\n"
    )


def _new_names(tag: str, role: Role | None) -> str:
    """Ask semconv for the names, kind by kind; the kinds are told only where they differ."""
    if role in (Role.KIND, Role.STATUS_CODE, Role.STATUS_DESCRIPTION):
        return "as by default"
    attributes = {} if role is Role.ERROR else {tag: _TAG_SAMPLES.get(tag, "x")}
    kinds: dict[str, list[str]] = {}
    for kind in SpanKind:
        named = translate(attributes, kind=kind, failed=role is Role.ERROR, exception_type=None, keep=False)
        kinds.setdefault(", ".join(map(_code, sorted(named))), []).append(kind.name)
    if list(kinds) == [_code(tag)]:
        return "the same name"
    if len(kinds) == 1:
        return next(iter(kinds))
    return "; ".join(f"{', '.join(found)}: {names}" for names, found in kinds.items())


def _values() -> str:
    rows = []
    for rule in VALUE_RULES:
        shown = ("", "")
        if rule.value in SAMPLES:
            value = SAMPLES[rule.value]
            shown = (_code(ascii(value)), _code(ascii(clean_value(value))))
        rows.append((rule.value, rule.becomes, *shown, _tests(held_by.VALUES.get(rule.value))))
    return _table(("Value", "Becomes", "For example", "Is sent as", "Held by"), rows)


def _formats() -> str:
    names = [
        (_code(name), row.meaning, _list(_read(name)), _list(_written(name)), _tests(held_by.FORMATS.get(name)))
        for name, row in CODECS.items()
    ]
    binary = ("BINARY", "Jaeger's layout; needs no setting", "", "", _tests(held_by.FORMATS.get("BINARY")))
    examples = []
    for name in CODECS:
        http, text = _sent(name, http=True), _sent(name, http=False)
        other = [line for line in text if line not in http]
        examples.append((_code(name), _list(http), _list(other) if other else "the same"))
    read = [[_code(text) for text in row] for row in _decoded()]
    return "\n".join(
        [
            _table(("In extract and inject", "Headers", "Read", "Written", "Held by"), [*names, binary]),
            f"Written for one sampled span with baggage {dict(_WIRE.baggage)}:\n",
            _table(("Format", "HTTP_HEADERS", "TEXT_MAP, where it differs"), examples),
            "Baggage as it is read:\n",
            _table(("Header", "HTTP_HEADERS", "TEXT_MAP"), read),
        ]
    )


def _read(name: str) -> list[str]:
    codecs = [CODECS[part].make(Options()) for part in CODECS[name].reads]
    headers = [header for codec in codecs for header in codec.headers]
    sources = [source for codec in codecs for source in codec.sources if isinstance(source, PrefixSource)]
    return headers + [f"{source.prefix}*" for source in sources]


def _written(name: str) -> list[str]:
    writer = MixedFleetPropagator((), (name,))
    headers = writer.write(_WIRE._replace(debug=True), http=True)
    return [header if header in writer.fields else header.removesuffix("tenant") + "*" for header, _ in headers]


def _sent(name: str, *, http: bool) -> list[str]:
    return [f"{header}: {value}" for header, value in MixedFleetPropagator((), (name,)).write(_WIRE, http=http)]


def _decoded() -> Iterable[list[str]]:
    for name, row in CODECS.items():
        reader = MixedFleetPropagator((name,), ())
        for source in row.make(Options()).sources:
            if isinstance(source, ListSource):
                header, value = source.header, f"k={_RECEIVED}"
            else:
                header, value = f"{source.prefix}k", _RECEIVED
            found = [reader.read([(header, value)], http=http).context for http in (True, False)]
            yield [f"{header}: {value}", *("" if context is None else context.baggage["k"] for context in found)]


def _lines() -> str:
    rows: dict[str, list[str]] = {}
    for row in CODECS.values():
        for header, lines in row.make(Options()).headers.items():
            rows.setdefault(lines.value, []).append(header)
    head = ("Headers", "Several lines of one header")
    table = _table(head, [(_list(names, ", "), meaning) for meaning, names in rows.items()])
    return f"{table}\nA list as value counts as several lines. Held by {_tests(held_by.LINES, ', ')}.\n"


def _settings() -> str:
    rows = []
    for setting in SETTINGS:
        default = ",".join(setting.default) if isinstance(setting.default, tuple) else repr(setting.default)
        wanted = setting.kind.wanted
        rows.append(
            (
                _code(setting.name),
                _code(setting.env),
                _code(default),
                wanted,
                setting.meaning,
                _tests(held_by.SETTINGS.get(setting.name)),
            )
        )
    return _table(("Field of Settings", "Variable", "Default", "Values", "Meaning", "Held by"), rows)


def _samplers() -> str:
    rows = [
        (_code(row.text), _code(row.entry_point), row.argument, row.meaning, _tests(held_by.SAMPLERS.get(name)))
        for name, row in SAMPLER_ROWS.items()
    ]
    head = ("For example in Settings.sampler", "In OTEL_TRACES_SAMPLER", "Argument", "What it samples", "Held by")
    return "Of the traces that begin here; see [docs/sampling.md](docs/sampling.md).\n\n" + _table(head, rows)


def _jaeger_config() -> str:
    keys = [
        (
            _code(row.name),
            _list(row.places),
            row.meaning,
            "" if row.dropped is None else f"dropped because {row.dropped}",
        )
        for row in CONFIG_KEYS.values()
    ]
    variables = [
        (
            _code(row.name),
            "always" if row.by_python else 'jaeger_env="all"',
            _code(row.stands_for or ""),
            row.meaning,
            "" if row.dropped is None else f"dropped because {row.dropped}",
        )
        for row in ENV_KEYS.values()
    ]
    parts = [
        _JAEGER_CONFIG,
        _table(("Key", "New place", "What becomes of it", "Not carried"), keys),
        _table(("Variable", "Read with", "Stands for", "What becomes of it", "Not carried"), variables),
        f"Held by {_tests(held_by.JAEGER_CONFIG, ', ')}.\n",
    ]
    return "\n".join(parts)


def _dropin() -> str:
    names = _table(
        ("Not there", "Why", "What to do"),
        [(_code(row.name), row.reason, row.instead) for row in NOT_CARRIED],
    )
    calls = [(_code(rule.name), rule.does, _tests(rule.held_by)) for rule in DROPIN_RULES]
    return (
        "`ot_bridge.jaeger_client` has every public name of jaeger_client 4.8.0 but these; what lies below a name is "
        f"meant too. Held by {_tests(SURFACE_TESTS, ', ')}.\n\n{names}\n"
        "Calls that are there and do something else, or nothing:\n\n"
        f"{_table(('Call', 'What the drop-in does', 'Held by'), calls)}"
    )


def _tail() -> str:
    rows = [
        (_code(row.example), row.argument or "", row.meaning, _list(row.policies), _tests(held_by.TAIL.get(name)))
        for name, row in POLICY_ROWS.items()
    ]
    rows += [
        (
            _code(f"{name}={row.example}" if row.example else name),
            row.argument,
            row.meaning,
            "",
            _tests(held_by.TAIL.get(name)),
        )
        for name, row in LIMIT_ROWS.items()
    ]
    head = ("Item of Settings.tail", "What it takes", "What it does", "In ot_bridge.tail.policy", "Held by")
    return "In the order in which they are asked; see [docs/sampling.md](docs/sampling.md).\n\n" + _table(head, rows)


def _measures() -> str:
    metrics = [(_code(one.name), one.unit, one.meaning) for one in MEASURES]
    gauges = [(_code(f"{METER}.{name}"), "{span}", meaning) for name, meaning in telemetry.GAUGES.items()]
    paths = _table(("`ot_bridge.path`", "What is timed"), [(_code(path), meaning) for path, meaning in PATHS.items()])
    table = _table(("Metric", "Unit", "What it is"), [*metrics, *sorted(gauges)])
    return f"With `meter` or a `cpu_budget`, from `ot_bridge.meter.snapshot()`; and gauges.\n\n{table}\n{paths}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _list(names: Iterable[str], separator: str = "<br>") -> str:
    return separator.join(map(_code, dict.fromkeys(names)))


def _tests(names: Iterable[str] | None, separator: str = "<br>") -> str:
    return _list(names or (), separator)
