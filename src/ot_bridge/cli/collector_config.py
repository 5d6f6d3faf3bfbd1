"""`ot-bridge collector-config`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ot_bridge.collector import (
    DEFAULT_TAIL,
    TARGETS,
    TIERS,
    File,
    Fleet,
    Inputs,
    Plan,
    Row,
    as_stream,
    files,
    notes,
    read_version,
    rows,
)
from ot_bridge.config import SETTINGS, Settings
from ot_bridge.environment import VARIABLE
from ot_bridge.errors import ConfigError
from ot_bridge.jaeger_config.addresses import host_of
from ot_bridge.tail_specs import TailRules, read_tail
from ot_bridge.traces.render.harmless import harmless

__all__ = ["collector_config"]

_PLAIN_WIDTH = 100
_JSON_VERSION = 1
_COMMAND_LINE = "command line"
_TAIL = next(setting for setting in SETTINGS if setting.name == "tail")
_MOST_SAMPLERS = 1000
_STRATEGIES = "/etc/otelcol/strategies.json"
# What errors and slow requests are thought to be of all traces, until somebody has counted them.
_ASSUMED_SHARE = 0.01


@click.command("collector-config")
@click.option("--tail", metavar="RULES", help=f"The rules, instead of {_TAIL.env}: {DEFAULT_TAIL}")
@click.option(
    "--collector-version", "version", metavar="VERSION", help="Of the Collector: 0.153 chooses its key names."
)
@click.option("--target", type=click.Choice(TARGETS), default=TARGETS[0], show_default=True, help="What tier 2 is.")
@click.option("--tier", type=click.Choice([*TIERS, "all"]), default="all", show_default=True, help="What to print.")
@click.option("--output", type=click.Path(path_type=Path), metavar="DIR", help="Write the files there instead.")
@click.option("--force", is_flag=True, help="With --output: replace files that are there.")
@click.option("--backend", metavar="ADDRESS", help="HOST:PORT for OTLP over gRPC, or a URL for HTTP. [jaeger:4317]")
@click.option("--backend-tls", is_flag=True, help="Encrypt gRPC to the backend.")
@click.option("--samplers", type=click.IntRange(1, _MOST_SAMPLERS), metavar="N", help="Instances of tier 2. [3]")
@click.option("--sampler-hosts", metavar="LIST", help="HOST:PORT of each, with commas between them.")
@click.option("--drop-route", "drop_routes", multiple=True, metavar="ROUTE", help="Drop this http.route, errors too.")
@click.option("--strategies", metavar="PATH", help=f"Of strategies.json at the gateway, or none. [{_STRATEGIES}]")
@click.option("--traces-per-second", type=click.FloatRange(0, 1e9, min_open=True), default=6000.0, show_default=True)
@click.option("--spans-per-trace", type=click.FloatRange(1, 1e6), default=15.0, show_default=True)
@click.option("--decision-wait", type=click.FloatRange(1, 3600), metavar="SECONDS", default=10.0, show_default=True)
@click.option("--kept", type=click.FloatRange(0, 100), metavar="PERCENT", help="Of the traces, for the sizes.")
@click.option("--json", "as_json", is_flag=True, help="Print the sizes and notes as JSON, for programs; no files.")
def collector_config(
    tail: str | None,
    version: str | None,
    target: str,
    tier: str,
    output: Path | None,
    force: bool,
    backend: str | None,
    backend_tls: bool,
    samplers: int | None,
    sampler_hosts: str | None,
    drop_routes: tuple[str, ...],
    strategies: str | None,
    traces_per_second: float,
    spans_per_trace: float,
    decision_wait: float,
    kept: float | None,
    as_json: bool,
) -> None:
    """Print a configuration of the OpenTelemetry Collector that samples the whole fleet by the rules of OT_BRIDGE_TAIL.

    Three files: gateway.yaml takes spans of old and new services and sends each trace to one sampler, sampler.yaml
    decides about whole traces, strategies.json tells jaeger-clients to send everything. Without --output they are
    printed as one stream, with --tier one of them alone. The sizes follow from the load that the last options say.

    Without --collector-version the names are those that every version from 0.140 on takes.

    The exit code is 0, or 2 when something cannot be used.
    """
    try:
        settings = _settings(tail)
        rules = read_tail(settings.tail or DEFAULT_TAIL)
        hosts = _hosts(sampler_hosts, samplers, target)
        inputs = Inputs(
            plan=Plan(
                fleet=Fleet(
                    traces_per_second=traces_per_second,
                    spans_per_trace=spans_per_trace,
                    samplers=len(hosts),
                    decision_wait_s=decision_wait,
                    kept=_share(rules, traces_per_second) if kept is None else kept / 100,
                ),
                version=None if version is None else read_version(version, _COMMAND_LINE),
                target=target,
                sampler_hosts=hosts,
                backend=_backend(backend, target, tls=backend_tls),
                backend_tls=backend_tls,
                strategies=_path(strategies),
            ),
            tail=settings.tail,
            head=settings.sampler,
            drop_routes=drop_routes,
            origin=_COMMAND_LINE if tail is not None else f"{VARIABLE} {_TAIL.env}",
        )
        made = files(inputs)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    chosen = made if tier == "all" else {name: file for name, file in made.items() if name == tier}
    if not chosen:
        raise click.UsageError("--tier strategies needs another --strategies than none")
    _print(inputs, chosen, output, force=force, as_json=as_json)


def _print(inputs: Inputs, chosen: dict[str, File], output: Path | None, *, force: bool, as_json: bool) -> None:
    found = rows(inputs.plan.fleet)
    written = [] if output is None else _write(list(chosen.values()), output, force=force)
    if as_json:
        sizes = [{"name": row.name, "value": row.value, "unit": row.unit, "formula": row.formula} for row in found]
        shown = {"version": _JSON_VERSION, "sizes": sizes, "notes": list(notes(inputs)), "files": written}
        click.echo(json.dumps(shown, indent=2))
    elif output is not None:
        # a file or a pipe has no width
        console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False)
        for path in written:
            console.print(f"wrote {harmless(path, console.encoding)}", markup=False, soft_wrap=True)
        console.print()
        console.print(_table(found))
        for note in notes(inputs):
            console.print()
            console.print(harmless(note, console.encoding), markup=False)
    elif len(chosen) == 1:
        click.echo(next(iter(chosen.values())).text, nl=False)
    else:
        click.echo(as_stream(chosen), nl=False)


def _settings(tail: str | None) -> Settings:
    """Return the settings of the variables, with the option over them."""
    if tail is None:
        return Settings.from_env()
    return Settings.from_env(tail=_TAIL.check(_TAIL.kind.parse(tail), _COMMAND_LINE))


def _share(rules: TailRules, traces_per_second: float) -> float:
    """Return the part of the traces that is likely to be kept."""
    found = [rules.rest, (rules.rate or 0.0) / traces_per_second]
    slow = (rules.slow_s, rules.slow_quantile, rules.slow_span_s)
    found += [_ASSUMED_SHARE] * (rules.errors + any(limit is not None for limit in slow) + bool(rules.attributes))
    return min(1.0, sum(found))


def _hosts(text: str | None, number: int | None, target: str) -> Sequence[str]:
    if text is None:
        name = "jaeger" if target == "jaeger-v2" else "sampler"
        return [f"{name}-{each}.{name}:4317" for each in range(number or 3)]
    if number is not None:
        raise ConfigError("got --samplers and --sampler-hosts, expected one of them")
    hosts = [host.strip() for host in text.split(",")]
    for host in hosts:
        _check_address(host, "--sampler-hosts")
        if hosts.count(host) > 1:
            raise ConfigError(f"cannot use --sampler-hosts: got {host!r} twice, expected each sampler once")
    return hosts


def _check_address(text: str, option: str, also: str = "") -> None:
    found = re.fullmatch(r"(?P<host>.+):(?P<port>[0-9]{1,5})", text)
    # An address of IPv6 has colons of its own: only in brackets is the port sure to be one.
    named = found and host_of(found["host"]) is not None and (":" not in found["host"] or text.startswith("["))
    if not found or not named or not 0 < int(found["port"]) < 2**16:
        near = f"; did you mean '{text}:4317'?" if host_of(text) == text else ""
        raise ConfigError(f"cannot use {option}: got {text!r} ({_COMMAND_LINE}), expected HOST:PORT{also}{near}")


def _backend(text: str | None, target: str, *, tls: bool) -> str:
    if target == "jaeger-v2" and (text is not None or tls):
        raise ConfigError("--backend goes with --target collector: Jaeger stores what it keeps")
    if text is None:
        return "jaeger:4317"
    also = ", or an http or https URL without path"
    if "://" not in text:
        _check_address(text, "--backend", also)
        return text
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and host_of(parts.hostname) is not None and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigError(f"cannot use --backend: got {text!r} ({_COMMAND_LINE}), expected HOST:PORT{also}")
    if tls:
        raise ConfigError(f"cannot use --backend-tls: the URL {text!r} says itself whether it is encrypted")
    return text.rstrip("/")


def _path(text: str | None) -> str | None:
    if text is None:
        return _STRATEGIES
    if not text.strip() or not text.isprintable():
        raise ConfigError(f"cannot use --strategies: got {text!r} ({_COMMAND_LINE}), expected a path, or none")
    return None if text.lower() == "none" else text


def _write(made: Sequence[File], output: Path, *, force: bool) -> list[str]:
    """Write the files, none when one is there already, and return their paths."""
    paths = [output / file.name for file in made]
    there = [str(path) for path in paths if path.exists()]
    if there and not force:
        raise click.UsageError(f"cannot write {', '.join(there)}: it is there; --force replaces it")
    try:
        output.mkdir(parents=True, exist_ok=True)
        for path, file in zip(paths, made, strict=True):
            path.write_text(file.text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"cannot write into {output}: {error.strerror or error}") from None
    return [str(path) for path in paths]


def _table(found: Sequence[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), expand=False)
    table.add_column("Size")
    table.add_column("Value", justify="right", no_wrap=True)
    table.add_column("How", overflow="fold")
    for row in found:
        table.add_row(Text(row.name), Text(row.shown, "bold"), Text(row.formula))
    return table
