"""The short way of `ot-bridge run`: no options, no click; the process becomes the command."""

from __future__ import annotations

import os
import sys

from ot_bridge.autostart.launch import LaunchError, check_settings, execute, plan, split

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["start"]


def start(words: Sequence[str]) -> None:
    """Become the command that stands after `run`; return when there are options to be read first."""
    command = split(words)
    if command is None:
        return
    try:
        planned = plan(command, os.environ)
        check_settings(os.environ)
        execute(planned)
    except LaunchError as error:
        print(f"Error: {error}", file=sys.stderr)
        raise SystemExit(error.status) from None
