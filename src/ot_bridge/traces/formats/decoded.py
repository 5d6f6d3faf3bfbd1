"""What a decoder gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

__all__ = ["Decoded"]


class Decoded(NamedTuple):
    """What could be read, and how much could not.

    Attributes:
        batches: the spans.
        rejected: how many spans, or log records, could not be read.
        problem: what was wrong with the last of them; when none was rejected, a warning.
        logs: the log records.
        noted: what was read although it is not as the format says, or was changed, and how often.
    """

    batches: Sequence[ResourceSpans]
    rejected: int = 0
    problem: str = ""
    logs: Sequence[ResourceLogs] = ()
    noted: Mapping[str, int] = MappingProxyType({})
