"""Where `ot-bridge trace` gets its traces: a file, stdin, the local store, a backend; and log files beside them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from ot_bridge.errors import BridgeError
from ot_bridge.traces import otlp
from ot_bridge.traces.formats.detect import LARGEST, Contents, UnreadableError, read
from ot_bridge.traces.formats.joined import join, matching
from ot_bridge.traces.formats.log_lines import read_log_lines
from ot_bridge.traces.model import LogRecord, Span
from ot_bridge.traces.query.backend import ask, split_link
from ot_bridge.traces.store.place import default_database
from ot_bridge.traces.tree import Trace
from ot_bridge.traces.words import plural

__all__ = ["Loaded", "NotFoundError", "load"]

_STDIN = "-"
_HEX = frozenset("0123456789abcdefABCDEF")
_FIRST = 8


class NotFoundError(BridgeError):
    """There is no such trace. The text says where it was looked for."""


class Loaded(NamedTuple):
    """What was asked for.

    Attributes:
        source: where it is from, for people.
        traces: at least one, by their start.
        notes: what was left out or had to be assumed.
    """

    source: str
    traces: Sequence[Trace]
    notes: Sequence[str]


def load(
    source: str | None,
    wanted: str | None,
    *,
    url: str | None = None,
    backend: str | None = None,
    headers: Mapping[str, str] | None = None,
    database: Path | None = None,
    logs: Sequence[Path] = (),
) -> Loaded:
    """Get the traces that a command line names.

    Args:
        source: a file, `-`, a trace id, or a link to a trace of a backend; None is stdin.
        wanted: of several traces this one.
        url: a backend; then the source is a trace id.
        backend: its kind.
        headers: for it.
        database: of the local store, None for the usual one.
        logs: files of log records.

    Raises:
        click.UsageError: these do not fit together.
        BridgeError: there is nothing to be shown.
        OSError: a file cannot be read.
    """
    if source is not None and source.startswith(("http://", "https://")):
        url, source = split_link(source)
        if not source:
            raise click.UsageError(f"{url} is no link to a trace; an address goes with --from, and an id before it")
    if url is not None:
        name, contents = _from_backend(source or wanted, url, backend, headers)
        wanted = None
    elif backend is not None or headers:
        raise click.UsageError("--backend and --header go with --from")
    elif source in (None, _STDIN):
        name, contents = "stdin", read(_stdin(), "stdin")
    elif source and _is_id(source) and (database is not None or not Path(source).exists()):
        database = database or default_database()
        kept = _from_store(source, database)
        return _joined(str(database), kept.spans, list(kept.logs), [], None, logs)
    else:
        name, contents = str(source), _file(Path(source or ""))
    notes = list(contents.notes)
    if contents.rejected:
        notes.append(f"{plural(contents.rejected, 'span')} of {name} cannot be read: {contents.problem}")
    return _joined(name, otlp.spans(contents.batches), otlp.logs(contents.logs), notes, wanted, logs)


def _joined(
    name: str,
    spans: Sequence[Span],
    records: list[LogRecord],
    notes: list[str],
    wanted: str | None,
    logs: Sequence[Path],
) -> Loaded:
    for path in logs:
        found, said = _logs(path)
        records += found
        notes += said
    traces, lost = join(spans, records)
    if lost and logs:
        notes.append(f"{plural(lost, 'log record')} of no trace that is here")
    if not traces:
        raise NotFoundError(f"there is no span in {name}" + (f", only {plural(lost, 'log record')}" if lost else ""))
    if wanted is not None:
        traces = [_one(name, wanted, traces)]
    return Loaded(name, traces, notes)


def _one(name: str, wanted: str, traces: Sequence[Trace]) -> Trace:
    by_id = {trace_id: trace for trace in traces for trace_id in trace.trace_ids}
    found = {by_id[one].trace_id: by_id[one] for one in matching(wanted, by_id)}
    if len(found) == 1:
        return next(iter(found.values()))
    ids = list(found) or list(by_id)
    listed = ", ".join(f"{one:032x}" for one in ids[:_FIRST]) + (" ..." if len(ids) > _FIRST else "")
    if found:
        raise NotFoundError(f"{plural(len(found), 'trace')} of {name} begin with {wanted!r}: {listed}")
    raise NotFoundError(f"there is no trace {wanted!r} in {name}; there are {listed}")


def _is_id(text: str) -> bool:
    return 0 < len(text) <= 32 and _HEX.issuperset(text)


def _stdin() -> bytes:
    if sys.stdin is None or sys.stdin.isatty():
        raise click.UsageError("nothing to show: give a file, a trace id, or spans on stdin")
    return sys.stdin.buffer.read(LARGEST + 1)


def _file(path: Path) -> Contents:
    if path.is_dir():
        raise UnreadableError(f"cannot read {path}: it is a directory")
    if not path.exists():
        raise UnreadableError(f"cannot read {path}: no such file, and no trace id, which is up to 32 hex digits")
    return read(_bytes(path), str(path))


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST + 1)


def _logs(path: Path) -> tuple[list[LogRecord], list[str]]:
    """Read a log file: OTLP's, or else any JSON lines."""
    data = _bytes(path)
    try:
        contents = read(data, str(path))
    except UnreadableError:
        lines = read_log_lines(data)
        return list(lines.records), [f"{path}: {note}" for note in lines.notes]
    return otlp.logs(contents.logs), [] if contents.logs else [f"{path}: spans, and no log record"]


def _from_backend(
    source: str | None, url: str, backend: str | None, headers: Mapping[str, str] | None
) -> tuple[str, Contents]:
    if not source:
        base, source = split_link(url)
        url = base if source else url
    if not source or not _is_id(source):
        raise click.UsageError(f"got {source!r}, expected with --from a trace id, up to 32 hex digits")
    answer = ask(url, int(source, 16), backend=backend, headers=headers)
    return f"{url}, by {answer.way}", answer.contents


def _from_store(source: str, database: Path) -> Trace:
    if not database.exists():
        raise NotFoundError(
            f"there is no file {source!r}, and no database at {database} to look a trace id up in: `ot-bridge view` "
            "makes it; another one goes with --db, a backend with --from"
        )
    from ot_bridge.traces.store.store import Store

    store = Store.open_read_only(database)
    try:
        ids = store.ids(source)
        # An id that a hop has cut finds the same trace as the whole one.
        found = {trace.trace_ids: trace for one in ids if (trace := store.trace(one)) is not None}
    finally:
        store.close()
    if len(found) == 1:
        return next(iter(found.values()))
    exact = [trace for ids, trace in found.items() if int(source, 16) in ids]
    if len(exact) == 1:
        return exact[0]
    if not found:
        raise NotFoundError(f"there is no file {source!r}, and no trace that begins so in {database}")
    listed = ", ".join(f"{one:032x}" for one in ids[:_FIRST]) + (" ..." if len(ids) > _FIRST else "")
    raise NotFoundError(f"{plural(len(found), 'trace')} of {database} begin with {source!r}: {listed}")
