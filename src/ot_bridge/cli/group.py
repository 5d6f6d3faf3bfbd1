"""The group of commands: a new command is a module of its own and one line here."""

from __future__ import annotations

import click

from ot_bridge.cli.collector_config import collector_config
from ot_bridge.cli.config import config
from ot_bridge.cli.demo import demo
from ot_bridge.cli.explain import explain
from ot_bridge.cli.matrix import matrix
from ot_bridge.cli.run import run
from ot_bridge.cli.trace import trace
from ot_bridge.cli.view import view
from ot_bridge.version import __version__

__all__ = ["cli"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ot-bridge")
def cli() -> None:
    """Keep OpenTracing code tracing on OpenTelemetry."""


cli.add_command(collector_config)
cli.add_command(config)
cli.add_command(demo)
cli.add_command(explain)
cli.add_command(matrix)
cli.add_command(run)
cli.add_command(trace)
cli.add_command(view)
