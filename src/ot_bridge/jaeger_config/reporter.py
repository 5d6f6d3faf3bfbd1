"""The reporter's queue, batch and schedule as those of OpenTelemetry's batch processor: ``OTEL_BSP_*``."""

from __future__ import annotations

from typing import Final

from ot_bridge.environment import read
from ot_bridge.jaeger_config.work import Work

__all__ = ["add_reporter"]

_QUEUE: Final = "OTEL_BSP_MAX_QUEUE_SIZE"
_BATCH: Final = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
_DELAY: Final = "OTEL_BSP_SCHEDULE_DELAY"
_DEFAULT_QUEUE: Final = 2048
_DEFAULT_BATCH: Final = 512
_MAX_DIGITS: Final = 18


def add_reporter(work: Work) -> None:
    """Add the values and their rows. A batch is never longer than the queue, whoever has set which."""
    queue, batch, delay = (work.given.get(f"reporter_{key}") for key in ("queue_size", "batch_size", "flush_interval"))
    wanted = None if queue is None else work.taken(queue)
    set_batch = _set(work, _BATCH)
    room = _set(work, _QUEUE) or wanted or _DEFAULT_QUEUE
    if queue is not None and wanted is not None:
        note = None
        if set_batch is not None and set_batch > room:
            room = set_batch
            note = f"raised to {room}: {_BATCH} is set to it, and a batch is no longer than the queue"
        values = {_QUEUE: str(room)}
        if batch is None and room < _DEFAULT_BATCH:
            values[_BATCH] = str(room)
        work.carry(queue, otel=values, note=note)
    size = None if batch is None else work.taken(batch)
    if batch is not None and size is not None:
        note = f"cut to the size of the queue, {room}; jaeger-client refuses such a pair" if size > room else None
        work.carry(batch, otel={_BATCH: str(min(size, room))}, note=note)
    interval = None if delay is None else work.taken(delay)
    if delay is not None and interval is not None:
        work.carry(delay, otel={_DELAY: str(interval)})


def _set(work: Work, name: str) -> int | None:
    """Return the number that a variable is set to; what is none is left for its own error."""
    text = read(name, work.environ)
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else None
