"""What the launcher leaves for the process that it becomes, and a way to say something before there is logging."""

from __future__ import annotations

import os
import sys

__all__ = ["MAIN_PID", "say"]

# Set by the launcher, which then becomes the command: exec keeps the process id. No name of OT_BRIDGE_*: those are
# settings.
MAIN_PID = "_OT_BRIDGE_RUN_PID"


def say(text: str) -> None:
    """Print one line on stderr. Before the application starts no logging is configured."""
    if sys.stderr is not None:
        line = f"ot_bridge: {' '.join(text.split())} (process {os.getpid()})\n"
        try:
            sys.stderr.write(line)
        except (OSError, ValueError):  # closed
            return
