"""What a decoder gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

__all__ = ["Decoded"]


class Decoded(NamedTuple):
    """What could be read, and how many spans could not."""

    batches: Sequence[ResourceSpans]
    rejected: int = 0
    problem: str = ""
