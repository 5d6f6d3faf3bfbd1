"""`ot-bridge view`."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from ot_bridge.cli.amounts import AGE, PORT, SIZE, age, size
from ot_bridge.cli.extras import missing
from ot_bridge.config import OF_TOOLS
from ot_bridge.errors import BridgeError
from ot_bridge.traces.receive.ports import ENDPOINTS, Ports
from ot_bridge.traces.store.retention import Retention

__all__ = ["view"]

(_TOKEN_VARIABLE,) = OF_TOOLS
_AUTO: Final = "auto"
_SHORTEST_TOKEN: Final = 16
_USUAL: Final = Retention()


def _port_options(command: Callable[..., None]) -> Callable[..., None]:
    for endpoint in reversed(ENDPOINTS):
        words = f"For {endpoint.what}{', over UDP' * endpoint.udp}."
        option = click.option(endpoint.flag, type=PORT, default=endpoint.port, show_default=True, help=words)
        command = option(command)
    return command


@click.command(short_help="Receive, keep and show traces, without a backend.")
@click.option("--db", type=click.Path(path_type=Path, dir_okay=False), help="Keep the spans in this file.")
@click.option("--temporary", is_flag=True, help="Keep them only as long as the command runs.")
@click.option(
    "--max-spans", type=click.IntRange(1), metavar="N", help=f"Keep at most so many. [default: {_USUAL.max_spans}]"
)
@click.option(
    "--max-bytes", type=SIZE, help=f"Keep the file below this size, such as 500MB. [default: {size(_USUAL.max_bytes)}]"
)
@click.option("--max-age", type=AGE, help=f"Keep a trace so long, such as 12h. [default: {age(_USUAL.max_age_s)}]")
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Listen on this address; others need a token.")
@click.option("--token", envvar=_TOKEN_VARIABLE, help=f"Ask for this token, or for one that is made: {_AUTO}.")
@click.option("--allow-host", "names", multiple=True, metavar="NAME", help="Be called by this name too.")
@_port_options
def view(
    db: Path | None,
    temporary: bool,
    max_spans: int | None,
    max_bytes: int | None,
    max_age: int | None,
    open_page: bool,
    host: str,
    token: str | None,
    names: tuple[str, ...],
    **ports: int,
) -> None:
    """Receive traces, keep them, and show them on a page.

    Everything listens on this machine alone. A port is a number, 0 for any free one, or none. Spans stay from one start
    to the next, until there are too many. Ctrl-C ends it.

    The token may also stand in the variable OT_BRIDGE_VIEW_TOKEN, where no list of processes shows it.
    """
    if problem := missing("view"):
        raise click.ClickException(problem)
    from ot_bridge.cli.viewing import Wanted, run

    if db is not None and temporary:
        raise click.UsageError("--db and --temporary exclude each other")
    wanted = Wanted(
        database=db,
        temporary=temporary,
        limits={
            name: value
            for name, value in (("max_spans", max_spans), ("max_bytes", max_bytes), ("max_age_s", max_age))
            if value is not None
        },
        host=host,
        token=_token(host, token),
        names=names,
        ports=Ports(**{key.removesuffix("_port"): None if port < 0 else port for key, port in ports.items()}),
        open_page=open_page,
    )
    try:
        whole = run(wanted)
    except BridgeError as error:
        raise click.ClickException(str(error)) from error
    if not whole:
        raise SystemExit(1)


def _token(host: str, given: str | None) -> str | None:
    from ot_bridge.traces.receive.guard import is_loopback

    if given == _AUTO:
        return secrets.token_urlsafe(24)
    if not given:
        if not is_loopback(host):
            raise click.UsageError(
                f"--host {host} lets other machines read and send traces: set a token with {_TOKEN_VARIABLE} or "
                f"--token, or have one made with --token {_AUTO}"
            )
        return None
    if len(given) < _SHORTEST_TOKEN or not given.isascii() or not given.isprintable() or " " in given:
        raise click.UsageError(
            f"the token has {len(given)} characters: expected at least {_SHORTEST_TOKEN}, in ASCII, without blanks"
        )
    return given
