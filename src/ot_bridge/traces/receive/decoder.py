"""A process that decodes one body, and what goes in and out of it.

`json.loads` holds the interpreter's lock until it has read all: in a thread it would make every other request wait.
In goes the size of the body and the body; out come frames, each a letter, the size of what follows and that. Spans come
in pieces, for parsing one large message would hold the lock too.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, Final

from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from ot_bridge.traces.formats.decoded import Decoded

__all__ = ["MEMORY", "SIZE", "CutShortError", "MemoryLackError", "command", "main", "read", "written"]

MEMORY: Final = 2 << 30
"""Bytes of address space that the process may have, where the system bounds it: 64 MiB of `{}` are 1.5 GiB of dicts."""

SIZE: Final = struct.Struct("!Q")
_HEAD: Final = struct.Struct("!cQ")
_PIECE: Final = 1_000
_KINDS: Final[Mapping[bytes, tuple[Any, str, str]]] = {
    b"B": (ResourceSpans, "scope_spans", "spans"),
    b"L": (ResourceLogs, "scope_logs", "log_records"),
}
"""Letter of a batch -> its message, and the names of its groups and of what these hold.

The small letter adds a group to the batch before it; `+` adds to the group before it.
"""


class CutShortError(Exception):
    """The frames end before the last one."""


class MemoryLackError(Exception):
    """The process had not enough memory for the body."""


def command(decode: Callable[[bytes], Decoded]) -> list[str]:
    """Return what starts the process: the same interpreter, which finds the same modules and reads no environment.

    Args:
        decode: a function of a module.
    """
    # Not -m, which would look for modules in the working directory first.
    text = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import main; main(*sys.argv[1:])"
    return [sys.executable, "-I", "-c", text, decode.__module__, decode.__qualname__]


def main(module: str, name: str) -> None:
    """Decode the standard input, and write what came of it to the standard output."""
    _bound_memory()
    decode: Callable[[bytes], Decoded] = getattr(importlib.import_module(module), name)
    taken, given = sys.stdin.buffer, sys.stdout.buffer
    (size,) = SIZE.unpack(taken.read(SIZE.size))
    if len(body := taken.read(size)) < size:
        return  # Who wanted it is gone.
    try:
        for frame in written(decode, body):
            given.write(frame)
        given.flush()
    except MemoryError:
        given.write(_frame(b"M"))
        given.flush()
    # Without taking apart what was decoded, which takes long.
    os._exit(0)


def _bound_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


# -- frames ------------------------------------------------------------------------------------------------------------


def _frame(kind: bytes, data: bytes = b"") -> bytes:
    return _HEAD.pack(kind, len(data)) + data


def written(decode: Callable[[bytes], Decoded], body: bytes) -> Iterator[bytes]:
    """Decode a body, and give the frames that say what came of it."""
    try:
        found = decode(body)
    except ValueError as error:
        yield _frame(b"!", str(error).encode("utf-8", "backslashreplace"))
        return
    for kind, batches in ((b"B", found.batches), (b"L", found.logs)):
        for batch in batches:
            yield from _pieces(kind, batch)
    rest = {"rejected": found.rejected, "problem": found.problem, "noted": dict(found.noted)}
    yield _frame(b".", json.dumps(rest).encode())


def _pieces(kind: bytes, batch: Any) -> Iterator[bytes]:
    made, groups, items = _KINDS[kind]
    head = made(resource=batch.resource, schema_url=batch.schema_url)
    if not batch.HasField("resource"):
        head.ClearField("resource")
    yield _frame(kind, head.SerializeToString())
    for group in getattr(batch, groups):
        all_of_them = getattr(group, items)
        piece = type(group)(scope=group.scope, schema_url=group.schema_url)
        if not group.HasField("scope"):
            piece.ClearField("scope")
        letter = kind.lower()
        for start in range(0, max(len(all_of_them), 1), _PIECE):
            getattr(piece, items).extend(all_of_them[start : start + _PIECE])
            yield _frame(letter, piece.SerializeToString())
            piece, letter = type(group)(), b"+"


def read(frames: IO[bytes]) -> Decoded:
    """Read what a process decoded.

    Raises:
        ValueError: what the decoder raised, with its text.
        MemoryLackError: the body needs more than there is.
        CutShortError: the process ended before.
    """
    batches: dict[bytes, list[Any]] = {kind: [] for kind in _KINDS}
    groups: Any = []
    while True:
        kind, data = _next(frames)
        if kind in _KINDS:
            made, name, _ = _KINDS[kind]
            batches[kind].append(made.FromString(data))
            groups = getattr(batches[kind][-1], name)
        elif kind.upper() in _KINDS:
            groups.add().MergeFromString(data)
        elif kind == b"+":
            groups[-1].MergeFromString(data)
        elif kind == b"!":
            raise ValueError(data.decode())
        elif kind == b"M":
            raise MemoryLackError
        elif kind == b".":
            return Decoded(batches[b"B"], logs=batches[b"L"], **json.loads(data))
        else:
            raise CutShortError


def _next(frames: IO[bytes]) -> tuple[bytes, bytes]:
    head = frames.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise CutShortError
    kind, size = _HEAD.unpack(head)
    if len(data := frames.read(size)) < size:
        raise CutShortError
    return kind, data
