"""`python -m ot_bridge.cli` is `ot-bridge`."""

from ot_bridge.cli import main

main()
