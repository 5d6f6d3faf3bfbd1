"""The end within a stated time: shut down or flush a TracerProvider even when its collector never answers.

The SDK gives no such bound: ``BatchSpanProcessor.shutdown`` waits up to 30 seconds for each processor in turn, and its
``force_flush`` ignores the time-out it is given (open-telemetry/opentelemetry-python issue 4568).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from inspect import signature
from typing import Any, Final

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from ot_bridge import telemetry

__all__ = ["flush_provider", "processors_of", "shutdown_processors", "shutdown_provider"]

_LONGEST_S: Final = 86_400.0


def shutdown_provider(provider: object, timeout_s: float) -> bool:
    """Shut the provider's processors down, in their order, within about ``timeout_s`` seconds. Never raises.

    Each processor gets an equal share of the time that is left. A sampler that has a ``close`` is closed before them.
    Works from an ``atexit`` handler too.

    Returns:
        True when all ended in time, False when spans may have been lost. A provider that cannot be shut down: True.
    """
    timeout_s = _bound(timeout_s)
    _close_sampler(provider)
    processors = processors_of(provider)
    if processors is None:
        shutdown = getattr(provider, "shutdown", None)
        in_time = not callable(shutdown) or _run(shutdown, timeout_s, or_inline=True)
        _tell(in_time, timeout_s)
        return in_time
    return shutdown_processors(processors, timeout_s)


def shutdown_processors(processors: Sequence[SpanProcessor], timeout_s: float) -> bool:
    """Shut processors down; as :func:`shutdown_provider`."""
    timeout_s = _bound(timeout_s)
    deadline = time.monotonic() + timeout_s
    in_time = True
    for waiting, processor in zip(range(len(processors), 0, -1), processors, strict=True):
        share_s = max(0.0, deadline - time.monotonic()) / waiting
        in_time &= _run(partial(_shut_down, processor, share_s), share_s, or_inline=True)
    _tell(in_time, timeout_s)
    return in_time


def flush_provider(provider: object, timeout_s: float) -> bool:
    """Send what has ended, waiting at most ``timeout_s`` seconds. Never raises.

    Returns:
        True when all was handed to the exporters in time. False when not, and while the interpreter shuts down: no
        thread can be started then, and without one the wait has no end. A provider that cannot be flushed: True.
    """
    force_flush = getattr(provider, "force_flush", None)
    if not callable(force_flush):
        return True
    timeout_s = _bound(timeout_s)

    def work() -> bool:
        return force_flush(int(timeout_s * 1000)) is not False

    in_time = _run(work, timeout_s, or_inline=False)
    if not in_time:
        telemetry.count("flush.incomplete")
    return in_time


def _tell(in_time: bool, timeout_s: float) -> None:
    if not in_time:
        telemetry.warn_once("close.incomplete", "spans may be lost: the exporters did not end in %g s", timeout_s)


def _bound(timeout_s: float) -> float:
    return 0.0 if math.isnan(timeout_s) else min(max(0.0, timeout_s), _LONGEST_S)


def processors_of(provider: object) -> tuple[SpanProcessor, ...] | None:
    """Find the processors of an SDK provider; None sends the caller to the public ``shutdown``."""
    found = getattr(getattr(provider, "_active_span_processor", None), "_span_processors", None)
    return tuple(_flat(found)) if isinstance(found, tuple) else None


def _flat(processors: Iterable[SpanProcessor]) -> Iterator[SpanProcessor]:
    for processor in processors:
        inner = getattr(processor, "_span_processors", None)  # one that stands for several, as the SDK's own do
        if isinstance(inner, tuple):
            yield from _flat(inner)
        else:
            yield processor


def _close_sampler(provider: object) -> None:
    close = getattr(getattr(provider, "sampler", None), "close", None)
    if callable(close):
        try:
            close()
        except Exception as error:
            telemetry.warn_once("close.error", "closing the sampler failed: %s: %s", type(error).__name__, error)


def _shut_down(processor: SpanProcessor, timeout_s: float) -> bool:
    within = getattr(processor, "shutdown_within", None)  # one that hands on to others, such as a tail sampler
    if callable(within):
        return within(timeout_s) is not False
    batch_shutdown = getattr(getattr(processor, "_batch_processor", None), "shutdown", None)
    if (
        type(processor).shutdown is not BatchSpanProcessor.shutdown
        or not callable(batch_shutdown)
        or "timeout_millis" not in signature(batch_shutdown).parameters
    ):
        processor.shutdown()
        return True
    timeout_ms = int(timeout_s * 1000)
    deadline = time.monotonic() + timeout_ms / 1000
    # It does not tell whether its worker ended; waiting for all of the time means that it did not.
    batch_shutdown(timeout_millis=timeout_ms)
    return time.monotonic() < deadline


def _run(work: Callable[[], Any], timeout_s: float, *, or_inline: bool) -> bool:
    """Run ``work`` in a thread and wait; True when it ended in time without an exception and did not return False."""
    outcome: list[bool] = []

    def guarded() -> None:
        try:
            outcome.append(work() is not False)
        except Exception as error:
            telemetry.warn_once("close.error", "shutting down or flushing failed: %s: %s", type(error).__name__, error)

    thread = threading.Thread(target=guarded, name="ot_bridge-close", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        # From Python 3.12 on no thread starts once the interpreter shuts down, so not in an atexit handler either.
        if or_inline:
            guarded()
    else:
        # A little longer than the work's own bound: it must be able to report.
        thread.join(timeout_s + 0.1 * min(1.0, timeout_s))
    return outcome == [True]
