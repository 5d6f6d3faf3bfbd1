"""`ot-bridge demo`."""

from __future__ import annotations

import sys
from difflib import get_close_matches

import click
from rich.console import Console

from ot_bridge.cli.extras import missing
from ot_bridge.errors import BridgeError

__all__ = ["demo"]

_PLAIN_WIDTH = 120


@click.command()
@click.option("--endpoint", metavar="URL", help="Send the spans to this OTLP/HTTP backend as well.")
@click.option("--keep", is_flag=True, help="Leave the shop open until Ctrl-C and draw each further request.")
@click.option("--no-node", is_flag=True, help="Do without Node, also where it is there.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="SERVICE:NAME=VALUE",
    help="Set an environment variable of one service, to see what breaks: payment-service:OT_BRIDGE_INJECT=jaeger",
)
def demo(endpoint: str | None, keep: bool, no_node: bool, changes: tuple[str, ...]) -> None:
    """Run a shop's checkout across old, bridged and new services and show it as one trace.

    The exit code is 0 when the trace is whole, else 1.
    """
    if problem := missing("demo"):
        raise click.ClickException(problem)
    from ot_bridge.demo.checkout import run
    from ot_bridge.demo.fleet import services
    from ot_bridge.demo.forward import traces_url

    try:
        url = traces_url(endpoint) if endpoint is not None else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--endpoint") from error
    by_service = _changes(changes, [service.name for service in services(None)])
    # a file or a pipe has no width: the tree gets the room it needs
    console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
    try:
        whole = run(console, endpoint=url, keep=keep, node=not no_node, changes=by_service)
    except BridgeError as error:
        raise click.ClickException(str(error)) from error
    if not whole:
        raise click.ClickException("the trace is not whole: see FAIL above")


def _changes(texts: tuple[str, ...], known: list[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for text in texts:
        service, colon, pair = text.partition(":")
        name, equals, value = pair.partition("=")
        if not (colon and name and equals):
            raise click.BadParameter(f"got {text!r}, expected SERVICE:NAME=VALUE", param_hint="--set")
        if service not in known:
            closest = get_close_matches(service, known, n=1)
            hint = f"did you mean {closest[0]!r}?" if closest else f"expected one of {', '.join(known)}"
            raise click.BadParameter(f"no service {service!r}: {hint}", param_hint="--set")
        found.setdefault(service, {})[name] = value
    return found
