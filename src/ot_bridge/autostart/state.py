"""What the autostart did in this process, for the modules that take over from it."""

from __future__ import annotations

import os
import sys

__all__ = ["MAIN_PID", "preinstalled", "say"]

# Set by the launcher, which then becomes the command: exec keeps the process id. No name of OT_BRIDGE_*: those are
# settings.
MAIN_PID = "_OT_BRIDGE_RUN_PID"

# True when the tracer that is installed was installed by the autostart, and not by a call in the application.
preinstalled = False


def say(text: str) -> None:
    """Print one line on stderr. Before the application starts no logging is configured."""
    if sys.stderr is not None:
        line = f"ot_bridge: {' '.join(text.split())} (process {os.getpid()})\n"
        try:
            sys.stderr.write(line)
        except (OSError, ValueError):  # closed
            return
