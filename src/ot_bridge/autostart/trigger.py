"""When the bridge is installed: at the first import of OpenTracing or of OpenTelemetry's API, before it is used.

Not at the start of the process: the SDK and its exporter cost 100 to 150 ms and load ssl, which gevent wants to patch
first. pip, a shell's helpers and multiprocessing's own processes never import a tracing library, and never pay.

Not in the midst of an import either: modules of these packages import each other, and installing imports them all. It
waits until no module of theirs is half imported in the thread.
"""

from __future__ import annotations

import sys
from _thread import get_ident

from ot_bridge.autostart import state
from ot_bridge.importing import Watch

__all__ = ["arm"]

_TRIGGERS = frozenset({"opentracing", "opentelemetry.trace"})
_FAMILIES = frozenset({"opentracing", "opentelemetry", "ot_bridge"})
_NEVER_HALF = ("ot_bridge", "ot_bridge.autostart")  # they import nothing of the families
_TOOLS = ("ot_bridge.cli", "ot_bridge.demo")


class _Trigger(Watch):
    def __init__(self) -> None:
        self._depths: dict[int, int] = {}
        self._wanted = False

    def watches(self, name: str) -> bool:
        if name.partition(".")[0] not in _FAMILIES or name in _NEVER_HALF or name.startswith("ot_bridge.autostart."):
            return False
        if name in _TOOLS:
            # Our own commands are no applications.
            self.disarm()
            return False
        return True

    def entered(self, name: str) -> None:
        thread = get_ident()
        self._depths[thread] = self._depths.get(thread, 0) + 1

    def left(self, name: str, *, failed: bool) -> None:
        thread = get_ident()
        self._depths[thread] -= 1
        if name in _TRIGGERS and not failed:
            self._wanted = True
        if self._depths[thread] == 0:
            del self._depths[thread]
            if self._wanted and self in sys.meta_path:
                start()

    def fire(self) -> None:
        """Install now when a trigger was imported before anybody watched."""
        if not _TRIGGERS.isdisjoint(sys.modules):
            start()


_trigger = _Trigger()


def arm() -> None:
    """Install the bridge as soon as this process imports a tracing library; now, when it already has."""
    _trigger.arm()
    _trigger.fire()


def start() -> None:
    """Install the bridge. What goes wrong is said in one line, and the application goes on without tracing."""
    _trigger.disarm()
    try:
        _install()
    except Exception as error:
        kind = "" if type(error).__name__ == "ConfigError" else f"{type(error).__name__}: "
        state.say(f"this process is not traced: {kind}{error}")


def _install() -> None:
    from ot_bridge import bootstrap

    bootstrap.preinstall()
