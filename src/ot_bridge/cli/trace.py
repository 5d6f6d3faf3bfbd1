"""`ot-bridge trace`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ot_bridge.cli.extras import missing
from ot_bridge.errors import BridgeError

if TYPE_CHECKING:
    from ot_bridge.cli.traced import Read
    from ot_bridge.traces.analyse import Finding
    from ot_bridge.traces.tree import Trace

__all__ = ["trace"]

_MANY = 20


@click.command()
@click.argument("source", required=False)
@click.option("--trace", "wanted", metavar="ID", help="Of several traces this one; the beginning of the id will do.")
@click.option("--from", "url", metavar="URL", help="Ask this Jaeger or Tempo, such as http://localhost:16686")
@click.option("--backend", type=click.Choice(["jaeger", "tempo"]), help="What answers at --from, if it cannot be told.")
@click.option("--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Send this header to the backend.")
@click.option("--db", type=click.Path(path_type=Path), help="The database of `ot-bridge view`, if not the usual one.")
@click.option("--logs", multiple=True, type=click.Path(path_type=Path), help="Log records: JSON lines, or OTLP.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.option("--html", type=click.Path(path_type=Path), help="Also write one page to this file, for a ticket.")
@click.option("--all", "whole", is_flag=True, help="Every span, every tag: nothing folded, nothing left out.")
@click.option("--fail-on", multiple=True, metavar="RULE|SEVERITY", help="Exit with 1 when this, or worse, is found.")
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

    SOURCE is a file, - for stdin, a trace id, or a link to a trace. An id is looked up where `ot-bridge view` keeps its
    spans, or at --from; its beginning will do. A file is OTLP (JSON, JSON lines, protobuf), or Jaeger's or Zipkin's
    JSON, each also in gzip.

    The exit code is 0 when all is well, 1 when something of --fail-on was found or the trace cannot be had, 2 when the
    command line is wrong.
    """
    from ot_bridge.cli.loaded import load
    from ot_bridge.cli.traced import badness

    refused = _refused(fail_on)
    if html is not None and (problem := missing("view")):
        raise click.ClickException(problem)
    sent = dict(map(_header, headers))
    try:
        loaded = load(source, wanted, url=url, backend=backend, headers=sent, database=db, logs=logs)
        found = _analysed(loaded.traces)
        shown = max(found, key=badness)
        if html is not None:
            _write_html(html, shown)
    except (BridgeError, OSError) as error:
        raise click.ClickException(str(error)) from error
    failed = any(_matches(finding, refused) for _, analysis in found for finding in analysis.findings)
    with _quiet_pipe():
        if as_json:
            _print_json(loaded.source, loaded.notes, found)
        else:
            _print(loaded.source, loaded.notes, found, shown, whole=whole)
    if failed:
        raise SystemExit(1)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        # Not shown: it may be a password.
        raise click.BadParameter("expected 'NAME: VALUE'", param_hint="--header")
    return name.strip(), value.strip()


def _refused(texts: Sequence[str]) -> Collection[tuple[str, str]]:
    """Read --fail-on: what findings have it, as an attribute's name and its value."""
    from ot_bridge.traces.analyse import RULES
    from ot_bridge.traces.analyse.finding import SEVERITIES

    rules = [rule.key for rule in RULES]
    found = set[tuple[str, str]]()
    for text in (part.strip() for one in texts for part in one.split(",")):
        if text in SEVERITIES:
            found.update(("severity", one) for one in SEVERITIES[: SEVERITIES.index(text) + 1])
        elif text in rules:
            found.add(("rule", text))
        else:
            known = [*SEVERITIES, *rules]
            closest = get_close_matches(text, known, n=1)
            hint = f"did you mean {closest[0]!r}?" if closest else f"expected one of {', '.join(known)}"
            raise click.BadParameter(f"got {text!r}: {hint}", param_hint="--fail-on")
    return found


def _matches(finding: Finding, refused: Collection[tuple[str, str]]) -> bool:
    return ("rule", finding.rule) in refused or ("severity", finding.severity) in refused


def _analysed(traces: Sequence[Trace]) -> list[Read]:
    from ot_bridge.traces.analyse import analyse

    if len(traces) <= _MANY or not sys.stderr.isatty():
        return [(one, analyse(one)) for one in traces]
    with click.progressbar(traces, label="analysing", file=sys.stderr) as bar:
        return [(one, analyse(one)) for one in bar]


def _write_html(path: Path, shown: Read) -> None:
    from ot_bridge.traces.render.html import html_report

    path.write_text(html_report(*shown), encoding="utf-8")
    click.echo(f"wrote {path}", err=True)


def _print(source: str, notes: Sequence[str], found: Sequence[Read], shown: Read, *, whole: bool) -> None:
    from ot_bridge.cli.traced import console, show, table

    to = console()
    if len(found) > 1:
        table(found, shown, source, to, whole=whole)
    show(shown, to, whole=whole, notes=notes)


def _print_json(source: str, notes: Sequence[str], found: Sequence[Read]) -> None:
    from ot_bridge.traces.render.report import VERSION, report

    page: Mapping[str, object] = {
        "version": VERSION,
        "source": source,
        "notes": list(notes),
        "traces": [report(*one) for one in found],
    }
    json.dump(page, sys.stdout, indent=2)
    sys.stdout.write("\n")


@contextmanager
def _quiet_pipe() -> Iterator[None]:
    """Say nothing of a reader that has seen enough, such as `head`."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still to be flushed at the end of the process goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
