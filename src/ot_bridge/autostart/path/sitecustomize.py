"""Imported by each Python process below `ot-bridge run`, before the application's first line.

It may be any Python: the bridge's own, that of another virtual environment, an old one. So this file keeps to syntax
that all of them read, and says nothing where the bridge is not installed, except in the process that was asked for.
"""

import os
import sys


def _chain():
    """Run the sitecustomize that this one stands in front of."""
    here = os.path.dirname(os.path.abspath(__file__))
    before = list(sys.path)
    # Some look for the next one in the same way; they must not find this one again.
    sys.path[:] = [place for place in before if place != here]
    mine = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # noqa: F401
    except ImportError as error:
        if getattr(error, "name", "sitecustomize") != "sitecustomize":
            raise
        if mine is not None:
            sys.modules["sitecustomize"] = mine
    finally:
        if here in before and here not in sys.path:
            sys.path.insert(min(before.index(here), len(sys.path)), here)


def _begin():
    """Let the bridge prepare this process."""
    try:
        from ot_bridge.autostart import begin

        begin()
    except Exception:
        if os.environ.get("_OT_BRIDGE_RUN_PID") == str(os.getpid()) and sys.stderr is not None:
            kind, error = sys.exc_info()[:2]
            missing = getattr(error, "name", None) in ("ot_bridge", "ot_bridge.autostart")
            reason = "ot_bridge is not installed there" if missing else "%s: %s" % (kind.__name__, error)
            sys.stderr.write("ot_bridge: %s is not traced: %s\n" % (sys.executable, reason))


try:
    _chain()
finally:
    _begin()
