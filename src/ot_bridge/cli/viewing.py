"""What `ot-bridge view` does between its start and its end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import click
from starlette.types import ASGIApp

from ot_bridge.cli.amounts import age, size
from ot_bridge.errors import BridgeError
from ot_bridge.traces.page.app import page_app
from ot_bridge.traces.page.site import Listening as Shown
from ot_bridge.traces.page.site import PageInfo
from ot_bridge.traces.receive.inbox import Counts
from ot_bridge.traces.receive.ports import Listening, Ports
from ot_bridge.traces.receive.servers import Servers
from ot_bridge.traces.render.harmless import harmless
from ot_bridge.traces.store.place import default_database
from ot_bridge.traces.store.retention import Retention
from ot_bridge.traces.store.store import Store
from ot_bridge.traces.store.writer import Writer
from ot_bridge.traces.words import number, plural

__all__ = ["Wanted", "run"]

_ENDS: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_FLUSH_S: Final = 30.0


class Wanted(NamedTuple):
    """What the command line asks for.

    Attributes:
        database: None for the usual place.
        temporary: nothing is kept after the end.
        limits: fields of `Retention` that are not as usual.
    """

    database: Path | None
    temporary: bool
    limits: Mapping[str, int]
    host: str
    token: str | None
    names: Sequence[str]
    ports: Ports
    open_page: bool


def run(wanted: Wanted) -> bool:
    """Receive and show until a signal says that it is enough; tell whether all that was received has been kept.

    Raises:
        BridgeError: the database or a port cannot be opened.
    """
    counts = Counts()
    with _ended() as ended, _database(wanted) as path:
        # Before anything else: what is wrong with the file, or who else has it, is the first thing to know.
        with _private():
            store = Store.open(path, retention=Retention(**wanted.limits))
        with contextlib.closing(store):
            writer = Writer(store)
            try:
                _serve(wanted, store, writer, counts, ended)
            finally:
                flushed = writer.close(_FLUSH_S)
            with _unheard():
                _report(wanted, store, writer, counts, flushed=flushed)
    return flushed and not writer.lost


def _serve(wanted: Wanted, store: Store, writer: Writer, counts: Counts, ended: threading.Event) -> None:
    def page(listening: Sequence[Listening]) -> ASGIApp:
        return page_app(store, counts, PageInfo([Shown(*one) for one in listening if one.setting]))

    with Servers(
        writer, counts, host=wanted.host, ports=wanted.ports, token=wanted.token, page=page, names=wanted.names
    ) as servers:
        with _unheard():
            _greet(wanted, servers, store)
        if wanted.open_page and servers.ports.page is not None:
            webbrowser.open(_page_url(servers, wanted.token))
        # Not for ever at once: on Windows nothing interrupts that.
        while not ended.wait(1):
            pass


@contextlib.contextmanager
def _ended() -> Iterator[threading.Event]:
    """Give an event that a signal sets. A second signal does what it does without us."""
    ended = threading.Event()
    before = dict[int, Any]()

    def end(_: int, __: FrameType | None) -> None:
        ended.set()
        for one, handler in before.items():
            signal.signal(one, handler)

    for name in _ENDS:
        # What is ignored stays so: nohup has its own idea of a terminal that closes.
        if (one := getattr(signal, name, None)) is not None and signal.getsignal(one) is not signal.SIG_IGN:
            before[one] = signal.signal(one, end)
    try:
        yield ended
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextlib.contextmanager
def _database(wanted: Wanted) -> Iterator[Path]:
    if not wanted.temporary:
        yield wanted.database or default_database()
        return
    with tempfile.TemporaryDirectory(prefix="ot-bridge-", ignore_cleanup_errors=True) as directory:
        yield Path(directory) / "traces.db"


@contextlib.contextmanager
def _private() -> Iterator[None]:
    """What is made here is the user's alone: traces hold what people did."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


# -- what is said ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """Say what is wrong with a standard output that takes nothing; a pipe that was closed is left to click."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        # What is left in the buffer would be tried again at the end of the interpreter, which tells of it once more.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise BridgeError(f"cannot write to the standard output: {error.strerror}") from error


def _page_url(servers: Servers, token: str | None) -> str:
    return servers.page_url + (f"/?token={quote(token)}" if token else "")


def _greet(wanted: Wanted, servers: Servers, store: Store) -> None:
    listening = [one for one in servers.listening() if one.setting]
    if servers.ports.page is not None:
        click.echo(f"The page: {click.style(_page_url(servers, wanted.token), bold=True)}\n")
    if listening:
        click.echo("Start a service with one of these, and its spans arrive here:\n")
        widths = [max(len(row[column]) for row in listening) for column in (0, 1)]
        for row in listening:
            click.echo(f"  {row.protocol:<{widths[0]}}  {row.address:<{widths[1]}}  {row.setting}")
        click.echo()
    if wanted.token:
        click.echo(f"  and this: OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20{quote(wanted.token)}\n")
    kept, most = store.stats(), store.retention
    where = "in a temporary file, until this ends" if wanted.temporary else f"in {store.path}"
    click.echo(
        f"{plural(kept.spans, 'span')} of {plural(kept.traces, 'trace')} {where}; kept are at most "
        f"{number(most.max_spans)} spans, {size(most.max_bytes)}, {age(most.max_age_s)}."
    )
    click.echo("Ctrl-C ends it.")
    if sys.stdout is not None:  # it may have been closed before the start
        sys.stdout.flush()


def _report(wanted: Wanted, store: Store, writer: Writer, counts: Counts, *, flushed: bool) -> None:
    received = sum(count for (_, what), count in counts.snapshot().items() if what == "spans")
    kept = store.stats()
    where = "nothing is kept" if wanted.temporary else f"{store.path} holds {number(kept.spans)}"
    click.echo(f"\n{plural(received, 'span')} received; {where}.")
    examples = counts.examples()
    for (protocol, what), count in sorted(counts.snapshot().items()):
        if what not in ("spans", "log records"):
            example = examples.get((protocol, what), "")
            click.echo(f"  {protocol}: {number(count)} {what}" + (f", the last: {_shown(example)}" if example else ""))
    if not flushed:
        click.echo("Error: not all that was received could be written in time", err=True)
    if writer.lost:
        click.echo(f"Error: {number(writer.lost)} spans and log records are lost: {writer.problem}", err=True)


def _shown(text: str) -> str:
    """What came from others may hold anything, and a terminal obeys."""
    return harmless(text, getattr(sys.stdout, "encoding", None) or "ascii")
