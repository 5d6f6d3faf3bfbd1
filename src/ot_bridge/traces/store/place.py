"""Where the spans are kept on this machine when nobody says where: `ot-bridge view` writes there, `trace` reads.

XDG Base Directory Specification 0.8 ("user-specific state data"); on Windows the local application data.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["default_database"]


def default_database(environ: Mapping[str, str] | None = None, *, platform: str = sys.platform) -> Path:
    """Return the path of the database; neither it nor its directory need be there."""
    environ = os.environ if environ is None else environ
    return _state_directory(environ, platform) / "ot-bridge" / "traces.db"


def _state_directory(environ: Mapping[str, str], platform: str) -> Path:
    if platform == "win32":
        given = environ.get("LOCALAPPDATA", "")
        return Path(given) if given else Path.home() / "AppData" / "Local"
    given = environ.get("XDG_STATE_HOME", "")
    # The specification has relative paths ignored.
    return Path(given) if given.startswith("/") else Path.home() / ".local" / "state"
