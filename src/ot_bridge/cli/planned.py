"""What `ot-bridge run` would set, and from where: `ot-bridge run --explain`."""

from __future__ import annotations

import logging
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from typing import Any, Final, NamedTuple

import opentelemetry.environment_variables
import opentelemetry.sdk.environment_variables
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ot_bridge import export, provider
from ot_bridge.autostart.launch import LaunchError, plan
from ot_bridge.config import ENV_PREFIX, SETTINGS, Settings
from ot_bridge.environment import VARIABLE, closest, read, wrong
from ot_bridge.errors import ConfigError
from ot_bridge.jaeger_config import ENV_KEYS, translate
from ot_bridge.sampler_specs import SAMPLER_ROWS, SpecError, read_argument

__all__ = ["Planned", "Row", "Variable", "as_dict", "planned", "show"]

_DEFAULT: Final = "default"
_OTLP: Final = "OTEL_EXPORTER_OTLP_"
_AGENT_HOST: Final = "JAEGER_AGENT_HOST"
_HIDDEN: Final = "(not shown)"
_USER: Final = re.compile(r"(?<=//)[^/@\s]+(?=@)")
# The start of a variable's name, and who reads it instead of the bridge.
_OTHERS: Final = (
    ((f"{_OTLP}METRICS_", "OTEL_METRIC", "OTEL_EXPORTER_PROMETHEUS_"), "for metrics"),
    ((f"{_OTLP}LOGS_", "OTEL_LOG", "OTEL_BLRP_", "OTEL_PYTHON_LOG"), "for logs"),
    (("OTEL_EXPORTER_JAEGER_", "OTEL_EXPORTER_ZIPKIN_"), "for exporters that OpenTelemetry has given up"),
    (("OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"), "for opentelemetry-instrument"),
)
_FOR_INSTRUMENT: Final = ("OTEL_PYTHON_", "OTEL_INSTRUMENTATION_", "OTEL_SEMCONV_")
_READ_OF_PYTHON: Final = ("OTEL_PYTHON_ID_GENERATOR", "OTEL_PYTHON_CONTEXT", "OTEL_PYTHON_TRACER_PROVIDER")


class Row(NamedTuple):
    """One thing that is settled: what it is, its value, and where that comes from."""

    what: str
    value: str
    origin: str


class Variable(NamedTuple):
    """A variable that is set, and what comes of it."""

    name: str
    value: str
    effect: str


@dataclass(frozen=True)
class Planned:
    """All that there is to say before the start.

    Attributes:
        command: what would be executed, empty when that is not known.
        sets: the variables that it would be given.
        problems: why it would not start, or not be traced.
    """

    command: tuple[str, ...]
    sets: Mapping[str, str]
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...]
    problems: tuple[str, ...]


def as_dict(found: Planned) -> dict[str, Any]:
    """Return it for JSON."""
    return {
        **asdict(found),
        "rows": [{"what": row.what, "value": row.value, "from": row.origin} for row in found.rows],
        "variables": [variable._asdict() for variable in found.variables],
    }


def planned(command: Sequence[str], environ: Mapping[str, str]) -> Planned:
    """Find out what would be set, as the started process will: by its own code. Nothing is started or sent."""
    problems: list[str] = []
    rows: list[Row] = []
    arguments: tuple[str, ...] = ()
    sets: dict[str, str] = {}
    if command:
        try:
            made = plan(command, environ)
        except LaunchError as error:
            problems.append(str(error))
        else:
            arguments, sets = made.arguments, {"PYTHONPATH": made.changes["PYTHONPATH"]}
            rows.append(Row("command", shlex.join(arguments), "command line"))
            before = "and the PYTHONPATH that is set" if environ.get("PYTHONPATH") else "none is set"
            if made.interpreter is not None:
                rows.append(Row("python", made.interpreter, _whose(made.interpreter)))
            rows.append(Row("PYTHONPATH", sets["PYTHONPATH"], f"ot_bridge; {before}"))
    rows.append(_jaeger_client())
    rows.append(_service_name(environ))
    settings = None
    try:
        settings = _settings(environ)
    except ConfigError as error:
        problems.append(str(error))
    rows.extend(_exporter(environ))
    rows.append(_sampler(settings, environ))
    if settings is not None:
        rows.extend(_formats(settings, environ))
    problems.extend(_problems_of_the_sdk(environ))
    return Planned(arguments, sets, tuple(rows), tuple(_variables(environ)), tuple(problems))


def _settings(environ: Mapping[str, str]) -> Settings:
    logger = logging.getLogger("ot_bridge")
    level = logger.level
    # What it would warn of stands in the table.
    logger.setLevel(logging.ERROR)
    try:
        return Settings.from_env(environ)
    finally:
        logger.setLevel(level)


def _whose(interpreter: str) -> str:
    if os.path.dirname(os.path.abspath(interpreter)) == os.path.dirname(os.path.abspath(sys.executable)):  # noqa: PTH100, PTH120  (links stay)
        return "the one that ot-bridge runs on"
    return f"not the one that ot-bridge runs on, {sys.executable}: ot_bridge has to be installed there too"


def _jaeger_client() -> Row:
    try:
        version = metadata.version("jaeger-client")
    except metadata.PackageNotFoundError:
        return Row("jaeger_client", "ot_bridge.jaeger_client", "the real one is not installed here")
    return Row("jaeger_client", "ot_bridge.jaeger_client", f"in place of jaeger-client {version}, which is installed")


def _service_name(environ: Mapping[str, str]) -> Row:
    name = read("OTEL_SERVICE_NAME", environ)
    if name is not None:
        return Row("service name", name, "OTEL_SERVICE_NAME")
    for item in (read("OTEL_RESOURCE_ATTRIBUTES", environ) or "").split(","):
        key, _, value = item.partition("=")
        if key.strip() == "service.name" and value.strip():
            return Row("service name", value.strip(), "OTEL_RESOURCE_ATTRIBUTES")
    return Row("service name", "unknown_service", f"{_DEFAULT}; jaeger_client.Config(service_name=...) gives its own")


def _exporter(environ: Mapping[str, str]) -> Iterator[Row]:
    disabled = provider.is_disabled()
    if disabled:
        yield Row("exporter", "none: no spans at all", "OTEL_SDK_DISABLED")
        return
    name = read("OTEL_TRACES_EXPORTER", environ)
    yield Row("exporter", name or "otlp", "OTEL_TRACES_EXPORTER" if name else _DEFAULT)
    if {"otlp", "ot_bridge_otlp"}.isdisjoint((name or "otlp").split(",")):
        return
    found = _first_set("PROTOCOL", environ)
    protocol = (found[1] if found else "http/protobuf").lower()
    yield Row("protocol", protocol, found[0] if found else _DEFAULT)
    found = _first_set("ENDPOINT", environ)
    if found is None:
        default = "http://localhost:4317" if protocol == "grpc" else "http://localhost:4318/v1/traces"
        yield Row("endpoint", default, _DEFAULT)
        if read(_AGENT_HOST, environ) is not None:
            # A program that makes a jaeger_client.Config names no other host where this is set.
            there = str(translate({}, environ=environ).endpoint)
            there = there if protocol == "grpc" else f"{there}/v1/traces"
            yield Row("endpoint of jaeger_client.Config", there, _AGENT_HOST)
    else:
        variable, text = found
        added = "" if variable.startswith(f"{_OTLP}TRACES_") or protocol == "grpc" else "v1/traces"
        yield Row("endpoint", _shown(variable, f"{text.rstrip('/')}/{added}" if added else text), variable)


def _first_set(suffix: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    for name in (f"{_OTLP}TRACES_{suffix}", f"{_OTLP}{suffix}"):
        text = read(name, environ)
        if text is not None:
            return name, text
    return None


def _sampler(settings: Settings | None, environ: Mapping[str, str]) -> Row:
    own = getattr(settings, "sampler", None)
    if own is not None:
        return Row("sampler", str(own), f"{ENV_PREFIX}SAMPLER")
    name = read("OTEL_TRACES_SAMPLER", environ)
    argument = read("OTEL_TRACES_SAMPLER_ARG", environ)
    if name is None:
        return Row("sampler", "parentbased_always_on", _DEFAULT)
    value = name if argument is None or not _takes_argument(name) else f"{name} {argument}"
    return Row("sampler", value, "OTEL_TRACES_SAMPLER")


def _takes_argument(sampler: str) -> bool:
    return not sampler.lower().endswith(("always_on", "always_off"))


def _formats(settings: Settings, environ: Mapping[str, str]) -> Iterator[Row]:
    for name, what in (("extract", "headers read"), ("inject", "headers written")):
        own = f"{ENV_PREFIX}{name.upper()}"
        origin = next((one for one in (own, "OTEL_PROPAGATORS") if read(one, environ)), _DEFAULT)
        yield Row(what, ", ".join(getattr(settings, name)) or "none", origin)


def _problems_of_the_sdk(environ: Mapping[str, str]) -> Iterator[str]:
    sampler = None
    if (read("OTEL_TRACES_SAMPLER", environ) or "").lower() == SAMPLER_ROWS["remote"].entry_point:
        sampler = ALWAYS_OFF  # that one would ask its endpoint; its argument is read, and no more
        try:
            read_argument("remote", read("OTEL_TRACES_SAMPLER_ARG", environ))
        except SpecError as error:
            yield str(wrong("OTEL_TRACES_SAMPLER_ARG", error.found, VARIABLE, error.wanted))
    try:
        built = provider.build_provider(None, partial(export.build_processors, deferred=True), sampler=sampler)
    except ConfigError as error:
        yield str(error)
    else:
        export.shutdown_provider(built, 1.0)


def _variables(environ: Mapping[str, str]) -> Iterator[Variable]:
    own = [setting.env for setting in SETTINGS]
    otel = sorted(
        name
        for module in (opentelemetry.environment_variables, opentelemetry.sdk.environment_variables)
        for name in vars(module)
        if name.startswith("OTEL_")
    )
    for name in sorted(environ):
        if not name.startswith((ENV_PREFIX, "OTEL_", "JAEGER_")):
            continue
        if not environ[name].strip():
            effect = "none: it is empty"
        elif name.startswith("JAEGER_"):
            effect = _effect_of_jaegers(name)
        elif name.startswith(ENV_PREFIX):
            effect = "has effect" if name in own else _unknown(name, own)
        else:
            effect = _effect(name, otel, environ)
        yield Variable(name, _shown(name, environ[name]), effect)


def _effect_of_jaegers(name: str) -> str:
    row = ENV_KEYS.get(name)
    if row is None:
        return _unknown(name, list(ENV_KEYS))
    if not row.by_python:
        return "none: jaeger-client for Python does not read it; ot-bridge config --env --jaeger-env all translates it"
    return "has effect where the program makes a jaeger_client.Config"


def _effect(name: str, known: Sequence[str], environ: Mapping[str, str]) -> str:
    for starts, whom in _OTHERS:
        if name.startswith(starts):
            return f"none: {whom}"
    if name not in known:
        if name.startswith(_FOR_INSTRUMENT):
            return "none: for opentelemetry-instrument"
        return _unknown(name, known)
    if name.startswith("OTEL_PYTHON_") and name not in _READ_OF_PYTHON:
        return "none: for opentelemetry-instrument"
    for_traces = name.replace(_OTLP, f"{_OTLP}TRACES_")
    if name.startswith(_OTLP) and for_traces != name and read(for_traces, environ):
        return f"none: {for_traces} counts"
    if name == "OTEL_TRACES_SAMPLER_ARG" and not _takes_argument(read("OTEL_TRACES_SAMPLER", environ) or "always_on"):
        return "none: the sampler takes no argument"
    return "has effect"


def _unknown(name: str, known: Sequence[str]) -> str:
    near = closest(name, known)
    return f"none: unknown{f'; did you mean {near}?' if near else ''}"


def _shown(name: str, value: str) -> str:
    """Return a value without what may be a password."""
    return _HIDDEN if name.endswith("_HEADERS") else _USER.sub("...", value)


def show(found: Planned, console: Console) -> None:
    """Print it for people."""
    table = _table("what", "value", "from")
    for row in found.rows:
        table.add_row(_text(row.what, "bold"), _text(row.value, "cyan"), _text(row.origin))
    console.print(table)
    if found.variables:
        console.print()
        table = _table("variable", "value", "effect")
        for variable in found.variables:
            style = "" if variable.effect == "has effect" else "yellow"
            table.add_row(_text(variable.name, "bold"), _text(variable.value, "cyan"), _text(variable.effect, style))
        console.print(table)
    for problem in found.problems:
        console.print()
        console.print(_text(f"wrong: {problem}", "bold red"))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold underline")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _text(words: str, style: str = "") -> Text:
    shown = words if words.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in words)
    # What cannot be encoded on its way here came from os.environ.
    return Text(os.fsencode(shown).decode("utf-8", "backslashreplace"), style)
