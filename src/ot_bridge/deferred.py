"""An exporter that is built when it first has something to send, in the thread that sends.

requests, ssl and protobuf take longer to import than the SDK itself. A process under ``ot-bridge run`` imports them
beside its own start, or never; a server that forks its workers imports them in each worker, where gRPC wants to begin.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from ot_bridge import telemetry

__all__ = ["DeferredExporter"]

# A fork in the midst of an import leaves the child a module that is locked for ever, so a fork waits for the import.
# Not for ever: the import may itself wait for a module that the forking thread is about to import.
_LONGEST_WAIT_S = 2.0
_importing = threading.RLock()


def _before_fork() -> None:
    _importing.acquire(timeout=_LONGEST_WAIT_S)


def _after_fork() -> None:
    with contextlib.suppress(RuntimeError):  # it did not get it in time
        _importing.release()


def _renew() -> None:
    global _importing
    _importing = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_renew)


class DeferredExporter(SpanExporter):
    """The exporter that ``build`` gives, from the first export on.

    Args:
        build: is called once. Where it fails, that is said once, and the spans count as not exported.
    """

    def __init__(self, build: Callable[[], SpanExporter]) -> None:
        self._build: Callable[[], SpanExporter] | None = build
        self._exporter: SpanExporter | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        exporter = self._ready()
        return SpanExportResult.FAILURE if exporter is None else exporter.export(spans)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True if self._exporter is None else self._exporter.force_flush(timeout_millis)

    def shutdown(self) -> None:
        self._build = None
        if self._exporter is not None:
            self._exporter.shutdown()

    def _ready(self) -> SpanExporter | None:
        if self._exporter is None and self._build is not None:
            with _importing:
                if self._exporter is None and self._build is not None:
                    try:
                        self._exporter = self._build()
                    except Exception as error:
                        reason = f"{type(error).__name__}: {error}"
                        telemetry.warn_once("export.failed", "spans are lost: building the exporter failed: %s", reason)
                    self._build = None
        return self._exporter
