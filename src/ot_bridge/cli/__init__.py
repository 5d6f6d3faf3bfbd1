"""The command `ot-bridge`. It parses, prints and exits; the work is done by the packages below it."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run `ot-bridge` and exit: 0 when all is well, 1 when not, 2 when the command line is wrong."""
    if sys.argv[1:2] == ["run"]:
        # Before click and rich, which every start of a service would pay for, and which need not be installed for it.
        from ot_bridge.cli.start import start

        start(sys.argv[2:])
    from ot_bridge.cli.extras import missing

    if problem := missing("cli"):
        print(f"Error: {problem}", file=sys.stderr)
        raise SystemExit(1)
    from ot_bridge.cli.group import cli

    cli()
