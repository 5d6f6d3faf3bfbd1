"""`ot-bridge trace`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ot_bridge.errors import BridgeError

if TYPE_CHECKING:
    from ot_bridge.traces.analyse import Analysis
    from ot_bridge.traces.tree import Trace

__all__ = ["trace"]


@click.command()
@click.argument("source", required=False)
@click.option("--trace", "wanted", metavar="ID", help="Of several traces this one; a part of the id will do.")
@click.option("--from", "url", metavar="URL", help="Ask this backend, Jaeger or Tempo: http://localhost:16686")
@click.option("--backend", type=click.Choice(["jaeger", "tempo"]), help="What answers at --from, if it does not tell.")
@click.option("--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Send this header to the backend.")
@click.option("--db", type=click.Path(path_type=Path), help="The database of `ot-bridge view`, if not the usual one.")
@click.option(
    "--logs", multiple=True, type=click.Path(path_type=Path), help="A log file: JSON lines with ids, or OTLP."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.option("--html", type=click.Path(path_type=Path), help="Write one self-contained page to this file as well.")
@click.option("--all", "whole", is_flag=True, help="Show every span and every tag: nothing folded, nothing left out.")
@click.option("--fail-on", multiple=True, metavar="RULE|SEVERITY", help="Exit with 1 when this is found, or worse.")
def trace(
    source: str | None,
    wanted: str | None,
    url: str | None,
    backend: str | None,
    headers: tuple[str, ...],
    db: Path | None,
    logs: tuple[Path, ...],
    as_json: bool,
    html: Path | None,
    whole: bool,
    fail_on: tuple[str, ...],
) -> None:
    """Show one request: what was found in its trace, then the trace as a tree.

    SOURCE is a file, - for stdin, or a trace id, which is looked up where `ot-bridge view` keeps its spans, or at --from.
    A file may be OTLP (JSON, JSON lines or protobuf), Jaeger's or Zipkin's JSON, each also in gzip. A part of an id will
    do where it is clear.

    The exit code is 0, 1 when something of --fail-on was found or the trace cannot be had, 2 when the command line is
    wrong.
    """
    from ot_bridge.cli.extras import missing
    from ot_bridge.cli.traced import Shown, show, table

    refused = _refused(fail_on)
    if html is not None and (problem := missing("view")):
        raise click.ClickException(problem)
    try:
        loaded = _load(source, wanted, url, backend, headers, db, logs)
    except (BridgeError, OSError) as error:
        raise click.ClickException(_words(error)) from error
    picked = _analysed(loaded.traces)
    chosen = max(picked, key=lambda one: _badness(*one))
    found = any(_matches(finding, refused) for _, analysis in picked for finding in analysis.findings)
    if html is not None:
        from ot_bridge.traces.render.html import html_report

        try:
            html.write_text(html_report(*chosen), encoding="utf-8")
        except OSError as error:
            raise click.ClickException(_words(error)) from error
        click.echo(f"wrote {html}", err=True)
    with _quiet_pipe():
        if as_json:
            _print_json(loaded.source, loaded.notes, picked)
        else:
            shown = Shown(whole=whole, notes=loaded.notes, source=loaded.source)
            if len(picked) > 1:
                table(picked, chosen, shown)
            show(*chosen, shown)
    if found:
        raise SystemExit(1)
