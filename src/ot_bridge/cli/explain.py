"""`ot-bridge explain`."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from rich.console import Console

from ot_bridge.cli.captured import Request, UnreadableError, decoded, header_of, requests_in
from ot_bridge.cli.explained import show
from ot_bridge.config import SETTINGS, Settings
from ot_bridge.errors import ConfigError
from ot_bridge.explain import as_dict
from ot_bridge.explain import explain as explain_headers

__all__ = ["explain"]

_PLAIN_WIDTH = 80
_JSON_VERSION = 1


@click.command()
@click.argument("headers", nargs=-1, metavar="[NAME: VALUE]...")
@click.option("--extract", metavar="FORMATS", help="Read these formats, in this order: jaeger,tracecontext,baggage")
@click.option("--inject", metavar="FORMATS", help="Write these formats: jaeger,tracecontext,baggage")
@click.option("--text-map", is_flag=True, help="Read and write as TEXT_MAP, where Jaeger's values are not encoded.")
@click.option("--entry", type=click.IntRange(1), metavar="N", help="Of several requests on stdin take only the Nth.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def explain(
    headers: tuple[str, ...],
    extract: str | None,
    inject: str | None,
    text_map: bool,
    entry: int | None,
    as_json: bool,
) -> None:
    """Show what the bridge makes of a request's headers: what is read, which format wins and why, what is sent on.

    The headers are arguments, such as 'traceparent: 00-...', or come on stdin: header lines, the output of curl -v, a
    curl command (also copied out of a browser), or a HAR file. Settings are those of the OT_BRIDGE_* variables.

    The exit code is 0 when every request gives a trace context, 1 when one does not, 2 when the command line is wrong.
    """
    settings = _settings(extract=extract, inject=inject)
    requests = _requests(headers, entry)
    explanations = [explain_headers(request.headers, settings, http=not text_map) for request in requests]
    if as_json:
        found = [
            {"request": request.label, **as_dict(explanation)}
            for request, explanation in zip(requests, explanations, strict=True)
        ]
        click.echo(json.dumps({"version": _JSON_VERSION, "requests": found}, indent=2))
    else:
        # a file or a pipe has no width
        console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False)
        for number, (request, explanation) in enumerate(zip(requests, explanations, strict=True), entry or 1):
            if len(requests) > 1 or request.label is not None:
                label = (request.label or "").encode("ascii", "backslashreplace").decode("ascii")
                shown = "".join(one for one in label if one.isprintable())
                console.print(f"Request {number}  {shown}".rstrip(), style="bold reverse", markup=False, emoji=False)
            show(explanation, console)
    if any(explanation.result != "context" for explanation in explanations):
        raise SystemExit(1)


def _settings(**formats: str | None) -> Settings:
    """Return the settings of the variables, with the options over them."""
    overrides: dict[str, Any] = {}
    for setting in SETTINGS:
        text = formats.get(setting.name)
        if text is not None:
            try:
                overrides[setting.name] = setting.check(setting.kind.parse(text), "command line")
            except ConfigError as error:
                raise click.BadParameter(str(error), param_hint=f"--{setting.name}") from error
    try:
        return Settings.from_env(**overrides)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error


def _requests(arguments: tuple[str, ...], entry: int | None) -> list[Request]:
    """Return the requests of the arguments, or of stdin when there are none."""
    if arguments:
        if entry is not None:
            raise click.BadParameter("needs the requests on stdin", param_hint="--entry")
        headers = []
        for number, argument in enumerate(arguments, 1):
            header = header_of(argument)
            if header is None:
                # Not shown: it may be a password.
                raise click.UsageError(f"argument {number} is not a header, expected 'name: value' in quotes")
            headers.append(header)
        return [Request(None, tuple(headers))]
    if sys.stdin is None or sys.stdin.isatty():
        raise click.UsageError("no headers: give them as arguments, 'name: value' each, or on stdin")
    try:
        requests = requests_in(decoded(sys.stdin.buffer.read()))
    except UnreadableError as error:
        raise click.UsageError(f"cannot read stdin: {error}") from error
    if entry is None:
        return requests
    if entry > len(requests):
        raise click.BadParameter(f"got {entry}, expected 1 to {len(requests)}", param_hint="--entry")
    return [requests[entry - 1]]
