"""For ``opentelemetry-instrument``: the bridge as one of its instrumentations, named ``opentracing``.

Imported by that program alone, which brings ``opentelemetry.instrumentation``; ot_bridge does not ask for it.
``OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=opentracing`` leaves it out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

from ot_bridge import bootstrap
from ot_bridge.autostart import redirect

__all__ = ["OpenTracingInstrumentor"]

_logger = logging.getLogger("ot_bridge")


class OpenTracingInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # it comes without types where it comes at all
    """Makes OpenTracing code trace on the provider of this process, and ``import jaeger_client`` mean the drop-in.

    Never raises: the program that calls it would leave all instrumentations after it out.
    """

    _undo: tuple[Callable[[], None], ...] = ()

    def instrumentation_dependencies(self) -> Collection[str]:
        """Name what is instrumented."""
        return ("opentracing >= 2.3, < 3",)

    def _instrument(self, **kwargs: Any) -> None:
        """Install the bridge.

        Args:
            **kwargs: ``tracer_provider`` and ``meter_provider`` as other instrumentors take them; without, the global
                ones are used.
        """
        taken = {name: kwargs.get(name) for name in ("tracer_provider", "meter_provider")}
        installed_before = bootstrap._installation is not None
        try:
            bootstrap.install(**taken)
        except Exception as error:
            _logger.error("OpenTracing code is not traced: %s", error)  # noqa: TRY400  (the text says it all)
            return
        self._undo = (redirect.arm(), *(() if installed_before else (bootstrap._uninstall,)))

    def _uninstrument(self, **kwargs: Any) -> None:
        undo, self._undo = self._undo, ()
        for step in undo:
            step()
