"""Decoders that a test can hold, and that fail, for processes that decode one body."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from ot_bridge.traces.formats import otlp_json
from ot_bridge.traces.formats.decoded import Decoded

__all__ = ["asked", "decode"]

_LARGE = 1 << 20


def asked(directory: Path, does: str = "") -> bytes:
    """Return a large body that tells `decode` what to do: to wait for the file `go`, or to fail in some way."""
    return json.dumps({"directory": str(directory), "does": does}).encode() + b" " * _LARGE


def decode(body: bytes) -> Decoded:
    """Do what a large body says, and leave the number of the process; decode a small one as OTLP."""
    if len(body) <= _LARGE:
        return otlp_json.decode_traces(body)
    wanted = json.loads(body)
    if wanted["does"] == "exits":
        os._exit(3)
    if wanted["does"] == "lacks memory":
        raise MemoryError
    if wanted["does"] == "refuses":
        raise ValueError("not one word of it")
    directory = Path(wanted["directory"])
    _say(directory, f"begins {os.getpid()}")
    while not (directory / "go").exists():
        time.sleep(0.005)
    _say(directory, "ends")
    return Decoded([])


def _say(directory: Path, text: str) -> None:
    with (directory / "said").open("a") as file:
        file.write(text + "\n")
