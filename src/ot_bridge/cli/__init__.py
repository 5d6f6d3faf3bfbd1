"""The command `ot-bridge`. It parses, prints and exits; the work is done by the packages below it."""

from __future__ import annotations

import importlib.util
import sys

__all__ = ["main"]


def main() -> None:
    """Run `ot-bridge` and exit: 0 when all is well, 1 when not, 2 when the command line is wrong."""
    for module in ("click", "rich"):
        if importlib.util.find_spec(module) is None:
            print(f"ot-bridge needs the package {module}: python -m pip install 'ot-bridge[cli]'", file=sys.stderr)
            raise SystemExit(2)
    from ot_bridge.cli.group import cli

    cli()
