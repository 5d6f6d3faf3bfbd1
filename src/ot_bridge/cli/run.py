"""`ot-bridge run`, with its options. Without options `start` comes before it."""

from __future__ import annotations

import json
import os
import sys

import click
from rich.console import Console

from ot_bridge.autostart.launch import LaunchError, check_settings, execute, plan
from ot_bridge.cli.planned import as_dict, planned, show

__all__ = ["run"]

_PLAIN_WIDTH = 80
_JSON_VERSION = 1


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    options_metavar="[--explain [--json]] [--]",
)
@click.option("--explain", is_flag=True, help="Show what would be set, and from where; run nothing.")
@click.option("--json", "as_json", is_flag=True, help="With --explain: print JSON, for programs.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="COMMAND [ARGS]...")
def run(explain: bool, as_json: bool, command: tuple[str, ...]) -> None:
    """Run a program with tracing, without a change in its code.

    COMMAND is python app.py, app.py, -m module, or a command such as gunicorn, celery, flask or uvicorn. In it, and in
    every Python process below it, the bridge is the tracer of OpenTracing, and import jaeger_client gives the bridge's
    drop-in, whether jaeger-client is installed or not. OTEL_* and OT_BRIDGE_* variables steer it.

    The process becomes the command: exit code, signals and standard streams are its own. Before that the exit code is 2
    when the command line or a variable is wrong, 126 or 127 when the command cannot be executed or found.

    With --explain the exit code is 0, or 2 when something is wrong.
    """
    if explain:
        found = planned(command, os.environ)
        if as_json:
            click.echo(json.dumps({"version": _JSON_VERSION, **as_dict(found)}, indent=2))
        else:
            # a file or a pipe has no width
            show(found, Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False))
        raise SystemExit(2 if found.problems else 0)
    if as_json:
        raise click.UsageError("--json goes with --explain")
    try:
        check_settings(os.environ)
        execute(plan(command, os.environ))
    except LaunchError as error:
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(error.status) from None
