"""`ot-bridge config`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import click
from rich.console import Console

from ot_bridge.cli.translated import show, why
from ot_bridge.config import Settings
from ot_bridge.errors import ConfigError
from ot_bridge.jaeger_config import Translation, translate
from ot_bridge.jaeger_config.files import SYNTAXES, decode, load, parse
from ot_bridge.jaeger_config.printed import FORMATS, is_secret, shell
from ot_bridge.jaeger_config.translate import JAEGER_ENVS

__all__ = ["config"]

_PLAIN_WIDTH = 80


@click.command()
@click.argument("file", required=False, metavar="[FILE]")
@click.option("--literal", metavar="DICT", help="The configuration itself: a Python literal, JSON or YAML.")
@click.option("--section", metavar="NAME", help="Where in the file it is: jaeger.config is config in jaeger.")
@click.option("--syntax", type=click.Choice(list(SYNTAXES)), help="Of the file, where its name does not tell.")
@click.option("--env", "use_env", is_flag=True, help="Read the environment too, as jaeger-client would.")
@click.option(
    "--jaeger-env",
    type=click.Choice(JAEGER_ENVS),
    default="python",
    show_default=True,
    help="The JAEGER_* variables to read: of the client for Python, or of every client.",
)
@click.option("--service-name", metavar="NAME", help="The name that the program gives to Config beside the dict.")
@click.option(
    "--format",
    "-f",
    "form",
    type=click.Choice(["table", *FORMATS]),
    help="What to print; without it the table, and the environment below it.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 when something could not be carried.")
def config(
    file: str | None,
    literal: str | None,
    section: str | None,
    syntax: str | None,
    use_env: bool,
    jaeger_env: str,
    service_name: str | None,
    form: str | None,
    strict: bool,
) -> None:
    """Translate a jaeger-client configuration: each old key, its new place, or why it has none.

    FILE is YAML, JSON or a Python literal, - for stdin. With --env alone the environment is the configuration; with
    both, the file and the environment are weighed as jaeger-client weighs them, and what is set for OpenTelemetry or
    ot_bridge already stays as it is.

    Formats: env for a shell, dotenv for a .env file, k8s for the env of a container, otel-config for a declarative
    configuration file of OpenTelemetry, json for programs. The table shows no passwords; the other formats are
    complete.

    The exit code is 0, 1 with --strict when something could not be carried, 2 when the input cannot be read.
    """
    environ = dict(os.environ) if use_env or jaeger_env != "python" else {}
    try:
        found = _found(file, literal, section, syntax, read_environment=bool(environ))
        translation = translate(found, service_name=service_name, environ=environ, jaeger_env=jaeger_env)
        Settings.from_env({**environ, **translation.variables})
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    if form is None or form == "table":
        _show(translation, with_environment=form is None)
    else:
        click.echo(FORMATS[form](translation), nl=False)
    if form not in (None, "table", "json"):
        for row in translation.lost:
            click.echo(f"{row.key}: {why(row)}", err=True)
    if service_name is None and translation.service_name is None and "OTEL_SERVICE_NAME" not in environ:
        click.echo("No service name: add --service-name NAME, or set OTEL_SERVICE_NAME", err=True)
    if strict and translation.lost:
        raise SystemExit(1)


def _show(translation: Translation, *, with_environment: bool) -> None:
    # a file or a pipe has no width
    console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False)
    show(translation, console)
    if with_environment:
        console.print("\nEnvironment", style="bold underline")
        secret = {name for row in translation.rows if is_secret(row) for name in row.places}
        shown = {name: text for name, text in translation.variables.items() if name not in secret}
        click.echo(shell(replace(translation, variables=shown)), nl=False)
        for name in sorted(secret):
            click.echo(f"# {name}: not shown, --format env has it")


def _found(
    file: str | None, literal: str | None, section: str | None, syntax: str | None, *, read_environment: bool
) -> Mapping[Any, Any]:
    """Return the configuration of the arguments; without any it is the environment's alone, or stdin's."""
    if literal is not None and file is not None:
        raise click.UsageError("got a file and --literal, expected one of them")
    if literal is not None:
        return parse(literal, section=section, syntax=syntax, origin="--literal")
    if file not in (None, "-"):
        return load(str(file), section=section, syntax=syntax)
    if file is None and read_environment:
        if section is not None:
            raise click.UsageError("--section needs a file")
        return {}
    if sys.stdin is None or (file is None and sys.stdin.isatty()):
        raise click.UsageError("nothing to read: give a file, --literal, --env, or a configuration on stdin")
    try:
        text = decode(sys.stdin.buffer.read())
    except ValueError as error:
        raise ConfigError(f"cannot read stdin: {error}") from None
    return parse(text, section=section, syntax=syntax, origin="stdin")
