"""Tracing without code: what ``ot-bridge run`` prepares, and what then happens in each Python process below it.

``launch`` puts ``path`` first on PYTHONPATH and becomes the command. In each Python that starts below,
``path/sitecustomize.py`` calls :func:`begin`: ``redirect`` makes ``jaeger_client`` mean the drop-in, and ``trigger``
installs the bridge as soon as the process imports OpenTracing or OpenTelemetry's API, before the importing code goes
on. A process that imports neither pays for a few small modules, and no more.

What every process of a machine may import: nothing at the top but the standard library's smallest modules.
"""

from __future__ import annotations

__all__ = ["begin"]


def begin() -> None:
    """Make this process trace once it comes to it. Called by sitecustomize, before the application's first line."""
    from ot_bridge.autostart import redirect, trigger

    redirect.arm()
    trigger.arm()
